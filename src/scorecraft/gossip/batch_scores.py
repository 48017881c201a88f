"""The peer score of many neighbours at once, compiled."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numba import njit
from numpy.typing import NDArray

from scorecraft.catalog.implements import implements
from scorecraft.compiling import compiling_told
from scorecraft.errors import ScorecraftError
from scorecraft.gossip.parameters import PeerScoreConfig, TopicParameters
from scorecraft.gossip.peer_score import MeshTime, Semantics

_COLUMN = {field.name: at for at, field in enumerate(fields(TopicParameters))}
# Columns of a topic's row, by position: compiled code knows no names.
_TW, _W1, _QUANTUM, _TCAP = (_COLUMN[f"{n}"] for n in (
    "topic_weight", "time_in_mesh_weight", "time_in_mesh_quantum", "time_in_mesh_cap"))  # fmt: skip
_W2, _FCAP = _COLUMN["first_message_deliveries_weight"], _COLUMN["first_message_deliveries_cap"]
_W3, _THR = _COLUMN["mesh_message_deliveries_weight"], _COLUMN["mesh_message_deliveries_threshold"]
_ACTIVATION = _COLUMN["mesh_message_deliveries_activation"]
_W3B, _W4 = _COLUMN["mesh_failure_penalty_weight"], _COLUMN["invalid_message_deliveries_weight"]


class ConfigArrays(NamedTuple):
    """A configuration as arrays: a row a topic, in order; weights, thresholds and the cap of all of them; semantics."""

    names: tuple[str, ...]
    topics: Float64[np.ndarray, "topic parameter"]
    whole: Float64[np.ndarray, " parameter"]
    acl2s: bool
    floor: bool


def config_arrays(config: PeerScoreConfig, semantics: Semantics = "spec", p1: MeshTime | None = None) -> ConfigArrays:
    """Return a configuration as `peer_scores` takes it.

    Args:
        config: the parameters.
        semantics: see `scorecraft.gossip.peer_score.topic_score`.
        p1: see there.
    """
    rows = [[float(getattr(topic, field.name)) for field in fields(topic)] for topic in config.topics.values()]
    whole = [
        config.topic_score_cap, config.app_specific_weight, config.ip_colocation_factor_weight,
        config.behaviour_penalty_weight, config.behaviour_penalty_threshold,
    ]  # fmt: skip
    floor = (p1 or ("floor" if semantics == "spec" else "frac")) == "floor"
    return ConfigArrays(
        tuple(config.topics), np.array(rows), np.array([float(value) for value in whole]), semantics == "acl2s", floor
    )


@implements("gossipsub-resilience")
def peer_scores(
    cfg_arrays: ConfigArrays,
    C: Float64[np.ndarray, "neighbour topic 5"],  # noqa: N803 - the card of counters
    G: Float64[np.ndarray, "neighbour 3"],  # noqa: N803 - counters over all topics
) -> Float64[np.ndarray, " neighbour"]:
    """Return the scores of many neighbours, as `scorecraft.gossip.peer_score.peer_score` on floats.

    Args:
        cfg_arrays: from `config_arrays`.
        C: time in mesh in seconds, F, D, I and B.
        G: A, peers on the address beyond the threshold, H.

    Raises `ScorecraftError` for other shapes, and counters that are negative or not finite.

    Source: arXiv 2212.05197, section II; GossipSub v1.1, "Score Function".
    """
    if C.shape[1:] != (len(cfg_arrays.topics), 5) or G.shape != (len(C), 3):
        raise ScorecraftError(
            f"counters: expected shapes [n, {len(cfg_arrays.topics)}, 5] and [n, 3], got {list(C.shape)} and "
            f"{list(G.shape)}"
        )
    if not (np.isfinite(C).all() and np.isfinite(G).all()) or (C < 0).any():
        raise ScorecraftError("counters: expected finite numbers, none negative")
    with compiling_told():
        return _scores(cfg_arrays.topics, cfg_arrays.whole, cfg_arrays.acl2s, cfg_arrays.floor, C, G)


@njit(cache=True, inline="always")
def topic_points(
    topics: Any, t: Any, acl2s: Any, floor: Any, mesh: Any, first: Any, delivered: Any, invalid: Any, failures: Any
) -> Any:
    """Return what counters in topic t add, in compiled code; see `scorecraft.gossip.peer_score.topic_score`."""
    quanta = 0.0
    if topics[t, _W1] != 0:
        quanta = mesh / topics[t, _QUANTUM]
        if floor:
            quanta = np.floor(quanta)
        quanta = min(quanta, topics[t, _TCAP])
    missing = 0.0
    if mesh > topics[t, _ACTIVATION] and delivered < topics[t, _THR]:
        missing = (topics[t, _THR] - delivered) * (topics[t, _THR] - delivered)
    sticky = failures + (missing if acl2s else 0.0)
    good = topics[t, _W1] * quanta + topics[t, _W2] * min(first, topics[t, _FCAP])
    bad = topics[t, _W3] * missing + topics[t, _W3B] * sticky + topics[t, _W4] * invalid * invalid
    return topics[t, _TW] * (good + bad)


@njit(cache=True)
def _scores(topics: Any, whole: Any, acl2s: bool, floor: bool, counters: Any, over_all: Any) -> NDArray[np.float64]:
    found = np.empty(len(counters))
    for n in range(len(counters)):
        total = 0.0
        for t in range(len(topics)):
            total += topic_points(
                topics, t, acl2s, floor, counters[n, t, 0], counters[n, t, 1], counters[n, t, 2], counters[n, t, 3],
                counters[n, t, 4],
            )  # fmt: skip
        if whole[0] > 0:
            total = min(total, whole[0])
        address, behaviour = over_all[n, 1], over_all[n, 2]
        if not acl2s:
            address = max(0.0, address) * max(0.0, address)
            behaviour = max(0.0, behaviour - whole[4])
        found[n] = total + whole[1] * over_all[n, 0] + whole[2] * address + whole[3] * behaviour * behaviour
    return found
