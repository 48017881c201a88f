"""Files of games of paid information: agents, efforts, signals, states, actions, in JSON, by name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scorecraft.decisions.information_game import InfoGame, accuracy_game
from scorecraft.errors import ScorecraftError, nearest

KEYS = ("agents", "states", "prior", "actions", "utility", "errors", "probabilities", "cap")
AGENT_KEYS = ("name", "efforts", "signals")
EFFORT_KEYS = ("name", "cost", "accuracy")
EXAMPLE = """{
  "agents": [
    {"name": "first rater", "efforts": [{"name": "skip", "cost": 0, "accuracy": 0.5},
                                        {"name": "check", "cost": 0.1, "accuracy": 0.8}]},
    {"name": "second rater", "efforts": [{"name": "skip", "cost": 0, "accuracy": 0.5},
                                         {"name": "check", "cost": 0.1, "accuracy": 0.8}]}
  ],
  "states": ["wrong", "right"],
  "prior": [0.5, 0.5],
  "actions": ["reject", "accept"],
  "utility": [[1, 0], [0, 1]],
  "errors": "common",
  "cap": 1
}
"""


@dataclass(frozen=True)
class NamedGame:
    """A game with the names of everything in it.

    cap: the most that one agent is paid, where the file says so.
    """

    game: InfoGame
    agents: tuple[str, ...]
    efforts: tuple[tuple[str, ...], ...]
    signals: tuple[tuple[str, ...], ...]
    states: tuple[str, ...]
    actions: tuple[str, ...]
    cap: float | None

    def profile(self, b: Sequence[int]) -> str:
        """Return a joint effort in words.

        Args:
            b: the effort of each agent.
        """
        return ", ".join(f"{names[own]}" for names, own in zip(self.efforts, b, strict=True))


def read_game(path: Path) -> NamedGame:
    """Return the game of a JSON file.

    Each agent has a ``name`` and ``efforts`` with ``name`` and ``cost``. What they bring is said in one of two ways:
    an ``accuracy`` of each effort, for two states that the signals name, with ``errors`` "independent" or "common"; or
    ``signals`` of each agent and ``probabilities``: of every joint effort, as "effort, effort", a table
    ``[signal of the first][signal of the second]...[state]``. ``utility`` is ``[action][state]``.

    Args:
        path: the file.

    Raises `ScorecraftError` for a file that cannot be read or is empty, with the line where it is not JSON; keys that
    are missing or unknown; names that occur twice; numbers that are none; and as `InfoGame` does, by name.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ScorecraftError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not text.strip():
        raise ScorecraftError(f"{path}: the file is empty; scorecraft mechanism example prints one to start from")
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ScorecraftError(f"{path}: not JSON: {error}") from error
    try:
        return game_of(value)
    except ScorecraftError as error:
        raise ScorecraftError(f"{path}: {error}") from error


def game_of(value: Any) -> NamedGame:
    """Return a game from the values of its file.

    Args:
        value: as `read_game` reads it.

    Raises `ScorecraftError` as `read_game` does.
    """
    _keys("the game", value, KEYS, ("agents", "states"))
    states = _names("states", value["states"])
    agents_given = value["agents"]
    if not isinstance(agents_given, list) or not agents_given:
        raise ScorecraftError("agents: expected a list of at least one agent")
    for at, agent in enumerate(agents_given):
        _keys(f"agents[{at}]", agent, AGENT_KEYS, ("name", "efforts"))
        if not isinstance(agent["efforts"], list) or not agent["efforts"]:
            raise ScorecraftError(f"agents[{at}].efforts: expected a list of at least one effort")
        for k, effort in enumerate(agent["efforts"]):
            _keys(f"agents[{at}].efforts[{k}]", effort, EFFORT_KEYS, ("name", "cost"))
    agents = _names("agents", [agent["name"] for agent in agents_given])
    efforts = tuple(
        _names(f"efforts of '{name}'", [effort["name"] for effort in agent["efforts"]])
        for name, agent in zip(agents, agents_given, strict=True)
    )
    cost = [
        [_number(f"cost of '{effort['name']}' of '{name}'", effort["cost"]) for effort in agent["efforts"]]
        for name, agent in zip(agents, agents_given, strict=True)
    ]
    u = _table("utility", value.get("utility", np.eye(len(states)).tolist()))
    if u.ndim != 2 or u.shape[1] != len(states):
        raise ScorecraftError(f"utility: expected a row an action with {len(states)} numbers, one a state")
    actions = _names("actions", value.get("actions", list(states) if len(u) == len(states) else None))
    if len(actions) != len(u):
        raise ScorecraftError(f"utility has {len(u)} rows and there are {len(actions)} actions; expected as many")
    if "probabilities" in value:
        game, signals = _of_tables(value, agents, efforts, states, cost, u)
    else:
        game, signals = _of_accuracies(value, agents, states, cost, u)
    cap = _number("cap", value["cap"]) if "cap" in value else None
    return NamedGame(game, agents, efforts, signals, states, actions, cap)


def _of_accuracies(
    value: Mapping[str, Any], agents: Sequence[str], states: Sequence[str], cost: list[list[float]],
    u: NDArray[np.float64],
) -> tuple[InfoGame, tuple[tuple[str, ...], ...]]:  # fmt: skip
    if len(states) != 2:
        raise ScorecraftError(f"accuracies are for 2 states, not {len(states)}; give probabilities of joint signals")
    accuracy = []
    for name, agent in zip(agents, value["agents"], strict=True):
        if "signals" in agent:
            raise ScorecraftError(f"'{name}' has signals, but there are no probabilities; expected both or neither")
        row = []
        for effort in agent["efforts"]:
            if "accuracy" not in effort:
                raise ScorecraftError(
                    f"effort '{effort['name']}' of '{name}' has no accuracy, and there are no probabilities"
                )
            number = _number(f"accuracy of '{effort['name']}' of '{name}'", effort["accuracy"])
            if not 0 <= number <= 1:
                raise ScorecraftError(f"accuracy of '{effort['name']}' of '{name}' is {number}; expected 0 to 1")
            row.append(number)
        accuracy.append(row)
    errors = value.get("errors", "independent")
    if errors not in {"independent", "common"}:
        raise ScorecraftError(f"errors is {errors!r}; expected 'independent' or 'common'")
    prior = [_number("prior", one) for one in value.get("prior", (0.5, 0.5))]
    return accuracy_game(accuracy, cost, prior, u, common_noise=errors == "common"), (tuple(states),) * len(agents)


def _of_tables(
    value: Mapping[str, Any], agents: Sequence[str], efforts: Sequence[Sequence[str]], states: Sequence[str],
    cost: list[list[float]], u: NDArray[np.float64],
) -> tuple[InfoGame, tuple[tuple[str, ...], ...]]:  # fmt: skip
    signals = tuple(
        _names(f"signals of '{name}'", agent.get("signals"))
        for name, agent in zip(agents, value["agents"], strict=True)
    )
    shape = (*(len(names) for names in signals), len(states))
    tables = value["probabilities"]
    if not isinstance(tables, dict):
        raise ScorecraftError("probabilities: expected an object with a table for every joint effort, 'effort, effort'")
    known = {", ".join(names): b for names, b in _profiles(efforts)}
    given = {", ".join(part.strip() for part in key.split(",")): key for key in tables}
    for name, key in given.items():
        if name not in known:
            raise ScorecraftError(f"probabilities: no joint effort '{key}'; {nearest(name, known)}")
    P = np.zeros((*(len(names) for names in efforts), *shape))  # noqa: N806 - the table of the paper
    for name, b in known.items():
        if name not in given:
            raise ScorecraftError(f"probabilities: the joint effort '{name}' is missing")
        table = _table(f"probabilities of '{name}'", tables[given[name]])
        if table.shape != shape:
            raise ScorecraftError(f"probabilities of '{name}': expected shape {list(shape)}, got {list(table.shape)}")
        if (table < 0).any() or abs(table.sum() - 1) > 1e-6:
            raise ScorecraftError(f"probabilities of '{name}' add up to {table.sum():.9g}; expected 1, none negative")
        P[b] = table / table.sum()
    return InfoGame(P, u, tuple(np.array(row) for row in cost)), signals


def _profiles(efforts: Sequence[Sequence[str]]) -> list[tuple[tuple[str, ...], tuple[int, ...]]]:
    names = product(*efforts)
    return list(zip(names, product(*(range(len(own)) for own in efforts)), strict=True))


def _keys(where: str, value: Any, known: Sequence[str], needed: Sequence[str]) -> None:
    if not isinstance(value, dict):
        raise ScorecraftError(f"{where}: expected an object with {', '.join(needed)}")
    for key in value:
        if key not in known:
            raise ScorecraftError(f"{where}: no key '{key}'; {nearest(key, known)}")
    for key in needed:
        if key not in value:
            raise ScorecraftError(f"{where}: '{key}' is missing")


def _names(where: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) and name.strip() for name in value):
        raise ScorecraftError(f"{where}: expected a list of names")
    for name in value:
        if value.count(name) > 1:
            raise ScorecraftError(f"{where}: '{name}' occurs twice")
        if "," in name:
            raise ScorecraftError(f"{where}: '{name}' holds a comma, which parts the efforts of different agents")
    return tuple(name.strip() for name in value)


def _number(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise ScorecraftError(f"{where} is {value!r}; expected a finite number")
    return float(value)


def _table(where: str, value: Any) -> NDArray[np.float64]:
    try:
        table = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ScorecraftError(f"{where}: expected a table of numbers, all rows of the same length") from error
    if not np.isfinite(table).all() or table.size == 0:
        raise ScorecraftError(f"{where}: expected finite numbers")
    return table
