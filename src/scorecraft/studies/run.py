"""Carries out a study: tunes every arm with the same budget, runs all seeds, and says what came out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scorecraft.catalog.papers import find
from scorecraft.runs.versions import environment
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Arm, Experiment, Scale, Study, Trial
from scorecraft.studies.trials import Progress, job_for, run_jobs
from scorecraft.studies.verdict import check_result, interval_over_seeds, overall

# At smoke scale the whole path is gone through, with as little of everything as makes a path.
SMOKE_CANDIDATES = 2


def run_study(
    study: Study,
    scale: Scale,
    folder: Path,
    *,
    seeds: int | None = None,
    workers: int = 1,
    progress: Progress = lambda name, done, total: None,
) -> dict[str, Any]:
    """Return the result of a study as plain data; finished trials are kept under ``folder`` and not run again.

    ``seeds`` limits the number of seeds, from the first one on. Raises `ScorecraftError` for a study that is not
    fair or whole, and for failed trials.
    """
    check_study(study)
    began = time.perf_counter()
    experiments = [_run_experiment(e, scale, folder, seeds, workers, progress) for e in study.experiments]
    decisive = [str(check["verdict"]) for result in experiments if result["decides"] for check in result["checks"]]
    return {
        "slug": study.slug,
        "title": find(study.slug).title,
        "claim": study.claim,
        "scale": scale,
        "verdict": overall(decisive, scale),
        "limits": study.limits,
        "experiments": experiments,
        "seconds": sum(result["seconds"] for result in experiments),
        "wall_seconds": time.perf_counter() - began,
        "environment": environment(),
    }


def _run_experiment(
    experiment: Experiment, scale: Scale, folder: Path, seeds: int | None, workers: int, progress: Progress
) -> dict[str, Any]:
    chosen, tuned, tuning_seconds = _tune(experiment, scale, folder, workers, progress)
    used = experiment.seeds[scale][:seeds]
    jobs = [
        job_for(experiment, arm.name, Trial(chosen[arm.name], seed, scale, folder, _silent))
        for arm in experiment.arms
        for seed in used
    ]
    results = run_jobs(jobs, workers, lambda _, done, total: progress(experiment.title, done, total))
    by_arm = {
        arm.name: dict(zip(used, results[place * len(used) : (place + 1) * len(used)], strict=True))
        for place, arm in enumerate(experiment.arms)
    }
    values = {
        metric.name: {
            arm: {seed: float(r["values"][metric.name]) for seed, r in found.items()} for arm, found in by_arm.items()
        }
        for metric in experiment.metrics
    }
    return {
        "name": experiment.name,
        "title": experiment.title,
        "question": experiment.question,
        "limits": experiment.limits,
        "decides": experiment.decides,
        "seeds": list(used),
        "metrics": [
            {"name": m.name, "label": m.label, "percent": m.percent, "higher_is_better": m.higher_is_better}
            for m in experiment.metrics
        ],
        "arms": [_arm_result(arm, chosen[arm.name], tuned.get(arm.name), values) for arm in experiment.arms],
        "checks": [
            {
                "text": check.text, "metric": check.metric, "arm": check.arm, "baseline": check.baseline,
                "relation": check.relation, "margin": check.margin, **check_result(check, values[check.metric]),
            }
            for check in experiment.checks
        ],
        "curves": [
            {
                "name": curve.name, "label": curve.label, "x_label": curve.x_label,
                "arms": {arm: _band([r["values"][curve.name] for r in own.values()]) for arm, own in by_arm.items()},
            }
            for curve in experiment.curves
        ],
        "seconds": tuning_seconds + sum(result["seconds"] for result in results),
    }  # fmt: skip


def _arm_result(
    arm: Arm, settings: Mapping[str, Any], tuned: list[dict[str, Any]] | None, values: Mapping[str, Any]
) -> dict[str, Any]:
    own = {metric: by_arm[arm.name] for metric, by_arm in values.items()}
    return {
        "name": arm.name,
        "label": arm.label,
        "settings": dict(settings),
        "tuning": tuned,
        "values": {metric: {str(seed): value for seed, value in found.items()} for metric, found in own.items()},
        "intervals": {metric: interval_over_seeds(list(found.values()))._asdict() for metric, found in own.items()},
    }


def _band(rows: Sequence[Sequence[float]]) -> dict[str, list[float]]:
    """Return mean and 95 % interval over seeds at every place that all rows have."""
    points = [interval_over_seeds(column) for column in zip(*rows, strict=False)]
    return {
        name: [getattr(point, key) for point in points]
        for name, key in (("mean", "estimate"), ("low", "low"), ("high", "high"))
    }


def _tune(
    experiment: Experiment, scale: Scale, folder: Path, workers: int, progress: Progress
) -> tuple[dict[str, dict[str, Any]], dict[str, list[dict[str, Any]]], float]:
    """Return every arm's settings with its best candidate merged in, all candidates' scores, and the time taken."""
    own = {arm.name: dict(arm.settings) for arm in experiment.arms}
    tuning = experiment.tuning
    if tuning is None:
        return own, {}, 0.0
    smoke = scale == "smoke"
    seeds = tuning.seeds[:1] if smoke else tuning.seeds
    tried = {arm: list(c[:SMOKE_CANDIDATES] if smoke else c) for arm, c in tuning.candidates.items()}
    jobs = [
        job_for(experiment, f"tuning-{arm}", Trial({**own[arm], **candidate}, seed, scale, folder, _silent))
        for arm, candidates in tried.items()
        for candidate in candidates
        for seed in seeds
    ]
    results = run_jobs(jobs, workers, lambda _, done, total: progress(f"{experiment.title}: tuning", done, total))
    metric = next(m for m in experiment.metrics if m.name == tuning.metric)
    sign = -1.0 if metric.higher_is_better is False else 1.0
    scores, place = {}, 0
    for arm, candidates in tried.items():
        scores[arm] = []
        for candidate in candidates:
            found = [float(r["values"][tuning.metric]) for r in results[place : place + len(seeds)]]
            scores[arm].append({"settings": dict(candidate), "scores": found, "mean": sum(found) / len(found)})
            place += len(seeds)
        best = max(scores[arm], key=lambda row: sign * row["mean"])
        own[arm] |= best["settings"]
    return own, scores, sum(result["seconds"] for result in results)


def _silent(done: int, total: int) -> None:
    """Stand in until a worker puts its own progress in the place of this."""
