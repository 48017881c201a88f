"""Who beats whom on which benchmark: the tensor that pairwise rankings are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from scorecraft.catalog.implements import implements
from scorecraft.errors import ScorecraftError, nearest

Ties: TypeAlias = Literal["half", "none", "coin"]
Missing: TypeAlias = Literal["error", "loss", "skip"]


@implements("swiss-ranking")
def win_tensor(
    scores: Any,
    ties: Ties = "half",
    margin: float = 0.0,
    *,
    missing: Missing = "error",
    seed: int = 0,
) -> Float64[np.ndarray, "benchmark model model"]:
    """Return who beats whom: ``W[k, i, j]`` is 1 if model i is above model j on benchmark k, else 0.

    Args:
        scores: ``[benchmark, model]``, higher is better, in any unit: only their order counts.
        ties: what both models get for equal scores: "half" a point each, "none", or a "coin" that is tossed once.
        margin: scores that differ by no more than this are equal, in the unit of the scores.
        missing: a NaN is an "error", a "loss" against every model that has a score, or lets the model "skip" the
            benchmark, which the tensor marks by NaN in its row and column.
        seed: of the coin.

    Raises `ScorecraftError` for a table of another shape, fewer than two models, and a missing score that is not
    allowed.

    Source: arXiv 2512.21010, section 3; ties, margins and missing scores are this project's.
    """
    table = check_scores(scores, missing)
    _choice("ties", ties, get_args(Ties))
    if not (margin >= 0 and np.isfinite(margin)):
        raise ScorecraftError(f"margin is {margin}; expected a number that is not negative")
    there = ~np.isnan(table)
    filled = np.where(there, table, -np.inf)
    with np.errstate(invalid="ignore"):
        gap = filled[:, :, None] - filled[:, None, :]
    # Two infinities differ by NaN: both are missing, and so equal.
    gap[np.isnan(gap)] = 0
    wins = (gap > margin).astype(np.float64)
    equal = np.abs(gap) <= margin
    if ties == "half":
        wins[equal] = 0.5
    elif ties == "coin":
        tossed = np.triu(np.random.default_rng(seed).integers(2, size=gap.shape), 1)
        tossed += np.tril(1 - tossed.transpose(0, 2, 1), -1)
        wins = np.where(equal, tossed, wins)
    diagonal = np.arange(table.shape[1])
    wins[:, diagonal, diagonal] = 0
    if missing == "skip":
        wins[~there] = np.nan
        wins.transpose(0, 2, 1)[~there] = np.nan
    return wins


@implements("swiss-ranking")
def win_tensor_bootstrap(
    item_scores: Sequence[Any], rng: np.random.Generator, ties: Ties = "half", margin: float = 0.0
) -> Float64[np.ndarray, "benchmark model model"]:
    """Return who beats whom in the means over items that are drawn anew, with repetition, on each benchmark.

    Args:
        item_scores: of each benchmark an array ``[model, item]``; models share the items that are drawn.
        rng: draws the items.
        ties: see `win_tensor`.
        margin: see `win_tensor`.

    Raises `ScorecraftError` for a benchmark without items, a NaN, or another number of models.

    Source: arXiv 2512.21010; resampling the items is this project's.
    """
    return win_tensor(resampled_means(item_scores, rng), ties, margin, seed=int(rng.integers(2**32)))


def resampled_means(item_scores: Sequence[Any], rng: np.random.Generator) -> Float64[np.ndarray, "benchmark model"]:
    """Return each model's mean on each benchmark over items drawn with repetition.

    Args:
        item_scores: see `win_tensor_bootstrap`.
        rng: draws the items.

    Raises `ScorecraftError` as `win_tensor_bootstrap` does.
    """
    means = []
    for k, one in enumerate(item_scores):
        items = np.asarray(one, dtype=np.float64)
        if items.ndim != 2 or items.shape[1] == 0:
            raise ScorecraftError(f"item_scores[{k}]: expected an array [model, item], got shape {list(items.shape)}")
        if means and len(items) != len(means[0]):
            raise ScorecraftError(f"item_scores[{k}] has {len(items)} models; expected {len(means[0])}, as before it")
        drawn = rng.integers(items.shape[1], size=items.shape[1])
        means.append(items @ (np.bincount(drawn, minlength=items.shape[1]) / items.shape[1]))
    return check_scores(np.array(means), "error")


def check_scores(scores: Any, missing: Missing = "error") -> Float64[np.ndarray, "benchmark model"]:
    """Return a table of scores as floats.

    Args:
        scores: ``[benchmark, model]``.
        missing: see `win_tensor`.

    Raises `ScorecraftError` as `win_tensor` does.
    """
    _choice("missing", missing, get_args(Missing))
    try:
        table = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ScorecraftError(f"scores: expected numbers in a table [benchmark, model] ({error})") from error
    if table.ndim != 2 or table.shape[0] < 1 or table.shape[1] < 2:
        raise ScorecraftError(
            f"scores: expected a table [benchmark, model] of at least 1 benchmark and 2 models, got shape "
            f"{list(table.shape)}"
        )
    if np.isinf(table).any():
        k, m = np.argwhere(np.isinf(table))[0]
        raise ScorecraftError(
            f"scores[{k}, {m}] is {table[k, m]}; expected a finite number, or NaN where it is missing"
        )
    if missing == "error" and np.isnan(table).any():
        k, m = np.argwhere(np.isnan(table))[0]
        raise ScorecraftError(
            f"scores[{k}, {m}] is missing: choose missing='loss' (it loses to all that have one) or 'skip' (it sits "
            "that benchmark out)"
        )
    return table


def check_wins(wins: Any, *, sums: bool = True) -> Float64[np.ndarray, "benchmark model model"]:
    """Return a win tensor as floats.

    Args:
        wins: ``[benchmark, model, model]``.
        sums: whether the two entries of a pair have to add up to one.

    Raises `ScorecraftError` for another shape, entries other than 0, 1/2 and 1, and pairs that do not add up.
    """
    W = np.asarray(wins, dtype=np.float64)  # noqa: N806 - the tensor of the paper
    if W.ndim != 3 or W.shape[1] != W.shape[2] or W.shape[0] < 1 or W.shape[1] < 2:
        raise ScorecraftError(
            f"W: expected [benchmark, model, model] with at least 1 benchmark and 2 models, got shape {list(W.shape)}; "
            "win_tensor makes it from scores"
        )
    there = ~np.isnan(W)
    if not np.isin(W[there], (0.0, 0.5, 1.0)).all():
        raise ScorecraftError("W: expected entries 0, 0.5 and 1, or NaN where a model sits out")
    total = W + W.transpose(0, 2, 1)
    away = ~np.eye(W.shape[1], dtype=bool) & there
    if sums and (total[away] != 1).any():
        k, i, j = np.argwhere(away & (total != 1))[0]
        raise ScorecraftError(
            f"W[{k}, {i}, {j}] + W[{k}, {j}, {i}] is {total[k, i, j]}; expected 1 (ties='none' must be "
            "given to csd as well)"
        )
    return W


def sitting_out(wins: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which models skip which benchmarks, ``[benchmark, model]``."""
    return np.isnan(np.diagonal(wins, axis1=1, axis2=2))


def _choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ScorecraftError(f"no {name} '{value}': {nearest(value, allowed)}")
