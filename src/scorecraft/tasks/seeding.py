"""Random numbers by address, and a train/test split by content: the same in every process and call order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from random import Random
from typing import TypeVar

from scorecraft.errors import ScorecraftError
from scorecraft.tasks.task import Split

# One problem in this many is a test problem.
TEST_BUCKETS = 8
# With even shares, this many draws all miss the test bucket once in 10^23 times.
MOST_DRAWS = 400

Drawn = TypeVar("Drawn")


def stable_hash(*address: str | int) -> int:
    """Return a 64-bit hash of an address that does not depend on the process or the machine."""
    return int.from_bytes(hashlib.sha256(json.dumps(address).encode()).digest()[:8], "big")


def stable_random(*address: str | int) -> Random:
    """Return the random number generator that belongs to an address such as ``(name, seed, split, index)``."""
    return Random(stable_hash(*address))


def split_of(content: str) -> Split:
    """Return the split that a problem's content belongs to; one content in eight is "test", whatever the seed."""
    return "test" if stable_hash("split", content) % TEST_BUCKETS == 0 else "train"


def draw_for_split(split: Split, draw: Callable[[], Drawn], content: Callable[[Drawn], str]) -> Drawn:
    """Draw again until the content falls in the split, so that train and test never share a problem.

    Raises `ScorecraftError` where none of 400 draws does: the task has too few different problems to hold some out.
    """
    for _ in range(MOST_DRAWS):
        drawn = draw()
        if split_of(content(drawn)) == split:
            return drawn
    raise ScorecraftError(
        f"the task has too few different problems: none of {MOST_DRAWS} falls in the '{split}' split; "
        "allow larger operands or more operations"
    )
