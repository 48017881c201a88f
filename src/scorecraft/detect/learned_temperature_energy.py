"""AbeT: a cosine head with a temperature learned per input, and its energy without that temperature in front."""

from __future__ import annotations

import warnings
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from scorecraft.catalog import implements
from scorecraft.detect.scores import checked_logits
from scorecraft.errors import ScorecraftError, ScorecraftWarning, nearest

EPSILON = 1e-4  # added to norms
LOWEST_TEMPERATURE = 1e-12  # added to the sigmoid, which may round to 0

GodinScore = Literal["cosine", "temperature"]


class HeadOutput(NamedTuple):
    """Logits ``numerators / temperature``, the cosines, and the temperature, with one class axis each."""

    logits: Tensor
    numerators: Tensor
    temperature: Tensor


def cosine_numerators(
    features: Float[Tensor, "*batch feature"], weight: Float[Tensor, "class feature"], epsilon: float = EPSILON
) -> Float[Tensor, "*batch class"]:
    """Return the cosine of features and class weights, ``g_c = n(w_c) . n(h)`` with ``n(v) = v / (|v|_2 + epsilon)``.

    A feature vector of zeros gives cosines of 0. The product is taken in float64.

    Args:
        features: h.
        weight: w, one row a class.
        epsilon: added to the norms.

    Raises `ScorecraftError` for features of another width than the weights'.
    """
    if features.ndim < 1 or features.shape[-1] != weight.shape[-1]:
        raise ScorecraftError(
            f"cosine head: expected features of width {weight.shape[-1]}, got shape {tuple(features.shape)}"
        )
    exact = torch.float64
    return (_normed(features.to(exact), epsilon) @ _normed(weight.to(exact), epsilon).T).to(_wide(features))


@implements("learned-temperature-energy")
class CosineHead(nn.Module):
    """Class scores that are cosines of features and class weights, in [-1, 1]; no bias.

    Args:
        in_features: width of the features.
        num_classes: number of classes; 1 is possible, with a warning, as softmax scores are then constant.
        epsilon: added to the norms.
    """

    def __init__(self, in_features: int, num_classes: int, epsilon: float = EPSILON) -> None:
        super().__init__()
        if in_features < 1 or num_classes < 1:
            raise ScorecraftError(
                f"CosineHead: expected at least 1 feature and 1 class, got {in_features} and {num_classes}"
            )
        if num_classes == 1:
            warnings.warn(
                "CosineHead: with a single class cross-entropy is 0 and nothing is learned",
                ScorecraftWarning,
                stacklevel=2,
            )
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.empty(num_classes, in_features))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")

    def forward(self, features: Float[Tensor, "*batch feature"]) -> Float[Tensor, "*batch class"]:
        """Return `cosine_numerators` of the features."""
        return cosine_numerators(features, self.weight, self.epsilon)


@implements("learned-temperature-energy")
class LearnedTemperatureHead(nn.Module):
    """A classification head with a temperature of each input, for training with plain cross-entropy on its logits.

    ``z_c = g_c / T`` with the cosines g and ``T = sigmoid(BatchNorm(a . h + b)) + 1e-12``. On a box detector it stands
    on the features of the boxes, one class being the background.

    Args:
        in_features: width of the features, which are the input of the last linear layer that it stands in for.
        num_classes: number of classes.

    Source: Out-of-Distribution Detection & Applications With Ablated Learned Temperature Energy, 2024,
    arXiv 2401.12129; the head is that of Generalized ODIN, 2020, arXiv 2002.11297.
    """

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.cosine = CosineHead(in_features, num_classes)
        self.linear = nn.Linear(in_features, 1)
        self.norm = nn.BatchNorm1d(1)

    def temperature(self, features: Float[Tensor, "row feature"]) -> Float[Tensor, "row 1"]:
        """Return T of each row, above 0 and at most 1; raises `ScorecraftError` for one row in training mode."""
        if self.training and len(features) == 1:
            raise ScorecraftError(
                "LearnedTemperatureHead: a batch of 1 row cannot be normalised in training mode; give at least 2 rows "
                "(drop_last=True), or call eval()"
            )
        # Not in half precision, where 1e-12 is 0 and so is the sigmoid's tail.
        with torch.autocast(features.device.type, enabled=False):
            unsure = self.norm(self.linear(features.to(self.linear.weight.dtype)))
            return unsure.to(_wide(unsure)).sigmoid() + LOWEST_TEMPERATURE

    def forward(self, features: Float[Tensor, "row feature"]) -> HeadOutput:
        """Return logits ``[row, class]``, cosines ``[row, class]`` and temperatures ``[row, 1]``."""
        numerators, temperature = self.cosine(features), self.temperature(features)
        return HeadOutput(numerators / temperature, numerators, temperature)


@implements("learned-temperature-energy")
class LearnedTemperatureHead2d(nn.Module):
    """The head of `LearnedTemperatureHead` at every pixel, for segmentation.

    The temperature comes from a 1x1 convolution without a bias, which the normalisation would cancel.

    Args:
        in_channels: width of the feature map.
        num_classes: number of classes.

    Source: Out-of-Distribution Detection & Applications With Ablated Learned Temperature Energy, 2024,
    arXiv 2401.12129.
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.cosine = CosineHead(in_channels, num_classes)
        self.convolution = nn.Conv2d(in_channels, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(1)

    def temperature(self, features: Float[Tensor, "image channel y x"]) -> Float[Tensor, "image 1 y x"]:
        """Return T of each pixel; raises `ScorecraftError` for one pixel in training mode."""
        if self.training and features.numel() == features.shape[1]:
            raise ScorecraftError(
                "LearnedTemperatureHead2d: a batch of 1 pixel cannot be normalised in training mode; give more, or "
                "call eval()"
            )
        with torch.autocast(features.device.type, enabled=False):
            unsure = self.norm(self.convolution(features.to(self.convolution.weight.dtype)))
            return unsure.to(_wide(unsure)).sigmoid() + LOWEST_TEMPERATURE

    def forward(self, features: Float[Tensor, "image channel y x"]) -> HeadOutput:
        """Return logits and cosines ``[image, class, y, x]`` and temperatures ``[image, 1, y, x]``."""
        numerators = self.cosine(features.movedim(1, -1)).movedim(-1, 1)
        temperature = self.temperature(features)
        return HeadOutput(numerators / temperature, numerators, temperature)


@implements("learned-temperature-energy")
def abet_score(logits: Float[Tensor, "*shape"], dim: int = -1) -> Float[Tensor, "*rest"]:
    """Return the ablated energy of tempered logits, ``-log sum_c exp(g_c / T)``; higher means further out.

    Its derivative by T is ``E_p[g] / T^2``, p being the softmax: a higher temperature raises it wherever the expected
    cosine is above 0.

    Args:
        logits: of a `LearnedTemperatureHead`, ``g / T``, with the classes along ``dim``.
        dim: of the classes.

    Raises `ScorecraftError` for logits that are not finite or no class.

    Source: Out-of-Distribution Detection & Applications With Ablated Learned Temperature Energy, 2024,
    arXiv 2401.12129.
    """
    return -checked_logits("abet_score", logits, dim).logsumexp(dim)


@implements("learned-temperature-energy")
def two_temperature_energy(
    logits: Float[Tensor, "*shape"], temperature: Float[Tensor, "*unit"], dim: int = -1
) -> Float[Tensor, "*rest"]:
    """Return the energy that keeps the temperature in front, ``-T log sum_c exp(g_c / T)``: AbeT's baseline.

    Its derivative by T is minus the entropy of the softmax: a higher temperature always lowers it.

    Args:
        logits: ``g / T``, with the classes along ``dim``.
        temperature: T, of size 1 along ``dim``.
        dim: of the classes.

    Raises `ScorecraftError` as `abet_score` does, and for temperatures that are not above 0 or of another shape.
    """
    z = checked_logits("two_temperature_energy", logits, dim)
    wanted = z.narrow(dim, 0, 1).shape
    if temperature.shape != wanted or not (temperature > 0).all():
        raise ScorecraftError(
            f"two_temperature_energy: expected temperatures above 0 of shape {tuple(wanted)}, got shape "
            f"{tuple(temperature.shape)}"
        )
    return -temperature.squeeze(dim) * z.logsumexp(dim)


@implements("learned-temperature-energy")
def godin_score(output: HeadOutput, mode: GodinScore = "cosine", dim: int = -1) -> Float[Tensor, "*rest"]:
    """Return Generalized ODIN's score: the negative largest cosine, or the temperature itself.

    Args:
        output: of the head.
        mode: "cosine", ``-max_c g_c``, as in the paper of Generalized ODIN, without its step on the inputs;
            "temperature", T, as in the published code of AbeT.
        dim: of the classes.

    Raises `ScorecraftError` as `abet_score` does, and for another mode.

    Source: Generalized ODIN: Detecting Out-of-distribution Image without Learning from Out-of-distribution Data,
    2020, arXiv 2002.11297.
    """
    if mode not in get_args(GodinScore):
        raise ScorecraftError(f"godin_score: no mode '{mode}': {nearest(mode, get_args(GodinScore))}")
    if mode == "temperature":
        return checked_logits("godin_score", output.temperature, dim).squeeze(dim)
    return -checked_logits("godin_score", output.numerators, dim).amax(dim)


@implements("learned-temperature-energy")
def abet_box_score(logits: Float[Tensor, "box class"], background: int | None = -1) -> Float[Tensor, " box"]:
    """Return `abet_score` of each predicted box, without the background's logit.

    Args:
        logits: of the head on the boxes' features.
        background: which class is the background; None where the head has none.

    Raises `ScorecraftError` as `abet_score` does, and for a background that is no class, or is the only one.
    """
    return abet_score(without_class(logits, background))


@implements("learned-temperature-energy")
def abet_pixel_score(logits: Float[Tensor, "image class y x"]) -> Float[Tensor, "image y x"]:
    """Return `abet_score` of each pixel.

    The published evaluation rescales it to ``1 - log sum_c exp(z_c) / C``, which need not lie in [0, 1]; exact
    metrics (`scorecraft.detect.ood_report`) need no rescaling.

    Args:
        logits: of a `LearnedTemperatureHead2d`.

    Raises `ScorecraftError` as `abet_score` does.
    """
    return abet_score(logits, dim=1)


def without_class(logits: Float[Tensor, "row class"], left_out: int | None) -> Float[Tensor, "row kept"]:
    """Return logits without the column of one class; all of them where none is left out."""
    if left_out is None:
        return logits
    classes = logits.shape[-1]
    if not -classes <= left_out < classes or classes < 2:
        raise ScorecraftError(f"background: class {left_out} cannot be left out of {classes} classes")
    return torch.cat((logits[:, : left_out % classes], logits[:, left_out % classes + 1 :]), -1)


def _normed(vectors: Tensor, epsilon: float) -> Tensor:
    return vectors / (torch.linalg.vector_norm(vectors, dim=-1, keepdim=True) + epsilon)


def _wide(values: Tensor) -> torch.dtype:
    return torch.promote_types(values.dtype, torch.float32)
