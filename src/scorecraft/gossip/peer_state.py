"""What a GossipSub peer knows: a record that is never changed, only replaced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scorecraft.errors import ScorecraftError
from scorecraft.gossip.choices import ordered
from scorecraft.gossip.events import Payload, Peer, Topic
from scorecraft.gossip.parameters import Number
from scorecraft.gossip.peer_score import GlobalCounters, TopicCounters


@dataclass(frozen=True, slots=True)
class PeerState:
    """A peer's knowledge of topics and neighbours, of messages, and of how neighbours behaved.

    subscriptions: who is known to subscribe a topic, itself included. mesh, fanout: to whom messages of a topic go, the
    latter where it does not subscribe it itself; last_published: seconds since. seen: age of a message by its
    identifier; duplicates: who else sent it since. cache: what can be asked for, newest first, with windows of how many
    came between heartbeats. waiting: messages asked for, of whom and how long ago. served: how often a message was
    sent to a neighbour that asked. backoff: seconds until a neighbour may be grafted again.
    """

    neighbours: tuple[Peer, ...] = ()
    subscriptions: Mapping[Topic, tuple[Peer, ...]] = field(default_factory=dict)
    mesh: Mapping[Topic, tuple[Peer, ...]] = field(default_factory=dict)
    fanout: Mapping[Topic, tuple[Peer, ...]] = field(default_factory=dict)
    last_published: Mapping[Topic, Number] = field(default_factory=dict)
    backoff: Mapping[tuple[Peer, Topic], Number] = field(default_factory=dict)
    seen: Mapping[int, Number] = field(default_factory=dict)
    duplicates: Mapping[int, tuple[Peer, ...]] = field(default_factory=dict)
    cache: tuple[Payload, ...] = ()
    windows: tuple[int, ...] = (0,)
    waiting: Mapping[int, tuple[Peer, Number]] = field(default_factory=dict)
    served: Mapping[tuple[int, Peer], int] = field(default_factory=dict)
    ihaves: Mapping[Peer, int] = field(default_factory=dict)
    counters: Mapping[tuple[Peer, Topic], TopicCounters] = field(default_factory=dict)
    over_all: Mapping[Peer, GlobalCounters] = field(default_factory=dict)
    scores: Mapping[Peer, Number] = field(default_factory=dict)
    clock: Number = 0
    heartbeats: int = 0

    def score(self, peer: Peer) -> Number:
        """Return a neighbour's score as of the last heartbeat; zero of one that is new."""
        return self.scores.get(peer, 0)

    def counted(self, peer: Peer, topic: Topic) -> TopicCounters:
        """Return a neighbour's counters in a topic."""
        return self.counters.get((peer, topic), TopicCounters())

    def topics_of(self, peer: Peer) -> dict[Topic, TopicCounters]:
        """Return a neighbour's counters by topic."""
        return {topic: own for (other, topic), own in self.counters.items() if other == peer}

    def subscribers(self, topic: Topic, myself: Peer) -> tuple[Peer, ...]:
        """Return the neighbours that subscribe a topic."""
        return tuple(peer for peer in self.subscriptions.get(topic, ()) if peer != myself)

    def subscribes(self, topic: Topic, myself: Peer) -> bool:
        """Return whether it subscribes a topic itself."""
        return myself in self.subscriptions.get(topic, ())

    def check(self, myself: Peer) -> None:
        """Raise `ScorecraftError` unless mesh and fanout are apart, and hold known subscribers alone.

        Args:
            myself: the peer whose state it is.
        """
        both = set(self.mesh) & {topic for topic, peers in self.fanout.items() if peers}
        if both:
            raise ScorecraftError(f"{myself}: topics {sorted(both)} have a mesh and a fanout; expected one of them")
        for kind in (self.mesh, self.fanout):
            for topic, peers in kind.items():
                strange = set(peers) - set(self.subscribers(topic, myself))
                if strange:
                    raise ScorecraftError(f"{myself}: {sorted(map(str, strange))} in '{topic}' do not subscribe it")


def connected(
    myself: Peer, neighbours: Iterable[Peer], topics: Iterable[Topic], *, subscribed: bool = True
) -> PeerState:
    """Return the state of a peer whose neighbours all subscribe the same topics; meshes are empty.

    Args:
        myself: the peer.
        neighbours: whom it is connected to.
        topics: what they subscribe.
        subscribed: whether it subscribes them too.

    Raises `ScorecraftError` for a peer that is its own neighbour.
    """
    others = ordered(set(neighbours))
    if myself in others:
        raise ScorecraftError(f"{myself} is its own neighbour; expected others")
    names = tuple(topics)
    if not subscribed:
        return PeerState(neighbours=others, subscriptions=dict.fromkeys(names, others))
    everybody = ordered((*others, myself))
    return PeerState(neighbours=others, subscriptions=dict.fromkeys(names, everybody), mesh=dict.fromkeys(names, ()))


def with_entry(mapping: Mapping[Any, Any], key: Any, value: Any) -> dict[Any, Any]:
    """Return a mapping with one entry set.

    Args:
        mapping: before.
        key: which.
        value: to what.
    """
    return {**mapping, key: value}


def known(state: PeerState, peer: Peer) -> PeerState:
    """Return a state that knows a neighbour.

    Args:
        state: before.
        peer: the neighbour.
    """
    return state if peer in state.neighbours else replace(state, neighbours=ordered((*state.neighbours, peer)))
