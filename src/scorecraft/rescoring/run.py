"""A whole file scored: parts in worker processes or on Ray, what is kept, and going on after a kill."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from scorecraft.errors import ScorecraftError, require
from scorecraft.integrations.composition import Composition
from scorecraft.recipes import ready
from scorecraft.recipes.overrides import apply_overrides
from scorecraft.recipes.recipe import Recipe
from scorecraft.rescoring.job import PARTS, Job, read_tally, score_part
from scorecraft.rescoring.paired import comparison
from scorecraft.rescoring.rows import Columns, CompletionRow
from scorecraft.rescoring.source import Part, Source
from scorecraft.rescoring.tally import add_up
from scorecraft.runs import files

Engine = Literal["local", "ray"]
Progress = Callable[[int], None]
"""Told how many rows more are done."""

# Cells (rows times the longest completion) of a part: about 70 MB while it is scored.
_CELLS = 4_000_000
_MOST_ROWS, _LEAST_ROWS, _LOOKED_AT = 4096, 16, 512


@dataclass(frozen=True, slots=True)
class ScoringResult:
    """What came out: the folder of the tables, the counts of all rows, and the comparison if there was one."""

    folder: Path
    format: str
    has_answers: bool
    counts: dict[str, Any]
    comparison: dict[str, Any] | None
    weights: dict[str, dict[str, float]]


def score_file(
    path: Path,
    reward: str,
    *,
    against: str | None = None,
    columns: Columns | None = None,
    out: Path | None = None,
    overrides: Sequence[str] = (),
    workers: int = 1,
    engine: Engine = "local",
    progress: Progress = lambda rows: None,
) -> ScoringResult:
    """Score every completion of a file with a recipe's rewards, and keep one table a part under ``out``.

    Parts that are there already are kept, so the same call goes on after a kill; the result does not depend on the
    number of workers, on the engine, or on interruptions.

    Args:
        path: Parquet or JSON Lines, or a folder of such, as scorecraft, TRL, verl or verifiers write them.
        reward: a ready recipe or a YAML file; its task, rewards and combination are used.
        against: another one, for a paired comparison.
        columns: which columns hold what.
        out: a folder; by default the file's name with ``.scores``.
        overrides: ``key.path=value``, laid over both recipes.
        workers: processes.
        engine: "local", or "ray" for a cluster that reads the same paths.
        progress: told of rows that are done.

    Raises `ScorecraftError` for files and recipes that cannot be read, a reward that cannot be used on texts alone,
    or an output folder of another job.
    """
    source = Source(path.resolve(), columns or Columns())
    recipes = [load_scoring_recipe(name, overrides, source) for name in (reward, against) if name is not None]
    folder = out or path.with_name(f"{path.name.rstrip('/')}.scores")
    job = Job(str(source.path), source.columns, tuple(recipe.to_yaml() for recipe in recipes), str(folder.resolve()))
    scope = max((Composition("", recipe).scope for recipe in recipes), key=("rollout", "group", "batch").index)
    if scope == "batch":
        # Named by the composition itself, with the part that asks for it.
        for recipe in recipes:
            Composition("", recipe).require(
                "group", "a file is scored in parts", "leave it out, or train with it to see what it does"
            )
    rows = _rows_of_a_part(source)
    _claim(job, source, rows)
    parts = source.parts(rows, whole_groups=scope != "rollout" or against is not None)
    run = _on_ray if engine == "ray" else _here
    tallies = [counts for _, counts in sorted(run(job, parts, workers, progress), key=lambda found: found[0])]
    weights = {
        side: {name: part.weight for name, part in recipe.reward.items()}
        for side, recipe in zip(("reward", "against"), recipes, strict=False)
    }
    compared = comparison([one["paired"] for one in tallies], weights) if against is not None else None
    counts = add_up(tallies)
    result = ScoringResult(folder, source.format.name, source.format.has_answers, counts, compared, weights)
    summary = {"format": result.format, "weights": weights, "comparison": compared, **counts}
    files.replace_text(folder / "summary.json", files.json_text(summary, indent=1))
    return result


def load_scoring_recipe(name: str, overrides: Sequence[str], source: Source) -> Recipe:
    """Return a recipe whose task checks the file's answers: its own, or where it names none, plain answers.

    Raises `ScorecraftError` for a recipe that is none.
    """
    found = apply_overrides(ready.find(name), overrides)
    if "task" not in found.data and source.format.name != "scorecraft":
        found.data["task"] = "jsonl"
    return Recipe.from_source(found)


def _rows_of_a_part(source: Source) -> int:
    """Return how many rows a part has, fewer where completions are long; it depends on the file alone."""
    first = next(source.parts(_LOOKED_AT, whole_groups=False), None)
    if first is None:
        raise ScorecraftError(f"{source.path}: no rows; expected completions")
    read = source.read(first)
    longest = max((len(row.completion) for row in read if isinstance(row, CompletionRow)), default=1)
    return max(_LEAST_ROWS, min(_MOST_ROWS, _CELLS // max(longest, 1)))


def _claim(job: Job, source: Source, rows: int) -> None:
    """Make the output folder this job's, or go on in it; raises `ScorecraftError` where it is another one's."""
    stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in source.files]
    made_of = json.dumps([asdict(job.columns), job.recipes, stamps, rows], default=str)
    mark = hashlib.sha256(made_of.encode()).hexdigest()[:16]
    folder = Path(job.out)
    if folder.is_file():
        raise ScorecraftError(f"{folder}: a file, but expected a folder for the scores; choose another --out")
    path = folder / "job.json"
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")).get("job") != mark:
        raise ScorecraftError(
            f"{folder}: holds the scores of another recipe, or of an earlier file; delete it, or choose another --out"
        )
    if not path.is_file() and folder.is_dir() and any(folder.iterdir()):
        raise ScorecraftError(f"{folder}: is not empty and holds no scores; choose another --out")
    (folder / PARTS).mkdir(parents=True, exist_ok=True)
    for number, recipe in enumerate(job.recipes):
        files.replace_text(folder / ("reward.yaml" if number == 0 else "against.yaml"), recipe)
    files.replace_text(path, files.json_text({"job": mark, "path": job.path, "rows_of_a_part": rows}))


Found = tuple[int, dict[str, Any]]


def _known(job: Job, parts: Iterable[Part], progress: Progress, found: list[Found]) -> Iterator[Part]:
    """Pass on the parts that are not scored yet."""
    for part in parts:
        counts = read_tally(job, part)
        if counts is None:
            yield part
        else:
            found.append((part.index, counts))
            progress(part.rows)


def _here(job: Job, parts: Iterator[Part], workers: int, progress: Progress) -> list[Found]:
    found: list[Found] = []
    waiting = _known(job, parts, progress, found)
    if workers <= 1:
        for part in waiting:
            found.append((part.index, score_part(job, part)))
            progress(part.rows)
        return found
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _one_thread) as pool:
        running: dict[Future[dict[str, Any]], Part] = {}
        try:
            while True:
                # A few ahead of the workers, not the whole file.
                for part in islice(waiting, max(0, 3 * workers - len(running))):
                    running[pool.submit(score_part, job, part)] = part
                if not running:
                    return found
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    part = running.pop(future)
                    found.append((part.index, future.result()))
                    progress(part.rows)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _on_ray(job: Job, parts: Iterator[Part], workers: int, progress: Progress) -> list[Found]:
    del workers
    require("ray", "ray", "--engine ray")
    import ray

    found: list[Found] = []
    todo = list(_known(job, parts, progress, found))
    if not todo:
        return found
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    by_index = {part.index: part for part in todo}

    def work(row: dict[str, Any]) -> dict[str, Any]:
        return {"index": row["index"], "counts": json.dumps(score_part(job, by_index[row["index"]]))}

    from ray.data import from_items
    from ray.exceptions import RayTaskError

    data = from_items([{"index": part.index} for part in todo], override_num_blocks=len(todo)).map(work)
    try:
        for row in data.iter_rows():
            found.append((int(row["index"]), json.loads(row["counts"])))
            progress(by_index[int(row["index"])].rows)
    except RayTaskError as error:
        if isinstance(error.cause, ScorecraftError):
            raise error.cause from None
        raise
    return found
