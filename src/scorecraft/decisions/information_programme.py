"""The linear programme of paid information, as sparse rows for HiGHS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorecraft.decisions.information_game import InfoGame
from scorecraft.errors import ScorecraftError

MOST_COLUMNS = 2_000_000


class InfeasibleMechanism(ScorecraftError):  # noqa: N818 - the name of the field
    """No payment under the cap makes obedience and truth best; the message names who cannot be brought to what."""


class Programme:
    """Columns ``mu(b)``, ``x_i(b, s, theta)`` and ``z_i(b_i, b_i', s_i)``, and rows for reports, efforts and the cap.

    Args:
        game: the game.
        cap: the most that is paid.
        slack: by how much obeying beats every other effort.
        ir: whether payments cover the costs.
        only: the one joint effort that is recommended; all may be, where None.
        agents: whose constraints count; of all, where None.

    Raises `ScorecraftError` for a cap that cannot be and a programme that is too large.
    """

    def __init__(
        self, game: InfoGame, cap: float, *, slack: float = 0.0, ir: bool = False,
        only: tuple[int, ...] | None = None, agents: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        self.game, self.cap, self.slack, self.ir, self.only = game, cap, slack, ir, only
        self.agents = range(game.agents) if agents is None else agents
        _check(game, cap, slack)
        self.profiles = int(np.prod(game.efforts))
        self.signals, self.states = int(np.prod(game.signals)), game.states
        self.block = self.profiles * self.signals * self.states
        self.z_start = self.profiles + game.agents * self.block
        sizes = [b * b * s for b, s in zip(game.efforts, game.signals, strict=True)]
        self.z_of = np.concatenate(([0], np.cumsum(sizes))) + self.z_start
        self.columns = int(self.z_of[-1])
        if self.columns > MOST_COLUMNS:
            raise ScorecraftError(
                f"the linear programme would have {self.columns:,} columns ({self.profiles:,} joint efforts, "
                f"{self.signals:,} joint signals, {self.states} states); expected at most {MOST_COLUMNS:,}: the table "
                "of joint signals grows with a power of the number of agents, so leave some out"
            )
        self.flat = game.P.reshape(self.profiles, self.signals, self.states)
        self.rows: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []

    def x(self, i: int, b: Any, s: Any) -> NDArray[np.int64]:
        """Return the columns of payments to agent i at these flat profiles and signals, over all states."""
        first = self.profiles + i * self.block + (np.asarray(b)[:, None] * self.signals + np.asarray(s)) * self.states
        return first[:, :, None] + np.arange(self.states)

    def z(self, i: int, told: int, effort: int) -> NDArray[np.int64]:
        """Return the columns of the worth of the best report, over the agent's signals."""
        signals = self.game.signals[i]
        return self.z_of[i] + (told * self.game.efforts[i] + effort) * signals + np.arange(signals)

    def where(self, shape: Sequence[int], axis: int, at: int) -> NDArray[np.int64]:
        """Return the flat places of an array at which one axis has this index."""
        places = np.arange(int(np.prod(shape))).reshape(shape)
        return np.take(places, at, axis=axis).ravel()

    def build(self) -> tuple[Any, NDArray[np.float64], NDArray[np.float64]]:
        """Return the rows ``A v <= limit`` and the objective to be minimised."""
        limit: list[float] = []
        for i in self.agents:
            for told in range(self.game.efforts[i]):
                for effort in range(self.game.efforts[i]):
                    self._reports(i, told, effort)
                    self._effort(i, told, effort)
                if self.ir:
                    self._covered(i, told)
        limit += [0.0] * len(self.rows)
        self._capped()
        limit += [0.0] * (len(self.rows) - len(limit))
        objective = np.zeros(self.columns)
        objective[: self.profiles] = -self.game.value().ravel()
        for i in range(self.game.agents):
            start = self.profiles + i * self.block
            objective[start : start + self.block] = self.flat.ravel()
        return self._matrix(), np.array(limit), objective

    def _reports(self, i: int, told: int, effort: int) -> None:
        """For each signal and report: what the report is paid is at most z."""
        game = self.game
        there = self.where(game.efforts, i, told)
        instead = self.where(game.efforts, i, effort)
        for seen in range(game.signals[i]):
            seeing = self.where(game.signals, i, seen)
            chances = self.flat[np.ix_(instead, seeing)]
            for said in range(game.signals[i]):
                columns = self.x(i, there, self.where(game.signals, i, said))
                self._add((columns, chances), (self.z(i, told, effort)[seen : seen + 1], -1.0))

    def _effort(self, i: int, told: int, effort: int) -> None:
        """Obeying is worth no less than the other effort with the best reports, by the slack."""
        game, there = self.game, self.where(self.game.efforts, i, told)
        everything = np.arange(self.signals)
        saved = game.cost[i][told] - game.cost[i][effort] + (self.slack if effort != told else 0.0)
        self._add(
            (self.x(i, there, everything), -self.flat[there]),
            (self.z(i, told, effort), 1.0),
            (there, saved),
        )

    def _covered(self, i: int, told: int) -> None:
        there = self.where(self.game.efforts, i, told)
        self._add(
            (self.x(i, there, np.arange(self.signals)), -self.flat[there]), (there, float(self.game.cost[i][told]))
        )

    def _capped(self) -> None:
        """``x <= cap mu``; a payment that is never due is left out by its bound."""
        for i in range(self.game.agents):
            start = self.profiles + i * self.block
            for b in range(self.profiles):
                for at in range(start + b * self.signals * self.states, start + (b + 1) * self.signals * self.states):
                    self.rows.append((np.array([at, b]), np.array([1.0, -self.cap])))

    def _add(self, *parts: tuple[NDArray[np.int64], Any]) -> None:
        columns = np.concatenate([where.ravel() for where, _ in parts])
        values = np.concatenate([np.broadcast_to(value, where.shape).ravel() for where, value in parts])
        self.rows.append((columns, values.astype(np.float64)))

    def _matrix(self) -> Any:
        from scipy.sparse import csr_array

        lengths = [len(columns) for columns, _ in self.rows]
        starts = np.concatenate(([0], np.cumsum(lengths)))
        columns = np.concatenate([columns for columns, _ in self.rows])
        values = np.concatenate([values for _, values in self.rows])
        matrix = csr_array((values, columns, starts), shape=(len(self.rows), self.columns))
        matrix.sum_duplicates()
        return matrix


def solved(programme: Programme) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """Return how often each joint effort is recommended, and ``x_i = mu gamma_i``, ``[b, s, theta]`` flat.

    Args:
        programme: the programme.

    Raises `InfeasibleMechanism` where it has no solution.
    """
    from scipy.optimize import linprog

    matrix, limit, objective = programme.build()
    profiles, block = programme.profiles, programme.block
    lower, upper = np.zeros(programme.columns), np.full(programme.columns, np.inf)
    lower[programme.z_start :] = -np.inf
    upper[:profiles] = 1
    if programme.only is not None:
        upper[:profiles] = 0
        upper[np.ravel_multi_index(programme.only, programme.game.efforts)] = 1
    total = np.zeros((1, programme.columns))
    total[0, :profiles] = 1
    found: Any = linprog(
        objective, A_ub=matrix, b_ub=limit, A_eq=total, b_eq=[1.0], bounds=np.stack([lower, upper], 1), method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )  # fmt: skip
    if found.status == 2:
        what = "the payments that cover the costs" if programme.ir else f"a slack of {programme.slack:g}"
        raise InfeasibleMechanism(
            f"no mechanism meets {what} under a cap of {programme.cap:g}: raise the cap, or ask for less"
        )
    if found.status != 0:
        raise ScorecraftError(f"the linear programme was not solved: {found.message}")
    shape = (profiles, programme.signals, programme.states)
    x = [
        found.x[profiles + i * block : profiles + (i + 1) * block].reshape(shape) for i in range(programme.game.agents)
    ]
    return found.x[:profiles], x


def _check(game: InfoGame, cap: float, slack: float) -> None:
    if not (math.isfinite(cap) and cap >= 0):
        raise ScorecraftError(
            f"cap is {cap}; expected a finite number >= 0. Without a cap the best mechanism may not exist: a huge "
            "payment at a vanishing probability would always be a little better"
        )
    if cap == 0:
        for i, cost in enumerate(game.cost):
            if cost.min() > 0:
                raise ScorecraftError(f"cap is 0 and agent {i} has no effort that is free; expected a cap > 0")
    if not (math.isfinite(slack) and slack >= 0):
        raise ScorecraftError(f"slack is {slack}; expected a finite number >= 0")
