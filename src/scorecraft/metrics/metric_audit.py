"""Which metric, read off erring labels, ranks classifiers as their true cost does."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.metrics.arrays import as_array
from scorecraft.metrics.imbalanced_metrics import Confusion, f1_gmean_key, imbalanced_metrics

# fpr and fnr are specificity and recall turned round, and prevalence is no quality.
THRESHOLD_METRICS = (
    "accuracy",
    "precision",
    "recall",
    "specificity",
    "balanced_accuracy",
    "g_mean",
    "f1",
    "f_beta",
    "mcc",
    "kappa",
)
CARD_FRAUD_ROWS, CARD_FRAUD_POSITIVES = 284_807, 492  # of the public European data set of card payments


class MetricAgreement(NamedTuple):
    """How well a metric on erring labels ranks classifiers: Spearman's rank correlation with minus the true cost."""

    metric: str
    cost_ratio: float
    seed: int
    spearman: float


@implements("imbalanced-metrics")
def metric_audit(
    classifiers: Any,
    prevalence: float,
    miss: float = 0.0,
    false_alarm: float = 0.0,
    *,
    cost_ratios: Sequence[float] = (1, 5, 20, 100),
    n: int = CARD_FRAUD_ROWS,
    seeds: Iterable[int] = range(20),
    f1_tol: float = 0.0,
) -> list[MetricAgreement]:
    """Return how well each metric ranks the classifiers, for every cost of a miss and seed.

    All classifiers judge one sample with one set of erring labels. The cost is ``cost_ratio FN + FP`` against the
    truth. Metrics are `THRESHOLD_METRICS` and ``f1_then_g_mean``; one that is equal for all classifiers gets 0. Rows
    instead of a table, so that pandas is not needed: ``pandas.DataFrame(rows)`` makes one.

    Args:
        classifiers: ``[classifier, 2]``, true- and false-positive rate of each, two or more; see
            `HypotheticalClassifier.rates`.
        prevalence: true share of positives, in (0, 1).
        miss: P(label 0 | true 1), in [0, 1].
        false_alarm: P(label 1 | true 0), in [0, 1].
        cost_ratios: cost of a miss in false alarms, each above 0.
        n: number of rows.
        seeds: one sample is drawn for each.
        f1_tol: of the order ``f1_then_g_mean``, see `f1_gmean_key`.

    Raises `ScorecraftError` for fewer than two classifiers, rates outside [0, 1], a cost not above 0, or a sample in
    which a class does not occur.

    Source: arXiv 2208.11904 for the question; audit and cost are this library's.
    """
    rates = _checked_rates(classifiers)
    ratios = [float(ratio) for ratio in cost_ratios]
    if not ratios or not all(ratio > 0 and math.isfinite(ratio) for ratio in ratios):
        raise ScorecraftError(f"metric_audit: expected one or more cost_ratios above 0, got {ratios}")
    rows: list[MetricAgreement] = []
    for seed in seeds:
        clean, observed = sampled_confusions(rates, prevalence, miss, false_alarm, n, np.random.default_rng(seed))
        found = [imbalanced_metrics(c) for c in observed]
        values = [[getattr(one, name) for one in found] for name in THRESHOLD_METRICS]
        values.append(places([f1_gmean_key(c, f1_tol) for c in observed]))
        agreement = rank_agreement(np.array(values), misclassification_cost(clean, ratios))
        rows += [
            MetricAgreement(metric, ratio, seed, float(agreement[i, j]))
            for i, metric in enumerate((*THRESHOLD_METRICS, "f1_then_g_mean"))
            for j, ratio in enumerate(ratios)
        ]
    return rows


@implements("imbalanced-metrics")
def cost_crossover(rows: Iterable[MetricAgreement], first: str = "f1", second: str = "g_mean") -> float | None:
    """Return the cost ratio from which on ``second`` ranks better than ``first``; None where it never does.

    Agreements are averaged over seeds. The point is where their difference, linear in the logarithm of the ratio, last
    changes sign; the lowest ratio asked where ``second`` is better throughout.

    Args:
        rows: of `metric_audit`.
        first: a metric.
        second: a metric.

    Raises `ScorecraftError` where the rows hold no agreement of one of them.
    """
    by_ratio: dict[str, dict[float, list[float]]] = {first: {}, second: {}}
    for row in rows:
        if row.metric in by_ratio:
            by_ratio[row.metric].setdefault(row.cost_ratio, []).append(row.spearman)
    ratios = sorted(set(by_ratio[first]) & set(by_ratio[second]))
    if not ratios:
        raise ScorecraftError(f"cost_crossover: the rows hold no cost ratio with both '{first}' and '{second}'")
    ahead = [float(np.mean(by_ratio[second][ratio]) - np.mean(by_ratio[first][ratio])) for ratio in ratios]
    if ahead[-1] <= 0:
        return None
    behind = [place for place, value in enumerate(ahead) if value <= 0]
    if not behind:
        return ratios[0]
    last = behind[-1]
    share = -ahead[last] / (ahead[last + 1] - ahead[last])
    return math.exp((1 - share) * math.log(ratios[last]) + share * math.log(ratios[last + 1]))


def sampled_confusions(
    rates: Float64[np.ndarray, "classifier 2"],
    prevalence: float,
    miss: float,
    false_alarm: float,
    n: int,
    rng: np.random.Generator,
) -> tuple[list[Confusion], list[Confusion]]:
    """Return every classifier's confusion matrix against the truth and against the labels, on one labelled sample.

    Given truth and label, rows are alike, so the number that a classifier calls 1 in each of the four kinds of row is
    binomial; nothing of the size of the sample is held.

    Args:
        rates: true- and false-positive rate of each classifier.
        prevalence: in (0, 1); the sample holds ``round(n prevalence)`` positives.
        miss: in [0, 1].
        false_alarm: in [0, 1].
        n: number of rows.
        rng: source of chance.

    Raises `ScorecraftError` for rates outside [0, 1], or a sample in which a class does not occur.
    """
    for name, rate in (("prevalence", prevalence), ("miss", miss), ("false_alarm", false_alarm)):
        if not 0 <= rate <= 1:
            raise ScorecraftError(f"{name}: expected a rate in [0, 1], got {rate:g}")
    positives = round(n * prevalence)
    if not 0 < positives < n:
        raise ScorecraftError(
            f"metric_audit: {n} rows at a prevalence of {prevalence:g} hold {positives} positives;"
            " expected both classes"
        )
    missed, alarmed = rng.binomial(positives, miss), rng.binomial(n - positives, false_alarm)
    # Kinds of row, as (true, label): (1, 1), (1, 0), (0, 1), (0, 0).
    sizes = np.array((positives - missed, missed, alarmed, n - positives - alarmed))
    called = rng.binomial(sizes, rates[:, (0, 0, 1, 1)])
    passed = sizes - called
    clean = np.stack((called[:, :2].sum(1), called[:, 2:].sum(1), passed[:, :2].sum(1), passed[:, 2:].sum(1)), axis=1)
    observed = np.stack(
        (called[:, ::2].sum(1), called[:, 1::2].sum(1), passed[:, ::2].sum(1), passed[:, 1::2].sum(1)), axis=1
    )
    return _confusions(clean), _confusions(observed)


def misclassification_cost(
    confusions: Sequence[Confusion], cost_ratios: Sequence[float]
) -> Float64[np.ndarray, "ratio classifier"]:
    """Return ``cost_ratio FN + FP`` of each classifier, in false alarms.

    Args:
        confusions: against the truth.
        cost_ratios: cost of a miss in false alarms.
    """
    fn, fp = np.array([c.fn for c in confusions]), np.array([c.fp for c in confusions])
    return np.asarray(cost_ratios, dtype=np.float64)[:, None] * fn + fp


def rank_agreement(
    values: Float64[np.ndarray, "metric classifier"], costs: Float64[np.ndarray, "ratio classifier"]
) -> Float64[np.ndarray, "metric ratio"]:
    """Return Spearman's rank correlation of every metric with minus every cost; 0 where either never changes.

    Args:
        values: higher is better.
        costs: lower is better.
    """
    left, right = _centred_ranks(values), _centred_ranks(-costs)
    lengths = np.sqrt((left**2).sum(1)[:, None] * (right**2).sum(1))
    return np.divide(left @ right.T, lengths, out=np.zeros(lengths.shape), where=lengths > 0)


def places(keys: Sequence[tuple[float, ...]]) -> list[float]:
    """Return the place of each key from the lowest, 0; equal keys share one.

    Args:
        keys: compared as tuples are.
    """
    order = {key: float(place) for place, key in enumerate(sorted(set(keys)))}
    return [order[key] for key in keys]


def _centred_ranks(rows: Float64[np.ndarray, "row classifier"]) -> Float64[np.ndarray, "row classifier"]:
    """Return twice the rank in each row less its mean, equal values sharing theirs; scipy's takes longer to import."""
    ordered = np.sort(rows, axis=1)
    ranks = [
        np.searchsorted(line, row) + np.searchsorted(line, row, side="right")
        for line, row in zip(ordered, rows, strict=True)
    ]
    return np.array(ranks, dtype=np.float64) - rows.shape[1]


def _checked_rates(classifiers: Any) -> Float64[np.ndarray, "classifier 2"]:
    rates = as_array(classifiers, "classifiers").astype(np.float64)
    if rates.ndim != 2 or rates.shape[1] != 2 or len(rates) < 2:
        raise ScorecraftError(
            f"metric_audit: expected a true- and a false-positive rate of two or more classifiers, got shape"
            f" {rates.shape}"
        )
    if not ((rates >= 0) & (rates <= 1)).all():
        place = int(np.flatnonzero(~((rates >= 0) & (rates <= 1)).all(1))[0])
        raise ScorecraftError(f"metric_audit: rates of classifier {place} are {rates[place].tolist()}; expected [0, 1]")
    return rates


def _confusions(counts: Int64[np.ndarray, "classifier 4"]) -> list[Confusion]:
    return [Confusion(*row) for row in counts.astype(np.float64).tolist()]
