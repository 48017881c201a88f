"""Tables of scores in files: a row a model with a column a benchmark, or a row a score."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from scorecraft.errors import ScorecraftError, nearest
from scorecraft.metrics.prediction_file import open_predictions

MODELS = ("model", "model_name", "models", "name", "system", "method", "team")
BENCHMARKS = ("benchmark", "task", "dataset", "eval", "metric", "subset")
SCORES = ("score", "accuracy", "acc", "value", "result", "correct", "mean")
ITEMS = ("item", "item_id", "question", "question_id", "example", "sample", "doc_id")
EMPTY = frozenset({"", "-", "--", "na", "n/a", "nan", "none", "null"})


class ScoreTable(NamedTuple):
    """Models, benchmarks in order, their scores (higher is better, NaN where missing), and those of single items.

    items: of each benchmark an array ``[model, item]``; None where the file has no items.
    left_out: columns of a wide table that hold no numbers.
    """

    models: tuple[str, ...]
    benchmarks: tuple[str, ...]
    scores: Float64[np.ndarray, "benchmark model"]
    items: tuple[NDArray[np.float64], ...] | None
    left_out: tuple[str, ...] = ()

    @property
    def missing(self) -> list[tuple[str, str]]:
        """The cells that are missing, as pairs of benchmark and model."""
        return [(self.benchmarks[k], self.models[m]) for k, m in np.argwhere(np.isnan(self.scores))]


def read_score_table(
    path: Path,
    *,
    model: str | None = None,
    benchmark: str | None = None,
    score: str | None = None,
    item: str | None = None,
    order: Sequence[str] = (),
    lower: Sequence[str] = (),
) -> ScoreTable:
    """Return the scores in a CSV, TSV, Parquet, JSON or JSON Lines file.

    A table is long if it has a column of benchmarks and one of scores, and wide otherwise: every other column of
    numbers is then a benchmark. JSON may also be ``{model: {benchmark: score}}``.

    Args:
        path: the file.
        model: column of the model's name; a usual one, or the first column of text, where not given.
        benchmark: column of the benchmark's name; it makes the table a long one.
        score: column of the score.
        item: column of the item; several items a benchmark and model make its score their mean.
        order: benchmarks to use, in this order; all, as the file has them, where empty.
        lower: benchmarks on which a lower score is better.

    Raises `ScorecraftError` for a file that cannot be read or is empty, columns that are not there, text among numbers,
    a model that occurs twice, fewer than two models, and names that no benchmark has.
    """
    columns = _columns(path)
    if not columns or not next(iter(columns.values())):
        raise ScorecraftError(f"{path}: no rows; expected models and their scores")
    names = tuple(columns)
    for given in (model, benchmark, score, item):
        if given is not None and given not in columns:
            raise ScorecraftError(f"{path}: no column '{given}'; {nearest(given, names)}")
    benchmark = benchmark or _usual(names, BENCHMARKS)
    score = score or _usual(names, SCORES)
    model = model or _usual(names, MODELS) or _first_of_text(columns)
    if model is None:
        raise ScorecraftError(f"{path}: no column of model names; expected one of text, such as '{MODELS[0]}'")
    if benchmark is not None and score is not None and benchmark != model:
        table = _long(path, columns, model, benchmark, score, item or _usual(names, ITEMS))
    else:
        table = _wide(path, columns, model)
    if len(table.models) < 2:
        raise ScorecraftError(f"{path}: {len(table.models)} model; a ranking needs at least 2")
    return _turned(path, _ordered(path, table, order), lower)


def _columns(path: Path) -> dict[str, list[Any]]:
    """Return the file's columns as lists, whatever its format."""
    whole = _whole_json(path) if path.suffix.lower() == ".json" else None
    if whole is not None:
        rows = whole
        names = list(dict.fromkeys(name for row in rows for name in row))
        return {name: [row.get(name) for row in rows] for name in names}
    if path.is_file() and path.stat().st_size == 0:
        raise ScorecraftError(f"{path}: the file is empty; expected models and their scores")
    file = open_predictions(path)
    found: dict[str, list[Any]] = {name: [] for name in file.names}
    if len(found) != len(file.names):
        twice = next(name for name in file.names if file.names.count(name) > 1)
        raise ScorecraftError(f"{path}: column '{twice}' occurs twice; a benchmark needs a name of its own")
    for batch in file.batches(file.names):
        for name, values in found.items():
            values.extend(batch.column(name).to_pylist())
    return found


def _whole_json(path: Path) -> list[Mapping[str, Any]] | None:
    """Return the records of a file that is one JSON value; None where it is one value a line."""
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ScorecraftError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError:
        return None
    if isinstance(value, dict) and value and all(isinstance(row, dict) for row in value.values()):
        return [{MODELS[0]: name} | row for name, row in value.items()]
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        return value
    raise ScorecraftError(f"{path}: expected a list of records, or an object {{model: {{benchmark: score}}}}")


def _usual(names: Sequence[str], known: Sequence[str]) -> str | None:
    lowered = {name.strip().lower(): name for name in reversed(names)}
    return next((lowered[name] for name in known if name in lowered), None)


def _first_of_text(columns: Mapping[str, list[Any]]) -> str | None:
    return next((name for name, values in columns.items() if not _is_numeric(values)), None)


def _is_numeric(values: Sequence[Any]) -> bool:
    numbers = 0
    for value in values:
        number = _number(value)
        if number is None:
            return False
        numbers += not math.isnan(number)
    return numbers > 0


def _number(value: Any) -> float | None:
    """Return a cell as a number: NaN where it is empty, None where it is text."""
    if value is None or (isinstance(value, str) and value.strip().lower() in EMPTY):
        return math.nan
    try:
        return float(value.strip().removesuffix("%") if isinstance(value, str) else value)
    except (TypeError, ValueError):
        return None


def _wide(path: Path, columns: Mapping[str, list[Any]], model: str) -> ScoreTable:
    models = [str(name).strip() for name in columns[model]]
    twice = sorted({name for name in models if models.count(name) > 1})
    if twice:
        raise ScorecraftError(
            f"{path}: model '{twice[0]}' occurs {models.count(twice[0])} times; expected a row a model. A table with a "
            "row a score needs a column of benchmarks: name it with --benchmark"
        )
    benchmarks, rows, left_out = [], [], []
    for name, values in columns.items():
        if name == model:
            continue
        numbers = [_number(value) for value in values]
        text = [at for at, number in enumerate(numbers) if number is None]
        if len(text) == len(numbers) or all(number is None or math.isnan(number) for number in numbers):
            left_out.append(name)
        elif text:
            raise ScorecraftError(
                f"{path}: column '{name}', row {text[0] + 1} is {values[text[0]]!r}; expected a number, or nothing "
                "where the score is missing"
            )
        else:
            benchmarks.append(name)
            rows.append(numbers)
    if not benchmarks:
        raise ScorecraftError(f"{path}: no column of numbers beside '{model}'; expected a column a benchmark")
    return ScoreTable(tuple(models), tuple(benchmarks), np.array(rows, dtype=float), None, tuple(left_out))


def _long(
    path: Path, columns: Mapping[str, list[Any]], model: str, benchmark: str, score: str, item: str | None
) -> ScoreTable:
    models = list(dict.fromkeys(str(name).strip() for name in columns[model]))
    benchmarks = list(dict.fromkeys(str(name).strip() for name in columns[benchmark]))
    at_model = {name: at for at, name in enumerate(models)}
    cells: list[dict[tuple[int, Any], float]] = [{} for _ in benchmarks]
    at_benchmark = {name: at for at, name in enumerate(benchmarks)}
    keys = columns[item] if item is not None else [None] * len(columns[model])
    for row, (who, where, value, key) in enumerate(
        zip(columns[model], columns[benchmark], columns[score], keys, strict=True), start=1
    ):
        number = _number(float(value) if isinstance(value, bool) else value)
        if number is None:
            raise ScorecraftError(f"{path}: column '{score}', row {row} is {value!r}; expected a number")
        held = cells[at_benchmark[str(where).strip()]]
        place = (at_model[str(who).strip()], key)
        if place in held:
            what = f", item '{key}'" if item is not None else ""
            raise ScorecraftError(
                f"{path}: row {row}: model '{who}' on benchmark '{where}'{what} occurs twice"
                + ("" if item is not None else "; scores of items need a column of items: name it with --item")
            )
        held[place] = number
    scores = np.full((len(benchmarks), len(models)), np.nan)
    items = []
    for k, held in enumerate(cells):
        at_item = {key: at for at, key in enumerate(dict.fromkeys(key for _, key in held))}
        table = np.full((len(models), len(at_item)), np.nan)
        for (m, key), value in held.items():
            table[m, at_item[key]] = value
        items.append(table)
        some = ~np.isnan(table).all(1)
        scores[k, some] = np.nanmean(table[some], axis=1)
    return ScoreTable(tuple(models), tuple(benchmarks), scores, tuple(items) if item is not None else None)


def _ordered(path: Path, table: ScoreTable, order: Sequence[str]) -> ScoreTable:
    if not order:
        return table
    for name in order:
        if name not in table.benchmarks:
            raise ScorecraftError(f"{path}: no benchmark '{name}'; {nearest(name, table.benchmarks)}")
        if order.count(name) > 1:
            raise ScorecraftError(f"benchmark '{name}' stands twice in the order")
    at = [table.benchmarks.index(name) for name in order]
    items = None if table.items is None else tuple(table.items[k] for k in at)
    return table._replace(benchmarks=tuple(order), scores=table.scores[at], items=items)


def _turned(path: Path, table: ScoreTable, lower: Sequence[str]) -> ScoreTable:
    scores = table.scores.copy()
    items = None if table.items is None else list(table.items)
    for name in dict.fromkeys(lower):
        if name not in table.benchmarks:
            raise ScorecraftError(f"{path}: no benchmark '{name}'; {nearest(name, table.benchmarks)}")
        k = table.benchmarks.index(name)
        scores[k] *= -1
        if items is not None:
            items[k] = -items[k]
    return table._replace(scores=scores, items=None if items is None else tuple(items))
