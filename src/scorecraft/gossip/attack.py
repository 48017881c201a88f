"""Attacks that a peer score does not see: silence in some topics, paid for by good conduct in the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from scorecraft.catalog.implements import implements
from scorecraft.errors import ScorecraftError, nearest
from scorecraft.gossip.closed_form import most_good, silent_score
from scorecraft.gossip.counting import decayed, decayed_as_in_model, delivered, ticks_between
from scorecraft.gossip.events import Event, Payload, Peer
from scorecraft.gossip.parameters import Number, PeerScoreConfig
from scorecraft.gossip.peer_score import Semantics, TopicCounters, peer_score, topic_score

VICTIM, ATTACKER = "victim", "attacker"


class Heartbeat(NamedTuple):
    """What the victim holds of the attacker at a heartbeat: seconds so far, scores by topic, and the score."""

    seconds: Number
    topics: dict[str, Number]
    score: Number


class AttackPlan(NamedTuple):
    """An attack: which topics, what happens, and the scores that follow.

    attacked: topics in which the attacker misbehaves. events: as a network plays them. predicted_scores: at each
    heartbeat of the victim. sustained: whether the score never fell below zero.
    """

    attacked: tuple[str, ...]
    events: tuple[Event, ...]
    predicted_scores: tuple[Heartbeat, ...]

    @property
    def sustained(self) -> bool:
        """Whether the attacker is never pruned for its score."""
        return all(beat.score >= 0 for beat in self.predicted_scores)

    @property
    def violations(self) -> int:
        """At how many heartbeats an attacked topic is negative and the score positive."""
        return sum(
            beat.score > 0 and any(beat.topics[name] < 0 for name in self.attacked) for beat in self.predicted_scores
        )


@implements("gossipsub-resilience")
def max_silent_topics(
    cfg: PeerScoreConfig, *, among: Sequence[str] | None = None, semantics: Semantics = "spec",
    mesh_time: Number | None = None,
) -> int:  # fmt: skip
    """Return in how many topics a peer can deliver nothing and keep a positive score, doing its best in the others.

    The most with ``sum_{t not silent} tw (w1 cap + w2 Fcap) + sum_{t silent} tw (w1 P1 + w3 thr^2) > 0``, by taking the
    cheapest first.

    Args:
        cfg: the parameters.
        among: topics that may be silent; all, if not given.
        semantics: see `scorecraft.gossip.peer_score.topic_score`.
        mesh_time: seconds in the mesh; the moment when each topic becomes active, the hardest for the silent, if not
            given.

    Source: the closed form is this project's; arXiv 2212.05197, section V, for the attack.
    """
    left = sum(most_good(topic) for topic in cfg.topics.values())
    costs = sorted(
        most_good(topic) - silent_score(topic, semantics, mesh_time)
        for name, topic in cfg.topics.items()
        if topic.topic_weight and (among is None or name in among)
    )
    for silent, cost in enumerate(costs):
        left -= cost
        if left <= 0:
            return silent
    return len(costs)


@implements("gossipsub-resilience")
def synthesise_attack(
    cfg: PeerScoreConfig,
    attacked: int | Sequence[str] = 1,
    beat_s: Number = 18,
    msgs: int = 20,
    *,
    beats: int = 50,
    sent: int = 0,
    semantics: Semantics = "spec",
    victim: Peer = VICTIM,
    attacker: Peer = ATTACKER,
) -> AttackPlan:
    """Return an attack by silence: fresh valid messages in all topics but some, heartbeat after heartbeat.

    Args:
        cfg: the parameters.
        attacked: topics by name, or how many: then those that cost least.
        beat_s: seconds between the victim's heartbeats.
        msgs: messages a beat in every other topic.
        beats: how many heartbeats.
        sent: messages a beat in the attacked topics: 0 stops them, one less than the threshold throttles them.
        semantics: see `scorecraft.gossip.peer_score.topic_score`.
        victim: its name in the events.
        attacker: its name in the events.

    Raises `ScorecraftError` for a topic that is not there, and numbers that cannot be.

    Source: arXiv 2212.05197, section V; the published attack files.
    """
    names = _attacked(cfg, attacked, semantics)
    for what, value, least in (("msgs", msgs, 0), ("beats", beats, 1), ("sent", sent, 0)):
        if not value >= least:
            raise ScorecraftError(f"{what} is {value}; expected a number >= {least}")
    if not beat_s > 0:
        raise ScorecraftError(f"beat_s is {beat_s}; expected seconds > 0")
    events: list[Event] = []
    number = 0
    for _ in range(beats):
        for name in cfg.topics:
            for _ in range(sent if name in names else msgs):
                number += 1
                events.append((victim, "RCV", attacker, ("PAYLOAD", Payload(number, name, attacker))))
        events.append((victim, "HBM", beat_s))
    return AttackPlan(names, tuple(events), replayed(cfg, events, semantics))


def replayed(cfg: PeerScoreConfig, events: Sequence[Event], semantics: Semantics = "spec") -> tuple[Heartbeat, ...]:
    """Return the scores of a mesh neighbour that sends these messages, by its counters alone.

    It is in the mesh of every topic from the start. A score is taken at a heartbeat, before time and decay are counted.

    Args:
        cfg: the parameters.
        events: receipts of fresh messages, and heartbeats.
        semantics: see `scorecraft.gossip.peer_score.topic_score`.
    """
    counters = dict.fromkeys(cfg.topics, TopicCounters())
    clock: Number = 0
    beats = []
    for event in events:
        if event[1] == "RCV":
            payload: Payload = event[3][1]
            topic = cfg.topics[payload.topic]
            counters[payload.topic] = delivered(
                topic, counters[payload.topic], semantics, valid=payload.valid, first=True, in_mesh=True
            )
            continue
        seconds = event[2]
        scores = {name: topic_score(cfg.topics[name], own, semantics=semantics) for name, own in counters.items()}
        beats.append(Heartbeat(clock, scores, peer_score(cfg, counters, semantics=semantics)))
        ticks = ticks_between(cfg, clock, clock + seconds)
        for name, own in counters.items():
            topic, later = cfg.topics[name], own._replace(time_in_mesh=own.time_in_mesh + seconds)
            counters[name] = (
                decayed(cfg, topic, later, ticks)
                if semantics == "spec"
                else decayed_as_in_model(cfg, topic, later, seconds)
            )
        clock += seconds
    return tuple(beats)


def _attacked(cfg: PeerScoreConfig, attacked: int | Sequence[str], semantics: Semantics) -> tuple[str, ...]:
    if isinstance(attacked, int):
        scored = [name for name, topic in cfg.topics.items() if topic.topic_weight]
        if not 0 < attacked <= len(scored):
            raise ScorecraftError(f"{attacked} topics to attack; expected 1 to {len(scored)}")
        # Cheapest first are those in which silence is noticed at all.
        scored.sort(key=lambda name: (
            silent_score(cfg.topics[name], semantics) >= 0,
            most_good(cfg.topics[name]) - silent_score(cfg.topics[name], semantics),
        ))  # fmt: skip
        return tuple(scored[:attacked])
    for name in attacked:
        if name not in cfg.topics:
            raise ScorecraftError(f"no topic '{name}': {nearest(name, cfg.topics)}")
    if not attacked:
        raise ScorecraftError("no topic to attack; expected at least one")
    return tuple(attacked)
