"""Is a study fair and whole: what is refused before anything runs."""

from __future__ import annotations

from scorecraft.errors import ScorecraftError
from scorecraft.studies.study import Experiment, Study


def check_study(study: Study) -> None:
    """Raise `ScorecraftError` for names that refer to nothing, an unequal tuning budget or seeds that tuned."""
    if not study.experiments:
        raise ScorecraftError(f"study '{study.slug}' has no experiments")
    names = [experiment.name for experiment in study.experiments]
    if len(set(names)) < len(names):
        raise ScorecraftError(f"study '{study.slug}': two experiments have one name: {', '.join(names)}")
    if not any(experiment.decides and experiment.checks for experiment in study.experiments):
        raise ScorecraftError(f"study '{study.slug}': no experiment with a check decides")
    for experiment in study.experiments:
        _check_experiment(f"study '{study.slug}', experiment '{experiment.name}'", experiment)


def _check_experiment(where: str, experiment: Experiment) -> None:
    arms = [arm.name for arm in experiment.arms]
    metrics = [metric.name for metric in experiment.metrics]
    if len(set(arms)) < len(arms):
        raise ScorecraftError(f"{where}: two arms have one name: {', '.join(arms)}")
    for check in experiment.checks:
        for kind, name, known in (
            ("arm", check.arm, arms),
            ("arm", check.baseline or check.arm, arms),
            ("metric", check.metric, metrics),
        ):
            if name not in known:
                raise ScorecraftError(
                    f"{where}: check '{check.text}' names the {kind} '{name}'; known: {', '.join(known)}"
                )
        if check.relation == "within" and check.margin <= 0:
            raise ScorecraftError(f"{where}: check '{check.text}' is 'within' and needs a margin above 0")
    for scale, least in (("smoke", 1), ("full", 5)):
        seeds = experiment.seeds.get(scale, ())  # pyright: ignore[reportCallIssue, reportArgumentType]
        if len(set(seeds)) < max(least, len(seeds)):
            raise ScorecraftError(f"{where}: scale '{scale}' needs at least {least} different seeds, got {list(seeds)}")
    if experiment.tuning is not None:
        _check_tuning(where, experiment)


def _check_tuning(where: str, experiment: Experiment) -> None:
    tuning = experiment.tuning
    assert tuning is not None
    arms = {arm.name for arm in experiment.arms}
    if set(tuning.candidates) != arms:
        raise ScorecraftError(f"{where}: tuning must have candidates for every arm ({', '.join(sorted(arms))})")
    counts = {arm: len(candidates) for arm, candidates in tuning.candidates.items()}
    if len(set(counts.values())) != 1:
        raise ScorecraftError(f"{where}: every arm must have the same tuning budget, got {counts} candidates")
    if tuning.metric not in {metric.name for metric in experiment.metrics}:
        raise ScorecraftError(f"{where}: tuning is by '{tuning.metric}', which is no metric")
    reported = {seed for seeds in experiment.seeds.values() for seed in seeds}
    shared = sorted(reported & set(tuning.seeds))
    if shared or not tuning.seeds:
        raise ScorecraftError(
            f"{where}: tuning needs seeds that are not reported; shared: {shared or 'no seeds given'}"
        )
