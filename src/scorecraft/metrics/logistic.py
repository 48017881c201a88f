"""Logistic regression on a few columns by Newton's method, with targets in [0, 1] and a small ridge."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

# Newton's method ends where a step promises so small a gain; it is then far nearer than the gain says.
STEPS, TOLERANCE, SMALLEST_STEP = 100, 1e-13, 1e-8


def log_sigmoid(score: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Return ``-ln(1 + exp(-s))``, which neither overflows nor loses small numbers.

    Args:
        score: any numbers.
    """
    return -np.logaddexp(0.0, -score)


def fit_logistic(
    features: Float64[np.ndarray, "row feature"],
    target: Float64[np.ndarray, " row"],
    weights: Float64[np.ndarray, " row"],
    ridge: float = 0.0,
) -> Float64[np.ndarray, " feature"]:
    """Return the coefficients b that minimise ``mean_w -[t ln q + (1-t) ln(1-q)] + ridge |b|^2 / 2``, q = sigmoid(X b).

    Args:
        features: X, with a column of ones where there is to be an intercept.
        target: t, in [0, 1].
        weights: of rows, at least 0, not all 0.
        ridge: keeps coefficients finite where a threshold separates the targets.
    """
    share = weights / weights.sum()
    scale = np.abs(features).max(0)
    scale[scale == 0] = 1.0
    columns, penalty = features / scale, ridge / scale**2
    found = np.zeros(columns.shape[1])
    loss = _loss(columns, target, share, penalty, found)
    for _ in range(STEPS):
        q = np.exp(log_sigmoid(columns @ found))
        gradient = columns.T @ (share * (q - target)) + penalty * found
        curvature = (columns * (share * q * (1 - q))[:, None]).T @ columns + np.diag(penalty)
        # A little on the diagonal, which moves no minimum: constant scores leave the matrix without an inverse.
        damped = curvature + np.eye(len(found)) * (1e-12 * np.trace(curvature) + 1e-300)
        step = np.linalg.lstsq(damped, gradient, rcond=None)[0]
        promised = float(gradient @ step)
        if promised <= TOLERANCE:
            return (found - step) / scale
        size = 1.0
        while (reached := _loss(columns, target, share, penalty, found - size * step)) > loss - 1e-4 * size * promised:
            size /= 2
            if size < SMALLEST_STEP:  # the loss cannot tell them apart any more
                return found / scale
        found, loss = found - size * step, reached
    return found / scale


def logistic_loss(
    features: Float64[np.ndarray, "row feature"],
    target: Float64[np.ndarray, " row"],
    weights: Float64[np.ndarray, " row"],
    coefficients: Float64[np.ndarray, " feature"],
) -> float:
    """Return the weighted mean loss of coefficients.

    Args:
        features: see `fit_logistic`.
        target: in [0, 1].
        weights: of rows.
        coefficients: one for each column.
    """
    return _loss(features, target, weights / weights.sum(), np.zeros(len(coefficients)), coefficients)


def _loss(
    columns: Float64[np.ndarray, "row feature"],
    target: Float64[np.ndarray, " row"],
    share: Float64[np.ndarray, " row"],
    penalty: Float64[np.ndarray, " feature"],
    coefficients: Float64[np.ndarray, " feature"],
) -> float:
    score = columns @ coefficients
    fit = share @ (np.logaddexp(0.0, score) - target * score)
    return float(fit + (penalty * coefficients**2).sum() / 2)
