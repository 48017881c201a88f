"""Levine's hats with endless stacks: look at a block of hats, and at the next one where it is of one colour."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from scorecraft.catalog.implements import implements
from scorecraft.decisions.levine_hats import HALF, Probability, check_hats, hats, search_pair, stack_weights
from scorecraft.errors import ScorecraftError

# Best tables that alternating best responses find at p = 1/2: hats from 0, for the mixed patterns in increasing order.
TABLES = {
    3: ("022101", "101220"),
    5: ("131013141314131443244304432443", "030403044314431203000304432443"),
}


class BlockStrategy(NamedTuple):
    """Tables of both players for mixed blocks, in increasing order of their patterns.

    f: the first player's hat by the second's block; g: the reverse. W: probability that both blocks are mixed and both
    named hats black. value: of the strategy with endless stacks.
    """

    block: int
    p: Fraction | float
    f: Int64[np.ndarray, " pattern"]
    g: Int64[np.ndarray, " pattern"]
    W: Fraction | float
    value: Fraction | float


class Played(NamedTuple):
    """The hats that were named, and whether both were black."""

    first: int
    second: int
    won: bool


@implements("levine-hats")
def block_value(W: Probability, b: int, p: Probability = HALF) -> Fraction | float:  # noqa: N803 - the paper's letter
    """Return the value of a block strategy, ``(W + 2 p P1 (1 - R)) / (1 - R^2)``.

    With ``P1 = p^b`` and ``P0 = (1-p)^b`` the chances of a block all black or all white, and R their sum. Both mixed:
    W. Both of one colour: again, with the next blocks. One all black, the other mixed: the player who sees black looks
    on and names a later hat, black with probability p, and the other's hat in the black block is black for certain.

    Args:
        W: probability that both blocks are mixed and both named hats black.
        b: hats of a block, at least 2.
        p: probability of a black hat, in (0, 1).

    Raises `ScorecraftError` for numbers out of range.

    Source: An analytical framework for the Levine hats problem, 2025, arXiv 2508.01737, recursive block strategies; the
    closed form is derived here.
    """
    check_hats(b, p)
    if b < 2 or not 0 < p < 1:
        raise ScorecraftError(f"expected blocks of 2 hats or more and p between 0 and 1, got {b} and {p}")
    black = p**b
    repeated = black + (1 - p) ** b
    return (W + 2 * p * black * (1 - repeated)) / (1 - repeated**2)


@implements("levine-hats")
def block_strategy(b: int, p: Probability = HALF, restarts: int = 500, seed: int = 0) -> BlockStrategy:
    """Return the best block strategy that alternating best responses find.

    Args:
        b: hats of a block, 2 or more.
        p: probability of a black hat, in (0, 1); tables for one p are not the best ones for another.
        restarts: random starts.
        seed: of them.

    Raises `ScorecraftError` for numbers out of range.

    Source: arXiv 2508.01737, the strategy K_5 (in later versions S_5); its tables are searched for here.
    """
    block_value(p, b, p)
    black = _mixed(b)
    f, g = search_pair(black, stack_weights(black, p), restarts, np.random.default_rng(seed))
    return block_strategy_of(f, g, b, p)


def known_block_strategy(b: Literal[3, 5], p: Probability = HALF) -> BlockStrategy:
    """Return the block strategy with the tables kept here, of value 7/20 at p = 1/2.

    Args:
        b: 3 or 5.
        p: probability of a black hat.

    Raises `ScorecraftError` for other blocks.

    Source: arXiv 2508.01737 for the value; the tables are this project's.
    """
    if b not in TABLES:
        raise ScorecraftError(f"b: tables are kept for blocks of {' and '.join(map(str, TABLES))}, got {b}")
    f, g = (np.array([int(hat) for hat in table]) for table in TABLES[b])
    return block_strategy_of(f, g, b, p)


def block_strategy_of(
    f: Int64[np.ndarray, " pattern"], g: Int64[np.ndarray, " pattern"], b: int, p: Probability = HALF
) -> BlockStrategy:
    """Return a block strategy with given tables and its value.

    Args:
        f: the first player's hat by the second's mixed block, in increasing order of patterns.
        g: the reverse.
        b: hats of a block.
        p: probability of a black hat.

    Raises `ScorecraftError` for tables of another length or hats that a block does not have.
    """
    black = _mixed(b)
    for name, table in (("f", f), ("g", g)):
        if table.shape != (len(black),) or table.min() < 0 or table.max() >= b:
            raise ScorecraftError(f"{name}: expected hats 0 to {b - 1} for {len(black)} mixed blocks")
    wins = black[:, f] & black[:, g].T
    ones = black.sum(1)
    counts = np.bincount((ones[:, None] + ones)[wins], minlength=2 * b + 1).tolist()
    won = sum(
        (count * p**k * (1 - p) ** (2 * b - k) for k, count in enumerate(counts) if count),
        Fraction(0) if isinstance(p, Fraction) else 0.0,
    )
    return BlockStrategy(b, p, f, g, won, block_value(won, b, p))


@implements("levine-hats")
def play(strategy: BlockStrategy, first: Bool[np.ndarray, " hat"], second: Bool[np.ndarray, " hat"]) -> Played:
    """Return what both players name, each seeing the other's stack, and whether they win.

    A player looks for the first mixed block of the other's stack and names a hat of the same block of the own one.
    Where the stack ends before, it is the first hat of what remains, or hat 0 where nothing does.

    Args:
        strategy: of both.
        first: black hats of the first player's stack.
        second: of the second's, as many.

    Raises `ScorecraftError` for stacks of unequal or no height.

    Source: arXiv 2508.01737.
    """
    if len(first) != len(second) or not len(first):
        raise ScorecraftError(f"expected two stacks of one height, at least 1, got {len(first)} and {len(second)}")
    named = (_named(strategy, strategy.f, second), _named(strategy, strategy.g, first))
    return Played(*named, bool(first[named[0]] and second[named[1]]))


def _named(strategy: BlockStrategy, table: Int64[np.ndarray, " pattern"], seen: Bool[np.ndarray, " hat"]) -> int:
    b = strategy.block
    for start in range(0, len(seen) - b + 1, b):
        block = seen[start : start + b]
        if block.any() and not block.all():
            pattern = int(block @ (1 << np.arange(b - 1, -1, -1)))
            return start + int(table[pattern - 1])
    rest = len(seen) // b * b
    return rest if rest < len(seen) else 0


def _mixed(b: int) -> Bool[np.ndarray, "pattern hat"]:
    return hats(b)[1:-1]
