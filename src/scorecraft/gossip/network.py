"""A network of GossipSub peers, event by event: what is sent arrives at once, and one thing happens after the other."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scorecraft.catalog.implements import implements
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.gossip.events import Event, Peer
from scorecraft.gossip.parameters import Number, PeerScoreConfig
from scorecraft.gossip.peer_score import Semantics, topic_score
from scorecraft.gossip.peer_state import PeerState
from scorecraft.gossip.transition import transition


@dataclass(frozen=True)
class Trace:
    """What happened: the states at the end, how many steps, and what heartbeats found.

    scores: at each heartbeat, who scored and all its neighbours' scores. violations: who, when and of whom: negative in
    a topic and positive overall. truncated: whether the most steps were reached. events: all of them, where kept.
    """

    states: Mapping[Peer, PeerState]
    steps: int
    scores: tuple[tuple[Peer, Mapping[Peer, Number]], ...]
    violations: tuple[tuple[int, Peer, Peer], ...]
    truncated: bool
    events: tuple[Event, ...] = field(default=())


@implements("gossipsub-verification")
def run_network(
    group: Mapping[Any, PeerState],
    events: Iterable[Event],
    max_steps: int,
    cfg: PeerScoreConfig,
    seed: int,
    *,
    keep_trace: bool = False,
    semantics: Semantics = "spec",
    progress: Callable[[int], None] | None = None,
) -> Trace:
    """Return what becomes of a network: each event is played to its end before the next one.

    What a peer sends is an event of its own, at once followed by its arrival; all wait in one line. Step n has the seed
    ``seed + n``.

    Args:
        group: the peers' states; a peer that is not among them starts afresh, with a warning.
        events: what is to happen.
        max_steps: after so many steps the trace is cut, and says so.
        cfg: the parameters.
        seed: of all random choices.
        keep_trace: whether all events are kept.
        semantics: see `scorecraft.gossip.transition.transition`.
        progress: told the number of steps, after each event from outside.

    Raises `ScorecraftError` as `transition` does, and for fewer than one step.

    Source: arXiv 2311.08859.
    """
    if max_steps < 1:
        raise ScorecraftError(f"max_steps is {max_steps}; expected at least 1")
    states, line = dict(group), deque[Event]()
    kept: list[Event] = []
    scores, violations = [], []
    steps = 0
    for outside in events:
        line.append(outside)
        while line:
            if steps == max_steps:
                return Trace(states, steps, tuple(scores), tuple(violations), True, tuple(kept))
            event = line.popleft()
            actor = event[0]
            if actor not in states:
                warnings.warn(f"peer {actor!r} is not known and starts afresh", ScorecraftWarning, stacklevel=2)
                states[actor] = PeerState()
            before = states[actor]
            states[actor], sent = transition(actor, before, event, cfg, seed + steps, semantics=semantics)
            steps += 1
            if keep_trace:
                kept.append(event)
            if event[1] == "HBM":
                found = states[actor].scores
                scores.append((actor, found))
                violations += [
                    (len(scores) - 1, actor, peer)
                    for peer in found
                    if violated(before, found[peer], peer, cfg, semantics)
                ]
            for out in sent:
                line.append(out)
                line.append((out[2], "RCV", actor, out[3]))
        if progress is not None:
            progress(steps)
    return Trace(states, steps, tuple(scores), tuple(violations), False, tuple(kept))


def violated(state: PeerState, score: Number, peer: Peer, cfg: PeerScoreConfig, semantics: Semantics) -> bool:
    """Return whether a neighbour is negative in a topic and positive overall.

    Args:
        state: with its counters as they were scored.
        score: of the neighbour.
        peer: the neighbour.
        cfg: the parameters.
        semantics: see `scorecraft.gossip.peer_score.topic_score`.
    """
    if score <= 0:
        return False
    return any(
        topic_score(cfg.topics[topic], own, semantics=semantics) < 0 for topic, own in state.topics_of(peer).items()
    )
