"""Levine's hats as a Gymnasium environment: a team reward of 0 or 1 whose best expected value is known."""

from __future__ import annotations

from typing import Any

import numpy as np

from scorecraft.decisions.levine_hats import check_hats
from scorecraft.errors import ScorecraftError, require

require("gymnasium", "decisions", "the environment of Levine's hats")
import gymnasium  # noqa: E402 - after the message that it is absent


class LevineHatsEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One round: all players see the others' hats, name one of their own, and earn 1 if all of these are black.

    Observations are ``[player, other, hat]``, 1 for black, the others of a player in their order without it; actions
    are a hat of each player, ``[player]``. An episode has one step.

    Args:
        n: players, at least 2.
        h: hats of a stack, at least 1.
        p: probability of a black hat, in [0, 1].

    Raises `ScorecraftError` for numbers out of range.

    Source: An analytical framework for the Levine hats problem, 2025, arXiv 2508.01737, for the game.
    """

    def __init__(self, n: int = 2, h: int = 3, p: float = 0.5) -> None:
        if n < 2:
            raise ScorecraftError(f"expected 2 players or more, got {n}")
        check_hats(h, p)
        self.n, self.h, self.p = n, h, p
        self.observation_space = gymnasium.spaces.MultiBinary((n, n - 1, h))
        self.action_space = gymnasium.spaces.MultiDiscrete([h] * n)
        self._stacks = np.zeros((n, h), dtype=np.int8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw new stacks; return what each player sees."""
        super().reset(seed=seed, options=options)
        self._stacks = (self.np_random.random((self.n, self.h)) < self.p).astype(np.int8)
        return self._seen(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Return the reward of the named hats; raises `ScorecraftError` for a hat that a stack does not have."""
        named = np.asarray(action)
        if named.shape != (self.n,) or named.min() < 0 or named.max() >= self.h:
            raise ScorecraftError(
                f"expected a hat 0 to {self.h - 1} for each of {self.n} players, got {named.tolist()}"
            )
        black = self._stacks[np.arange(self.n), named]
        return self._seen(), float(black.all()), True, False, {"black": black.tolist()}

    def _seen(self) -> np.ndarray:
        return np.stack([np.delete(self._stacks, player, axis=0) for player in range(self.n)])
