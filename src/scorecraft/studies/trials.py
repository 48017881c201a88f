"""Runs trials in worker processes and keeps each one's result, so that a stopped study goes on where it was."""

from __future__ import annotations

import hashlib
import inspect
import json
import multiprocessing
import os
import queue
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scorecraft.errors import ScorecraftError
from scorecraft.runs import files
from scorecraft.studies.study import Experiment, Results, Trial

Progress = Callable[[str, float, int], None]
"""Told what is being run, how many trials are done (a started one counts in part), and how many there are."""


@dataclass(frozen=True)
class Job:
    """A trial to run: which arm of which experiment, with which settings, and where its result is kept."""

    experiment: Experiment
    label: str
    trial: Trial
    result: Path


def job_for(experiment: Experiment, label: str, trial: Trial) -> Job:
    """Return the job of a trial; its folder's name depends on everything that its result depends on."""
    source = inspect.getsourcefile(experiment.run)
    parts = {
        "experiment": experiment.name,
        "settings": files.to_json(dict(trial.settings)),
        "seed": trial.seed,
        "scale": trial.scale,
        "source": hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else "",
    }
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
    folder = trial.folder / experiment.name / f"{label}-seed{trial.seed}-{digest}"
    return Job(experiment, label, replace(trial, folder=folder), folder / "result.json")


def run_jobs(jobs: Sequence[Job], workers: int, progress: Progress) -> list[dict[str, Any]]:
    """Return the result of every job, in order, running those whose result is not kept yet.

    A result has ``values`` and ``seconds``. Raises `ScorecraftError` that names every failed trial, after all
    others are done and kept.
    """
    missing = [job for job in jobs if read_result(job.result) is None]
    failures: list[str] = []
    if missing:
        failures = _run_all(missing, workers, len(jobs), progress)
    if failures:
        raise ScorecraftError(
            f"{len(failures)} of {len(jobs)} trials failed (the others are kept):\n" + "\n".join(failures)
        )
    return [found for job in jobs if (found := read_result(job.result)) is not None]


def read_result(path: Path) -> dict[str, Any] | None:
    """Return a kept result, None where there is none or it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "values" in found else None


def _run_all(jobs: Sequence[Job], workers: int, total: int, progress: Progress) -> list[str]:
    # Started afresh, not forked: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    news: Any = context.Queue()
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    shares: dict[int, float] = {}
    kept = total - len(jobs)
    try:
        with ProcessPoolExecutor(min(workers, len(jobs)), context, _start_worker, (news,)) as pool:
            waiting: set[Future[str]] = {pool.submit(_run_one, number, job) for number, job in enumerate(jobs)}
            failures: list[str] = []
            try:
                while waiting:
                    done, waiting = wait(waiting, timeout=0.3)
                    failures += [text for future in done if (text := future.result())]
                    _read_news(news, shares)
                    progress("trials", kept + sum(shares.values()), total)
                progress("trials", total, total)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in multiprocessing.active_children():
                    process.terminate()
                raise
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
    return failures


def _read_news(news: Any, shares: dict[int, float]) -> None:
    while True:
        try:
            number, share = news.get_nowait()
        except queue.Empty:
            return
        shares[number] = share


_NEWS: list[Any] = []


def _start_worker(news: Any) -> None:
    _NEWS[:] = [news]


def _run_one(number: int, job: Job) -> str:
    """Run a trial in a worker and keep its result; return what went wrong, or nothing."""
    told = [0.0]

    def progress(done: int, total: int) -> None:
        now = time.monotonic()
        if now - told[0] > 0.2:
            told[0] = now
            _NEWS[0].put((number, min(done / max(total, 1), 0.99)))

    _one_thread()
    # Processor time: what else the machine does must not count.
    began = time.process_time()
    try:
        job.trial.folder.mkdir(parents=True, exist_ok=True)
        values = _checked(job, job.experiment.run(replace(job.trial, progress=progress)))
        kept = {"values": values, "settings": dict(job.trial.settings), "seconds": time.process_time() - began}
        files.replace_text(job.result, files.json_text(kept))
    except Exception:
        where = f"{job.experiment.name}, {job.label}, seed {job.trial.seed}"
        return f"{where}:\n{traceback.format_exc(limit=-4)}"
    finally:
        _NEWS[0].put((number, 1.0))
    return ""


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _checked(job: Job, values: Results) -> Results:
    wanted = {metric.name for metric in job.experiment.metrics} | {curve.name for curve in job.experiment.curves}
    if missing := sorted(wanted - set(values)):
        raise ScorecraftError(f"the trial did not return {', '.join(missing)}")
    bad = [name for name in wanted if not _finite(values[name])]
    if bad:
        raise ScorecraftError(f"the trial returned values that are not finite numbers: {', '.join(sorted(bad))}")
    return {name: values[name] for name in sorted(wanted)}


def _finite(value: float | list[float]) -> bool:
    numbers = value if isinstance(value, list) else [value]
    return all(isinstance(x, int | float) and abs(x) < float("inf") for x in numbers)
