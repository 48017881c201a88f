"""Hiring agents whose signals are not known: explore with safe payments, then commit to the best that was learned."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from scorecraft.catalog.implements import implements
from scorecraft.decisions.information_game import InfoGame
from scorecraft.decisions.information_mechanism import (
    Mechanism,
    Policy,
    at_value,
    best_deviation,
    deviation_values,
    solve_correlated,
)
from scorecraft.errors import ScorecraftError, ScorecraftWarning

Kind: TypeAlias = Literal["best_response", "epsilon", "noisy"]


class GameShape(NamedTuple):
    """What a principal knows beforehand: how many efforts, signals and states there are, what is worth what.

    u: ``[action, state]``. cost: of each agent's efforts.
    """

    efforts: tuple[int, ...]
    signals: tuple[int, ...]
    states: int
    u: Float64[np.ndarray, "action state"]
    cost: tuple[Float64[np.ndarray, " effort"], ...]

    @staticmethod
    def of(game: InfoGame) -> GameShape:
        """Return what is known of a game without its probabilities."""
        return GameShape(game.efforts, game.signals, game.states, game.u, game.cost)


@implements("information-acquisition")
class OnlinePrincipal:
    """Explore, then commit: ``|B| N`` rounds with safe payments, then the optimum of what was counted, made safe.

    Every joint effort is recommended ``N = ceil(kappa T^(2/3))`` times. The counts give ``P^`` with an L1 error of
    ``eps = sqrt(2 (|S| |Theta| ln 2 + ln(2 |B| / delta)) / N)``; the optimum on them may be disobeyed for a gain of up
    to ``eta = 2 cap eps``, so it is mixed with the safe mechanisms, by ``alpha = eta / (eta + rho / max |B_i|)``.

    Args:
        game_shape: what is known.
        safe: payments of each agent, ``[b_1, ..., b_n, s_1, ..., s_n, theta]``: under a sure recommendation of any b
            they make obedience and truth better than every other effort by rho. See `safe_payments`.
        cap: the most that one agent is paid in a round.
        T: rounds in all.
        rho: see ``safe``; > 0.
        delta: chance that the bound on the counts fails; 1 / T where not given.
        kappa: scale of the exploration.
        mixing: False commits to the bare optimum, which agents may disobey.
        cost_width: how far the given costs may be off, in the unit of utility, where they were bracketed by
            `cost_bracket`; it is added to eta.

    Raises `ScorecraftError` for a rho that is not positive, fewer than 2 rounds, or payments of another shape; warns
    where T is too small to explore as much as the bound asks for.

    Source: arXiv 2307.06210, section 5; lengths, radius and mixing weight are this project's.
    """

    def __init__(
        self, game_shape: GameShape, safe: Sequence[NDArray[np.float64]], cap: float, T: int, rho: float,  # noqa: N803
        delta: float | None = None, *, kappa: float = 1.0, mixing: bool = True, cost_width: float = 0.0,
    ) -> None:  # fmt: skip
        self.shape, self.safe, self.cap, self.T, self.mixing = game_shape, tuple(safe), cap, T, mixing
        self.cost_width = cost_width
        whole = (*game_shape.efforts, *game_shape.signals, game_shape.states)
        if not cost_width >= 0:
            raise ScorecraftError(f"cost_width is {cost_width}; expected a number >= 0")
        if not rho > 0:
            raise ScorecraftError(f"rho is {rho}; expected a number > 0: without slack no mixture is safe")
        if T < 2:
            raise ScorecraftError(f"T is {T}; expected at least 2 rounds")
        if any(np.shape(one) != whole for one in self.safe) or len(self.safe) != len(game_shape.efforts):
            raise ScorecraftError(f"safe: expected payments of each agent of shape {list(whole)}")
        self.rho, self.delta = rho, 1 / T if delta is None else delta
        profiles = math.prod(game_shape.efforts)
        wanted = math.ceil(kappa * T ** (2 / 3))
        self.each = max(1, min(wanted, T // (2 * profiles)))
        if self.each < wanted:
            warnings.warn(
                f"T = {T} is too small: each of {profiles} joint efforts is tried {self.each} times, not {wanted}",
                ScorecraftWarning, stacklevel=2,
            )  # fmt: skip
        self.counts = np.zeros(whole, dtype=np.int64)
        self._tried = np.zeros(game_shape.efforts, dtype=np.int64)
        self._committed: Mechanism | None = None

    @property
    def radius(self) -> float:
        """L1 error of the counted probabilities of one joint effort, which holds with probability 1 - delta."""
        cells = math.prod(self.shape.signals) * self.shape.states
        profiles = math.prod(self.shape.efforts)
        return math.sqrt(2 * (cells * math.log(2) + math.log(2 * profiles / self.delta)) / self.each)

    @property
    def alpha(self) -> float:
        """Weight of the safe mechanisms in what is committed to."""
        eta = 2 * self.cap * self.radius + self.cost_width
        return eta / (eta + self.rho / max(self.shape.efforts)) if self.mixing else 0.0

    def act(self) -> Mechanism:
        """Return the mechanism of the next round: a sure recommendation while exploring, then the committed one."""
        if (self._tried < self.each).any():
            at = np.unravel_index(int(np.argmax(self._tried < self.each)), self._tried.shape)
            mu = np.zeros(self.shape.efforts)
            mu[at] = 1
            decision = np.zeros((*self.shape.efforts, *self.shape.signals), dtype=np.int64)
            return Mechanism(math.nan, mu, self.safe, decision)
        if self._committed is None:
            self._committed = self._commit()
        return self._committed

    def observe(self, b: Sequence[int], s: Sequence[int], theta: int, times: int = 1) -> None:
        """Count what was seen after a sure recommendation.

        Args:
            b: the recommendation.
            s: the reports.
            theta: the state.
            times: how often it was seen.
        """
        self.counts[(*b, *s, theta)] += times
        self._tried[tuple(b)] += times

    def learned(self) -> InfoGame:
        """Return the game as counted, with one prior for all efforts."""
        n = len(self.shape.efforts)
        signals = tuple(range(n, 2 * n))
        prior = self.counts.sum(tuple(range(2 * n))) / self.counts.sum()
        states = self.counts.sum(signals, keepdims=True)
        cells = math.prod(self.shape.signals)
        within = np.where(states > 0, self.counts / np.maximum(states, 1), 1 / cells)
        return InfoGame(within * prior, self.shape.u, self.shape.cost)

    def _commit(self) -> Mechanism:
        game, alpha = self.learned(), self.alpha
        best = solve_correlated(game, self.cap)
        uniform = np.full(best.mu.shape, 1 / best.mu.size)
        mu = (1 - alpha) * best.mu + alpha * uniform
        wide = (...,) + (None,) * (game.P.ndim - mu.ndim)
        pay = tuple(
            ((1 - alpha) * best.mu[wide] * own + alpha * uniform[wide] * safe) / np.where(mu > 0, mu, 1)[wide]
            for own, safe in zip(best.pay, self.safe, strict=True)
        )
        return at_value(game, mu, pay)


@implements("information-acquisition")
def safe_payments(game: InfoGame, cap: float, share: float = 0.9) -> tuple[tuple[NDArray[np.float64], ...], float]:
    """Return payments that make every sure recommendation safe, and the slack rho with which they do.

    For each joint effort the largest slack that the cap allows is found, to within 1e-3 of it by halving, and the
    cheapest payments with ``share`` of the least of them are taken.

    Args:
        game: the game; a principal that learns has to be given these by someone who knows it.
        cap: see `scorecraft.decisions.information_mechanism.solve_correlated`.
        share: of the largest slack.

    Raises `InfeasibleMechanism` where an effort cannot be induced.

    Source: arXiv 2307.06210, section 5, assumes them as given.
    """
    from scorecraft.decisions.information_mechanism import solve_point
    from scorecraft.decisions.information_programme import InfeasibleMechanism

    rho = math.inf
    for b in game.profiles():
        solve_point(game, b, cap)
        low, high = 0.0, min(rho, cap)
        while high - low > 1e-3 * cap:
            middle = (low + high) / 2
            try:
                solve_point(game, b, cap, middle)
                low = middle
            except InfeasibleMechanism:
                high = middle
        rho = low
    rho *= share
    pays = [np.zeros_like(game.P) for _ in range(game.agents)]
    for b in game.profiles():
        found = solve_point(game, b, cap, rho)
        for pay, own in zip(pays, found.pay, strict=True):
            pay[b] = own[b]
    return tuple(pays), rho


def agent_policy(
    game: InfoGame, mech: Mechanism, i: int, kind: Kind, rng: np.random.Generator | None = None, *,
    tolerance: float = 1e-6, temperature: float = 0.01,
) -> Policy:  # fmt: skip
    """Return what a simulated agent does under a mechanism that the others obey.

    Args:
        game: the true game.
        mech: the mechanism.
        i: the agent.
        kind: "best_response" takes the best deviation; "epsilon" only for a gain above ``tolerance``, given the
            recommendation; "noisy" draws among all by the exponential of the gain over ``temperature``.
        rng: of the noisy agent.
        tolerance: see ``kind``.
        temperature: see ``kind``.

    Raises `ScorecraftError` for another kind, and a noisy agent without a generator.
    """
    plans = [_responses(game, mech, i, told) for told in range(game.efforts[i])]
    limit = 1e-9 if kind == "best_response" else tolerance
    if kind in {"best_response", "epsilon"}:

        def choose(told: int) -> tuple[int, Sequence[int]]:
            gains, reports = plans[told]
            best = int(np.argmax(gains))
            return (best, reports[best]) if gains[best] > limit else (told, range(game.signals[i]))

        return choose
    if kind != "noisy" or rng is None:
        raise ScorecraftError(f"no agent '{kind}': known are best_response, epsilon, and noisy with a generator")

    def draw(told: int) -> tuple[int, Sequence[int]]:
        gains, reports = plans[told]
        weight = np.exp((gains - gains.max()) / temperature)
        effort = int(rng.choice(len(gains), p=weight / weight.sum()))
        return effort, reports[effort]

    return draw


def _responses(game: InfoGame, mech: Mechanism, i: int, told: int) -> tuple[NDArray[np.float64], list[tuple[int, ...]]]:
    """Return the gain of each effort with its best reports over obeying, given the recommendation, and the reports."""
    often = float(np.take(mech.mu, told, axis=i).sum())
    worth = deviation_values(game, mech, i, told)
    net = worth.max(2).sum(1) - game.cost[i] * often
    truth = float(worth[told].diagonal().sum()) - game.cost[i][told] * often
    reports = [tuple(int(s) for s in row.argmax(1)) for row in worth]
    if abs(net[told] - truth) < 1e-12:
        reports[told] = tuple(range(game.signals[i]))
    return (net - truth) / max(often, 1e-300), reports


def expected_value(game: InfoGame, mech: Mechanism, policies: Sequence[Policy]) -> float:
    """Return what the principal earns in a round on average, less payments, whatever the agents do.

    Args:
        game: the true game.
        mech: the mechanism.
        policies: of each agent, without chance.
    """
    total = 0.0
    for b in game.profiles():
        if mech.mu[b] <= 0:
            continue
        moves = [policy(own) for policy, own in zip(policies, b, strict=True)]
        table = game.P[tuple(effort for effort, _ in moves)]
        said = np.ix_(*(np.asarray(list(report)) for _, report in moves))
        action = mech.decision[b][said]
        earned = game.u[action] - sum(pay[b][said] for pay in mech.pay)
        total += float(mech.mu[b] * (table * earned).sum())
    return total


class OnlineRun(NamedTuple):
    """A run of a principal that learns.

    regret: against the optimum of the true game, over all rounds. deviated: whether an agent disobeyed what was
    committed to. alpha: how much was mixed in. value: of a round after committing. optimum: of a round at best.
    """

    regret: float
    deviated: bool
    alpha: float
    value: float
    optimum: float


@implements("information-acquisition")
def simulate_online(
    game: InfoGame, principal: OnlinePrincipal, rng: np.random.Generator, *, kind: Kind = "best_response",
    optimum: float | None = None,
) -> OnlineRun:  # fmt: skip
    """Return the regret of a principal against the best mechanism for the true game.

    Rounds of the same joint effort are drawn together, as counts, and rounds after committing by their mean, so that a
    million rounds take no longer than a thousand.

    Args:
        game: the true game.
        principal: starts anew.
        rng: draws what is explored.
        kind: of the agents, after committing; without chance. While exploring they obey.
        optimum: value of the best mechanism; computed where not given.

    Raises `ScorecraftError` for noisy agents.

    Source: arXiv 2307.06210, section 5.
    """
    if kind == "noisy":
        raise ScorecraftError("noisy agents have no mean round; expected best_response or epsilon")
    best = solve_correlated(game, principal.cap).value if optimum is None else optimum
    regret = 0.0
    for b in game.profiles():
        drawn = rng.multinomial(principal.each, game.P[b].ravel() / game.P[b].sum()).reshape(game.P[b].shape)
        for key in np.argwhere(drawn):
            principal.observe(b, tuple(key[:-1]), int(key[-1]), int(drawn[tuple(key)]))
        spent = sum(float((game.P[b] * pay[b]).sum()) for pay in principal.safe)
        # While exploring nothing is known, and the first action is taken.
        earned = float((game.P[b] * game.u[0]).sum())
        regret += principal.each * (best - earned + spent)
    mech = principal.act()
    policies = [agent_policy(game, mech, i, kind) for i in range(game.agents)]
    deviated = any(best_deviation(game, mech, i).gain > 1e-9 for i in range(game.agents))
    value = expected_value(game, mech, policies)
    left = principal.T - principal.each * math.prod(game.efforts)
    return OnlineRun(regret + left * (best - value), deviated, principal.alpha, value, best)


@implements("information-acquisition")
def cost_bracket(
    effort_at: Callable[[float], int], effort: int, width: float, progress: Callable[[float, float], None] | None = None
) -> tuple[float, float]:
    """Return an interval of weights at which an agent of unknown cost takes up another effort.

    The agent is paid ``(1 - lambda) gamma + lambda gamma'``, where gamma' induces the effort and gamma does not;
    halving finds where it changes its mind, and so what the effort costs more: what it then earns more.

    Args:
        effort_at: the effort that is seen under a weight.
        effort: the one that gamma' induces.
        width: at which to stop, > 0; ``T^(-1/3)`` keeps the regret's order.
        progress: told the interval after each halving.

    Raises `ScorecraftError` where the agent takes the effort at weight 0, or does not at weight 1.

    Source: arXiv 2307.06210 takes costs as known; this extension is this project's.
    """
    if not width > 0:
        raise ScorecraftError(f"width is {width}; expected a number > 0")
    if effort_at(0.0) == effort or effort_at(1.0) != effort:
        raise ScorecraftError(
            f"the payments do not bracket the cost of effort {effort}: expected it not to be taken at weight 0, and to "
            "be taken at weight 1"
        )
    low, high = 0.0, 1.0
    while high - low > width:
        middle = (low + high) / 2
        low, high = (low, middle) if effort_at(middle) == effort else (middle, high)
        if progress is not None:
            progress(low, high)
    return low, high
