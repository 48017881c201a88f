"""The peer score of many neighbours at once, compiled."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numba import njit
from numpy.typing import NDArray

from scorecraft.catalog.implements import implements
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
    return _scores(cfg_arrays.topics, cfg_arrays.whole, cfg_arrays.acl2s, cfg_arrays.floor, C, G)


@njit(cache=True)
def topic_score_of(row: Any, acl2s: bool, floor: bool, counters: Any) -> Any:
    """Return what the counters of one topic add, in compiled code; see `scorecraft.gossip.peer_score.topic_score`."""
    mesh = counters[0]
    quanta = 0.0
    if row[_W1] != 0:
        quanta = mesh / row[_QUANTUM]
        if floor:
            quanta = np.floor(quanta)
        quanta = min(quanta, row[_TCAP])
    missing = 0.0
    if mesh > row[_ACTIVATION] and counters[2] < row[_THR]:
        missing = (row[_THR] - counters[2]) ** 2
    sticky = counters[4] + (missing if acl2s else 0.0)
    good = row[_W1] * quanta + row[_W2] * min(counters[1], row[_FCAP])
    return row[_TW] * (good + row[_W3] * missing + row[_W3B] * sticky + row[_W4] * counters[3] ** 2)


@njit(cache=True)
def score_of(topics: Any, whole: Any, acl2s: bool, floor: bool, counters: Any, over_all: Any) -> Any:
    """Return one neighbour's score, in compiled code; see `scorecraft.gossip.peer_score.peer_score`."""
    total = 0.0
    for t in range(len(topics)):
        total += topic_score_of(topics[t], acl2s, floor, counters[t])
    if whole[0] > 0:
        total = min(total, whole[0])
    address, behaviour = over_all[1], over_all[2]
    if not acl2s:
        address = max(0.0, address) ** 2
        behaviour = max(0.0, behaviour - whole[4])
    return total + whole[1] * over_all[0] + whole[2] * address + whole[3] * behaviour**2


@njit(cache=True)
def _scores(topics: Any, whole: Any, acl2s: bool, floor: bool, counters: Any, over_all: Any) -> NDArray[np.float64]:
    found = np.empty(len(counters))
    for n in range(len(counters)):
        found[n] = score_of(topics, whole, acl2s, floor, counters[n], over_all[n])
    return found
