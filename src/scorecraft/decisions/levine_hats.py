"""Levine's hats: players who see every stack of hats but their own each name one of theirs, and all must be black.

A stack of h hats is a number below ``2^h`` whose most significant bit is the first hat, 1 for black. A strategy of one
of n players is an array of hats, 0 to h - 1, by what the n - 1 others wear, in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from scorecraft.catalog.implements import implements
from scorecraft.errors import ScorecraftError

Probability = Fraction | float
HALF = Fraction(1, 2)
# Strategies and stacks that are tried one by one, at most.
MOST_TRIED, MOST_STACKS = 10_000, 2**26
RESTARTS_AT_ONCE = 256


class Pair(NamedTuple):
    """Strategies of two players and the probability that both name a black hat."""

    f: Int64[np.ndarray, " view"]
    g: Int64[np.ndarray, " view"]
    value: Fraction | float


def hats(height: int) -> Bool[np.ndarray, "stack hat"]:
    """Return which hats of each stack are black.

    Args:
        height: hats of a stack, at least 1.
    """
    check_hats(height, HALF)
    return (np.arange(2**height)[:, None] >> np.arange(height - 1, -1, -1) & 1).astype(np.bool_)


@implements("levine-hats")
def win_prob_finite(fs: Sequence[Int64[np.ndarray, ...]], h: int, p: Probability = HALF) -> Fraction | float:
    """Return the probability that every player names a black hat, over all stacks of h hats.

    Args:
        fs: strategy of each of n players, at least 2, of shape ``(2^h,) * (n - 1)``.
        h: hats of a stack.
        p: probability of a black hat, in [0, 1]; the result is exact for a `Fraction`.

    Raises `ScorecraftError` for h below 1, fewer than 2 players, p outside [0, 1], a hat that a stack does not have, a
    strategy that does not cover all views, and more stacks than can be tried.

    Source: An analytical framework for the Levine hats problem, 2025, arXiv 2508.01737, the value of finite stacks.
    """
    check_hats(h, p)
    n, stacks = len(fs), 2**h
    if n < 2:
        raise ScorecraftError(f"expected 2 players or more, got {n}")
    if stacks**n > MOST_STACKS:
        raise ScorecraftError(f"{n} stacks of {h} hats are {stacks**n:,} cases, more than the {MOST_STACKS:,} tried")
    black = hats(h)
    wins = np.ones((stacks,) * n, dtype=np.bool_)
    for player, f in enumerate(fs):
        named = np.asarray(f)
        if named.shape != (stacks,) * (n - 1):
            raise ScorecraftError(
                f"player {player}: expected a hat for each view {(stacks,) * (n - 1)}, got {named.shape}"
            )
        if named.size and (named.min() < 0 or named.max() >= h):
            raise ScorecraftError(f"player {player}: expected hats 0 to {h - 1}, got {named.min()} to {named.max()}")
        # Along the player's own axis: whether the named hat of each own stack is black.
        wins &= np.moveaxis(black[:, named], 0, player)
    ones = black.sum(1)
    total = ones.reshape((stacks,) + (1,) * (n - 1))
    for axis in range(1, n):
        total = total + ones.reshape((1,) * axis + (stacks,) + (1,) * (n - 1 - axis))
    counts = np.bincount(total[wins].ravel(), minlength=n * h + 1).tolist()
    return _weighed(counts, n * h, p)


def _weighed(counts: Sequence[int], hats_in_all: int, p: Probability) -> Fraction | float:
    terms = [count * p**k * (1 - p) ** (hats_in_all - k) for k, count in enumerate(counts) if count]
    return sum(terms, Fraction(0) if isinstance(p, Fraction) else 0.0)


@implements("levine-hats")
def best_response(
    f: Int64[np.ndarray, " view"], h: int, p: Probability = HALF
) -> tuple[Int64[np.ndarray, " view"], Fraction | float]:
    """Return the second player's best strategy against the first one's, and its value.

    ``g(x) = argmax_k sum_y w(y) x[f(y)] y[k]``: with the first wearing x, how often does it win and the k-th hat of the
    second, y, is black.

    Args:
        f: the first player's hat by the second's stack.
        h: hats of a stack.
        p: probability of a black hat.

    Raises `ScorecraftError` as `win_prob_finite` does.

    Source: arXiv 2508.01737, best responses in the integral form.
    """
    check_hats(h, p)
    named = np.asarray(f)
    if named.shape != (2**h,) or named.min() < 0 or named.max() >= h:
        raise ScorecraftError(f"f: expected hats 0 to {h - 1} for {2**h} views, got shape {named.shape}")
    black = hats(h)
    gains = _gains(black, named[None], stack_weights(black, p))[0]
    g = gains.argmax(1)
    return g, win_prob_finite((named, g), h, p)


@implements("levine-hats")
def alternating_br(h: int, p: Probability = HALF, restarts: int = 200, seed: int = 0) -> Pair:
    """Return the best pair of strategies that alternating best responses find from random starts.

    Each response is at least as good as what it answers, so a start ends in a pair that neither player alone can
    better; equally good hats are chosen at random.

    Args:
        h: hats of a stack.
        p: probability of a black hat.
        restarts: random starts.
        seed: of them.

    Raises `ScorecraftError` as `win_prob_finite` does, and for fewer than 1 start.

    Source: arXiv 2508.01737; the search is customary.
    """
    check_hats(h, p)
    black = hats(h)
    f, g = search_pair(black, stack_weights(black, p), restarts, np.random.default_rng(seed))
    return Pair(f, g, win_prob_finite((f, g), h, p))


@implements("levine-hats")
def exact_value(h: int, *, force: bool = False) -> Fraction:
    """Return the best probability of two players with stacks of h hats, by trying every strategy of the first.

    Args:
        h: hats of a stack.
        force: whether to try more than 10,000 strategies.

    Raises `ScorecraftError` for too many strategies unless ``force``.

    Source: arXiv 2508.01737; V_{2,1} = 1/4, V_{2,2} = 5/16, V_{2,3} = 22/64.
    """
    check_hats(h, HALF)
    tried = h ** (2**h)
    if tried > MOST_TRIED and not force:
        raise ScorecraftError(
            f"stacks of {h} hats have {tried:,} strategies; force=True tries them all, alternating_br finds good ones"
        )
    black, views = hats(h), 2**h
    best, weights = 0, np.ones(views, dtype=np.int64)
    for start in range(0, tried, RESTARTS_AT_ONCE):
        numbers = np.arange(start, min(start + RESTARTS_AT_ONCE, tried))
        fs = numbers[:, None] // h ** np.arange(views) % h
        best = max(best, int(_gains(black, fs, weights).max(2).sum(1).max()))
    return Fraction(best, 4**h)


def first_white(h: int) -> Int64[np.ndarray, " view"]:
    """Return the strategy of naming the place of the partner's first white hat, the first where there is none.

    With endless stacks both do so with the value 1/3 at p = 1/2.

    Args:
        h: hats of a stack.
    """
    black = hats(h)
    return np.where(black.all(1), 0, (~black).argmax(1))


def first_white_bound(n: int) -> tuple[int, Fraction]:
    """Return the best k and ``(1 - 2^-k)^n / k``, what n players reach by guessing the sum of first whites modulo k.

    Args:
        n: number of players, at least 2.

    Raises `ScorecraftError` for fewer than 2.

    Source: Buhler et al., 2014, On Levine's notorious hat puzzle, arXiv 1407.4711.
    """
    if n < 2:
        raise ScorecraftError(f"expected 2 players or more, got {n}")
    found = {k: (1 - Fraction(1, 2**k)) ** n / k for k in range(1, 4 + 2 * n.bit_length())}
    best = max(found, key=lambda k: found[k])
    return best, found[best]


def continuous_set(n: int) -> Callable[[Float64[np.ndarray, "*game player"]], Bool[np.ndarray, "*game"]]:
    """Return the set that wins with endless stacks whose hats are all sets of measure 1/2: ``frac(x_1 + ... + x_n) <
    1/2``.

    Each player names the half of the own stacks that puts the sum there; all are right at once, with probability 1/2.

    Args:
        n: number of players, at least 2.

    Raises `ScorecraftError` for fewer than 2.

    Source: arXiv 2508.01737, the generalisation to uncountably many hats.
    """
    if n < 2:
        raise ScorecraftError(f"expected 2 players or more, got {n}")

    def wins(x: Float64[np.ndarray, "*game player"]) -> Bool[np.ndarray, "*game"]:
        if x.shape[-1] != n:
            raise ScorecraftError(f"expected {n} players along the last axis, got {x.shape[-1]}")
        return x.sum(-1) % 1 < 0.5

    return wins


def continuous_best_response(
    won: Bool[np.ndarray, "own other"], random: np.random.Generator
) -> tuple[Bool[np.ndarray, "own other"], float]:
    """Return the other player's best halves against a set, on a grid, and their value ``mean_x min(1/2, share of row
    x)``.

    Args:
        won: where the first player is right, by own and other stack; its columns are halves.
        random: chooses what is left of each half.

    Raises `ScorecraftError` for a grid that is no square of an even side.

    Source: arXiv 2508.01737, best responses of the generalised game.
    """
    size = len(won)
    if won.shape != (size, size) or size % 2 or not size:
        raise ScorecraftError(f"expected a square grid of an even side, got {won.shape}")
    order = np.argsort(-(won + random.random(won.shape) / 2), axis=1)
    half = np.zeros_like(won)
    np.put_along_axis(half, order[:, : size // 2], True, axis=1)
    return half, float((half & won).mean())


def _gains(
    black: Bool[np.ndarray, "stack hat"],
    fs: Int64[np.ndarray, "start view"],
    weights: Float64[np.ndarray, " view"] | Int64[np.ndarray, " view"],
) -> Float64[np.ndarray, "start stack hat"] | Int64[np.ndarray, "start stack hat"]:
    """Return ``sum_y w(y) x[f(y)] y[k]`` of each start, own stack x and hat k."""
    hit = black[:, fs].swapaxes(0, 1) * weights
    return hit @ (black * np.ones_like(weights[:, None]))


def stack_weights(black: Bool[np.ndarray, "stack hat"], p: Probability) -> Float64[np.ndarray, " stack"]:
    """Return the probability of each stack.

    Args:
        black: which hats are black.
        p: probability of a black hat.
    """
    ones = black.sum(1)
    return float(p) ** ones * (1 - float(p)) ** (black.shape[1] - ones)


def search_pair(
    black: Bool[np.ndarray, "stack hat"],
    weights: Float64[np.ndarray, " stack"],
    restarts: int,
    random: np.random.Generator,
) -> tuple[Int64[np.ndarray, " stack"], Int64[np.ndarray, " stack"]]:
    """Return the pair with the largest ``sum_xy w(x) w(y) x[f(y)] y[g(x)]`` that alternating best responses find.

    Args:
        black: which hats of each stack, or block, are black.
        weights: of the stacks.
        restarts: random starts.
        random: of the starts, and of ties.

    Raises `ScorecraftError` for fewer than 1 start.
    """
    if restarts < 1:
        raise ScorecraftError(f"restarts: expected at least 1, got {restarts}")
    best = (-1.0, np.zeros(len(black), dtype=np.int64), np.zeros(len(black), dtype=np.int64))
    # Below any difference between gains of a thousand views, so that ties alone are broken by it.
    slack = 1e-9 * float(weights.max())
    for start in range(0, restarts, RESTARTS_AT_ONCE):
        f = random.integers(black.shape[1], size=(min(RESTARTS_AT_ONCE, restarts - start), len(black)))
        value = np.full(len(f), -1.0)
        while True:
            gains = _gains(black, f, weights)
            answer = (gains + slack * random.random(gains.shape)).argmax(2)
            new = (np.take_along_axis(gains, answer[:, :, None], 2)[:, :, 0] * weights).sum(1)
            better = new > value + 1e-12 * float(weights.max()) ** 2
            place = int(new.argmax())
            if new[place] > best[0]:
                best = (float(new[place]), f[place].copy(), answer[place].copy())
            if not better.any():
                break
            # The answer is answered in turn; by symmetry with the same gains.
            f, value = answer[better], new[better]
    return best[1], best[2]


def check_hats(h: int, p: Probability) -> None:
    """Raise `ScorecraftError` for fewer than 1 hat, or p outside [0, 1].

    Args:
        h: hats of a stack.
        p: probability of a black hat.
    """
    if h < 1:
        raise ScorecraftError(f"h: expected 1 hat or more, got {h}")
    if not 0 <= p <= 1:
        raise ScorecraftError(f"p: expected a probability in [0, 1], got {p}")
