"""Scoring one part: what is done, written so that any process can do it, and what is kept of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from scorecraft.errors import ScorecraftError, TrainingStopped
from scorecraft.integrations.composition import Composition
from scorecraft.problem import Problem
from scorecraft.recipes.recipe import Recipe
from scorecraft.rescoring.paired import paired
from scorecraft.rescoring.rows import Columns, CompletionRow
from scorecraft.rescoring.source import BadRow, Part, Source
from scorecraft.rescoring.tally import tally
from scorecraft.rollouts import Rollouts
from scorecraft.rollouts_from_texts import group_rows, rollouts_from_texts
from scorecraft.runs import files
from scorecraft.scores import RewardTable

PARTS = "parts"


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that the scores of a file depend on, and where they go.

    recipes: YAML of the recipe, and of the one it is compared with, if any.
    """

    path: str
    columns: Columns
    recipes: tuple[str, ...]
    out: str

    def table_path(self, part: Part) -> Path:
        """Return where the scores of a part are kept."""
        return Path(self.out) / PARTS / f"part-{part.index:06d}.parquet"

    def tally_path(self, part: Part) -> Path:
        """Return where a part's counts are kept; it is written last, so that a part with one is whole."""
        return self.table_path(part).with_suffix(".json")


@lru_cache(maxsize=2)
def source_of(job: Job) -> Source:
    """Return the job's file, opened once in each process."""
    return Source(Path(job.path), job.columns)


@lru_cache(maxsize=4)
def composition_of(recipe_yaml: str, name: str) -> Composition:
    """Return a recipe's rewards, built once in each process."""
    return Composition(name, Recipe.from_yaml(recipe_yaml))


def score_part(job: Job, part: Part) -> dict[str, Any]:
    """Score the rows of a part, keep the table and return its counts.

    Raises `ScorecraftError` where a reward cannot be used here, and for values that are not finite.
    """
    rows = source_of(job).read(part)
    good = [row for row in rows if isinstance(row, CompletionRow)]
    rollouts = _rollouts(good)
    tables = [_scores(yaml, index, rollouts, part) for index, yaml in enumerate(job.recipes)]
    counts = tally(part, source_of(job).files[part.file].name, rows, good, rollouts, tables[0])
    if len(tables) > 1:
        counts["paired"] = paired(rollouts.group, *tables[:2])
    columns = _columns(part, rows, rollouts, tables)
    files.replace(job.table_path(part), lambda new: _write(new, columns))
    files.replace_text(job.tally_path(part), files.json_text(counts))
    return counts


def read_tally(job: Job, part: Part) -> dict[str, Any] | None:
    """Return the counts of a part that was scored before; None where it was not, or not wholly."""
    try:
        return json.loads(job.tally_path(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _rollouts(rows: Sequence[CompletionRow]) -> Rollouts:
    group, firsts = group_rows([json.dumps(row.key, default=str) for row in rows])
    problems = [
        Problem(rows[first].prompt, rows[first].answer, rows[first].gold, dict(rows[first].metadata))
        for first in firsts
    ]
    lengths = [row.length for row in rows]
    known = [length for length in lengths if length is not None]
    return rollouts_from_texts(
        [problem.prompt for problem in problems], [row.completion for row in rows], problems, group,
        lengths=known if rows and len(known) == len(rows) else None,
    )  # fmt: skip


def _scores(recipe_yaml: str, index: int, rollouts: Rollouts, part: Part) -> RewardTable:
    composition = composition_of(recipe_yaml, "reward" if index == 0 else "against")
    # Random numbers depend on the part alone, whichever process scores it and in which order.
    composition.calls = part.index
    try:
        return composition.score(rollouts)
    except TrainingStopped as error:
        raise ScorecraftError(f"rows {part.first_row + 1} to {part.first_row + part.rows}: {error}") from error


def _columns(
    part: Part, rows: Sequence[CompletionRow | BadRow], rollouts: Rollouts, tables: Sequence[RewardTable]
) -> dict[str, list[Any]]:
    """Return one entry for every row of the file; a row that could not be read has its reason and no score."""
    places = [place for place, row in enumerate(rows) if isinstance(row, CompletionRow)]

    def spread(values: Sequence[Any]) -> list[Any]:
        out: list[Any] = [None] * len(rows)
        for place, value in zip(places, values, strict=True):
            out[place] = value
        return out

    columns: dict[str, list[Any]] = {
        "file": [part.file] * len(rows),
        "row": list(range(part.first_row + 1, part.first_row + 1 + len(rows))),
        "group": spread(rollouts.group.tolist()),
        "length": spread(rollouts.lengths.tolist()),
        "unreadable": [row.reason if isinstance(row, BadRow) else None for row in rows],
    }
    for table, prefix in zip(tables, ("", "against/"), strict=False):
        total = torch.where(table.valid, table.total, torch.full_like(table.total, float("nan")))
        columns[f"{prefix}total"] = spread(_numbers(total))
        for name, scores in table.parts.items():
            columns[f"{prefix}reward/{name}"] = spread(_numbers(scores.values))
            columns[f"{prefix}outcome/{name}"] = spread([str(outcome) for outcome in scores.outcomes])
            for measure, values in scores.metrics.items():
                columns[f"{prefix}measure/{name}/{measure}"] = spread(_numbers(values))
    return columns


def _numbers(values: torch.Tensor) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124 - NaN is not itself


def _write(path: Path, columns: dict[str, list[Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        "file": pa.int32(),
        "row": pa.int64(),
        "group": pa.int64(),
        "length": pa.int64(),
        "unreadable": pa.string(),
    }
    arrays = {
        name: pa.array(
            values, kinds.get(name) or (pa.string() if "outcome/" in name else pa.float32()), from_pandas=True
        )
        for name, values in columns.items()
    }
    pq.write_table(pa.table(arrays), str(path), compression="zstd")
