"""A small encoder and small distortions of images, where there is nothing better at hand."""

from __future__ import annotations

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from scorecraft.errors import ScorecraftError


def mlp_encoder(inputs: int, hidden: int = 256, features: int = 64, factor: float = 1.0) -> nn.Module:
    """Return an encoder of one hidden layer; ``factor`` makes it wider, and at 2 or more deeper by a layer.

    Args:
        inputs: numbers of an input, all its axes multiplied.
        hidden: width of the hidden layer.
        features: width of the output, which does not grow with ``factor``.
        factor: of the hidden width, above 0.

    Raises `ScorecraftError` for a size below 1.
    """
    width = round(hidden * factor)
    if min(inputs, width, features) < 1:
        raise ScorecraftError(f"mlp_encoder: expected sizes of at least 1, got {inputs}, {width} and {features}")
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(inputs, width), nn.ReLU()]
    if factor >= 2:
        layers += [nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, features))


def shift_and_noise(
    x: Float32[Tensor, " row *shape"], generator: torch.Generator, pixels: int = 1, noise: float = 0.1
) -> Float32[Tensor, " row *shape"]:
    """Return inputs with Gaussian noise; images (three axes or more) are shifted at random as well, filled with 0.

    Args:
        x: inputs; the last two axes of images are height and width.
        generator: of shifts and noise.
        pixels: longest shift along each axis.
        noise: standard deviation.
    """
    if x.ndim > 2:
        height, width = x.shape[-2:]
        padded = nn.functional.pad(x, (pixels, pixels, pixels, pixels))
        down, right = torch.randint(2 * pixels + 1, (2, len(x), 1), generator=generator)
        rows = (torch.arange(height) + down)[:, :, None]
        columns = (torch.arange(width) + right)[:, None, :]
        # Indices at the two ends put their axes first: row, height, width, channels.
        places = torch.arange(len(x))[:, None, None]
        x = padded.movedim((-2, -1), (1, 2))[places, rows, columns].movedim((1, 2), (-2, -1))
    return x + noise * torch.randn(x.shape, generator=generator)
