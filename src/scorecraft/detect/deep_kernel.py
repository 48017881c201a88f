"""A kernel with learned features, trained so that it tells natural samples from attacked ones."""

from __future__ import annotations

import math
import warnings

import torch
from jaxtyping import Float
from torch import Tensor, nn

from scorecraft.catalog import implements
from scorecraft.detect.maximum_mean_discrepancy import (
    Embedded,
    Kernel,
    MMDEstimate,
    mmd2_unbiased,
    power_criterion,
    squared_distances,
)
from scorecraft.errors import ScorecraftError, ScorecraftWarning

MOST_BATCHES = 31  # in an epoch


@implements("expected-perturbation-score")
class DeepKernel(Kernel):
    """A kernel on samples and on learned features of them.

    ``k(a, b) = ((1 - e) exp(-||phi(a) - phi(b)||^2 / S0) + e) exp(-||a - b||^2 / S)``. S0 and S are learned as squares
    of a parameter and e as the sigmoid of one.

    Args:
        features: phi, a module that returns ``[row, feature]``; see `convolutional_features`.
        scale: S at the start; published is ``2 * height * width * 100``.
        feature_scale: S0 at the start; published are 15 for CIFAR-10 and 0.5 for ImageNet.
        smoothing: e starts at about a uniform number times this; published are 1e-2 and 1e-10.
        generator: of that number.

    Raises `ScorecraftError` for a scale or smoothing that is not above 0.

    Source: Detecting Adversarial Data by Probing Multiple Perturbations Using Expected Perturbation Score, 2023,
    arXiv 2305.16035, with the constants of the published code; the form of the kernel: arXiv 2002.09116, eq. 1.
    """

    def __init__(
        self,
        features: nn.Module,
        scale: float,
        *,
        feature_scale: float = 15.0,
        smoothing: float = 1e-2,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("scale", scale), ("feature_scale", feature_scale), ("smoothing", smoothing)):
            if not value > 0:
                raise ScorecraftError(f"DeepKernel: expected {name} above 0, got {value:g}")
        self.features = features
        self.scale_root = nn.Parameter(torch.tensor(math.sqrt(scale)))
        self.feature_scale_root = nn.Parameter(torch.tensor(math.sqrt(feature_scale)))
        # 1 - U is in (0, 1], so that the logarithm is finite.
        uniform = 1 - torch.rand((), generator=generator)
        self.smoothing_logit = nn.Parameter((uniform * smoothing).log())

    def embed(self, x: Tensor) -> Embedded:
        """Return the samples flattened, and their features."""
        return Embedded(x.flatten(1), self.features(x))

    def between(self, a: Embedded, b: Embedded) -> Tensor:
        """Return the kernel between all rows of ``a`` and all of ``b``."""
        assert a.features is not None
        assert b.features is not None
        near = (-squared_distances(a.features, b.features) / self.feature_scale_root**2).exp()
        smoothing = self.smoothing_logit.sigmoid()
        return ((1 - smoothing) * near + smoothing) * (-squared_distances(a.flat, b.flat) / self.scale_root**2).exp()


def convolutional_features(
    channels: int, height: int, width: int, *, widths: tuple[int, ...] = (16, 32), features: int = 300
) -> nn.Sequential:
    """Return the published feature network: strided convolutions, then one linear layer.

    Each block is a 3 by 3 convolution with stride 2, leaky ReLU (slope 0.2) and, but for the first, batch
    normalization with 0.8 added to the variance.

    Args:
        channels: of the images.
        height: of the images.
        width: of the images.
        widths: channels of the blocks; (16, 32) for CIFAR-10 and (16, 32, 64, 128) for ImageNet.
        features: number of features.
    """
    blocks: list[nn.Module] = []
    for place, (into, out) in enumerate(zip((channels, *widths), widths, strict=False)):
        blocks += [nn.Conv2d(into, out, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
        if place:
            blocks.append(nn.BatchNorm2d(out, eps=0.8))
        height, width = math.ceil(height / 2), math.ceil(width / 2)
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(widths[-1] * height * width, features))


@implements("expected-perturbation-score")
def train_deep_kernel(
    kernel: DeepKernel,
    natural: Float[Tensor, "natural ..."],
    adversarial: Float[Tensor, "adversarial ..."],
    *,
    epochs: int = 200,
    learning_rate: float = 2e-3,
    batch_size: int = 500,
    generator: torch.Generator | None = None,
) -> list[float]:
    """Train a kernel to tell two sets apart and return the mean criterion of each epoch; it is left in evaluation mode.

    Maximizes ``J = MMD2 / sqrt(Var + 1e-8)`` over batches of equally many of either set, drawn without replacement,
    at most 31 an epoch, with Adam.

    Args:
        kernel: changed in place.
        natural: expected perturbation scores of natural samples.
        adversarial: those of attacked ones; published are halves of FGSM in the L-infinity and in the L2 norm, weak.
        epochs: passes over the smaller set.
        learning_rate: of Adam.
        batch_size: of either set; at most the smaller set's size is taken.
        generator: of the batches.

    Raises `ScorecraftError` for fewer than 2 samples in a set or a batch, samples of two shapes, or a criterion that
    is not finite.

    Source: Learning Deep Kernels for Non-Parametric Two-Sample Tests, 2020, arXiv 2002.09116, algorithm 1.
    """
    if natural.shape[1:] != adversarial.shape[1:]:
        raise ScorecraftError(
            f"train_deep_kernel: samples of shapes {tuple(natural.shape[1:])} and {tuple(adversarial.shape[1:])}"
        )
    size = min(batch_size, len(natural), len(adversarial))
    if size < 2:
        raise ScorecraftError(f"train_deep_kernel: expected at least 2 samples of either set in a batch, got {size}")
    optimizer = torch.optim.Adam(kernel.parameters(), lr=learning_rate)
    batches = min(min(len(natural), len(adversarial)) // size, MOST_BATCHES)
    history = []
    kernel.train()
    for _ in range(epochs):
        orders = [torch.randperm(len(each), generator=generator) for each in (natural, adversarial)]
        total = 0.0
        for batch in range(batches):
            rows = slice(batch * size, (batch + 1) * size)
            criterion = _criterion(kernel, natural[orders[0][rows]], adversarial[orders[1][rows]])
            if not torch.isfinite(criterion):
                raise ScorecraftError("train_deep_kernel: the criterion is not finite; lower the learning rate")
            optimizer.zero_grad()
            (-criterion).backward()
            optimizer.step()
            total += criterion.item()
        history.append(total / batches)
    kernel.eval()
    return history


def _criterion(kernel: DeepKernel, natural: Tensor, adversarial: Tensor) -> Tensor:
    # In one pass, so that batch normalization sees both sets.
    n = len(natural)
    both = kernel.embed(torch.cat((natural, adversarial)))
    table = kernel.between(both, both)
    estimate: MMDEstimate = mmd2_unbiased(table[:n, :n], table[n:, n:], table[:n, n:])
    with warnings.catch_warnings():
        # A step at which the kernel is flat is no event in a training.
        warnings.simplefilter("ignore", ScorecraftWarning)
        return power_criterion(estimate)
