"""Does F1, then g-mean, rank classifiers of a rare class as their cost does, when people labelled the test set?

Sixty hypothetical classifiers, each a true- and a false-positive rate, judge one sample of the size and prevalence of
the public European card-fraud data (492 of 284,807). Its labels are wrong at known rates. Every metric is read off
these labels, and Spearman's rank correlation says how well it orders the classifiers by their cost against the truth,
where a miss costs as much as so many false alarms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from scorecraft.catalog.papers import find
from scorecraft.errors import require
from scorecraft.metrics.annotation_error import annotate
from scorecraft.metrics.imbalanced_metrics import Confusion, confusion, f1_gmean_key, imbalanced_metrics
from scorecraft.metrics.metric_audit import (
    CARD_FRAUD_POSITIVES,
    CARD_FRAUD_ROWS,
    MetricAgreement,
    cost_crossover,
    metric_audit,
    misclassification_cost,
    places,
    rank_agreement,
    sampled_confusions,
)
from scorecraft.studies.real_tables import credit
from scorecraft.studies.study import Arm, Check, Curve, Experiment, Metric, Results, Scale, Study, Trial

CLASSIFIERS = 60
PREVALENCE = CARD_FRAUD_POSITIVES / CARD_FRAUD_ROWS
MODERATE = (1.0, 5.0, 20.0)  # false alarms that a miss costs
ENDS = (1.0, 100.0)
GRID = tuple(10 ** (place / 4) for place in range(13))  # 1 to 1000, for curves and the crossover
STEP = 0.05  # of F1 or g-mean, where equals are made
ALARMS = tuple(10 ** -(place / 5) for place in range(1, 13))  # shares of loans that are called bad
NOISE = {
    "clean": ("no errors", 0.0, 0.0),
    "misses": ("30 % of positives missed", 0.3, 0.0),
    "false-alarms": ("0.2 % of negatives called positive", 0.0, 0.002),
    "both": ("both errors", 0.3, 0.002),
}
POPULAR = {
    "f1": "F1",
    "g_mean": "g-mean",
    "mcc": "MCC",
    "balanced_accuracy": "balanced accuracy",
    "precision": "precision",
    "recall": "recall",
    "specificity": "specificity",
    "accuracy": "accuracy",
}


def population(random: np.random.Generator) -> Float64[np.ndarray, "classifier 2"]:
    """Return true- and false-positive rates: uniform from .3 to .98, log-uniform from 10^-4.5 to 10^-1.3."""
    return np.stack(
        (random.uniform(0.3, 0.98, CLASSIFIERS), 10 ** random.uniform(-4.5, -1.3, CLASSIFIERS)),
        axis=1,
    )


def correlations(seed: int, noise: str, ratios: Sequence[float], prevalence: float) -> dict[str, dict[float, float]]:
    """Return the rank correlation with minus the cost, by metric and cost ratio, for a population of its own."""
    return by_metric(audit(seed, noise, ratios, prevalence))


def audit(seed: int, noise: str, ratios: Sequence[float], prevalence: float) -> list[MetricAgreement]:
    """Return the audit of the metrics on a population of its own."""
    _, miss, false_alarm = NOISE[noise]
    classifiers = population(np.random.default_rng([seed, 1]))
    return metric_audit(classifiers, prevalence, miss, false_alarm, cost_ratios=ratios, seeds=(seed,))


def by_metric(rows: Sequence[MetricAgreement]) -> dict[str, dict[float, float]]:
    """Return the agreements of one seed by metric and cost ratio."""
    found: dict[str, dict[float, float]] = {}
    for row in rows:
        found.setdefault(row.metric, {})[row.cost_ratio] = row.spearman
    return found


def find_place(trial: Trial) -> Results:
    """Return how far F1 is behind the second best of the popular metrics and ahead of g-mean, at moderate costs."""
    found = correlations(trial.seed, trial.settings["noise"], MODERATE, PREVALENCE)
    results: dict[str, float] = {}
    for ratio in MODERATE:
        second = sorted(found[name][ratio] for name in POPULAR)[-2]
        results[f"shortfall_{ratio:g}"] = max(0.0, second - found["f1"][ratio])
        results[f"lead_{ratio:g}"] = found["f1"][ratio] - found["g_mean"][ratio]
    return results


def compare_metrics(trial: Trial) -> Results:
    """Return one metric's agreement with cost under both errors, and whether it is the best at both ends of cost.

    ``worse_end`` is its lead over the best other metric at the worse of both ends, under the labels that suit it best.
    """
    metric = trial.settings["metric"]
    others = [name for name in POPULAR if name != metric]
    by_noise = {noise: correlations(trial.seed, noise, (1.0, 20.0, 100.0), PREVALENCE) for noise in NOISE}
    worse_ends = [
        min(found[metric][ratio] - max(found[name][ratio] for name in others) for ratio in ENDS)
        for found in by_noise.values()
    ]
    agreement = {f"ratio_{ratio:g}": value for ratio, value in by_noise["both"][metric].items()}
    return {**agreement, "worse_end": max(worse_ends)}


def find_crossover(trial: Trial) -> Results:
    """Return from which cost of a miss on g-mean ranks better than F1, and F1's lead at every cost."""
    rows = audit(trial.seed, trial.settings["noise"], GRID, PREVALENCE)
    found = by_metric(rows)
    lead = [found["f1"][ratio] - found["g_mean"][ratio] for ratio in GRID]
    crossover = cost_crossover(rows)
    return {
        "lead_100": lead[GRID.index(100)],
        "crossover": GRID[-1] if crossover is None else crossover,
        "lead_course": lead,
    }


def order_keys(order: str, confusions: Sequence[Confusion]) -> list[float]:
    """Return what an order of metrics sorts each classifier by, larger being better."""
    found = [imbalanced_metrics(c) for c in confusions]

    def step(value: float) -> float:
        return float(math.floor(round(value / STEP, 9)))

    if order == "f1-then-g":
        return places([f1_gmean_key(c, STEP) for c in confusions])
    keys = {
        "f1": [(one.f1,) for one in found],
        "f2": [(one.f_beta,) for one in found],
        "f1-steps": [(step(one.f1),) for one in found],
        "g-then-f1": [(step(one.g_mean), one.f1) for one in found],
        "f1-then-precision": [(step(one.f1), one.precision) for one in found],
    }
    return places(keys[order])


def compare_orders(trial: Trial) -> Results:
    """Return how well one order of metrics ranks a population."""
    _, miss, false_alarm = NOISE[trial.settings["noise"]]
    classifiers = population(np.random.default_rng([trial.seed, 1]))
    clean, observed = sampled_confusions(
        classifiers, PREVALENCE, miss, false_alarm, CARD_FRAUD_ROWS, np.random.default_rng(trial.seed)
    )
    values = np.array([order_keys(trial.settings["order"], observed)])
    found = rank_agreement(values, misclassification_cost(clean, (5.0, 20.0, 100.0)))[0]
    return dict(zip(("ratio_5", "ratio_20", "ratio_100"), found.tolist(), strict=True))


def compare_prevalences(trial: Trial) -> Results:
    """Return F1's lead over g-mean at one prevalence, both kinds of error on."""
    found = correlations(trial.seed, "both", (20.0,), trial.settings["prevalence"])
    f1, g_mean = found["f1"][20.0], found["g_mean"][20.0]
    return {"f1": f1, "g_mean": g_mean, "lead": f1 - g_mean}


@cache
def loan_scores(seed: int) -> tuple[NDArray[np.bool_], list[NDArray[np.float64]]]:
    """Return which held-out loans went bad, 1 in 33 of them, and what five trained classifiers say of each."""
    require("sklearn", "detect", "the experiment with loans")
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, bad, _ = credit()
    random = np.random.default_rng(seed)
    good = np.flatnonzero(~bad)
    rows = random.permutation(
        np.concatenate((good, random.choice(np.flatnonzero(bad), len(good) // 32, replace=False)))
    )
    train, test = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    trained = [
        model.fit(x[train], bad[train])
        for model in (
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
            make_pipeline(StandardScaler(), KNeighborsClassifier(30)),
            GaussianNB(),
            RandomForestClassifier(200, min_samples_leaf=5, random_state=seed),
            GradientBoostingClassifier(random_state=seed),
        )
    ]
    return bad[test], [np.asarray(model.predict_proba(x[test]))[:, 1] for model in trained]


def compare_on_loans(trial: Trial) -> Results:
    """Return one metric's agreement with cost over trained classifiers at several thresholds, under both errors."""
    bad, scores = loan_scores(trial.seed)
    _, miss, false_alarm = NOISE["both"]
    told = annotate(bad, miss, false_alarm, rng=np.random.default_rng(trial.seed))
    chosen = [score >= np.quantile(score, 1 - share) for score in scores for share in ALARMS]
    clean, seen = ([confusion(labels, yes) for yes in chosen] for labels in (bad, told))
    values = np.array([[getattr(imbalanced_metrics(c), trial.settings["metric"]) for c in seen]])
    found = rank_agreement(values, misclassification_cost(clean, (5.0, 20.0, 100.0)))[0]
    return dict(zip(("ratio_5", "ratio_20", "ratio_100"), found.tolist(), strict=True))


SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(20))}
NOISES = tuple(Arm(name, text, {"noise": name}) for name, (text, _, _) in NOISE.items())
ORDERS = {
    "f1-steps": "F1 in steps of .05",
    "f1-then-g": "F1 in steps, then g-mean",
    "g-then-f1": "g-mean in steps, then F1",
    "f1-then-precision": "F1 in steps, then precision",
}
ORDER_METRICS = tuple(
    Metric(f"ratio_{ratio}", f"rank correlation, a miss costs {ratio}", higher_is_better=True) for ratio in (5, 20, 100)
)


PLACE = Experiment(
    name="place",
    title="F1 among popular metrics",
    question="While a miss costs 1 to 20 false alarms: is F1 first or second of eight, and .2 ahead of g-mean?",
    run=find_place,
    arms=NOISES,
    metrics=tuple(
        Metric(f"{name}_{ratio:g}", f"{text}, a miss costs {ratio:g}", higher_is_better=higher)
        for name, text, higher in (
            ("shortfall", "F1 behind the second best", False),
            ("lead", "F1's lead over g-mean", True),
        )
        for ratio in MODERATE
    ),
    checks=tuple(
        check
        for arm in NOISES
        for ratio in MODERATE
        for check in (
            Check(
                f"{arm.label}, a miss costs {ratio:g}: first or second (within .01)",
                f"shortfall_{ratio:g}",
                arm.name,
                "below",
                margin=0.01,
            ),
            Check(
                f"{arm.label}, a miss costs {ratio:g}: ahead of g-mean by .2",
                f"lead_{ratio:g}",
                arm.name,
                "above",
                margin=0.2,
            ),
        )
    ),
    seeds=SEEDS,
)
METRICS = Experiment(
    name="metrics",
    title="Cheap and dear misses, both errors",
    question="Is accuracy, specificity or recall the best metric both where a miss costs 1 and where it costs 100?",
    run=compare_metrics,
    arms=tuple(Arm(name, text, {"metric": name}) for name, text in POPULAR.items()),
    metrics=(
        *(
            Metric(f"ratio_{ratio}", f"rank correlation, a miss costs {ratio}", higher_is_better=True)
            for ratio in (1, 20, 100)
        ),
        Metric("worse_end", "lead over the best other, worse of 1 and 100", higher_is_better=True),
    ),
    checks=tuple(
        Check(f"{POPULAR[name]} is not best at both ends, whatever the labels", "worse_end", name, "below")
        for name in ("accuracy", "specificity", "recall")
    ),
    seeds=SEEDS,
)
ORDER = Experiment(
    name="order",
    title="F1 first, g-mean second",
    question="Where F1 ties, does g-mean break the tie well, and should F1 come first? A miss costs 20.",
    run=compare_orders,
    arms=tuple(
        Arm(f"{name}-{noise}", f"{text}; {NOISE[noise][0]}", {"order": name, "noise": noise})
        for noise in ("clean", "both")
        for name, text in ORDERS.items()
    ),
    metrics=ORDER_METRICS,
    checks=tuple(
        check
        for noise in ("clean", "both")
        for check in (
            Check(
                f"{NOISE[noise][0]}: g-mean as tie-break helps",
                "ratio_20",
                f"f1-then-g-{noise}",
                "above",
                f"f1-steps-{noise}",
            ),
            Check(
                f"{NOISE[noise][0]}: F1 first beats g-mean first",
                "ratio_20",
                f"f1-then-g-{noise}",
                "above",
                f"g-then-f1-{noise}",
            ),
        )
    ),
    seeds=SEEDS,
)
CROSSOVER = Experiment(
    name="crossover",
    title="How dear must a miss be for g-mean to rank better",
    question="From which cost of a miss on is F1 the wrong metric to go by?",
    run=find_crossover,
    arms=NOISES,
    metrics=(
        Metric("lead_100", "F1's lead over g-mean, a miss costs 100"),
        Metric("crossover", "cost of a miss from which g-mean leads"),
    ),
    checks=tuple(
        check
        for arm in NOISES
        for check in (
            Check(f"{arm.label}: g-mean leads where a miss costs 100", "lead_100", arm.name, "below"),
            Check(f"{arm.label}: the crossover is above 20", "crossover", arm.name, "above", margin=20.0),
            Check(f"{arm.label}: the crossover is below 200", "crossover", arm.name, "below", margin=200.0),
        )
    ),
    seeds=SEEDS,
    curves=(Curve("lead_course", "F1's lead over g-mean", "x, where a miss costs 10^((x - 1) / 4)"),),
    decides=False,
    limits="The crossover is that of these classifiers at this prevalence, 1000 where there is none up to there;"
    " `cost_crossover` finds that of others.",
)
PAIR = Experiment(
    name="pair",
    title="Is the pair better than one metric",
    question="Does F1 in steps, then g-mean, rank better than F1 alone, or than F2, which weighs misses?",
    run=compare_orders,
    arms=(
        Arm("f1", "F1 alone", {"order": "f1", "noise": "both"}),
        Arm("f1-then-g", ORDERS["f1-then-g"], {"order": "f1-then-g", "noise": "both"}),
        Arm("f2", "F2 alone", {"order": "f2", "noise": "both"}),
    ),
    metrics=ORDER_METRICS,
    checks=(Check("the pair ranks better than F1 where a miss costs 20", "ratio_20", "f1-then-g", "above", "f1"),),
    seeds=SEEDS,
    decides=False,
    limits="Without steps F1 hardly ever ties, so that F1, then g-mean, is F1 alone.",
)
PREVALENCES = Experiment(
    name="prevalence",
    title="Rare and common positives",
    question="Is it the imbalance that makes F1 rank better than g-mean where a miss costs 20?",
    run=compare_prevalences,
    arms=tuple(
        Arm(f"{100 * value:.3g}%", f"{100 * value:.3g} % positives", {"prevalence": value})
        for value in (PREVALENCE, 0.01, 0.1, 0.5)
    ),
    metrics=(
        Metric("f1", "rank correlation of F1", higher_is_better=True),
        Metric("g_mean", "rank correlation of g-mean", higher_is_better=True),
        Metric("lead", "F1's lead over g-mean"),
    ),
    checks=(Check("F1 leads by more at 0.173 % than at 50 %", "lead", "0.173%", "above", "50%"),),
    seeds=SEEDS,
    decides=False,
)
LOANS = Experiment(
    name="loans",
    title="Trained classifiers of real loans, one in 33 bad",
    question="Is it so for trained classifiers and real loans, whose labels err in the same way?",
    run=compare_on_loans,
    arms=tuple(Arm(name, text, {"metric": name}) for name, text in POPULAR.items()),
    metrics=ORDER_METRICS,
    checks=(
        Check("a miss costs 5: F1 is ahead of g-mean", "ratio_5", "f1", "above", "g_mean"),
        Check("a miss costs 20: F1 is ahead of g-mean", "ratio_20", "f1", "above", "g_mean"),
        Check("a miss costs 100: g-mean is ahead of F1", "ratio_100", "g_mean", "above", "f1"),
    ),
    seeds=SEEDS,
    decides=False,
    limits="Five classifiers, each at twelve thresholds; bad loans are thinned out so that they are as rare as this.",
)
STUDY = Study(
    "imbalanced-metrics",
    find("imbalanced-metrics").claim,
    (PLACE, METRICS, ORDER, CROSSOVER, PAIR, PREVALENCES, LOANS),
    limits="Real card payments, errors that depend on the case, and costs that differ by case. The"
    " claim is tried for misses that cost up to 20 false alarms; beyond, the crossover says where it ends.",
)
