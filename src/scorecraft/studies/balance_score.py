"""Is a signed mean of gains a better measure of miscalibration than accuracy, Brier score and binned error?

Simulations with a known truth: true probabilities q of many rows, labels drawn from them, and forecasts that are the
truth, or too extreme by a tendency d (``p = q + d (1 - q)`` for ``q >= 0.5``, ``p = q - d q`` below), whose true
calibration error is d/4 for uniform q. All measures see the same draws. Then shapes of miscalibration that a signed
mean cannot see; and three classifiers on a medical data set that comes with scikit-learn, on football matches and on
loans. Nothing is tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from scorecraft.catalog.papers import find
from scorecraft.metrics.balance_score import balance_terms, true_ece
from scorecraft.metrics.calibration_panel import calibration_panel
from scorecraft.studies.real_forecasts import FOOTBALL, LOANS, REAL
from scorecraft.studies.study import Arm, Check, Curve, Experiment, Metric, Results, Scale, Study, Trial

Table = NDArray[np.float64]
Labels = NDArray[np.bool_]
Measure = Callable[[Labels, Table], Table]

SMALLER, LARGER, STRONG = 0.10, 0.11, 0.20  # tendencies
SIZES = (100, 200, 500, 1000, 10_000)
SMALL = SIZES[:3]
BIN_COUNTS = range(5, 101)
DRAWS: dict[Scale, int] = {"smoke": 20, "full": 400}  # replicates of a seed for every size
BIN_DRAWS: dict[Scale, int] = {"smoke": 1, "full": 20}
MANY: dict[Scale, int] = {"smoke": 5_000, "full": 100_000}  # rows where the expectation is wanted
ROWS = 10_000
BLOCK = 500_000  # rows held at once


def extreme(q: Table, tendency: float) -> Table:
    """Return forecasts that are further from 0.5 than the truth; their true error is ``tendency min(q, 1 - q)``."""
    return np.where(q >= 0.5, q + tendency * (1 - q), q - tendency * q)


def timid(q: Table, tendency: float) -> Table:
    """Return forecasts that are nearer to 0.5 than the truth; their true error is ``tendency |q - 0.5|``."""
    return 0.5 + (1 - tendency) * (q - 0.5)


def accuracy_rows(y: Labels, p: Table) -> Table:
    """Return the accuracy of every line of ``[replicate, row]``."""
    return ((p >= 0.5) == y).mean(1)


def brier_rows(y: Labels, p: Table) -> Table:
    """Return the Brier score of every line."""
    return ((p - y) ** 2).mean(1)


def balance_rows(y: Labels, p: Table) -> Table:
    """Return the Balance score of every line, with its sign."""
    return balance_terms(y.ravel(), p.ravel()).reshape(p.shape).mean(1)


def ece_rows(y: Labels, p: Table, bins: int, *, above_chance: bool = False) -> Table:
    """Return the calibration error over bins of equal width of every line.

    ``above_chance`` takes off what right forecasts would have on average, ``sqrt(2/pi) sqrt(sum p (1 - p))`` in each
    bin, and is at least 0.
    """
    lines, rows = p.shape
    place = np.floor(np.round(p * bins, 12)).clip(0, bins - 1).astype(np.int64) + bins * np.arange(lines)[:, None]

    def summed(values: Table) -> Table:
        totals = np.bincount(place.ravel(), values.ravel(), minlength=bins * lines)
        return totals.astype(np.float64).reshape(lines, bins)

    error = np.abs(summed(y - p)).sum(1) / rows
    if not above_chance:
        return error
    by_chance = np.sqrt(2 / np.pi * summed(p * (1 - p))).sum(1) / rows
    return (error - by_chance).clip(min=0)


def adaptive_ece_rows(y: Labels, p: Table, bins: int) -> Table:
    """Return the calibration error over bins of equally many rows of every line."""
    order = np.argsort(p, axis=1, kind="stable")
    gaps = np.take_along_axis(y - p, order, axis=1)
    starts = np.arange(bins) * p.shape[1] // bins
    return np.abs(np.add.reduceat(gaps, starts, axis=1)).sum(1) / p.shape[1]


MEASURES: Mapping[str, Measure] = {
    "accuracy": accuracy_rows,
    "brier": brier_rows,
    "ece": lambda y, p: ece_rows(y, p, 10),
    "ece-15": lambda y, p: ece_rows(y, p, 15),
    "ece-adaptive": lambda y, p: adaptive_ece_rows(y, p, 15),
    "ece-above-chance": lambda y, p: ece_rows(y, p, 10, above_chance=True),
    "balance": balance_rows,
}


def properties(trial: Trial) -> Results:
    """Return what one measure does on right forecasts, on wrong ones, on single rows, and with other bins."""
    random = np.random.default_rng(trial.seed)
    measure, rows = MEASURES[trial.settings["measure"]], MANY[trial.scale]
    right: list[float] = []
    for shape in (0.5, 1.0, 2.0):
        q = random.beta(shape, shape, (1, rows))
        right.append(abs(float(measure(random.random(q.shape) < q, q)[0])))
    q = random.random((1, rows))
    y = random.random(q.shape) < q
    plain, too_sure, too_timid = (float(measure(y, p)[0]) for p in (q, extreme(q, STRONG), timid(q, STRONG)))
    fewer, labels = q[:, :ROWS], y[:, :ROWS]
    with_bins = [ece_rows(labels, fewer, count)[0] for count in BIN_COUNTS] if trial.settings.get("bins") else [0.0]
    return {
        "spread": max(right) - min(right),
        "response": abs(too_sure) - abs(plain),
        "direction": abs(too_sure - too_timid),
        "alone": abs(float(measure(y.T, q.T).mean())),
        "choice": float(max(with_bins) - min(with_bins)),
    }


def table(trial: Trial) -> Results:
    """Return how far accuracy and Brier score of right forecasts are from expectation, binned error and Balance."""
    random = np.random.default_rng(trial.seed)
    shape = trial.settings["shape"]
    q = random.beta(shape, shape, (1, MANY[trial.scale]))
    y = random.random(q.shape) < q
    balance = float(balance_rows(y, q)[0])
    return {
        "accuracy_off": float(accuracy_rows(y, q)[0]) - trial.settings["accuracy"],
        "brier_off": float(brier_rows(y, q)[0]) - trial.settings["brier"],
        "ece": float(ece_rows(y, q, 10)[0]),
        "balance": balance,
        "size": abs(balance),
    }


def sizes(trial: Trial) -> Results:
    """Return one measure's error to the true calibration error, and how often it orders two models rightly, by size."""
    random = np.random.default_rng(trial.seed)
    measure, draws = MEASURES[trial.settings["measure"]], DRAWS[trial.scale]
    found: dict[str, float] = {}
    courses: dict[str, list[float]] = {"mean_course": [], "rmse_course": [], "order_course": []}
    for place, rows in enumerate(SIZES):
        at_once = max(1, min(draws, BLOCK // rows))
        values: list[Table] = []
        for start in range(0, draws, at_once):
            q = random.random((min(at_once, draws - start), rows))
            y = random.random(q.shape) < q
            values.append(np.abs([measure(y, extreme(q, SMALLER)), measure(y, extreme(q, LARGER))]))
        smaller, larger = np.concatenate(values, axis=1)
        rmse = float(np.sqrt(((smaller - SMALLER / 4) ** 2).mean()))
        order = float((larger > smaller).mean())
        found |= {f"doublings_{rows}": float(np.log2(rmse)), f"order_{rows}": order}
        for name, value in zip(courses, (float(smaller.mean()), rmse, order), strict=True):
            courses[name].append(value)
        trial.progress(place + 1, len(SIZES))
    return {**found, **courses}


def bins(trial: Trial) -> Results:
    """Return how often a measure puts the worse of two models first, over numbers of bins where it has any."""
    random = np.random.default_rng(trial.seed)
    draws = BIN_DRAWS[trial.scale]
    wrong: list[list[bool]] = []
    for draw in range(draws):
        q = random.random((1, ROWS))
        y = random.random(q.shape) < q
        better, worse = extreme(q, SMALLER), extreme(q, LARGER)
        if trial.settings["measure"] == "ece":
            wrong.append([bool(ece_rows(y, worse, n)[0] <= ece_rows(y, better, n)[0]) for n in BIN_COUNTS])
        else:
            wrong.append([bool(abs(balance_rows(y, worse)[0]) <= abs(balance_rows(y, better)[0]))])
        trial.progress(draw + 1, draws)
    reversed_ = np.array(wrong)
    return {"reversed": float(reversed_.mean()), "ever": float(reversed_.any(1).mean())}


def shaped(shape: str, random: np.random.Generator) -> tuple[Table, Table]:
    """Return true probabilities and forecasts of one shape of miscalibration."""
    q = random.random(ROWS)
    if shape == "groups":  # half of the rows at .9 with truth .8, half at .6 with truth .7
        first = np.arange(ROWS) % 2 == 0
        return np.where(first, 0.8, 0.7), np.where(first, 0.9, 0.6)
    if shape == "shift":
        q = 0.05 + 0.9 * q
        return q, q + 0.05
    if shape == "s-shape":  # too sure below a confidence of 3/4, too timid above it
        return q, q + 0.05 * np.sin(4 * np.pi * q)
    return q, {"right": q, "extreme": extreme(q, SMALLER), "timid": timid(q, SMALLER)}[shape]


def blind_spots(trial: Trial) -> Results:
    """Return the true error of one shape and what Balance, bias, binned error and the flag make of it."""
    random = np.random.default_rng(trial.seed)
    draws = BIN_DRAWS[trial.scale]
    found: dict[str, list[float]] = {}
    for draw in range(draws):
        q, p = shaped(trial.settings["shape"], random)
        panel = calibration_panel(random.random(ROWS) < q, p, bins=(10,))
        truth, size = true_ece(q, p), abs(panel["balance"])
        seen = {
            "truth": truth,
            "size": size,
            "missed": truth - size,
            "bias": abs(panel["bias_in_large"]),
            "ece": panel["ece_10"],
            "flagged": float(panel["cancellation_suspected"]),
        }
        for name, value in seen.items():
            found.setdefault(name, []).append(value)
        trial.progress(draw + 1, draws)
    return {name: float(np.mean(values)) for name, values in found.items()}


SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(8))}
NAMES = {
    "accuracy": "accuracy",
    "brier": "Brier score",
    "ece": "ECE, 10 bins",
    "ece-15": "ECE, 15 bins",
    "ece-adaptive": "ECE, 15 bins of equal size",
    "ece-above-chance": "ECE, 10 bins, less its chance level",
    "balance": "Balance",
}
# The expectations of accuracy, E max(q, 1 - q), and of the Brier score, E q (1 - q), of right forecasts.
BETAS = {"0.5": (0.5, 0.5 + 1 / np.pi, 1 / 8), "1": (1.0, 0.75, 1 / 6), "2": (2.0, 0.6875, 1 / 5)}

PROPERTIES = Experiment(
    name="properties",
    title="What is asked of a measure",
    question="Whose best value is known, reached by the truth, free of settings, there for a single row, with a sign?",
    run=properties,
    arms=tuple(Arm(m, NAMES[m], {"measure": m, "bins": m == "ece"}) for m in ("accuracy", "brier", "ece", "balance")),
    metrics=(
        Metric("spread", "difference between data sets, right forecasts", higher_is_better=False),
        Metric("response", "change by a true error of 0.05"),
        Metric("direction", "difference between too sure and too timid", higher_is_better=True),
        Metric("alone", "mean over single rows, right forecasts", higher_is_better=False),
        Metric("choice", "range over 5 to 100 bins, right forecasts", higher_is_better=False),
    ),
    checks=(
        Check("Balance of right forecasts is the same on every data set", "spread", "balance", "below", margin=0.004),
        Check("the Brier score is not", "spread", "brier", "above", "balance", 0.05),
        Check("accuracy does not see a true error of 0.05", "response", "accuracy", "within", margin=0.001),
        Check("Balance sees at least 0.045 of it", "response", "balance", "above", margin=0.045),
        Check("and at most 0.055", "response", "balance", "below", margin=0.055),
        Check("Balance tells too sure from too timid", "direction", "balance", "above", margin=0.09),
        Check("binned error does not", "direction", "ece", "within", margin=0.01),
        Check("Balance of right single rows is 0 on average", "alone", "balance", "below", margin=0.005),
        Check("binned error of right single rows is not", "alone", "ece", "above", "balance", 0.3),
        Check("binned error depends on the bins", "choice", "ece", "above", margin=0.01),
    ),
    seeds=SEEDS,
    limits="That a measure has a bounded range, and that Balance has no bins, is seen from its formula.",
)
TABLE = Experiment(
    name="table",
    title="Right forecasts, 100,000 rows",
    question="Does Balance come out at 0 for right forecasts of three shapes, as accuracy and Brier score change?",
    run=table,
    arms=tuple(
        Arm(name, f"Beta({name}, {name})", {"shape": shape, "accuracy": accuracy, "brier": brier})
        for name, (shape, accuracy, brier) in BETAS.items()
    ),
    metrics=(
        Metric("accuracy_off", "accuracy minus its expectation"),
        Metric("brier_off", "Brier score minus its expectation"),
        Metric("ece", "ECE, 10 bins", higher_is_better=False),
        Metric("balance", "Balance"),
        Metric("size", "size of Balance", higher_is_better=False),
    ),
    checks=tuple(
        check
        for name in BETAS
        for check in (
            Check(f"Beta({name}, {name}): accuracy as expected", "accuracy_off", name, "within", margin=0.003),
            Check(f"Beta({name}, {name}): Brier score as expected", "brier_off", name, "within", margin=0.002),
            Check(f"Beta({name}, {name}): Balance is near 0", "size", name, "below", margin=0.004),
        )
    ),
    seeds=SEEDS,
)
SAMPLES = Experiment(
    name="samples",
    title="How many rows are needed",
    question="With few rows, is Balance nearer to the truth, 0.025, and more often right on which model is worse?",
    run=sizes,
    arms=tuple(
        Arm(m, NAMES[m], {"measure": m}) for m in ("ece", "ece-15", "ece-adaptive", "ece-above-chance", "balance")
    ),
    metrics=(
        *(Metric(f"doublings_{n}", f"error with {n} rows, log2 of RMSE", higher_is_better=False) for n in SMALL),
        *(Metric(f"order_{n}", f"ordered rightly with {n} rows", higher_is_better=True, percent=True) for n in SMALL),
    ),
    checks=(
        *(
            Check(
                f"{n} rows: at most 65 % of the error of ECE",
                f"doublings_{n}", "balance", "below", "ece", float(-np.log2(0.65)),
            )
            for n in SMALL
        ),
        *(
            Check(f"{n} rows: ordered rightly 15 points more often", f"order_{n}", "balance", "above", "ece", 0.15)
            for n in SMALL
        ),
    ),
    seeds=SEEDS,
    curves=(
        Curve("mean_course", "mean of the measure", "rows: 100, 200, 500, 1000, 10000"),
        Curve("rmse_course", "RMSE to the true error", "rows: 100, 200, 500, 1000, 10000"),
        Curve("order_course", "ordered rightly", "rows: 100, 200, 500, 1000, 10000"),
    ),
    limits="Both models err in one direction, which is where Balance equals the true error, and share their decisions, "
    "so that ordering them asks only whether confidence is above accuracy. ECE less its chance level is an addition.",
)  # fmt: skip
BINS = Experiment(
    name="bins",
    title="The number of bins",
    question="With 10,000 rows, can a choice among 5 to 100 bins reverse which of two models is worse?",
    run=bins,
    arms=(Arm("ece", "ECE, 5 to 100 bins", {"measure": "ece"}), Arm("balance", "Balance", {"measure": "balance"})),
    metrics=(
        Metric("ever", "samples with a reversal", higher_is_better=False, percent=True),
        Metric("reversed", "numbers of bins that reverse", higher_is_better=False, percent=True),
    ),
    checks=(
        Check("some number of bins reverses ECE in most samples", "ever", "ece", "above", margin=0.5),
        Check("Balance is reversed in less than 1 %", "ever", "balance", "below", margin=0.01),
    ),
    seeds=SEEDS,
)
SHOWN, HIDDEN = ("right", "extreme", "timid"), ("groups", "shift", "s-shape")
BLIND = Experiment(
    name="blind-spots",
    title="What Balance does not see",
    question="Which shapes of miscalibration hide from Balance, and does the flag tell?",
    run=blind_spots,
    arms=tuple(
        Arm(shape, label, {"shape": shape})
        for shape, label in (
            ("right", "right forecasts"),
            ("extreme", "all too extreme"),
            ("timid", "all too timid"),
            ("groups", "two groups that cancel"),
            ("shift", "a constant shift"),
            ("s-shape", "S-shaped"),
        )
    ),
    metrics=(
        Metric("truth", "true calibration error"),
        Metric("size", "size of Balance"),
        Metric("missed", "true error minus size of Balance"),
        Metric("ece", "ECE, 10 bins"),
        Metric("bias", "size of the bias in the large"),
        Metric("flagged", "cancellation suspected", percent=True),
    ),
    checks=(
        Check("all too extreme: Balance is the true error", "missed", "extreme", "within", margin=0.003),
        Check("all too timid: Balance is the true error", "missed", "timid", "within", margin=0.003),
        *(Check(f"{s}: Balance misses 0.02 or more", "missed", s, "above", margin=0.02) for s in HIDDEN),
        *(Check(f"{s}: flagged in 80 %", "flagged", s, "above", margin=0.8) for s in HIDDEN),
        *(Check(f"{s}: flagged in at most 10 %", "flagged", s, "below", margin=0.1) for s in SHOWN),
    ),
    seeds=SEEDS,
    decides=False,
)  # fmt: skip
STUDY = Study(
    "balance-score",
    find("balance-score").claim,
    (PROPERTIES, TABLE, SAMPLES, BINS, BLIND, REAL, FOOTBALL, LOANS),
    limits="The paper's forecasts of who wins in League of Legends, whose data are not public: after 15, 10 and 5 "
    "minutes an accuracy of 79.84, 73.55 and 65.56 % with a Balance of -.0039, -.0016 and .0043. Its mapping from a "
    "tendency to forecasts is inferred from its true error. Smooth calibration error, also without bins, is left out.",
)
