"""The usual ways to make one ranking of many benchmarks: means, z-scores, Borda, win rates, Bradley-Terry, Elo."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from scorecraft.arena.win_tensor import check_scores, check_wins
from scorecraft.errors import ScorecraftError

ROUNDS, RIDGE = 100, 1e-3
K_FACTOR, START = 32.0, 1000.0


def mean_score(scores: Any) -> Float64[np.ndarray, " model"]:
    """Return each model's mean score over the benchmarks it has; in the scores' own units.

    Args:
        scores: ``[benchmark, model]``, NaN where missing.

    Raises `ScorecraftError` for a table of another shape and a model without a score.
    """
    return _mean(check_scores(scores, "skip"))


def mean_z_score(scores: Any) -> Float64[np.ndarray, " model"]:
    """Return each model's mean of ``(x - mean_k) / sd_k``, with mean and deviation of benchmark k over its models.

    A benchmark on which all models are equal counts zero.

    Args:
        scores: ``[benchmark, model]``, NaN where missing.

    Raises `ScorecraftError` as `mean_score` does.
    """
    table = check_scores(scores, "skip")
    there = ~np.isnan(table)
    count = np.maximum(there.sum(1, keepdims=True), 1)
    away = table - np.where(there, table, 0).sum(1, keepdims=True) / count
    spread = np.sqrt(np.where(there, away**2, 0).sum(1, keepdims=True) / count)
    # Rounding alone must not pass for a spread.
    flat = spread <= 1e-12 * np.maximum(np.abs(np.where(there, table, 0)).max(1, keepdims=True), 1e-300)
    return _mean(np.where(flat, np.where(there, 0, np.nan), away / np.where(flat, 1, spread)))


def borda(scores: Any) -> Float64[np.ndarray, " model"]:
    """Return each model's mean share of the other models that it is above, equals counting half: 1 is always first.

    With every score there, this orders models as the mean rank does.

    Args:
        scores: ``[benchmark, model]``, NaN where missing; a model that is alone on a benchmark is not counted there.

    Raises `ScorecraftError` as `mean_score` does.

    Source: Borda 1784.
    """
    table = check_scores(scores, "skip")
    with np.errstate(invalid="ignore"):
        above = (table[:, :, None] > table[:, None, :]).sum(2) + 0.5 * (table[:, :, None] == table[:, None, :]).sum(2)
    there = ~np.isnan(table)
    others = there.sum(1, keepdims=True) - 1
    return _mean(np.where(there & (others > 0), (above - 0.5) / np.maximum(others, 1), np.nan))


def win_rate(W: Any) -> Float64[np.ndarray, " model"]:  # noqa: N803 - the tensor of the paper
    """Return each model's share of points over all its meetings, every pair meeting once on every benchmark.

    Args:
        W: ``[benchmark, model, model]``, see `scorecraft.arena.win_tensor.win_tensor`.

    Raises `ScorecraftError` for a tensor of another shape.
    """
    wins = check_wins(W, sums=False)
    played = _played(wins)
    return np.nansum(wins, (0, 2)) / np.maximum(played.sum(1), 1)


def bradley_terry(
    W: Any,  # noqa: N803 - the tensor of the paper
    *,
    ridge: float = RIDGE,
    rounds: int = ROUNDS,
) -> Float64[np.ndarray, " model"]:
    """Return log strengths under ``P(i beats j) = s_i / (s_i + s_j)``, by minorisation-maximisation; their mean is 0.

    ``s_i <- (wins_i + ridge) / (sum_j n_ij / (s_i + s_j) + 2 ridge / (s_i + 1))``: each model also has ``2 ridge``
    meetings with one of strength 1, half of them won, so that a model that wins everything stays finite.

    Args:
        W: ``[benchmark, model, model]``, see `scorecraft.arena.win_tensor.win_tensor`; a tie is half a win for both.
        ridge: see above; > 0.
        rounds: how often the strengths are renewed.

    Raises `ScorecraftError` for a tensor of another shape or a ridge that is not positive.

    Source: Bradley and Terry 1952; Hunter 2004, section 3.
    """
    wins = check_wins(W, sums=False)
    if not ridge > 0:
        raise ScorecraftError(f"ridge is {ridge}; expected a number > 0")
    played, won = _played(wins), np.nansum(wins, (0, 2))
    strength = np.ones(len(won))
    for _ in range(rounds):
        met = (played / (strength[:, None] + strength)).sum(1)
        strength = (won + ridge) / (met + 2 * ridge / (strength + 1))
    logs = np.log(strength)
    return logs - logs.mean()


def elo(
    W: Any,  # noqa: N803 - the tensor of the paper
    *,
    seed: int = 0,
    shuffles: int = 20,
    k_factor: float = K_FACTOR,
) -> Float64[np.ndarray, " model"]:
    """Return Elo ratings after every pair met on every benchmark, in random order; the mean over several orders.

    ``R_i += 32 (won - 1 / (1 + 10^((R_j - R_i) / 400)))``, from 1000.

    Args:
        W: ``[benchmark, model, model]``, see `scorecraft.arena.win_tensor.win_tensor`.
        seed: of the orders.
        shuffles: how many orders.
        k_factor: what a surprise moves.

    Raises `ScorecraftError` for a tensor of another shape.

    Source: Elo 1978; the constants are those in common use for chat models.
    """
    from scorecraft.arena.elo_kernel import elo_of_meetings

    wins = check_wins(W, sums=False)
    k, i, j = np.nonzero(~np.isnan(wins) & np.triu(np.ones(wins.shape[1:], dtype=bool), 1))
    random = np.random.default_rng(seed)
    total = np.zeros(wins.shape[1])
    for _ in range(shuffles):
        order = random.permutation(len(k))
        a, b = i[order], j[order]
        total += elo_of_meetings(a, b, wins[k[order], a, b], wins[k[order], b, a], len(total), START, k_factor)
    return total / shuffles


def _mean(table: NDArray[np.float64]) -> NDArray[np.float64]:
    there = ~np.isnan(table)
    count = there.sum(0)
    if (count == 0).any():
        raise ScorecraftError(f"model {int(np.argmin(count))} has no score that can be compared on any benchmark")
    return np.where(there, table, 0).sum(0) / count


def _played(wins: NDArray[np.float64]) -> NDArray[np.float64]:
    played = (~np.isnan(wins)).sum(0).astype(np.float64)
    np.fill_diagonal(played, 0)
    return played
