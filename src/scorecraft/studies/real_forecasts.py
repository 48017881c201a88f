"""Three classifiers' forecasts of real outcomes: are they too sure? Tumours, football matches and loans."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorecraft.errors import require
from scorecraft.metrics.calibration_panel import calibration_panel
from scorecraft.studies.real_tables import credit, football
from scorecraft.studies.study import Arm, Check, Experiment, Metric, Results, Trial


def models(seed: int) -> dict[str, Any]:
    """Return the classifiers by their arms' names."""
    require("sklearn", "detect", "The experiment with real data")
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "boosting": GradientBoostingClassifier(random_state=seed),
        "bayes": GaussianNB(),
    }


def panel_of(labels: NDArray[Any], stated: NDArray[Any]) -> Results:
    """Return what is reported of forecasts."""
    panel = calibration_panel(labels, stated)
    return {name: float(panel[name]) for name in ("balance", "standard_error", "ece_10", "brier", "accuracy")}


def real(trial: Trial) -> Results:
    """Return the panel of one classifier on held-out halves of one split of the breast cancer data, or of the loans."""
    model = models(trial.seed)[trial.settings["model"]]
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    if trial.settings.get("data") == "credit":
        x, y, _ = credit()
    else:
        x, y = map(np.asarray, load_breast_cancer(return_X_y=True))
    halves = StratifiedKFold(2, shuffle=True, random_state=trial.seed)
    return panel_of(y, np.asarray(cross_val_predict(model, x, y, cv=halves, method="predict_proba"))[:, 1])


def matches(trial: Trial) -> Results:
    """Return the panel of one classifier that was trained on ten seasons and forecasts the next."""
    x, won, year = football()
    first = int(np.random.default_rng(trial.seed).integers(1965, 1997))
    train, test = (year >= first) & (year < first + 10), (year >= first + 10) & (year < first + 12)
    model = models(trial.seed)[trial.settings["model"]].fit(x[train], won[train])
    return panel_of(won[test], model.predict_proba(x[test])[:, 1])


MODELS = (("logistic", "logistic regression"), ("boosting", "gradient boosting"), ("bayes", "naive Bayes"))
REAL = Experiment(
    name="real",
    title="Breast cancer data, held-out halves",
    question="Is naive Bayes, which counts dependent features as independent evidence, found overconfident?",
    run=real,
    arms=(
        Arm("logistic", "logistic regression", {"model": "logistic"}),
        Arm("boosting", "gradient boosting", {"model": "boosting"}),
        Arm("bayes", "naive Bayes", {"model": "bayes"}),
    ),
    metrics=(
        Metric("balance", "Balance"),
        Metric("standard_error", "its standard error"),
        Metric("ece_10", "ECE, 10 bins", higher_is_better=False),
        Metric("brier", "Brier score", higher_is_better=False),
        Metric("accuracy", "accuracy", higher_is_better=True, percent=True),
    ),
    checks=(
        Check("naive Bayes is overconfident", "balance", "bayes", "below"),
        Check("and more so than logistic regression", "balance", "bayes", "below", "logistic"),
    ),
    seeds={"smoke": (0,), "full": tuple(range(5))},
    limits="569 rows, the same in all five splits: the interval is over splits, not over patients.",
)
FOOTBALL = Experiment(
    name="football",
    title="Home wins in the Bundesliga, two seasons ahead",
    question="Is what a model of Elo ratings says of real matches too sure, as naive Bayes must be with five of them?",
    run=matches,
    arms=tuple(Arm(name, label, {"model": name}) for name, label in MODELS),
    metrics=REAL.metrics,
    checks=(
        Check("logistic regression is within 0.03 of right confidence", "balance", "logistic", "within", margin=0.03),
        Check("naive Bayes is overconfident", "balance", "bayes", "below"),
        Check("and more so than logistic regression", "balance", "bayes", "below", "logistic"),
    ),
    seeds={"smoke": (0,), "full": tuple(range(8))},
    decides=False,
    limits="Seasons of several seeds overlap, so that the intervals are narrower than those of new matches.",
)
LOANS = Experiment(
    name="loans",
    title="Loans that went bad, held-out halves",
    question="And of real loans?",
    run=real,
    arms=tuple(Arm(name, label, {"model": name, "data": "credit"}) for name, label in MODELS),
    metrics=REAL.metrics,
    checks=FOOTBALL.checks,
    seeds={"smoke": (0,), "full": tuple(range(5))},
    decides=False,
)
