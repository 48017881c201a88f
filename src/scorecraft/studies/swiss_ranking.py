"""Does a simulated Swiss tournament rank as well as averages do, and does punishing failure tell specialists apart?

Fields of 24 models on 8 benchmarks whose true ability is known: half are generalists, whose scores vary little around
it, and half specialists, who are strong on a few benchmarks and weak on the first ones. Then classifiers of
scikit-learn on data sets that it ships, with items drawn anew. Nothing is tuned.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from scorecraft.arena.aggregate_rankings import borda, bradley_terry, mean_score, mean_z_score
from scorecraft.arena.swiss_exact import csd_exact
from scorecraft.arena.swiss_ranking import csd, failure_sensitivity, order_audit, rank_correlation
from scorecraft.arena.win_tensor import resampled_means, win_tensor
from scorecraft.catalog.papers import find
from scorecraft.studies.study import Arm, Check, Experiment, Metric, Results, Scale, Study, Trial

MODELS, BENCHMARKS = 24, 8
RUNS: dict[Scale, int] = {"smoke": 2000, "full": 100_000}
ORDERS: dict[Scale, int] = {"smoke": 4, "full": 50}
DRAWS: dict[Scale, int] = {"smoke": 3, "full": 100}
SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(20))}
FIELDS: dict[Scale, int] = {"smoke": 3, "full": 40}
REPEATS: dict[Scale, int] = {"smoke": 20, "full": 200}


def field(random: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return scores ``[benchmark, model]``, true abilities, and who is a specialist.

    A model's ability is its mean over benchmarks before noise: a specialist gains on half of the benchmarks what it
    loses on the other half, which holds the first two.
    """
    ability = random.normal(0, 1, MODELS)
    specialist = random.permutation(np.arange(MODELS) < MODELS // 2)
    leaning = np.zeros((BENCHMARKS, MODELS))
    for m in np.flatnonzero(specialist):
        rest = 2 + random.permutation(BENCHMARKS - 2)
        leaning[np.concatenate(([0, 1], rest[:2])), m] = -1.5
        leaning[rest[2:], m] = 1.5
    return ability + leaning + random.normal(0, 0.3, (BENCHMARKS, MODELS)), ability, specialist


RANKERS = {
    "swiss": lambda scores, runs, seed: csd(win_tensor(scores), 0, runs, seed).mean,
    "mean": lambda scores, runs, seed: mean_score(scores),
    "z-score": lambda scores, runs, seed: mean_z_score(scores),
    "borda": lambda scores, runs, seed: borda(scores),
    "bradley-terry": lambda scores, runs, seed: bradley_terry(win_tensor(scores)),
}


def truth(trial: Trial) -> Results:
    """Return Kendall's tau of a ranking with the true abilities, and after one benchmark is counted a hundredfold."""
    random = np.random.default_rng(trial.seed)
    scores, ability, _ = field(random)
    ranker, runs = RANKERS[trial.settings["ranker"]], RUNS[trial.scale]
    found = ranker(scores, runs, trial.seed)
    scaled = scores.copy()
    scaled[-1] *= 100
    return {
        "tau": rank_correlation(found, ability),
        "after": rank_correlation(ranker(scaled, runs, trial.seed), found),
    }


def sensitivity(trial: Trial) -> Results:
    """Return how well the slope tells specialists from generalists: the share of pairs it orders rightly."""
    scores, _, specialist = field(np.random.default_rng(trial.seed))
    found = failure_sensitivity(win_tensor(scores), (0, 1, 2, 3), RUNS[trial.scale] // 5, trial.seed)
    value = found.relative if trial.settings["slope"] == "relative" else found.slope
    able = np.ones(MODELS, dtype=bool)
    if trial.settings["who"] == "upper":
        able = found.curves[0] >= np.median(found.curves[0])
    special, general = value[specialist & able], value[~specialist & able]
    if not (len(special) and len(general)):
        return {"auc": 0.5}
    return {"auc": float(((special[:, None] < general) + 0.5 * (special[:, None] == general)).mean())}


def exactness(trial: Trial) -> Results:
    """Return how far runs are from the exact values of small fields, in standard errors."""
    random, worst = np.random.default_rng(trial.seed), []
    for _ in range(FIELDS[trial.scale]):
        models, rounds, leaving = (int(random.integers(low, high)) for low, high in ((2, 7), (1, 5), (0, 3)))
        wins = win_tensor(random.integers(4, size=(rounds, models)).astype(float))
        exact = np.array([float(value) for value in csd_exact(wins, leaving)])
        found = csd(wins, leaving, 20_000, trial.seed)
        worst.append(float(np.max(np.abs(found.mean - exact) / np.maximum(found.sem, 1e-9))))
        trial.progress(len(worst), FIELDS[trial.scale])
    return {"worst": max(worst), "mean": float(np.mean(worst))}


def error(trial: Trial) -> Results:
    """Return the slope of the log standard deviation of repeated estimates over the log number of runs."""
    wins = win_tensor(field(np.random.default_rng(trial.seed))[0])
    sizes, spread = (100, 1000, 10_000), []
    for size in sizes:
        means = [csd(wins, 0, size, 1000 * trial.seed + r).mean for r in range(REPEATS[trial.scale])]
        spread.append(float(np.std(means, axis=0).mean()))
    return {"slope": float(np.polyfit(np.log(sizes), np.log(spread), 1)[0])}


def orders(trial: Trial) -> Results:
    """Return the mean Kendall's tau between rankings under random orders of the benchmarks."""
    wins = win_tensor(field(np.random.default_rng(trial.seed))[0])
    found = order_audit(wins, trial.settings["T"], RUNS[trial.scale] // 20, trial.seed, orders=ORDERS[trial.scale])
    return {"between": found.between}


def classifiers(trial: Trial) -> Results:
    """Return what the ranking of classifiers on real data sets is worth when items are drawn anew.

    Half of each data set trains, the other half is scored; the split is the seed's.
    """
    items = item_scores(trial.seed, trial.progress)
    random = np.random.default_rng(trial.seed)
    ranker, runs = RANKERS[trial.settings["ranker"]], min(RUNS[trial.scale], 5000)
    whole = ranker(np.array([one.mean(1) for one in items]), runs, trial.seed)
    drawn = [ranker(resampled_means(items, random), runs, trial.seed) for _ in range(DRAWS[trial.scale])]
    first = int(np.argmax(whole))
    return {
        "stability": float(np.mean([rank_correlation(whole, one) for one in drawn])),
        "first": float(np.mean([int(np.argmax(one)) == first for one in drawn])),
    }


def item_scores(seed: int, progress: object = None) -> list[Float64[np.ndarray, "model item"]]:
    """Return which items each of nine classifiers has right, on five data sets of scikit-learn."""
    from sklearn import datasets
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC
    from sklearn.tree import DecisionTreeClassifier

    found = []
    digits = datasets.load_digits(return_X_y=True)
    loaded = (
        datasets.load_iris(return_X_y=True), datasets.load_wine(return_X_y=True),
        datasets.load_breast_cancer(return_X_y=True), (digits[0][:600], digits[1][:600]),
        datasets.make_moons(400, noise=0.3, random_state=seed),
    )  # fmt: skip
    for X, y in loaded:  # noqa: N806 - scikit-learn's name
        train, test, y_train, y_test = train_test_split(X, y, test_size=0.5, random_state=seed, stratify=y)
        scaler = StandardScaler().fit(train)
        train, test = scaler.transform(train), scaler.transform(test)
        models = (
            LogisticRegression(max_iter=500), LinearDiscriminantAnalysis(), GaussianNB(var_smoothing=1e-3),
            KNeighborsClassifier(5), DecisionTreeClassifier(random_state=seed), DecisionTreeClassifier(
                max_depth=2, random_state=seed
            ), RandomForestClassifier(50, random_state=seed), SVC(), make_pipeline(
                MLPClassifier((16,), max_iter=200, random_state=seed)
            ),
        )  # fmt: skip
        import warnings

        with warnings.catch_warnings():
            # A network that has not converged, and pixels that are always blank, are part of the comparison.
            warnings.simplefilter("ignore")
            found.append(np.array([model.fit(train, y_train).predict(test) == y_test for model in models], dtype=float))
    return found


NAMES = {
    "swiss": "Swiss", "mean": "mean score", "z-score": "mean z-score", "borda": "Borda",
    "bradley-terry": "Bradley-Terry",
}  # fmt: skip
TRUTH = Experiment(
    name="truth",
    title="24 models of known ability on 8 benchmarks",
    question="Is Swiss as near to the true order as Borda, and indifferent to units?",
    run=truth,
    arms=tuple(Arm(name, title, {"ranker": name}) for name, title in NAMES.items()),
    metrics=(
        Metric("tau", "Kendall's tau with the truth", higher_is_better=True),
        Metric("after", "tau with itself, one benchmark times 100", higher_is_better=True),
    ),
    checks=(
        Check("Swiss is at most .05 below Borda", "tau", "swiss", "above", "borda", -0.05),
        Check("units do not move Swiss", "after", "swiss", "above", margin=0.999999),
        Check("units do not move Borda", "after", "borda", "above", margin=0.999999),
        Check("units move the mean", "after", "mean", "below", margin=0.999999),
    ),
    seeds=SEEDS,
)
SENSITIVITY = Experiment(
    name="sensitivity",
    title="Specialists and generalists",
    question="Does the slope over the number that leaves tell specialists from generalists?",
    run=sensitivity,
    arms=(
        Arm("all", "all models, slope", {"slope": "own", "who": "all"}),
        Arm("relative", "all models, slope against the field", {"slope": "relative", "who": "all"}),
        Arm("upper", "upper half at T = 0, slope", {"slope": "own", "who": "upper"}),
    ),
    metrics=(Metric("auc", "AUC of specialist against generalist", higher_is_better=True),),
    checks=(
        Check("AUC of at least .9 among all", "auc", "all", "above", margin=0.9),
        Check("AUC of at least .9 among the upper half", "auc", "upper", "above", margin=0.9),
    ),
    seeds=SEEDS,
    limits="Planted specialists fail on the first two benchmarks; others would be punished less.",
)
EXACT = Experiment(
    name="exact",
    title="Runs against every pairing",
    question="Do 20,000 runs agree with the exact expectations of small random fields?",
    run=exactness,
    arms=(Arm("fields", "2 to 6 models, 1 to 4 benchmarks", {}),),
    metrics=(
        Metric("worst", "largest error, standard errors", higher_is_better=False),
        Metric("mean", "mean of the largest errors of fields", higher_is_better=False),
    ),
    checks=(Check("within 5 standard errors, of about 160 values", "worst", "fields", "below", margin=5),),
    seeds=SEEDS,
)
ERROR = Experiment(
    name="runs",
    title="How the error falls with the number of runs",
    question="Does the standard error fall with the square root of the runs?",
    run=error,
    arms=(Arm("field", "24 models, 8 benchmarks", {}),),
    metrics=(Metric("slope", "slope of log error over log runs"),),
    checks=(
        Check("slope below -.45", "slope", "field", "below", margin=-0.45),
        Check("slope above -.55", "slope", "field", "above", margin=-0.55),
    ),
    seeds={"smoke": (0,), "full": tuple(range(5))},
)
ORDER = Experiment(
    name="orders",
    title="Orders of the benchmarks",
    question="Does the order matter more when some leave?",
    run=orders,
    arms=(Arm("stay", "nobody leaves", {"T": 0}), Arm("leave", "two leave after each round", {"T": 2})),
    metrics=(Metric("between", "tau between rankings under random orders", higher_is_better=True),),
    checks=(Check("orders agree less when two leave", "between", "leave", "below", "stay"),),
    seeds=SEEDS,
)
CLASSIFIERS = Experiment(
    name="classifiers",
    title="Nine classifiers on five data sets, items drawn anew",
    question="How stable are the rankings of real models?",
    run=classifiers,
    arms=tuple(Arm(name, title, {"ranker": name}) for name, title in NAMES.items()),
    metrics=(
        Metric("stability", "tau of the ranking with those of drawn items", higher_is_better=True),
        Metric("first", "draws in which the first stays first", higher_is_better=True),
    ),
    checks=(),
    seeds={"smoke": (0,), "full": tuple(range(10))},
    limits="Small data sets, and no language models: the paper's leaderboard is not at hand.",
)
STUDY = Study(
    "swiss-ranking",
    find("swiss-ranking").claim,
    (EXACT, TRUTH, SENSITIVITY, ORDER, ERROR, CLASSIFIERS),
    limits="The paper's leaderboard of language models.",
)
