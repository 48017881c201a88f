"""Properties by formula: what a topic can cost at least, and what all others can pay at most."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from scorecraft.gossip.parameters import Number, PeerScoreConfig, TopicParameters
from scorecraft.gossip.peer_score import GlobalCounters, Semantics, TopicCounters, peer_score, topic_score
from scorecraft.gossip.properties import Domain, Property, Verdict, Witness, witness_of

# A moment after decay, at which a counter is no whole number.
_HAIR = Fraction(1, 1000)


class Penalty(NamedTuple):
    """A smallest offence in a topic: D, I and B, whether the topic is active, and points before the topic's weight."""

    deliveries: Number
    invalid: Number
    failures: Number
    active: bool
    points: Number
    said: str


def most_good(topic: TopicParameters) -> Number:
    """Return the most that a topic adds: ``tw (w1 cap + w2 Fcap)``."""
    return topic.topic_weight * (
        topic.time_in_mesh_weight * topic.time_in_mesh_cap
        + topic.first_message_deliveries_weight * topic.first_message_deliveries_cap
    )


def best_counters(topic: TopicParameters) -> TopicCounters:
    """Return the counters of a neighbour that has done all that counts in a topic."""
    first = topic.first_message_deliveries_cap if topic.first_message_deliveries_weight else 0
    delivered = topic.mesh_message_deliveries_cap if _expects(topic) else 0
    # Long enough to be paid for in full, and to be active.
    mesh = max(topic.time_in_mesh_quantum * topic.time_in_mesh_cap, topic.mesh_message_deliveries_activation + 1)
    return TopicCounters(mesh, first, delivered, 0, 0)


def silent_counters(topic: TopicParameters, mesh_time: Number | None = None) -> TopicCounters:
    """Return the counters of a neighbour that has never delivered anything in a topic.

    Args:
        topic: its parameters.
        mesh_time: seconds in the mesh; one beyond the activation where not given.
    """
    return TopicCounters(topic.mesh_message_deliveries_activation + 1 if mesh_time is None else mesh_time)


def silent_score(topic: TopicParameters, semantics: Semantics, mesh_time: Number | None = None) -> Number:
    """Return what a topic costs a neighbour that never delivers: ``tw (w1 P1 + w3 thr^2)``.

    Args:
        topic: its parameters.
        semantics: see `scorecraft.gossip.peer_score.topic_score`.
        mesh_time: see `silent_counters`.
    """
    return topic_score(topic, silent_counters(topic, mesh_time), semantics=semantics)


def check(cfg: PeerScoreConfig, prop: Property, semantics: Semantics, domain: Domain) -> Verdict:
    """Return the verdict on a property; see `scorecraft.gossip.properties.check_property`."""
    if prop == "P1":
        return _negative_and_positive(cfg, semantics, domain)
    if prop == "P2":
        return _worse_is_lower(cfg, semantics)
    if prop == "silent":
        return _silent(cfg, semantics)
    # P3: all good weights are >= 0 and caps only cut. P4: the score is a function of the counters.
    return Verdict(prop, "closed_form", holds=True, margin=0)


def penalties(topic: TopicParameters, semantics: Semantics, domain: Domain = "integer") -> Iterator[Penalty]:
    """Yield the offences of a topic, each alone: all numbers of missing deliveries, one failure, one invalid message.

    Args:
        topic: its parameters.
        semantics: see `scorecraft.gossip.peer_score.topic_score`.
        domain: of the counters; on real ones a hair of each.
    """
    unit = 1 if domain == "integer" else _HAIR
    live = topic.mesh_message_deliveries_weight
    if semantics == "acl2s":
        live = live + topic.mesh_failure_penalty_weight
    if live:
        threshold = topic.mesh_message_deliveries_threshold
        whole = [d for d in range(int(threshold) + 1) if d < threshold]
        some = whole if domain == "integer" else [*whole, threshold - _HAIR]
        for delivered in some:
            yield Penalty(
                delivered, 0, 0, True, live * (threshold - delivered) ** 2,
                f"it delivers {_short(delivered)} where {_short(threshold)} are expected",
            )  # fmt: skip
    if topic.mesh_failure_penalty_weight:
        yield Penalty(
            _enough(topic), 0, unit, False, topic.mesh_failure_penalty_weight * unit,
            f"a penalty of {_short(unit)} for missing deliveries is left from before",
        )  # fmt: skip
    if topic.invalid_message_deliveries_weight:
        yield Penalty(
            _enough(topic), unit, 0, False, topic.invalid_message_deliveries_weight * unit**2,
            f"it forwards {_short(unit)} invalid message{'' if unit == 1 else 's'}",
        )  # fmt: skip


def _negative_and_positive(cfg: PeerScoreConfig, semantics: Semantics, domain: Domain) -> Verdict:
    best: tuple[Number, Witness | None, bool] = (None, None, False)
    everything = sum(most_good(topic) for topic in cfg.topics.values())
    for name, topic in cfg.topics.items():
        if not topic.topic_weight:
            continue
        others = everything - most_good(topic)
        for penalty in penalties(topic, semantics, domain):
            mesh = topic.mesh_message_deliveries_activation + 1 if penalty.active else 0
            base = topic_score(topic, TopicCounters(mesh, 0, _enough(topic)), semantics=semantics)
            lowest = base + topic.topic_weight * penalty.points
            if lowest >= 0:
                continue
            highest = most_good(topic) + topic.topic_weight * penalty.points
            reach = others + min(highest, 0)
            if best[0] is None or reach > best[0]:
                found = _state(cfg, name, penalty, others, semantics) if reach > 0 else None
                best = (
                    reach,
                    found,
                    penalty.deliveries % 1 != 0 or penalty.invalid % 1 != 0 or penalty.failures % 1 != 0,
                )
    reach, witness, trivial = best
    if reach is None:
        return Verdict("P1", "closed_form", holds=True, said="no topic has a penalty, so none is ever negative")
    if reach > 0 and witness is not None:
        return Verdict("P1", "closed_form", holds=False, witness=witness, margin=-reach, trivial=trivial)
    return Verdict("P1", "closed_form", holds=True, margin=-reach)


def _state(cfg: PeerScoreConfig, name: str, penalty: Penalty, others: Number, semantics: Semantics) -> Witness | None:
    """Return a state with a topic just below zero and all others at their best; None where others pay nothing."""
    topic = cfg.topics[name]
    states = {other: best_counters(cfg.topics[other]) for other in cfg.topics}
    for mesh, first in _goods(topic, penalty, others):
        own = TopicCounters(mesh, first, penalty.deliveries, penalty.invalid, penalty.failures)
        found = witness_of(cfg, name, states | {name: own}, semantics, penalty.said)
        if found.topic_score < 0 < found.score:
            return found
    return None


def _goods(topic: TopicParameters, penalty: Penalty, others: Number) -> Iterator[tuple[Number, Number]]:
    """Yield time in mesh and first deliveries, from as much as possible down to what leaves the topic just negative."""
    least = topic.mesh_message_deliveries_activation + 1 if penalty.active else 0
    full = max(topic.time_in_mesh_quantum * topic.time_in_mesh_cap, least)
    cap = topic.first_message_deliveries_cap if topic.first_message_deliveries_weight else 0
    for mesh in (full, least):
        yield mesh, cap
        if topic.first_message_deliveries_weight:
            paid = min(mesh // topic.time_in_mesh_quantum, topic.time_in_mesh_cap) if topic.time_in_mesh_weight else 0
            room = -penalty.points - topic.time_in_mesh_weight * paid
            # Half of what the others pay is left over, in points before the topic's weight.
            first = (room - Fraction(others) / 2 / Fraction(topic.topic_weight)) / topic.first_message_deliveries_weight
            yield mesh, min(max(first, 0), cap)
        yield mesh, 0


def _worse_is_lower(cfg: PeerScoreConfig, semantics: Semantics) -> Verdict:
    """The cap is the only thing that hides an offence: above it by more than the offence costs, nothing changes."""
    everything = {name: best_counters(topic) for name, topic in cfg.topics.items()}
    total = sum(most_good(topic) for topic in cfg.topics.values())
    cap = cfg.topic_score_cap
    best: tuple[Number, Witness] | None = None
    for name, topic in cfg.topics.items():
        for penalty in penalties(topic, semantics):
            if not (topic.topic_weight and cap):
                continue
            hidden = total + topic.topic_weight * penalty.points - cap
            if hidden >= 0 and (best is None or hidden > best[0]):
                good = everything[name]
                own = good._replace(
                    mesh_message_deliveries=penalty.deliveries if penalty.active else good.mesh_message_deliveries,
                    invalid_message_deliveries=penalty.invalid, mesh_failure_penalty=penalty.failures,
                )  # fmt: skip
                after = everything | {name: own}
                found = witness_of(cfg, name, everything, semantics, f"{penalty.said}, and its score stays at the cap")
                then = peer_score(cfg, after, semantics=semantics)
                best = (hidden, found._replace(after=(after, GlobalCounters(), then)))
    if best is None:
        return Verdict("P2", "closed_form", holds=True, margin=cap - total if cap else None)
    return Verdict("P2", "closed_form", holds=False, witness=best[1], margin=-best[0])


def _silent(cfg: PeerScoreConfig, semantics: Semantics) -> Verdict:
    worst: tuple[Number, str] | None = None
    for name, topic in cfg.topics.items():
        if not topic.topic_weight:
            continue
        own = silent_score(topic, semantics, best_counters(topic).time_in_mesh)
        if worst is None or own > worst[0]:
            worst = (own, name)
    if worst is None or worst[0] < 0:
        return Verdict("silent", "closed_form", holds=True, margin=None if worst is None else -worst[0])
    name = worst[1]
    topic = cfg.topics[name]
    states = {other: best_counters(cfg.topics[other]) for other in cfg.topics}
    states[name] = silent_counters(topic, best_counters(topic).time_in_mesh)
    found = witness_of(cfg, name, states, semantics, "it delivers nothing at all, for as long as it likes")
    return Verdict("silent", "closed_form", holds=False, witness=found, margin=-worst[0])


def _expects(topic: TopicParameters) -> bool:
    return bool(topic.mesh_message_deliveries_weight or topic.mesh_failure_penalty_weight)


def _enough(topic: TopicParameters) -> Number:
    return topic.mesh_message_deliveries_cap if _expects(topic) else 0


def _short(number: Number) -> str:
    return f"{float(number):g}"
