"""Random choices that depend on nothing but a seed and names, so that two programmes can make the same ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TypeVar

from scorecraft.gossip.events import Peer

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_P = TypeVar("_P", bound=Peer)


def number_of(peer: Peer) -> int:
    """Return the number by which a peer is known to choices and ordered in lists: its own, or one of its name's digest.

    Args:
        peer: a number, or anything that is named.
    """
    if isinstance(peer, int):
        return peer
    return int.from_bytes(hashlib.blake2b(repr(peer).encode(), digest_size=7).digest(), "big")


def mixed(seed: int, *keys: int) -> int:
    """Return 64 bits of a seed and some numbers, by SplitMix64's mixing for each.

    Args:
        seed: of the step.
        keys: what is chosen about.
    """
    state = seed & _MASK
    for key in keys:
        state = (state + _GOLDEN * (key + 1)) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


def chosen(candidates: Iterable[_P], count: int, seed: int, *keys: int) -> tuple[_P, ...]:
    """Return some candidates, a random choice of all with equal chances, in the order of their numbers.

    Args:
        candidates: of whom.
        count: how many at most; none where it is not positive.
        seed: of the step.
        keys: what is chosen about.
    """
    pool = list(candidates)
    if count <= 0:
        return ()
    if len(pool) > count:
        pool.sort(key=lambda peer: mixed(seed, *keys, number_of(peer)))
        pool = pool[:count]
    return ordered(pool)


def ordered(peers: Iterable[_P]) -> tuple[_P, ...]:
    """Return peers in the order of their numbers.

    Args:
        peers: which.
    """
    return tuple(sorted(peers, key=number_of))


def median(values: Sequence[float]) -> float:
    """Return the upper median, as clients take it; zero of nothing.

    Args:
        values: of which.
    """
    return sorted(values)[len(values) // 2] if values else 0
