"""Games of paid information: agents choose hidden efforts, report private signals, and the truth is seen afterwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from scorecraft.catalog.implements import implements
from scorecraft.errors import ScorecraftError

SUM_TOLERANCE = 1e-9


@implements("information-acquisition")
@dataclass(frozen=True)
class InfoGame:
    """Agents, what their efforts bring and cost, and what a decision is worth.

    P: ``[b_1, ..., b_n, s_1, ..., s_n, theta]``, joint probability of all signals and the state under joint effort b.
    u: ``[action, theta]``, what an action is worth. cost: of each agent's efforts, in the unit of u.

    Raises `ScorecraftError` for shapes that do not fit, probabilities that are none or do not add up to one, a prior of
    the state that differs between efforts, and costs that are negative; each names the effort profile b.
    """

    P: Float64[np.ndarray, "*efforts_signals state"]
    u: Float64[np.ndarray, "action state"]
    cost: tuple[Float64[np.ndarray, " effort"], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "cost", tuple(_numbers(f"cost[{i}]", c, 1) for i, c in enumerate(self.cost)))
        object.__setattr__(self, "P", _numbers("P", self.P, 2 * len(self.cost) + 1))
        object.__setattr__(self, "u", _numbers("u", self.u, 2))
        _check(self)

    @property
    def agents(self) -> int:
        """How many agents there are."""
        return len(self.cost)

    @property
    def efforts(self) -> tuple[int, ...]:
        """How many efforts each agent has."""
        return self.P.shape[: self.agents]

    @property
    def signals(self) -> tuple[int, ...]:
        """How many signals each agent can see."""
        return self.P.shape[self.agents : -1]

    @property
    def states(self) -> int:
        """How many states there are."""
        return self.P.shape[-1]

    def profiles(self) -> list[tuple[int, ...]]:
        """Return every joint effort, in the order of flattened arrays."""
        return list(product(*(range(count) for count in self.efforts)))

    def decision(self) -> Int64[np.ndarray, "*efforts_signals"]:
        """Return the best action for every joint effort and joint signal, the first of equals."""
        return np.argmax(self.P @ self.u.T, axis=-1)

    def value(self) -> Float64[np.ndarray, "*efforts"]:
        """Return what obedient and truthful agents are worth before they are paid: ``sum_s max_a sum_t P u``."""
        worth = (self.P @ self.u.T).max(-1)
        return worth.reshape(*self.efforts, -1).sum(-1)


def accuracy_game(
    accuracy: Sequence[Sequence[float]],
    cost: Sequence[Sequence[float]],
    prior: Sequence[float] = (0.5, 0.5),
    u: Any = None,
    *,
    common_noise: bool = False,
) -> InfoGame:
    """Return a game of two states whose signals name the state, right with a chance that depends on the effort.

    Args:
        accuracy: chance of a right signal, of each agent and effort.
        cost: of each agent and effort.
        prior: of the two states.
        u: ``[action, state]``; one for the action that names the state where not given.
        common_noise: errors come from one draw for all: an agent errs where that draw is above its accuracy, so that
            two of equal accuracy err together, but one who only flips a coin (accuracy 1/2) has a draw of its own.

    Raises `ScorecraftError` as `InfoGame` does.

    Source: arXiv 2307.06210, section 3, has games with and without gain from correlation; this form is this project's.
    """
    for i, row in enumerate(accuracy):
        for value in row:
            if not 0 <= value <= 1:
                raise ScorecraftError(f"accuracy of agent {i}: {value} is no probability; expected 0 to 1")
    if len(prior) != 2 or not math.isclose(sum(prior), 1, abs_tol=SUM_TOLERANCE) or min(prior) < 0:
        raise ScorecraftError(f"prior is {list(prior)}; expected two probabilities that add up to 1")
    efforts, agents = tuple(len(row) for row in accuracy), len(accuracy)
    table = np.zeros((*efforts, *([2] * agents), 2))
    for b in product(*(range(count) for count in efforts)):
        right = [accuracy[i][b[i]] for i in range(agents)]
        for correct in product((0, 1), repeat=agents):
            chance = _joint(right, correct, common_noise=common_noise)
            for theta in (0, 1):
                seen = tuple(theta if one else 1 - theta for one in correct)
                table[(*b, *seen, theta)] += prior[theta] * chance
    return InfoGame(table, np.eye(2) if u is None else u, tuple(np.asarray(row, dtype=float) for row in cost))


def _joint(right: Sequence[float], correct: Sequence[int], *, common_noise: bool) -> float:
    """Return the probability that exactly these agents are right."""
    shared = [i for i, q in enumerate(right) if common_noise and q != 0.5]
    chance = math.prod(
        (q if one else 1 - q) for i, (q, one) in enumerate(zip(right, correct, strict=True)) if i not in shared
    )
    if not shared:
        return chance
    # One uniform draw: right are those whose accuracy is above it.
    low = max((right[i] for i in shared if not correct[i]), default=0.0)
    high = min((right[i] for i in shared if correct[i]), default=1.0)
    return chance * max(0.0, high - low)


def _numbers(name: str, value: Any, dimensions: int) -> NDArray[np.float64]:
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ScorecraftError(f"{name}: expected an array of numbers ({error})") from error
    if array.ndim != dimensions or array.size == 0:
        raise ScorecraftError(f"{name}: expected an array of {dimensions} dimensions, got shape {list(array.shape)}")
    if not np.isfinite(array).all():
        raise ScorecraftError(f"{name}{[int(at) for at in np.argwhere(~np.isfinite(array))[0]]} is not a finite number")
    return array


def _check(game: InfoGame) -> None:
    if game.agents == 0:
        raise ScorecraftError("the game has no agent")
    for i, (cost, count) in enumerate(zip(game.cost, game.efforts, strict=True)):
        if len(cost) != count:
            raise ScorecraftError(f"agent {i} has {len(cost)} costs and {count} efforts in P; expected as many")
        if (cost < 0).any():
            raise ScorecraftError(f"cost of agent {i}, effort {int(np.argmin(cost))} is {cost.min()}; expected >= 0")
    if game.u.shape[1] != game.states:
        raise ScorecraftError(f"u has {game.u.shape[1]} states and P has {game.states}; expected as many")
    prior = None
    for b in game.profiles():
        table = game.P[b]
        if (table < 0).any():
            raise ScorecraftError(f"P at efforts {list(b)} holds {table.min()}; expected probabilities")
        if abs(table.sum() - 1) > SUM_TOLERANCE:
            raise ScorecraftError(f"P at efforts {list(b)} adds up to {table.sum():.12g}; expected 1")
        own = table.reshape(-1, game.states).sum(0)
        if prior is not None and np.abs(own - prior).max() > 1e-6:
            raise ScorecraftError(
                f"P at efforts {list(b)} gives the states the probabilities {own.round(6).tolist()}, and elsewhere "
                f"{prior.round(6).tolist()}; expected the same: efforts do not move the truth"
            )
        prior = own if prior is None else prior
