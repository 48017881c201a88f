"""Maximum mean discrepancy: how different two samples are, and one sample from a reference set, under a kernel."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, ScorecraftWarning

# Added to the variance in the power criterion.
VARIANCE_FLOOR = 1e-8


class Embedded(NamedTuple):
    """Samples as a kernel compares them: flat, and as features where it has any."""

    flat: Float[Tensor, "row value"]
    features: Float[Tensor, "row feature"] | None = None


class Kernel(nn.Module, ABC):
    """A kernel with ``k(x, x) = 1``; calling it on two sets gives ``[row of a, row of b]``."""

    @abstractmethod
    def embed(self, x: Tensor) -> Embedded:
        """Return samples as `between` takes them, so that a reference set is embedded only once."""

    @abstractmethod
    def between(self, a: Embedded, b: Embedded) -> Tensor:
        """Return the kernel between all rows of ``a`` and all of ``b``."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the kernel between all samples of ``a`` and all of ``b``."""
        return self.between(self.embed(a), self.embed(b))


class GaussianKernel(Kernel):
    """The Gaussian kernel ``k(a, b) = exp(-||a - b||^2 / scale)``.

    Args:
        scale: above 0; `median_scale` is the usual choice.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        if not scale > 0:
            raise ScorecraftError(f"GaussianKernel: expected a scale above 0, got {scale:g}")
        self.scale = scale

    def embed(self, x: Tensor) -> Embedded:
        """Return the samples flattened."""
        return Embedded(x.flatten(1))

    def between(self, a: Embedded, b: Embedded) -> Tensor:
        """Return ``exp(-||a - b||^2 / scale)``."""
        return (-squared_distances(a.flat, b.flat) / self.scale).exp()


class MMDEstimate(NamedTuple):
    """A squared maximum mean discrepancy and the variance of its estimate (times the number of samples)."""

    mmd2: Float[Tensor, ""]
    variance: Float[Tensor, ""]


def squared_distances(a: Float[Tensor, "m value"], b: Float[Tensor, "n value"]) -> Float[Tensor, "m n"]:
    """Return ``||a_i - b_j||^2`` for all pairs."""
    # About a common centre: what the samples share would cost digits in the product.
    centre = b.mean(0)
    a, b = a - centre, b - centre
    return ((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T).clamp(min=0)


def median_scale(x: Float[Tensor, "row ..."]) -> float:
    """Return the median squared distance between two samples, the usual scale of a Gaussian kernel.

    Raises `ScorecraftError` for fewer than 2 samples, or where most are equal.
    """
    _check_enough("median_scale", len(x))
    flat = x.flatten(1)
    distances = squared_distances(flat, flat)
    median = distances[torch.triu_indices(len(x), len(x), 1).unbind()].median().item()
    if not median > 0:
        raise ScorecraftError("median_scale: half of the samples or more are equal; give the kernel a scale")
    return median


@implements("expected-perturbation-score")
def mmd2_unbiased(
    kernel_xx: Float[Tensor, "n n"], kernel_yy: Float[Tensor, "n n"], kernel_xy: Float[Tensor, "n n"]
) -> MMDEstimate:
    """Return the one-sample U-statistic of the squared MMD and its variance.

    ``h_ij = k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i)``; ``MMD2 = 1/(n(n-1)) sum_{i != j} h_ij``;
    ``Var = 4 (1/n sum_i (1/n sum_j h_ij)^2 - (1/n^2 sum_ij h_ij)^2)``.

    Args:
        kernel_xx: kernel among the samples of the first set.
        kernel_yy: among those of the second.
        kernel_xy: between the first and the second.

    Raises `ScorecraftError` for sets of unequal size or fewer than 2 samples.

    Source: Learning Deep Kernels for Non-Parametric Two-Sample Tests, 2020, arXiv 2002.09116, eq. 2 and 5.
    """
    n = len(kernel_xx)
    if not kernel_xx.shape == kernel_yy.shape == kernel_xy.shape == (n, n):
        shapes = ", ".join(str(tuple(k.shape)) for k in (kernel_xx, kernel_yy, kernel_xy))
        raise ScorecraftError(f"mmd2_unbiased: expected three square tables of two sets of one size, got {shapes}")
    _check_enough("mmd2_unbiased", n)
    h = kernel_xx + kernel_yy - kernel_xy - kernel_xy.T
    mmd2 = (h.sum() - h.trace()) / (n * (n - 1))
    variance = 4 * ((h.mean(1) ** 2).mean() - h.mean() ** 2)
    return MMDEstimate(mmd2, variance)


def mmd2_biased(
    kernel_xx: Float[Tensor, "m m"], kernel_yy: Float[Tensor, "n n"], kernel_xy: Float[Tensor, "m n"]
) -> Float[Tensor, ""]:
    """Return ``mean k(x, x') + mean k(y, y') - 2 mean k(x, y)``, diagonals included; never below 0.

    Source: A Kernel Two-Sample Test, 2012, Journal of Machine Learning Research 13, eq. 5.
    """
    return kernel_xx.mean() + kernel_yy.mean() - 2 * kernel_xy.mean()


def power_criterion(estimate: MMDEstimate) -> Float[Tensor, ""]:
    """Return ``J = MMD2 / sqrt(Var + 1e-8)``, which grows with the power of the test that the kernel gives.

    Warns where the variance is not above 0, and takes 1e-8 alone.

    Source: Learning Deep Kernels for Non-Parametric Two-Sample Tests, 2020, arXiv 2002.09116, eq. 4.
    """
    if not estimate.variance > 0:
        warnings.warn(
            f"power_criterion: the variance is {estimate.variance.item():.3g}, taken as {VARIANCE_FLOOR:g}; the kernel "
            "may see no differences at all",
            ScorecraftWarning,
            stacklevel=2,
        )
    return estimate.mmd2 / (estimate.variance.clamp(min=0) + VARIANCE_FLOOR).sqrt()


@implements("expected-perturbation-score")
def mmd2_of_each(
    kernel: Kernel, reference: Float[Tensor, "m ..."], x: Float[Tensor, "row ..."]
) -> Float[Tensor, " row"]:
    """Return the squared MMD between each single sample and a reference set.

    ``MMD2(x) = mean_ij k(r_i, r_j) - 2 mean_i k(r_i, x) + 1``. Only the middle term depends on x: the order of
    samples is that of a kernel density in the space of the kernel.

    Args:
        kernel: with ``k(x, x) = 1``.
        reference: at least 2 samples.
        x: what is compared with it, sample by sample.

    Raises `ScorecraftError` for fewer than 2 references.

    Source: Detecting Adversarial Data by Probing Multiple Perturbations Using Expected Perturbation Score, 2023,
    arXiv 2305.16035.
    """
    _check_enough("mmd2_of_each", len(reference))
    embedded = kernel.embed(reference)
    among = kernel.between(embedded, embedded).mean()
    return among + 1 - 2 * kernel.between(embedded, kernel.embed(x)).mean(0)


def _check_enough(name: str, samples: int) -> None:
    if samples < 2:
        raise ScorecraftError(f"{name}: expected at least 2 samples, got {samples}")
