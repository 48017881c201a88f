"""How counters of a neighbour change: deliveries, leaving the mesh, decay."""

from __future__ import annotations

from typing import TypeAlias

from scorecraft.gossip.parameters import Number, PeerScoreConfig, TopicParameters
from scorecraft.gossip.peer_score import Semantics, TopicCounters, deficit

Ticks: TypeAlias = int


def delivered(
    topic: TopicParameters, counters: TopicCounters, semantics: Semantics, *, valid: bool, first: bool, in_mesh: bool
) -> TopicCounters:
    """Return the counters after a message: I for an invalid one, F for a first one, D for one from a mesh peer.

    F and D stop at their caps. In the published model every receipt is a first one and from the mesh, and F has no cap.

    Args:
        topic: its parameters.
        counters: before.
        semantics: see `scorecraft.gossip.peer_score.topic_score`.
        valid: whether the message is.
        first: whether it was not seen before.
        in_mesh: whether the neighbour is in the mesh of the topic.

    Source: GossipSub v1.1, "Topic Parameter Calculation and Decay"; arXiv 2311.08859 for the model.
    """
    if not valid and semantics == "spec":
        return counters._replace(invalid_message_deliveries=counters.invalid_message_deliveries + 1)
    if semantics == "acl2s":
        return counters._replace(
            first_message_deliveries=counters.first_message_deliveries + 1,
            mesh_message_deliveries=counters.mesh_message_deliveries + 1,
        )
    cap = topic.first_message_deliveries_cap
    more = min(counters.first_message_deliveries + 1, cap) if first else counters.first_message_deliveries
    mesh = counters.mesh_message_deliveries
    if in_mesh:
        mesh = min(mesh + 1, topic.mesh_message_deliveries_cap)
    return counters._replace(first_message_deliveries=more, mesh_message_deliveries=mesh)


def left_mesh(topic: TopicParameters, counters: TopicCounters) -> TopicCounters:
    """Return the counters of a neighbour that left the mesh: ``B += (thr - D)^2`` if active, and no time in the mesh.

    Args:
        topic: its parameters.
        counters: before.
    """
    missing = deficit(topic, counters)
    return counters._replace(time_in_mesh=0, mesh_failure_penalty=counters.mesh_failure_penalty + missing**2)


def decayed(config: PeerScoreConfig, topic: TopicParameters, counters: TopicCounters, ticks: Ticks) -> TopicCounters:
    """Return the counters after some decay intervals: each times its factor, zero below ``decay_to_zero``.

    Args:
        config: the parameters of all topics.
        topic: its parameters.
        counters: before.
        ticks: how many decay intervals went by.

    Source: GossipSub v1.1, "Parameter Decay".
    """
    return counters._replace(
        first_message_deliveries=faded(
            config, counters.first_message_deliveries, topic.first_message_deliveries_decay, ticks
        ),
        mesh_message_deliveries=faded(
            config, counters.mesh_message_deliveries, topic.mesh_message_deliveries_decay, ticks
        ),
        invalid_message_deliveries=faded(
            config, counters.invalid_message_deliveries, topic.invalid_message_deliveries_decay, ticks
        ),
        mesh_failure_penalty=faded(config, counters.mesh_failure_penalty, topic.mesh_failure_penalty_decay, ticks),
    )


def decayed_as_in_model(
    config: PeerScoreConfig, topic: TopicParameters, counters: TopicCounters, seconds: Number
) -> TopicCounters:
    """Return the counters after a heartbeat of the published model: F and D alone, by ``f^(1 + floor(e / interval))``.

    Args:
        config: the parameters of all topics.
        topic: its parameters.
        counters: before.
        seconds: since the heartbeat before.

    Source: arXiv 2311.08859.
    """
    ticks = 1 + int(seconds // config.decay_interval)
    return counters._replace(
        first_message_deliveries=faded(
            config, counters.first_message_deliveries, topic.first_message_deliveries_decay, ticks
        ),
        mesh_message_deliveries=faded(
            config, counters.mesh_message_deliveries, topic.mesh_message_deliveries_decay, ticks
        ),
    )


def faded(config: PeerScoreConfig, value: Number, factor: Number, ticks: Ticks) -> Number:
    """Return a counter after some decay intervals.

    Args:
        config: says below what it is zero.
        value: before.
        factor: of one interval.
        ticks: how many.
    """
    if not value or not ticks:
        return value
    left = value * factor**ticks
    return left if left >= config.decay_to_zero else 0


def ticks_between(config: PeerScoreConfig, before: Number, after: Number) -> Ticks:
    """Return how many decay intervals end between two times.

    Args:
        config: says how long they are.
        before: seconds.
        after: seconds.
    """
    return int(after // config.decay_interval) - int(before // config.decay_interval)
