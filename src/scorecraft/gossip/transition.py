"""What a GossipSub peer makes of an event: a pure function of its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from scorecraft.catalog.implements import implements
from scorecraft.errors import ScorecraftError
from scorecraft.gossip import heartbeat
from scorecraft.gossip.choices import chosen, number_of, ordered
from scorecraft.gossip.counting import delivered, left_mesh
from scorecraft.gossip.events import Event, Payload, Peer, Topic
from scorecraft.gossip.parameters import PeerScoreConfig
from scorecraft.gossip.peer_score import GlobalCounters, Semantics
from scorecraft.gossip.peer_state import PeerState, known, with_entry

Outcome: TypeAlias = tuple[PeerState, list[Event]]


@implements("gossipsub-verification")
def transition(
    self_id: Peer, st: PeerState, ev: Event, cfg: PeerScoreConfig, seed: int, *, semantics: Semantics = "spec"
) -> Outcome:
    """Return the state after an event, and the events it brings about.

    A heartbeat scores all neighbours, gossips, sees to the meshes, lets messages grow old and counters decay, in this
    order. Numbers are as exact as the parameters.

    Args:
        self_id: the peer.
        st: before.
        ev: an event of this peer; see `scorecraft.gossip.events`.
        cfg: the parameters.
        seed: of the step; nothing else is random.
        semantics: "spec" follows GossipSub v1.1; "acl2s" the published model with its quirks: deficits count twice, F
            and D alone decay, every message is valid and a first one, the heartbeat keeps neighbours with negative
            scores, and a graft is taken from those without a positive one.

    Raises `ScorecraftError` for an event that is none, a heartbeat that takes no time, and a topic without parameters.

    Source: arXiv 2311.08859; GossipSub v1.1.
    """
    if len(ev) < 3 or ev[0] != self_id:
        raise ScorecraftError(f"{ev!r} is no event of {self_id}")
    kind = ev[1]
    if kind == "HBM":
        return _heartbeat(self_id, st, cfg, ev[2], seed, semantics)
    if kind == "APP":
        return _published(self_id, st, cfg, ev[2], seed)
    if kind == "JOIN":
        return _joined(self_id, st, cfg, ev[2], seed)
    if kind == "LEAVE":
        return _left(self_id, st, cfg, ev[2])
    if kind not in {"SND", "RCV"} or len(ev) != 4:
        raise ScorecraftError(f"{ev!r} is no event; expected SND, RCV, JOIN, LEAVE, HBM or APP")
    other, (message, content) = ev[2], ev[3]
    st = known(st, other)
    if kind == "RCV" and semantics == "spec" and st.score(other) < cfg.graylist_threshold:
        return st, []
    handlers = _SENT if kind == "SND" else _RECEIVED
    if message not in _RECEIVED:
        raise ScorecraftError(f"{message!r} is no message; expected one of {', '.join(_RECEIVED)}")
    handler = handlers.get(message)
    return (st, []) if handler is None else handler(self_id, st, cfg, other, content, seed, semantics)


def _heartbeat(
    myself: Peer, st: PeerState, cfg: PeerScoreConfig, seconds: Any, seed: int, semantics: Semantics
) -> Outcome:
    if not seconds > 0:
        raise ScorecraftError(f"a heartbeat of {myself} after {seconds} s; expected seconds > 0")
    st = heartbeat.scored(st, cfg, semantics)
    gossip = heartbeat.gossiped(myself, st, cfg, seed, semantics)
    st, sent = heartbeat.maintained(myself, st, cfg, seconds, seed, semantics)
    st = heartbeat.aged(st, cfg, seconds, semantics)
    return heartbeat.faded_counters(st, cfg, seconds, semantics), sent + gossip


def _published(myself: Peer, st: PeerState, cfg: PeerScoreConfig, payload: Payload, seed: int) -> Outcome:
    _parameters(cfg, payload.topic)
    if payload.identifier in st.seen:
        return st, []
    return _forwarded(myself, _stored(st, payload), cfg, payload, myself, seed)


def _stored(st: PeerState, payload: Payload) -> PeerState:
    return replace(
        st, seen=with_entry(st.seen, payload.identifier, 0), cache=(payload, *st.cache),
        windows=(st.windows[0] + 1, *st.windows[1:]),
        waiting={key: entry for key, entry in st.waiting.items() if key != payload.identifier},
    )  # fmt: skip


def _forwarded(myself: Peer, st: PeerState, cfg: PeerScoreConfig, payload: Payload, source: Peer, seed: int) -> Outcome:
    """Send a message to the mesh of its topic, or to a fanout where there is no mesh; not back to source and origin."""
    topic = payload.topic
    if topic in st.mesh:
        peers = st.mesh[topic]
    elif source != myself:
        # A peer that does not subscribe a topic forwards nothing of it.
        peers = ()
    else:
        peers = st.fanout.get(topic, ())
        if not peers:
            able = [peer for peer in st.subscribers(topic, myself) if st.score(peer) >= cfg.publish_threshold]
            at = list(cfg.topics).index(topic)
            peers = chosen(able, cfg.router.d, seed, number_of(myself), at, heartbeat.TO_FANOUT)
        st = replace(
            st, fanout=with_entry(st.fanout, topic, peers), last_published=with_entry(st.last_published, topic, 0)
        )
    targets = [peer for peer in peers if peer not in {myself, source, payload.origin}]
    return st, [(myself, "SND", peer, ("PAYLOAD", payload)) for peer in targets]


def _joined(myself: Peer, st: PeerState, cfg: PeerScoreConfig, topic: Topic, seed: int) -> Outcome:
    _parameters(cfg, topic)
    if st.subscribes(topic, myself):
        return st, []
    able = [peer for peer in st.subscribers(topic, myself) if st.score(peer) >= 0 and (peer, topic) not in st.backoff]
    at = list(cfg.topics).index(topic)
    mesh = chosen(able, cfg.router.d, seed, number_of(myself), at, heartbeat.TO_JOIN)
    st = replace(
        st, subscriptions=with_entry(st.subscriptions, topic, ordered((*st.subscriptions.get(topic, ()), myself))),
        mesh=with_entry(st.mesh, topic, mesh),
        fanout={key: peers for key, peers in st.fanout.items() if key != topic},
        last_published={key: age for key, age in st.last_published.items() if key != topic},
    )  # fmt: skip
    sent = [(myself, "SND", peer, ("GRAFT", topic)) for peer in mesh]
    return st, sent + [(myself, "SND", peer, ("SUB", topic)) for peer in st.neighbours]


def _left(myself: Peer, st: PeerState, cfg: PeerScoreConfig, topic: Topic) -> Outcome:
    if not st.subscribes(topic, myself):
        return st, []
    counters, backoff = dict(st.counters), dict(st.backoff)
    mesh = st.mesh.get(topic, ())
    for peer in mesh:
        counters[peer, topic] = left_mesh(cfg.topics[topic], st.counted(peer, topic))
        backoff[peer, topic] = cfg.router.unsubscribe_backoff
    st = replace(
        st, subscriptions=with_entry(st.subscriptions, topic, st.subscribers(topic, myself)),
        mesh={key: peers for key, peers in st.mesh.items() if key != topic}, counters=counters, backoff=backoff,
    )  # fmt: skip
    sent = [(myself, "SND", peer, ("PRUNE", topic)) for peer in mesh]
    return st, sent + [(myself, "SND", peer, ("UNSUB", topic)) for peer in st.neighbours]


def _got_payload(
    myself: Peer, st: PeerState, cfg: PeerScoreConfig, other: Peer, payload: Payload, seed: int, semantics: Semantics
) -> Outcome:
    topic = _parameters(cfg, payload.topic)
    first = payload.identifier not in st.seen and payload.origin != myself
    in_mesh = other in st.mesh.get(payload.topic, ())
    already = st.duplicates.get(payload.identifier, ())
    if semantics == "spec" and payload.valid and not first:
        age = st.seen.get(payload.identifier, 0)
        if not in_mesh or other in already or age > topic.mesh_message_deliveries_window:
            return st, []
    own = delivered(
        topic, st.counted(other, payload.topic), semantics, valid=payload.valid, first=first, in_mesh=in_mesh
    )
    st = replace(st, counters=with_entry(st.counters, (other, payload.topic), own))
    if semantics == "spec" and not payload.valid:
        return st, []
    st = replace(st, duplicates=with_entry(st.duplicates, payload.identifier, (*already, other)))
    return _forwarded(myself, _stored(st, payload), cfg, payload, other, seed) if first else (st, [])


def _got_subscription(
    myself: Peer, st: PeerState, cfg: PeerScoreConfig, other: Peer, topic: Topic, seed: int, semantics: Semantics
) -> Outcome:
    del myself, cfg, seed, semantics
    peers = ordered({*st.subscriptions.get(topic, ()), other})
    return replace(st, subscriptions=with_entry(st.subscriptions, topic, peers)), []


def _got_unsubscription(
    myself: Peer, st: PeerState, cfg: PeerScoreConfig, other: Peer, topic: Topic, seed: int, semantics: Semantics
) -> Outcome:
    st, _ = _pruned(myself, st, cfg, other, topic, seed, semantics)
    without = tuple(peer for peer in st.subscriptions.get(topic, ()) if peer != other)
    fanout = {key: tuple(p for p in peers if key != topic or p != other) for key, peers in st.fanout.items()}
    return replace(st, subscriptions=with_entry(st.subscriptions, topic, without), fanout=fanout), []


def _got_graft(
    myself: Peer, st: PeerState, cfg: PeerScoreConfig, other: Peer, topic: Topic, seed: int, semantics: Semantics
) -> Outcome:
    del seed
    if topic in st.mesh and other in st.mesh[topic]:
        return st, []
    refused = [(myself, "SND", other, ("PRUNE", topic))]
    if not st.subscribes(topic, myself):
        return st, refused
    if semantics == "acl2s":
        # The published model takes those without a positive score.
        return (_meshed(st, other, topic), []) if st.score(other) <= 0 else (st, refused)
    if (other, topic) in st.backoff:
        own = st.over_all.get(other, GlobalCounters())
        worse = own._replace(behaviour_penalty=own.behaviour_penalty + 1)
        return replace(st, over_all=with_entry(st.over_all, other, worse)), refused
    if st.score(other) < 0:
        return st, refused
    return _meshed(st, other, topic), []


def _meshed(st: PeerState, other: Peer, topic: Topic) -> PeerState:
    st = replace(st, mesh=with_entry(st.mesh, topic, ordered({*st.mesh.get(topic, ()), other})))
    if other in st.subscriptions.get(topic, ()):
        return st
    # Who grafts a topic subscribes it.
    peers = ordered({*st.subscriptions.get(topic, ()), other})
    return replace(st, subscriptions=with_entry(st.subscriptions, topic, peers))


def _sent_graft(
    myself: Peer, st: PeerState, cfg: PeerScoreConfig, other: Peer, topic: Topic, seed: int, semantics: Semantics
) -> Outcome:
    del cfg, seed, semantics
    return (_meshed(st, other, topic) if st.subscribes(topic, myself) else st), []


def _pruned(
    myself: Peer, st: PeerState, cfg: PeerScoreConfig, other: Peer, topic: Topic, seed: int, semantics: Semantics
) -> Outcome:
    del myself, seed, semantics
    if other not in st.mesh.get(topic, ()):
        return st, []
    own = left_mesh(_parameters(cfg, topic), st.counted(other, topic))
    return replace(
        st, mesh=with_entry(st.mesh, topic, tuple(peer for peer in st.mesh[topic] if peer != other)),
        counters=with_entry(st.counters, (other, topic), own),
        backoff=with_entry(st.backoff, (other, topic), cfg.router.prune_backoff),
    ), []  # fmt: skip


def _got_ihave(
    myself: Peer, st: PeerState, cfg: PeerScoreConfig, other: Peer, ids: tuple[int, ...], seed: int,
    semantics: Semantics,
) -> Outcome:  # fmt: skip
    del seed
    if semantics == "spec" and st.score(other) < cfg.gossip_threshold:
        return st, []
    got = st.ihaves.get(other, 0)
    if got >= cfg.router.max_ihave_messages:
        return st, []
    st = replace(st, ihaves=with_entry(st.ihaves, other, got + 1))
    wanted = tuple(key for key in ids if key not in st.seen and key not in st.waiting)
    if not wanted:
        return st, []
    st = replace(st, waiting={**st.waiting, **dict.fromkeys(wanted, (other, 0))})
    return st, [(myself, "SND", other, ("IWANT", wanted))]


def _got_iwant(
    myself: Peer, st: PeerState, cfg: PeerScoreConfig, other: Peer, ids: tuple[int, ...], seed: int,
    semantics: Semantics,
) -> Outcome:  # fmt: skip
    del seed
    if semantics == "spec" and st.score(other) < cfg.gossip_threshold:
        return st, []
    served, sent = dict(st.served), []
    held = {payload.identifier: payload for payload in st.cache}
    for key in ids:
        times = served.get((key, other), 0)
        if key in held and times < cfg.router.gossip_retransmission:
            served[key, other] = times + 1
            sent.append((myself, "SND", other, ("PAYLOAD", held[key])))
    return replace(st, served=served), sent


def _connected(
    myself: Peer, st: PeerState, cfg: PeerScoreConfig, other: Peer, topics: tuple[Topic, ...], seed: int,
    semantics: Semantics,
) -> Outcome:  # fmt: skip
    for topic in topics:
        st, _ = _got_subscription(myself, st, cfg, other, topic, seed, semantics)
    return st, []


def _greeted(
    myself: Peer, st: PeerState, cfg: PeerScoreConfig, other: Peer, topics: tuple[Topic, ...], seed: int,
    semantics: Semantics,
) -> Outcome:  # fmt: skip
    st, _ = _connected(myself, st, cfg, other, topics, seed, semantics)
    mine = tuple(topic for topic in st.subscriptions if st.subscribes(topic, myself))
    return st, [(myself, "SND", other, ("CONNECT2", mine))]


def _parameters(cfg: PeerScoreConfig, topic: Topic) -> Any:
    if topic not in cfg.topics:
        raise ScorecraftError(f"topic '{topic}' has no parameters; expected one of {', '.join(cfg.topics)}")
    return cfg.topics[topic]


_Handler: TypeAlias = Callable[[Peer, PeerState, PeerScoreConfig, Peer, Any, int, Semantics], Outcome]
_RECEIVED: Mapping[str, _Handler] = {
    "CONNECT1": _greeted, "CONNECT2": _connected, "SUB": _got_subscription, "UNSUB": _got_unsubscription,
    "GRAFT": _got_graft, "PRUNE": _pruned, "IHAVE": _got_ihave, "IWANT": _got_iwant, "PAYLOAD": _got_payload,
}  # fmt: skip
_SENT: Mapping[str, _Handler] = {"GRAFT": _sent_graft, "PRUNE": _pruned}
