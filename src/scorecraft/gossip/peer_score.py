"""The peer score of GossipSub v1.1: exact on fractions, the same code on floats."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from fractions import Fraction
from typing import Literal, NamedTuple, TypeAlias

from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.gossip.parameters import Number, PeerScoreConfig, TopicParameters

Semantics: TypeAlias = Literal["spec", "acl2s"]
MeshTime: TypeAlias = Literal["floor", "frac"]


class TopicCounters(NamedTuple):
    """What is counted of a neighbour in a topic: mt in seconds, F, D, I and B in messages."""

    time_in_mesh: Number = 0
    first_message_deliveries: Number = 0
    mesh_message_deliveries: Number = 0
    invalid_message_deliveries: Number = 0
    mesh_failure_penalty: Number = 0


class GlobalCounters(NamedTuple):
    """What is counted of a neighbour over all topics.

    app_specific: A. ip_colocation: peers on its address beyond the threshold; with the model's semantics P6 itself.
    behaviour_penalty: H.
    """

    app_specific: Number = 0
    ip_colocation: Number = 0
    behaviour_penalty: Number = 0


def deficit(parameters: TopicParameters, counters: TopicCounters) -> Number:
    """Return how many deliveries are missing: ``max(0, thr - D)`` once ``mt > activation``, else 0."""
    if counters.time_in_mesh <= parameters.mesh_message_deliveries_activation:
        return 0
    return max(0, parameters.mesh_message_deliveries_threshold - counters.mesh_message_deliveries)


def topic_score(
    parameters: TopicParameters,
    counters: TopicCounters,
    *,
    semantics: Semantics = "spec",
    p1: MeshTime | None = None,
) -> Number:
    """Return what a neighbour's conduct in one topic adds to its score.

    ``tw (w1 P1 + w2 P2 + w3 P3 + w3b P3b + w4 P4)`` with ``P1 = min(mt / quantum, cap)``, ``P2 = min(F, cap)``,
    ``P3 = deficit^2``, ``P3b = B``, ``P4 = I^2``.

    Args:
        parameters: of the topic.
        counters: of the neighbour in it.
        semantics: "spec" as the specification has it; "acl2s" as the published model, where P3b takes the live deficit
            in, so that it counts twice.
        p1: whether mt / quantum is rounded down, as in clients, or not, as in the model; follows the semantics where
            not given.

    Raises `ScorecraftError` for a negative counter or one that is not finite.

    Source: arXiv 2212.05197, section II; GossipSub v1.1, "Score Function".
    """
    for name, value in zip(counters._fields, counters, strict=True):
        if not (math.isfinite(value) and value >= 0):
            raise ScorecraftError(f"the counter {name} is {value}; expected a number that is not negative")
    mesh, first, _, invalid, failures = counters
    quanta = 0
    if parameters.time_in_mesh_weight:
        whole = (p1 or ("floor" if semantics == "spec" else "frac")) == "floor"
        seconds = Fraction(mesh) if isinstance(mesh, int) else mesh  # whole seconds stay exact
        quanta = seconds // parameters.time_in_mesh_quantum if whole else seconds / parameters.time_in_mesh_quantum
        quanta = min(quanta, parameters.time_in_mesh_cap)
    missing = deficit(parameters, counters) ** 2
    sticky = failures + (missing if semantics == "acl2s" else 0)
    return parameters.topic_weight * (
        parameters.time_in_mesh_weight * quanta
        + parameters.first_message_deliveries_weight * min(first, parameters.first_message_deliveries_cap)
        + parameters.mesh_message_deliveries_weight * missing
        + parameters.mesh_failure_penalty_weight * sticky
        + parameters.invalid_message_deliveries_weight * invalid**2
    )


def global_score(config: PeerScoreConfig, counters: GlobalCounters, *, semantics: Semantics = "spec") -> Number:
    """Return ``w5 A + w6 surplus^2 + w7 max(0, H - threshold)^2``; in the model's semantics ``w5 A + w6 P6 + w7 H^2``.

    Source: arXiv 2212.05197, section II; GossipSub v1.1, "Score Function".
    """
    app, address, behaviour = counters
    if semantics == "spec":
        address = max(0, address) ** 2
        behaviour = max(0, behaviour - config.behaviour_penalty_threshold)
    return (
        config.app_specific_weight * app
        + config.ip_colocation_factor_weight * address
        + config.behaviour_penalty_weight * behaviour**2
    )


def peer_score(
    config: PeerScoreConfig,
    topics: Mapping[str, TopicCounters],
    counters: GlobalCounters | None = None,
    *,
    semantics: Semantics = "spec",
    p1: MeshTime | None = None,
) -> Number:
    """Return a neighbour's score: ``min(sum over topics, cap) + w5 P5 + w6 P6 + w7 P7``, the cap where it is not zero.

    Args:
        config: the parameters; fractions give an exact score.
        topics: counters of the neighbour by topic; a topic without parameters counts nothing, with a warning.
        counters: over all topics.
        semantics: see `topic_score`.
        p1: see `topic_score`.

    Raises `ScorecraftError` for a negative counter or one that is not finite.

    Source: arXiv 2212.05197, section II; GossipSub v1.1, "Score Function".
    """
    unknown = sorted(set(topics) - set(config.topics))
    if unknown:
        warnings.warn(f"topics without parameters count nothing: {', '.join(unknown)}", ScorecraftWarning, stacklevel=2)
    total = sum(
        topic_score(config.topics[name], counted, semantics=semantics, p1=p1)
        for name, counted in topics.items()
        if name in config.topics
    )
    if config.topic_score_cap:
        total = min(total, config.topic_score_cap)
    return total + global_score(config, counters or GlobalCounters(), semantics=semantics)
