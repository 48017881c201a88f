"""Files of past matches: decimal odds and what came true, in rounds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from scorecraft.decisions.lottery_tips import implied_probabilities
from scorecraft.decisions.tip_ledger import Round
from scorecraft.errors import ScorecraftError
from scorecraft.metrics.prediction_columns import coded, numbers
from scorecraft.metrics.prediction_file import PredictionFile, open_predictions

# Columns of odds of home win, draw and away win, and of the result, as they are often called.
ODDS = (("odds_1", "odds_0", "odds_2"), ("home_odds", "draw_odds", "away_odds"), ("B365H", "B365D", "B365A"))
RESULTS = ("result", "outcome", "FTR")
ROUNDS = ("round", "matchday", "coupon")
_OUTCOMES = {"1": 0, "h": 0, "home": 0, "0": 1, "x": 1, "d": 1, "draw": 1, "2": 2, "a": 2, "away": 2}


def read_rounds(
    path: Path, *, odds: Sequence[str] | None = None, result: str | None = None, round_column: str | None = None,
    matches: int = 13,
) -> list[Round]:  # fmt: skip
    """Return the rounds of a CSV, Parquet or JSON Lines file with a match in each row, in the order of the file.

    Args:
        path: the file.
        odds: columns of decimal odds of home win, draw and away win; usual ones where not given.
        result: column of what came true: 1, 0 or X, 2; H, D, A; home, draw, away.
        round_column: column that says which round a match is of; a usual one where not given, and where there is none,
            so many matches in a row make one, and those left over at the end are none.
        matches: of a round.

    Raises `ScorecraftError` for a file that cannot be read, a column that is not there, bad odds, an unknown result
    with its row, and rounds of another number of matches.
    """
    file = open_predictions(path)
    odds = _odds_columns(file, odds)
    result = _named(file, result, RESULTS, "of results")
    if round_column is None:
        round_column = next((name for name in ROUNDS if name in file.names), None)
    prices: list[np.ndarray] = []
    happened: list[int] = []
    names: list[str] = []
    for batch in file.batches([*odds, result, *([round_column] if round_column else [])]):
        first = len(happened) + 1
        prices.append(np.stack([numbers(batch.column(name), path, name, first) for name in odds], axis=1))
        places, texts = coded(batch.column(result), path, result)
        happened += [_outcome(path, texts[place], first + row, result) for row, place in enumerate(places)]
        if round_column is not None:
            places, texts = coded(batch.column(round_column), path, round_column)
            names += [texts[place] or "" for place in places]
    table = np.concatenate(prices).astype(np.float64) if prices else np.zeros((0, 3))
    if not len(table):
        raise ScorecraftError(f"{path}: no rows; expected a match in each")
    try:
        implied_probabilities(table)
    except ScorecraftError as error:
        raise ScorecraftError(f"{path}: {error}") from None
    if round_column is None:
        names = [str(row // matches + 1) for row in range(len(table) // matches * matches)]
    return _rounds(path, names, table, np.array(happened, dtype=np.int64), matches)


def _rounds(
    path: Path, names: list[str], table: np.ndarray, happened: Int64[np.ndarray, " match"], matches: int
) -> list[Round]:
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        rows.setdefault(name, []).append(row)
    if not rows:
        raise ScorecraftError(f"{path}: {len(table)} matches, fewer than the {matches} of a round")
    for name, places in rows.items():
        if len(places) != matches:
            raise ScorecraftError(f"{path}: round '{name}' has {len(places)} matches; expected {matches}")
    return [Round(name, table[places], happened[places]) for name, places in rows.items()]


def _odds_columns(file: PredictionFile, named: Sequence[str] | None) -> Sequence[str]:
    if named is not None:
        if len(named) != 3:
            raise ScorecraftError(f"odds: expected three columns, of home win, draw and away win, got {len(named)}")
        file.check(named)
        return named
    found = next((names for names in ODDS if set(names) <= set(file.names)), None)
    if found is None:
        expected = " or ".join(", ".join(names) for names in ODDS)
        raise ScorecraftError(f"{file.path}: no columns of odds: expected {expected}; it has {', '.join(file.names)}")
    return found


def _named(file: PredictionFile, named: str | None, usual: Sequence[str], what: str) -> str:
    found = named if named is not None else next((name for name in usual if name in file.names), None)
    if found is None:
        raise ScorecraftError(
            f"{file.path}: no column {what}: expected {', '.join(usual)}; it has {', '.join(file.names)}"
        )
    file.check([found])
    return found


def _outcome(path: Path, text: str | None, row: int, column: str) -> int:
    found = _OUTCOMES.get((text or "").lower())
    if found is None:
        raise ScorecraftError(f"{path}: row {row}: '{column}' is '{text or ''}'; expected 1, 0 or 2, or H, D or A")
    return found
