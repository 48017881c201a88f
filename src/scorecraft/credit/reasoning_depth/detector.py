"""RHD: a weighted sum of depth features that says how likely a chain is hallucinated, and its honest measure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scorecraft.catalog import implements
from scorecraft.credit.reasoning_depth.depth_features import DepthFeatures
from scorecraft.credit.reasoning_depth.reasoning_scores import DepthUnit, check_comparable
from scorecraft.errors import ScorecraftError
from scorecraft.metrics.calibration import auroc

Floats = NDArray[np.float64]
TRAINING_FREE = np.array([0.0, 1.0, 1.0, 1.0])  # weights of the features, in the order of their names


@implements("reasoning-depth")
@dataclass(frozen=True, eq=False)
class RHDDetector:
    """``H(C) = a_0 + sum_f a_f z_f(C)``, larger for chains that are more likely hallucinated.

    z are the features less ``mean`` over ``deviation``; vocabulary, layers and unit are those it was calibrated with.

    Source: Detection and Mitigation of Hallucination in Large Reasoning Models, 2025, arXiv 2505.12886; its fitted
    weights are not known.
    """

    weights: Floats
    intercept: float
    mean: Floats
    deviation: Floats
    vocabulary: int
    layers: tuple[int, ...]
    unit: DepthUnit

    @classmethod
    def fit(cls, features: DepthFeatures, hallucinated: ArrayLike, *, strength: float = 1.0) -> RHDDetector:
        """Return a detector whose weights are those of a logistic regression on standardised features.

        They minimise ``|a|^2 / 2 + strength * sum_i log(1 + exp(-y_i H_i))`` with y in {-1, 1}; the intercept is free.

        Args:
            features: of labelled chains.
            hallucinated: 1 or 0 of each.
            strength: weight of the labels against the penalty, C in scikit-learn; above 0.

        Raises `ScorecraftError` for labels that are not 0 and 1 or of one kind only, features that are not finite,
        or a strength that is not above 0.
        """
        table, labels = _checked(features, hallucinated)
        if not strength > 0:
            raise ScorecraftError(f"RHD detector: expected a strength above 0, got {strength}")
        mean, deviation = _moments(table)
        weights, intercept = _logistic((table - mean) / deviation, labels, strength)
        return cls(weights, intercept, mean, deviation, features.vocabulary, features.layers, features.unit)

    @classmethod
    def training_free(cls, features: DepthFeatures) -> RHDDetector:
        """Return the detector with weights (0, 1, 1, 1), which needs chains, but no labels, to standardise by.

        Args:
            features: of a calibration set.
        """
        table = _finite(features)
        mean, deviation = _moments(table)
        weights = TRAINING_FREE.copy()
        return cls(weights, 0.0, mean, deviation, features.vocabulary, features.layers, features.unit)

    def score(self, features: DepthFeatures) -> Floats:
        """Return H of every chain; raises `ScorecraftError` where unit, vocabulary or layers are not the detector's."""
        check_comparable("the detector", self, "the features", features)
        return (_finite(features) - self.mean) / self.deviation @ self.weights + self.intercept


@dataclass(frozen=True, eq=False)
class NestedScores:
    """Scores of chains by detectors that never saw them.

    scores: H of every chain. fold: which part of the data it was left out with. chosen: for each fold the name of the
    feature table and the strength that were best inside the other folds.
    """

    scores: Floats
    fold: NDArray[np.int64]
    chosen: tuple[tuple[str, float], ...]

    def auroc(self, hallucinated: ArrayLike) -> float:
        """Return the mean over folds of the area under the curve; scores of different folds have different scales."""
        labels = np.asarray(hallucinated)
        parts = [self.fold == fold for fold in range(len(self.chosen))]
        return float(np.mean([ranked_auroc(labels[part], self.scores[part]) for part in parts]))


def nested_cross_validation(
    candidates: Mapping[str, DepthFeatures],
    hallucinated: ArrayLike,
    *,
    strengths: Sequence[float] = (0.01, 0.1, 1.0, 10.0),
    folds: int = 5,
    inner: int = 4,
    seed: int = 0,
) -> NestedScores:
    """Return scores from a cross-validation in which also all choices are made without the chains that are scored.

    For every fold, the table and the strength with the highest mean area under the curve in an inner cross-validation
    of the other folds are fitted on all of them. Thresholds, numbers of steps and the like are chosen by giving the
    features of each setting as a candidate.

    Args:
        candidates: feature tables of the same chains, by name.
        hallucinated: 1 or 0 of each chain.
        strengths: tried for each table.
        folds: outer parts, each with chains of both kinds.
        inner: parts of the inner cross-validation.
        seed: of the shuffle.

    Raises `ScorecraftError` for no candidates or tables of different numbers of chains, or fewer chains of a kind
    than the folds need.
    """
    if not candidates or not strengths:
        raise ScorecraftError("nested cross-validation: expected at least one table of features and one strength")
    checked = {name: _checked(features, hallucinated)[0] for name, features in candidates.items()}
    labels = _checked(next(iter(candidates.values())), hallucinated)[1]
    scores, fold = np.zeros(len(labels)), np.full(len(labels), -1)
    chosen: list[tuple[str, float]] = []
    for number, (train, test) in enumerate(_stratified(labels, folds, seed)):
        settings = [(name, strength) for name in candidates for strength in strengths]
        worth = [
            _inner_auroc(checked[name][train], labels[train], strength, inner, seed) for name, strength in settings
        ]
        name, strength = settings[int(np.argmax(worth))]
        scores[test], fold[test] = _left_out(checked[name], labels, train, test, strength), number
        chosen.append((name, strength))
    return NestedScores(scores, fold, tuple(chosen))


def ranked_auroc(hallucinated: ArrayLike, scores: ArrayLike) -> float:
    """Return the probability that a hallucinated chain has the higher score, ties counting half; any scores will do."""
    from scipy.stats import rankdata

    ranks = rankdata(scores)
    return auroc(hallucinated, ranks / max(len(ranks), 1))


def _left_out(table: Floats, labels: Floats, train: NDArray[np.int64], test: NDArray[np.int64], c: float) -> Floats:
    mean, deviation = _moments(table[train])
    weights, intercept = _logistic((table[train] - mean) / deviation, labels[train], c)
    return (table[test] - mean) / deviation @ weights + intercept


def _inner_auroc(table: Floats, labels: Floats, strength: float, folds: int, seed: int) -> float:
    found = [
        ranked_auroc(labels[test], _left_out(table, labels, train, test, strength))
        for train, test in _stratified(labels, folds, seed)
    ]
    return float(np.mean(found))


def _stratified(labels: Floats, folds: int, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield train and test rows of each fold, both kinds spread evenly over the folds."""
    fewest = int(min(labels.sum(), len(labels) - labels.sum()))
    if folds < 2 or fewest < folds:
        raise ScorecraftError(
            f"nested cross-validation: {folds} folds need at least 2 folds and as many chains of each kind as folds, "
            f"got {fewest} of the rarer kind; give more chains or fewer folds"
        )
    random = np.random.default_rng(seed)
    fold = np.empty(len(labels), dtype=np.int64)
    for kind in (0, 1):
        rows = random.permutation(np.flatnonzero(labels == kind))
        fold[rows] = np.arange(len(rows)) % folds
    for number in range(folds):
        yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)


def _finite(features: DepthFeatures) -> Floats:
    table = features.table.double().cpu().numpy()
    if not np.isfinite(table).all():
        row = int(np.flatnonzero(~np.isfinite(table).all(1))[0])
        raise ScorecraftError(f"RHD detector: the features of chain {row} are not finite: {table[row].tolist()}")
    return table


def _checked(features: DepthFeatures, hallucinated: ArrayLike) -> tuple[Floats, Floats]:
    table, labels = _finite(features), np.asarray(hallucinated, dtype=np.float64)
    if labels.shape != (len(table),):
        raise ScorecraftError(f"RHD detector: {len(table)} chains need as many labels, got shape {labels.shape}")
    if not np.isin(labels, (0.0, 1.0)).all() or len(np.unique(labels)) < 2:
        kinds = sorted(set(labels.tolist()))
        raise ScorecraftError(f"RHD detector: expected chains of both kinds, labelled 0 and 1; got labels {kinds}")
    return table, labels


def _moments(table: Floats) -> tuple[Floats, Floats]:
    deviation = table.std(0)
    # A feature that never varies says nothing, whatever it is divided by.
    return table.mean(0), np.where(deviation > 0, deviation, 1.0)


def _logistic(z: Floats, labels: Floats, strength: float) -> tuple[Floats, float]:
    from scipy.optimize import minimize
    from scipy.special import expit

    signs = 2 * labels - 1
    design = np.column_stack((z, np.ones(len(z))))

    def loss(a: Floats) -> tuple[float, Floats]:
        margins = signs * (design @ a)
        penalized = np.append(a[:-1], 0.0)
        value = penalized @ penalized / 2 + strength * np.logaddexp(0, -margins).sum()
        return float(value), penalized - strength * design.T @ (signs * expit(-margins))

    options = {"maxiter": 10_000, "gtol": 1e-9, "ftol": 1e-15}
    found = minimize(loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B", options=options).x
    return found[:-1], float(found[-1])
