"""A peer's heartbeat: who stays in the mesh, who is taken in, what is gossiped, and what grows old."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from scorecraft.gossip.choices import chosen, median, mixed, number_of, ordered
from scorecraft.gossip.counting import decayed, decayed_as_in_model, faded, left_mesh, ticks_between
from scorecraft.gossip.events import Event, Peer, Topic
from scorecraft.gossip.parameters import Number, PeerScoreConfig
from scorecraft.gossip.peer_score import GlobalCounters, Semantics, TopicCounters, peer_score
from scorecraft.gossip.peer_state import PeerState

# What a random choice is about, so that no two of a step are the same.
TO_DROP, TO_GRAFT, TO_GOSSIP, TO_FANOUT, TO_JOIN, OPPORTUNITY = range(1, 7)


def scored(state: PeerState, config: PeerScoreConfig, semantics: Semantics) -> PeerState:
    """Return the state with the scores of all neighbours computed anew.

    Args:
        state: before.
        config: the parameters.
        semantics: see `scorecraft.gossip.peer_score.topic_score`.
    """
    by_peer: dict[Peer, dict[Topic, TopicCounters]] = {peer: {} for peer in state.neighbours}
    for (peer, topic), own in state.counters.items():
        by_peer.setdefault(peer, {})[topic] = own
    scores = {
        peer: peer_score(config, topics, state.over_all.get(peer, GlobalCounters()), semantics=semantics)
        for peer, topics in by_peer.items()
    }
    return replace(state, scores=scores)


def gossiped(myself: Peer, state: PeerState, config: PeerScoreConfig, seed: int, semantics: Semantics) -> list[Event]:
    """Return the IHAVEs of a heartbeat: recent messages of each topic to random subscribers outside mesh and fanout.

    To ``max(d_lazy, factor * candidates)`` of them with a score of at least the gossip threshold; the model takes D of
    them whatever their score. None are sent where ``d_lazy`` is 0.

    Args:
        myself: the peer.
        state: before the heartbeat changes it.
        config: the parameters.
        seed: of the step.
        semantics: see `scorecraft.gossip.peer_score.topic_score`.
    """
    router = config.router
    if not router.d_lazy:
        return []
    recent = state.cache[: sum(state.windows[: router.history_gossip])]
    busy = {peer for kind in (state.mesh, state.fanout) for peers in kind.values() for peer in peers}
    events: list[Event] = []
    for at, topic in enumerate(config.topics):
        ids = tuple(payload.identifier for payload in recent if payload.topic == topic)
        candidates = [peer for peer in state.subscribers(topic, myself) if peer not in busy]
        if semantics == "spec":
            mine = state.mesh.get(topic, ()) + state.fanout.get(topic, ())
            candidates = [
                peer
                for peer in state.subscribers(topic, myself)
                if peer not in mine and state.score(peer) >= config.gossip_threshold
            ]
        count = router.d if semantics == "acl2s" else max(router.d_lazy, int(router.gossip_factor * len(candidates)))
        if ids:
            for peer in chosen(candidates, count, seed, number_of(myself), at, TO_GOSSIP):
                events.append((myself, "SND", peer, ("IHAVE", ids)))
    return events


def maintained(
    myself: Peer, state: PeerState, config: PeerScoreConfig, seconds: Number, seed: int, semantics: Semantics
) -> tuple[PeerState, list[Event]]:
    """Return the state after meshes and fanouts were seen to, with time in the mesh counted, and what is sent.

    Args:
        myself: the peer.
        state: with scores that are new.
        config: the parameters.
        seconds: since the heartbeat before.
        seed: of the step.
        semantics: see `scorecraft.gossip.peer_score.topic_score`.
    """
    counters, mesh, backoff = dict(state.counters), dict(state.mesh), _aged(state.backoff, seconds)
    events: list[Event] = []
    for at, topic in enumerate(config.topics):
        if topic not in state.mesh:
            continue
        before = state.mesh[topic]
        kept = _kept(myself, state, config, before, at, seed, semantics)
        removed = [peer for peer in before if peer not in kept]
        grafted = _grafted(myself, state, config, topic, at, kept, before, backoff, seed, semantics)
        mesh[topic] = ordered((*kept, *grafted))
        for peer in removed:
            counters[peer, topic] = left_mesh(config.topics[topic], state.counted(peer, topic))
            backoff[peer, topic] = config.router.prune_backoff
            events.append((myself, "SND", peer, ("PRUNE", topic)))
        events += [(myself, "SND", peer, ("GRAFT", topic)) for peer in grafted]
        for peer in mesh[topic]:
            own = counters.get((peer, topic), state.counted(peer, topic))
            counters[peer, topic] = own._replace(time_in_mesh=own.time_in_mesh + seconds)
    kept_state = replace(state, counters=counters, mesh=mesh, backoff=backoff)
    return _fanouts(myself, kept_state, config, seconds, seed), events


def _kept(
    myself: Peer, state: PeerState, config: PeerScoreConfig, peers: tuple[Peer, ...], at: int, seed: int,
    semantics: Semantics,
) -> tuple[Peer, ...]:  # fmt: skip
    """Return who stays in a mesh: nobody with a negative score, and D of too many."""
    router, me = config.router, number_of(myself)
    if semantics == "acl2s":
        # The latest published model keeps those with a negative score.
        kept = tuple(peer for peer in peers if state.score(peer) < 0)
        return chosen(kept, router.d, seed, me, at, TO_DROP) if len(kept) > router.d_high else kept
    kept = tuple(peer for peer in peers if state.score(peer) >= 0)
    if len(kept) <= router.d_high:
        return kept
    # The best by score, equals by chance, and the rest by chance alone.
    lot = {peer: mixed(seed, me, at, TO_DROP, number_of(peer)) for peer in kept}
    best = sorted(kept, key=lambda peer: (-state.score(peer), lot[peer]))[: min(router.d_score, router.d)]
    rest = sorted((peer for peer in kept if peer not in best), key=lambda peer: lot[peer])
    return ordered((*best, *rest[: router.d - len(best)]))


def _grafted(
    myself: Peer, state: PeerState, config: PeerScoreConfig, topic: Topic, at: int, kept: tuple[Peer, ...],
    before: tuple[Peer, ...], backoff: dict[tuple[Peer, Topic], Number], seed: int, semantics: Semantics,
) -> tuple[Peer, ...]:  # fmt: skip
    """Return who is taken into a mesh: up to D where there are too few, and better ones where the mesh is poor."""
    router, me = config.router, number_of(myself)
    few = len(kept) < router.d_low if semantics == "spec" else len(kept) <= router.d_low
    candidates = [
        peer
        for peer in state.subscribers(topic, myself)
        if peer not in before and state.score(peer) >= 0 and (semantics == "acl2s" or (peer, topic) not in backoff)
    ]
    taken = chosen(candidates, router.d - len(kept), seed, me, at, TO_GRAFT) if few else ()
    due = semantics == "acl2s" or (state.heartbeats + 1) % router.opportunistic_graft_ticks == 0
    now = (*kept, *taken)
    if due and len(now) > 1:
        middle = median([state.score(peer) for peer in (now if semantics == "spec" else state.neighbours)])
        if middle < config.opportunistic_graft_threshold:
            better = [peer for peer in candidates if peer not in taken and state.score(peer) > middle]
            most = router.opportunistic_graft_peers if semantics == "spec" else len(better)
            taken = (*taken, *chosen(better, most, seed, me, at, OPPORTUNITY))
    return ordered(taken)


def _fanouts(myself: Peer, state: PeerState, config: PeerScoreConfig, seconds: Number, seed: int) -> PeerState:
    """Return the state with fanouts dropped that were long not used, and others filled up to D."""
    if not state.fanout:
        return state
    fanout, last = {}, {}
    for at, topic in enumerate(config.topics):
        age = state.last_published.get(topic, 0) + seconds
        if topic not in state.fanout or age > config.router.fanout_ttl:
            continue
        peers = state.fanout[topic]
        others = [
            peer
            for peer in state.subscribers(topic, myself)
            if peer not in peers and state.score(peer) >= config.publish_threshold
        ]
        more = chosen(others, config.router.d - len(peers), seed, number_of(myself), at, TO_FANOUT)
        fanout[topic], last[topic] = ordered((*peers, *more)), age
    return replace(state, fanout=fanout, last_published=last)


def aged(state: PeerState, config: PeerScoreConfig, seconds: Number, semantics: Semantics) -> PeerState:
    """Return the state with a new window of messages, old ones forgotten, and promises that were broken counted.

    Args:
        state: before.
        config: the parameters.
        seconds: since the heartbeat before.
        semantics: see `scorecraft.gossip.peer_score.topic_score`; the model counts no broken promises.
    """
    router = config.router
    windows = (0, *state.windows)[: router.history_length]
    seen = {key: age + seconds for key, age in state.seen.items() if age + seconds <= router.seen_ttl}
    waiting = {key: (peer, age + seconds) for key, (peer, age) in state.waiting.items()}
    late = {key: peer for key, (peer, age) in waiting.items() if age > router.iwant_followup_time}
    over_all = dict(state.over_all)
    if semantics == "spec":
        for peer in late.values():
            own = over_all.get(peer, GlobalCounters())
            over_all[peer] = own._replace(behaviour_penalty=own.behaviour_penalty + 1)
    return replace(
        state, windows=windows, cache=state.cache[: sum(windows)], seen=seen,
        duplicates={key: peers for key, peers in state.duplicates.items() if key in seen},
        waiting={key: entry for key, entry in waiting.items() if key not in late}, over_all=over_all, ihaves={},
        heartbeats=state.heartbeats + 1,
    )  # fmt: skip


def faded_counters(state: PeerState, config: PeerScoreConfig, seconds: Number, semantics: Semantics) -> PeerState:
    """Return the state with all counters decayed, and its clock moved on.

    Args:
        state: before.
        config: the parameters.
        seconds: since the heartbeat before.
        semantics: the model decays F and D alone, once more than time went by.
    """
    clock = state.clock + seconds
    if semantics == "acl2s":
        counters = {
            key: decayed_as_in_model(config, config.topics[key[1]], own, seconds) for key, own in state.counters.items()
        }
        return replace(state, counters=counters, clock=clock)
    ticks = ticks_between(config, state.clock, clock)
    counters = {key: decayed(config, config.topics[key[1]], own, ticks) for key, own in state.counters.items()}
    over_all = {
        peer: own._replace(
            behaviour_penalty=faded(config, own.behaviour_penalty, config.behaviour_penalty_decay, ticks)
        )
        for peer, own in state.over_all.items()
    }
    return replace(state, counters=counters, over_all=over_all, clock=clock)


def _aged(backoff: Mapping[tuple[Peer, Topic], Number], seconds: Number) -> dict[tuple[Peer, Topic], Number]:
    left = {key: rest - seconds for key, rest in backoff.items()}
    return {key: rest for key, rest in left.items() if rest > 0}
