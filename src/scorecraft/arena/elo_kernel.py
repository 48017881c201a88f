"""Elo ratings of a list of meetings, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True)
def elo_of_meetings(
    first: Any, second: Any, first_points: Any, second_points: Any, models: int, start: float, k_factor: float
) -> Any:
    """Return the ratings after these meetings, one after the other.

    Args:
        first: who met.
        second: whom.
        first_points: what the first got, 0 to 1.
        second_points: what the second got.
        models: how many there are.
        start: rating of all at the beginning.
        k_factor: what a surprise moves.
    """
    ratings = np.full(models, start)
    for at in range(len(first)):
        a, b = first[at], second[at]
        expected = 1 / (1 + 10 ** ((ratings[b] - ratings[a]) / 400))
        ratings[a] += k_factor * (first_points[at] - expected)
        ratings[b] += k_factor * (second_points[at] - (1 - expected))
    return ratings
