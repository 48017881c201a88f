"""How far features are from those of training inputs: nearest neighbours, and Gaussians of the classes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from torch.nn import functional as F

from scorecraft.errors import ScorecraftError

HELD_DISTANCES = 2**24  # so many are held at once


class ClassGaussians(NamedTuple):
    """Means of the classes, and W with ``S^-1 = W W^T`` for the covariance S that they share."""

    means: Float64[Tensor, "class feature"]
    whitening: Float64[Tensor, "feature feature"]

    @property
    def precision(self) -> Float64[Tensor, "feature feature"]:
        """The inverse of the covariance."""
        return self.whitening @ self.whitening.T


def knn_score(
    train_features: Float[Tensor, "train feature"], features: Float[Tensor, "row feature"], k: int = 200
) -> Float[Tensor, " row"]:
    """Return the distance to the k-th nearest training input, all features being divided by their length.

    Args:
        train_features: of training inputs.
        features: of what is scored.
        k: which neighbour, from 1 to the number of training inputs.

    Raises `ScorecraftError` for a k out of range, unequal widths, or features that are not finite.

    Source: Out-of-Distribution Detection with Deep Nearest Neighbors, 2022, arXiv 2204.06507.
    """
    if not 1 <= k <= len(train_features):
        raise ScorecraftError(f"knn_score: expected k from 1 to {len(train_features)} training inputs, got {k}")
    _check_width("knn_score", train_features, features)
    # From cosines, in float64, where no small distance is lost.
    train = F.normalize(train_features.double(), dim=-1)
    chunk = max(1, HELD_DISTANCES // len(train))
    found = []
    for part in features.split(chunk):
        cosines = F.normalize(part.double(), dim=-1) @ train.T
        found.append((2 - 2 * cosines.topk(k, dim=1).values[:, -1]).clamp(min=0).sqrt())
    return torch.cat(found).to(torch.promote_types(features.dtype, torch.float32))


def fit_class_gaussians(
    features: Float[Tensor, "row feature"], y: Int64[Tensor, " row"], ridge: float = 1e-6
) -> ClassGaussians:
    """Return the means of the classes and the inverse of their pooled covariance, by maximum likelihood.

    Args:
        features: of training inputs.
        y: class of each.
        ridge: added to the covariance's diagonal as a share of its mean, so that it can be inverted.

    Raises `ScorecraftError` for no rows, unequal lengths, features that are not finite, or a covariance that cannot be
    inverted.
    """
    if len(features) == 0 or y.shape != features.shape[:1]:
        raise ScorecraftError(
            f"mahalanobis: expected features and a class of each, got {tuple(features.shape)} and {tuple(y.shape)}"
        )
    check_finite("mahalanobis", features)
    exact = features.double()
    classes, member = y.unique(return_inverse=True)
    sums = exact.new_zeros(len(classes), exact.shape[1]).index_add_(0, member, exact)
    means = sums / member.bincount().double()[:, None]
    centred = exact - means[member]
    covariance = centred.T @ centred / len(exact)
    identity = torch.eye(len(covariance), dtype=exact.dtype, device=exact.device)
    covariance += identity * (ridge * covariance.diagonal().mean())
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if failed or not torch.isfinite(factor).all():
        raise ScorecraftError(
            "mahalanobis: the covariance of the features inside the classes cannot be inverted; give more training "
            "inputs than features, leave out constant features, or raise ridge"
        )
    return ClassGaussians(means, torch.linalg.solve_triangular(factor, identity, upper=False).T)


def mahalanobis_score(features: Float[Tensor, "row feature"], gaussians: ClassGaussians) -> Float64[Tensor, " row"]:
    """Return the squared Mahalanobis distance to the nearest class, ``min_c (h - m_c)^T S^-1 (h - m_c)``.

    Args:
        features: of what is scored.
        gaussians: see `fit_class_gaussians`.

    Raises `ScorecraftError` for unequal widths or features that are not finite.

    Source: A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks, 2018,
    arXiv 1807.03888.
    """
    _check_width("mahalanobis_score", gaussians.means, features)
    # Centred before they are whitened, so that means far from 0 cost no digits.
    centre = gaussians.means.mean(0)
    rows, means = ((each.double() - centre) @ gaussians.whitening for each in (features, gaussians.means))
    return torch.cdist(rows, means, compute_mode="donot_use_mm_for_euclid_dist").amin(1).square()


def check_finite(name: str, features: Tensor) -> None:
    """Raise a `ScorecraftError` that names the first feature that is not finite."""
    if not torch.isfinite(features).all():
        place = tuple((~torch.isfinite(features)).nonzero()[0].tolist())
        raise ScorecraftError(f"{name}: feature {place} is {features[place].item()}; expected finite numbers")


def _check_width(name: str, train: Tensor, features: Tensor) -> None:
    if features.ndim != 2 or train.ndim != 2 or features.shape[1] != train.shape[1]:
        raise ScorecraftError(
            f"{name}: expected features of one width, got shapes {tuple(train.shape)} and {tuple(features.shape)}"
        )
    check_finite(name, features)
