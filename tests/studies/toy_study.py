"""A study that takes no time, whose trials run in worker processes."""

import time

from scorecraft.studies.study import Arm, Check, Curve, Experiment, Metric


def run(trial):
    """Pay ``base + seed`` and leave a mark that it ran."""
    (trial.folder / f"ran-{time.time_ns()}").touch()
    if trial.settings.get("fail") == trial.seed:
        raise RuntimeError("broken on purpose")
    if trial.settings.get("nan"):
        return {"score": float("nan"), "course": [0.0]}
    trial.progress(1, 2)
    base = trial.settings["base"] + trial.settings.get("bonus", 0.0)
    return {"score": base + trial.seed, "course": [base, base + 1]}


EXPERIMENT = Experiment(
    name="toy",
    title="Toy",
    question="Does more give more?",
    run=run,
    arms=(Arm("plain", "plain", {"base": 0.0}), Arm("more", "more", {"base": 1.0})),
    metrics=(Metric("score", "score", higher_is_better=True),),
    checks=(Check("more is above plain", "score", "more", "above", "plain", 0.5),),
    seeds={"smoke": (0,), "full": (0, 1, 2, 3, 4)},
    curves=(Curve("course", "score", "time"),),
)
