"""Files of pass rates: one line a prompt, with its rate or its counts, or one line a sample that was right or not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from scorecraft.errors import ScorecraftError, nearest
from scorecraft.metrics.prediction_columns import coded, numbers
from scorecraft.metrics.prediction_file import PredictionFile, open_predictions

RATES = ("pass_rate", "rate", "accuracy", "p")
RIGHT = ("correct", "passed", "right", "solved", "reward", "label", "score")
TRIALS = ("samples", "trials", "n", "attempts", "total")
PROMPTS = ("prompt", "prompt_id", "problem", "problem_id", "question", "task", "id")


class PassRates(NamedTuple):
    """Prompts by name, the share of their samples that was right, and how many there were; None where not known."""

    names: tuple[str, ...]
    rate: Float64[np.ndarray, " prompt"]
    trials: Float64[np.ndarray, " prompt"] | None


def read_pass_rates(
    path: Path, *, prompt: str | None = None, rate: str | None = None, correct: str | None = None,
    samples: str | None = None,
) -> PassRates:  # fmt: skip
    """Return the pass rate of each prompt in a CSV, Parquet or JSON Lines file.

    Three kinds are told apart by their columns: a rate in each row, with or without the number of samples; counts of
    right samples and of samples; or a row for each sample with its prompt and whether it was right.

    Args:
        path: the file.
        prompt: column of the prompt or its name; a usual one where not given.
        rate: column of the rate.
        correct: column of right samples: counts beside ``samples``, else 0 or 1 in each row.
        samples: column of the number of samples.

    Raises `ScorecraftError` for a file that cannot be read or is empty, a column that is not there, numbers out of
    range and a prompt that occurs twice with a rate.
    """
    file = open_predictions(path)
    rate = _column(file, rate, RATES if correct is None else ())
    correct = None if rate is not None else _column(file, correct, RIGHT)
    samples = _column(file, samples, TRIALS)
    prompt = _column(file, prompt, PROMPTS)
    value = rate or correct
    if value is None:
        raise ScorecraftError(
            f"{path}: no column of pass rates: expected one of {', '.join(RATES)}, or {RIGHT[0]} with {TRIALS[0]}, or "
            f"{PROMPTS[0]} with {RIGHT[0]}; {nearest(RATES[0], file.names)}"
        )
    names, values, counts = _read(file, value, samples, prompt)
    if rate is None and samples is None:
        return _grouped(path, names, values, value, prompt)
    if samples is None:
        counts = None
    elif rate is None:
        values = _shares(path, values, counts, value, samples)
    _check_range(path, values, value)
    twice = len(names) - len(set(names))
    if twice:
        seen = next(name for name in names if names.count(name) > 1)
        raise ScorecraftError(f"{path}: '{seen}' occurs more than once in '{prompt}'; expected one row for each prompt")
    return PassRates(tuple(names), values, counts)


def _column(file: PredictionFile, named: str | None, usual: Sequence[str]) -> str | None:
    if named is not None:
        file.check([named])
        return named
    return next((name for name in usual if name in file.names), None)


def _read(
    file: PredictionFile, value: str, samples: str | None, prompt: str | None
) -> tuple[list[str], Float64[np.ndarray, " row"], Float64[np.ndarray, " row"]]:
    names: list[str] = []
    values: list[Float64[np.ndarray, " row"]] = []
    counts: list[Float64[np.ndarray, " row"]] = []
    for batch in file.batches([name for name in (value, samples, prompt) if name is not None]):
        first = len(names) + 1
        values.append(numbers(batch.column(value), file.path, value, first).astype(np.float64))
        counts.append(
            np.ones(batch.num_rows) if samples is None
            else numbers(batch.column(samples), file.path, samples, first).astype(np.float64)
        )  # fmt: skip
        if prompt is None:
            names += [f"row {first + place}" for place in range(batch.num_rows)]
        else:
            places, texts = coded(batch.column(prompt), file.path, prompt)
            names += [texts[place] or "" for place in places]
    if not names:
        raise ScorecraftError(f"{file.path}: no rows; expected one or more prompts")
    return names, np.concatenate(values), np.concatenate(counts)


def _grouped(
    path: Path, names: list[str], values: Float64[np.ndarray, " row"], value: str, prompt: str | None
) -> PassRates:
    if prompt is None:
        raise ScorecraftError(
            f"{path}: '{value}' without a number of samples needs a column that says which prompt a row is of: one of "
            f"{', '.join(PROMPTS)}"
        )
    if not np.isin(values, (0, 1)).all():
        row = int(np.flatnonzero(~np.isin(values, (0, 1)))[0])
        raise ScorecraftError(
            f"{path}: row {row + 1}: '{value}' is {values[row]:g}; expected 0 or 1, or a number of samples beside it"
        )
    known = {name: place for place, name in enumerate(dict.fromkeys(names))}
    places = np.array([known[name] for name in names])
    trials = np.bincount(places).astype(np.float64)
    return PassRates(tuple(known), np.bincount(places, values) / trials, trials)


def _shares(
    path: Path, right: Float64[np.ndarray, " row"], counts: Float64[np.ndarray, " row"], value: str, samples: str
) -> Float64[np.ndarray, " row"]:
    bad = (counts < 1) | (right > counts) | (right < 0)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ScorecraftError(
            f"{path}: row {row + 1}: {right[row]:g} '{value}' of {counts[row]:g} '{samples}'; expected at most "
            "as many, and 1 sample or more"
        )
    return right / counts


def _check_range(path: Path, values: Float64[np.ndarray, " row"], value: str) -> None:
    bad = ~((values >= 0) & (values <= 1))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ScorecraftError(f"{path}: row {row + 1}: '{value}' is {values[row]:g}; expected a rate in [0, 1]")
