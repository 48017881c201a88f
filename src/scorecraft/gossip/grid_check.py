"""Properties checked on every state of a grid: two topics at a time, all small counters, the others at rest."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
from numpy.typing import NDArray

from scorecraft.gossip.batch_scores import ConfigArrays, config_arrays
from scorecraft.gossip.parameters import Number, PeerScoreConfig, TopicParameters
from scorecraft.gossip.peer_score import GlobalCounters, Semantics, TopicCounters, peer_score
from scorecraft.gossip.properties import Domain, Property, Verdict, Witness, breaks, witness_of

SMALL = range(6)
_SIDES = {"P2": (2, 3, 4), "P3": (0, 1)}


def check(cfg: PeerScoreConfig, prop: Property, semantics: Semantics, domain: Domain) -> Verdict:
    """Return whether a property holds on the grid; see `scorecraft.gossip.properties.check_property`.

    D, I and B run from 0 to 5; time in the mesh and first deliveries over six levels from none to what counts at most.
    Every pair of states of two topics is covered: for each state of the one, that of the other which pays most decides.

    Args:
        cfg: the parameters.
        prop: which.
        semantics: see `scorecraft.gossip.peer_score.topic_score`.
        domain: grids are of whole numbers; given for its place among the others.
    """
    del domain
    arrays = config_arrays(cfg, semantics)
    names, checked = list(cfg.topics), 0
    grids = {name: grid(topic) for name, topic in cfg.topics.items()}
    scores = {name: _scored(arrays, at, grids[name]) for at, name in enumerate(names)}
    seen: set[tuple[TopicParameters, TopicParameters]] = set()
    for one, other in product(names, names):
        pair = (cfg.topics[one], cfg.topics[other])
        if (one == other and len(names) > 1) or pair in seen or not pair[0].topic_weight:
            continue
        seen.add(pair)
        alone = one == other
        checked += len(grids[one]) * (1 if alone else len(grids[other]))
        best = int(np.argmax(scores[other]))
        helped = {} if alone else {other: _counters(grids[other][best])}
        found = _pair(cfg, prop, semantics, one, grids[one], scores[one], helped)
        if found is not None:
            return Verdict(prop, "grid", holds=False, witness=found, checked=checked)
    return Verdict(prop, "grid", holds=True, checked=checked, said="on the grid")


def grid(topic: TopicParameters) -> NDArray[np.float64]:
    """Return all counters of a topic on the grid, ``[state, 5]``."""
    full = float(topic.time_in_mesh_quantum * topic.time_in_mesh_cap)
    active = float(topic.mesh_message_deliveries_activation)
    mesh = np.unique([0.0, active, active + 1, full / 2, full, max(full, active + 1)])
    first = np.unique(np.floor(np.linspace(0, float(topic.first_message_deliveries_cap), 6)))
    small = np.array(SMALL, dtype=float)
    return np.stack([axis.ravel() for axis in np.meshgrid(mesh, first, small, small, small, indexing="ij")], 1)


def _scored(arrays: ConfigArrays, at: int, states: NDArray[np.float64]) -> NDArray[np.float64]:
    from scorecraft.gossip.batch_scores import peer_scores

    alone = arrays._replace(topics=arrays.topics[at : at + 1], whole=np.zeros_like(arrays.whole))
    return peer_scores(alone, states[:, None, :], np.zeros((len(states), 3)))


def _counters(row: NDArray[np.float64]) -> TopicCounters:
    return TopicCounters(*(Fraction(value) for value in row.tolist()))


def _pair(
    cfg: PeerScoreConfig, prop: Property, semantics: Semantics, name: str, states: NDArray[np.float64],
    scores: NDArray[np.float64], helped: dict[str, TopicCounters],
) -> Witness | None:  # fmt: skip
    """Return a counterexample among the states of a topic, the other one paying its most."""
    topic = cfg.topics[name]
    others: Number = peer_score(cfg, helped, semantics=semantics) if helped else 0
    # Near zero, floats leave open which side it is: exact scores decide.
    if prop == "P1":
        suspects = (scores < 1e-9) & (scores + float(others) > -1e-9)
    elif prop == "silent":
        full = float(topic.time_in_mesh_quantum * topic.time_in_mesh_cap)
        suspects = (states[:, 1:] == 0).all(1) & (states[:, 0] >= full) & (scores > -1e-9)
        suspects &= states[:, 0] > float(topic.mesh_message_deliveries_activation)
    elif prop == "P4":
        return None
    else:
        return _steps(cfg, prop, semantics, name, states, helped)
    for row in states[suspects][np.argsort(-scores[suspects])][:200]:
        found = witness_of(cfg, name, helped | {name: _counters(row)}, semantics, "found on the grid")
        if breaks(cfg, prop, found, semantics):
            return found
    return None


def _steps(
    cfg: PeerScoreConfig, prop: Property, semantics: Semantics, name: str, states: NDArray[np.float64],
    helped: dict[str, TopicCounters],
) -> Witness | None:  # fmt: skip
    """Return a state and a step from it that breaks P2 or P3: one counter worse, or one better."""
    topic = cfg.topics[name]
    weights = (
        topic.time_in_mesh_weight, topic.first_message_deliveries_weight, topic.mesh_message_deliveries_weight,
        topic.invalid_message_deliveries_weight, topic.mesh_failure_penalty_weight,
    )  # fmt: skip
    active = states[:, 0] > float(topic.mesh_message_deliveries_activation)
    from scorecraft.gossip.batch_scores import peer_scores

    alone = config_arrays(cfg, semantics)
    at = alone.names.index(name)
    others = [other for other in alone.names if other != name]
    C = np.zeros((len(states), len(alone.names), 5))  # noqa: N806 - the card of counters
    for other in others:
        if other in helped:
            C[:, alone.names.index(other)] = [float(value) for value in helped[other]]
    for side in _SIDES[prop]:
        if not weights[side]:
            continue
        after = states.copy()
        after[:, side] += -1 if side == 2 else 1
        allowed = active | (side not in {0, 1, 2})
        if side == 2:
            allowed &= (states[:, 2] >= 1) & (states[:, 2] <= float(topic.mesh_message_deliveries_threshold))
        if not allowed.any():
            continue
        before, then = C[allowed].copy(), C[allowed].copy()
        before[:, at], then[:, at] = states[allowed], after[allowed]
        zeros = np.zeros((len(before), 3))
        change = peer_scores(alone, then, zeros) - peer_scores(alone, before, zeros)
        suspects = change > -1e-9 if prop == "P2" else change < 1e-9
        for row, worse in list(zip(states[allowed][suspects], after[allowed][suspects], strict=True))[:200]:
            told = f"its {TopicCounters._fields[side].replace('_', ' ')} changes by one"
            found = witness_of(cfg, name, helped | {name: _counters(row)}, semantics, told)
            raised = helped | {name: _counters(worse)}
            found = found._replace(after=(raised, GlobalCounters(), peer_score(cfg, raised, semantics=semantics)))
            if breaks(cfg, prop, found, semantics):
                return found
    return None
