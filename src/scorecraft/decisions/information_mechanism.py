"""The optimal mechanism for paid information as one linear programme, and mechanisms checked by brute force."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from scorecraft.catalog.implements import implements
from scorecraft.decisions.information_game import InfoGame
from scorecraft.decisions.information_programme import InfeasibleMechanism, Programme, solved
from scorecraft.errors import ScorecraftError

# Recommendations that are rarer are a solver's rounding.
RAREST = 1e-9


@dataclass(frozen=True)
class Mechanism:
    """What is recommended how often, what is paid for which reports, and what is then done.

    value: expected utility less expected payments. mu: ``[b_1, ..., b_n]``, how often. pay: of each agent,
    ``[b_1, ..., b_n, s_1, ..., s_n, theta]``. decision: ``[b_1, ..., b_n, s_1, ..., s_n]``, the action.
    """

    value: float
    mu: Float64[np.ndarray, "*efforts"]
    pay: tuple[Float64[np.ndarray, "*efforts_signals state"], ...]
    decision: Int64[np.ndarray, "*efforts_signals"]

    def payments(self, game: InfoGame) -> Float64[np.ndarray, " agent"]:
        """Return what each agent is paid on average when all obey and tell the truth."""
        given = self.mu.reshape(self.mu.shape + (1,) * (game.P.ndim - self.mu.ndim)) * game.P
        return np.array([float((given * pay).sum()) for pay in self.pay])


class Deviation(NamedTuple):
    """The best that an agent can do alone.

    gain: more than by obeying, on average over all rounds. told: the recommendation. effort: what it does instead.
    report: what it says for each signal.
    """

    gain: float
    told: int
    effort: int
    report: tuple[int, ...]


class Round(NamedTuple):
    """One round as it was played."""

    told: tuple[int, ...]
    efforts: tuple[int, ...]
    signals: tuple[int, ...]
    reports: tuple[int, ...]
    state: int
    action: int
    payments: tuple[float, ...]


# Of an agent: told an effort, it returns the effort it takes and its report of each signal.
Policy = Callable[[int], tuple[int, Sequence[int]]]


@implements("information-acquisition")
def solve_correlated(game: InfoGame, cap: float = 1.0, slack: float = 0.0, ir: bool = False) -> Mechanism:
    """Return the best mechanism under which obedience and truth are best for every agent.

    ``max sum_b mu v - sum_i P x_i`` over ``mu``, ``x_i = mu gamma_i`` in ``[0, cap mu]``, and the worth z of the best
    misreport of each signal, so that deviations of effort and report together cost ``|S_i|^2`` rows and not
    ``|S_i|^|S_i|``. Efforts are recommended jointly: an agent may be checked by a second one, sometimes.

    Args:
        game: the game.
        cap: the most that one agent is paid in a round, in the unit of utility; without one the best may not exist.
        slack: by how much obeying beats every other effort; in the unit of utility, whenever it is recommended.
        ir: whether expected payments cover the cost of every effort that is recommended.

    Raises `ScorecraftError` for a cap below zero, or not above zero where no effort is free; `InfeasibleMechanism`
    where slack or `ir` cannot be met; refuses more than 2 million columns.

    Source: arXiv 2307.06210, sections 3 and 4; this programme is this project's.
    """
    return _mechanism(game, Programme(game, cap, slack=slack, ir=ir), cap)


@implements("information-acquisition")
def solve_point(game: InfoGame, b: Sequence[int], cap: float = 1.0, slack: float = 0.0) -> Mechanism:
    """Return the cheapest mechanism that always recommends the same joint effort.

    Args:
        game: the game.
        b: the effort of each agent.
        cap: see `solve_correlated`.
        slack: see `solve_correlated`.

    Raises `InfeasibleMechanism` where an agent cannot be paid to do its part, by name of agent and effort.

    Source: arXiv 2307.06210, section 3.
    """
    if len(b) != game.agents or any(not 0 <= own < count for own, count in zip(b, game.efforts, strict=False)):
        raise ScorecraftError(f"b is {list(b)}; expected an effort of each agent, below {list(game.efforts)}")
    try:
        return _mechanism(game, Programme(game, cap, slack=slack, only=tuple(int(own) for own in b)), cap)
    except InfeasibleMechanism:
        raise _who_cannot(game, tuple(b), cap, slack) from None


@implements("information-acquisition")
def solve_uncorrelated(game: InfoGame, cap: float = 1.0) -> Mechanism:
    """Return the best mechanism that recommends one joint effort, so that payments need not know what others were told.

    Args:
        game: the game.
        cap: see `solve_correlated`.

    Raises `ScorecraftError` as `solve_correlated` does.

    Source: arXiv 2307.06210, section 3, whose uncorrelated mechanisms this project takes to be these.
    """
    best = None
    for b in game.profiles():
        try:
            found = solve_point(game, b, cap)
        except InfeasibleMechanism:
            continue
        if best is None or found.value > best.value + 1e-12:
            best = found
    if best is None:
        raise InfeasibleMechanism("no joint effort can be induced under this cap")
    return best


@implements("information-acquisition")
def best_deviation(game: InfoGame, mech: Mechanism, i: int) -> Deviation:
    """Return an agent's best deviation, by trying every effort and every map of signals to reports.

    Args:
        game: the game.
        mech: the mechanism.
        i: the agent.

    Raises `ScorecraftError` for another agent, and where there are more than a million maps.
    """
    if not 0 <= i < game.agents:
        raise ScorecraftError(f"agent {i}: expected 0 to {game.agents - 1}")
    if game.signals[i] ** game.signals[i] > 1_000_000:
        raise ScorecraftError(f"agent {i} has {game.signals[i]} signals: too many ways to misreport them to try all")
    best = Deviation(-np.inf, 0, 0, ())
    for told in range(game.efforts[i]):
        worth = deviation_values(game, mech, i, told)
        truth = float(worth[told].diagonal().sum()) - game.cost[i][told] * _told(mech, i, told)
        for effort in range(game.efforts[i]):
            for report in product(range(game.signals[i]), repeat=game.signals[i]):
                gain = sum(float(worth[effort, seen, said]) for seen, said in enumerate(report))
                gain -= game.cost[i][effort] * _told(mech, i, told) + truth
                if gain > best.gain + 1e-15:
                    best = Deviation(gain, told, effort, report)
    return best


def deviation_values(game: InfoGame, mech: Mechanism, i: int, told: int) -> Float64[np.ndarray, "effort signal report"]:
    """Return what an agent is paid on average for each effort, signal and report, when it is told this effort.

    Args:
        game: the game.
        mech: the mechanism; the others obey.
        i: the agent.
        told: the recommendation; what is returned is weighted by how often it is given.
    """
    n = game.agents
    # The agent's own axes first: P[b_i, s_i, others...], pay[s_i, others...] at the told effort.
    chances = np.moveaxis(game.P, (i, n + i), (0, 1))
    paid = np.moveaxis(np.take(mech.pay[i], told, axis=i), n - 1 + i, 0)
    weight = np.take(mech.mu, told, axis=i)
    weight = weight.reshape(weight.shape + (1,) * (paid.ndim - 1 - weight.ndim))
    rest = tuple(range(2, chances.ndim))
    return np.tensordot(chances * weight, paid, axes=(rest, tuple(range(1, paid.ndim))))


@implements("information-acquisition")
def mechanism_to_scoring_rule(
    game: InfoGame, mech: Mechanism, i: int, told: int
) -> Float64[np.ndarray, "report state"]:
    """Return what an agent's report is paid in each state, on average over the others' recommendations and signals.

    ``S(s', theta) = E[gamma_i(b, (s', s_-i), theta) | theta]``, the others obeying.

    Args:
        game: the game.
        mech: the mechanism.
        i: the agent.
        told: its recommendation.

    Raises `ScorecraftError` where that is never recommended.

    Source: arXiv 2307.06210, section 2, for the payments' part as a scoring rule.
    """
    often = _told(mech, i, told)
    if often < RAREST:
        raise ScorecraftError(f"agent {i} is never told effort {told}: there is nothing to be paid for")
    n = game.agents
    chances = np.take(game.P, told, axis=i).sum(n - 1 + i)
    paid = np.moveaxis(np.take(mech.pay[i], told, axis=i), n - 1 + i, 0)
    weight = np.take(mech.mu, told, axis=i) / often
    joint = weight.reshape(weight.shape + (1,) * (chances.ndim - weight.ndim)) * chances
    prior = joint.reshape(-1, game.states).sum(0)
    others = tuple(range(1, paid.ndim - 1))
    return (joint * paid).sum(others) / np.where(prior > 0, prior, 1)


def sample_round(game: InfoGame, mech: Mechanism, policies: Sequence[Policy], rng: np.random.Generator) -> Round:
    """Return a round played by agents that may disobey and lie.

    Args:
        game: the game.
        mech: the mechanism.
        policies: of each agent; see `obedient`.
        rng: draws recommendation, signals and state.

    Raises `ScorecraftError` for another number of policies.
    """
    if len(policies) != game.agents:
        raise ScorecraftError(f"{len(policies)} policies for {game.agents} agents; expected one each")
    at = rng.choice(mech.mu.size, p=mech.mu.ravel() / mech.mu.sum())
    told = tuple(int(b) for b in np.unravel_index(at, mech.mu.shape))
    moves = [policy(b) for policy, b in zip(policies, told, strict=True)]
    efforts = tuple(int(effort) for effort, _ in moves)
    table = game.P[efforts]
    *signals, state = (
        int(k) for k in np.unravel_index(rng.choice(table.size, p=table.ravel() / table.sum()), table.shape)
    )
    reports = tuple(int(said[seen]) for (_, said), seen in zip(moves, signals, strict=True))
    paid = tuple(float(pay[(*told, *reports, state)]) for pay in mech.pay)
    return Round(told, efforts, tuple(signals), reports, state, int(mech.decision[(*told, *reports)]), paid)


def obedient(game: InfoGame, i: int) -> Policy:
    """Return the policy of an agent that does what it is told and says what it sees.

    Args:
        game: the game.
        i: the agent.
    """
    return lambda told: (told, range(game.signals[i]))


def _told(mech: Mechanism, i: int, told: int) -> float:
    return float(np.take(mech.mu, told, axis=i).sum())


def _mechanism(game: InfoGame, programme: Programme, cap: float) -> Mechanism:
    mu, x = solved(programme)
    mu = np.where(mu < RAREST, 0, mu)
    mu /= mu.sum()
    safe = np.where(mu > 0, mu, 1)
    pay = tuple(np.where((mu > 0)[:, None, None], np.clip(one / safe[:, None, None], 0, cap), 0) for one in x)
    shape = game.P.shape
    return at_value(game, mu.reshape(game.efforts), tuple(one.reshape(shape) for one in pay))


def at_value(game: InfoGame, mu: NDArray[np.float64], pay: Sequence[NDArray[np.float64]]) -> Mechanism:
    """Return a mechanism with the best decisions and its value, for agents that obey and tell the truth.

    Args:
        game: the game.
        mu: see `Mechanism`.
        pay: see `Mechanism`.
    """
    found = Mechanism(0.0, mu, tuple(pay), game.decision())
    value = float((mu * game.value()).sum() - found.payments(game).sum())
    return Mechanism(value, mu, tuple(pay), found.decision)


def _who_cannot(game: InfoGame, b: tuple[int, ...], cap: float, slack: float) -> InfeasibleMechanism:
    """Return the error that names the agents who cannot be paid to do their part of b."""
    unable: list[str] = []
    for i in range(game.agents):
        try:
            solved(Programme(game, cap, slack=slack, only=b, agents=(i,)))
        except InfeasibleMechanism:
            unable.append(f"agent {i} to effort {b[i]} (cost {game.cost[i][b[i]]:g})")
    return InfeasibleMechanism(
        f"efforts {list(b)} cannot be induced: no payment up to {cap:g} brings {' and '.join(unable) or 'them about'}; "
        "raise the cap, or choose other efforts"
    )


def as_table(game: InfoGame, mech: Mechanism) -> list[dict[str, Any]]:
    """Return a mechanism as rows: recommended efforts, reports, state, how likely, what is done and what is paid.

    Args:
        game: the game.
        mech: the mechanism.
    """
    rows = []
    for b in game.profiles():
        if mech.mu[b] <= 0:
            continue
        for key in product(*(range(count) for count in game.signals), range(game.states)):
            rows.append({
                "efforts": list(b), "often": float(mech.mu[b]), "reports": list(key[:-1]), "state": key[-1],
                "probability": float(game.P[b][key]), "action": int(mech.decision[(*b, *key[:-1])]),
                "pay": [float(pay[(*b, *key)]) for pay in mech.pay],
            })  # fmt: skip
    return rows
