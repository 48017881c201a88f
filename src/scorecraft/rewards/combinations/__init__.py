"""Combination parts of recipes: how several rewards become one.

Every module here registers its parts when it is imported, and is named below.
"""

from scorecraft.rewards.combinations import all_of, gate, lexicographic, sums

__all__ = ["all_of", "gate", "lexicographic", "sums"]
