"""Properties that a sound peer score has, and four ways to check them; every counterexample is replayed exactly."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias, get_args

from scorecraft.catalog.implements import implements
from scorecraft.errors import ScorecraftError, nearest, require
from scorecraft.gossip.parameters import Number, PeerScoreConfig
from scorecraft.gossip.peer_score import GlobalCounters, Semantics, TopicCounters, peer_score, topic_score

Property: TypeAlias = Literal["P1", "P2", "P3", "P4", "silent"]
Backend: TypeAlias = Literal["closed_form", "grid", "smt", "hypothesis"]
Domain: TypeAlias = Literal["integer", "real"]
PROPERTIES: dict[str, str] = {
    "P1": "a peer that is negative in a topic is not positive overall",
    "P2": "misbehaving more lowers the score",
    "P3": "more time in the mesh and more first deliveries never lower the score, once a topic is active",
    "P4": "equal counters have equal scores",
    "silent": "a peer that delivers nothing in a topic ends with a negative score there",
}


class Witness(NamedTuple):
    """A state of a neighbour that breaks a property.

    topics: its counters by topic. counters: over all topics. topic: in which it misbehaves. topic_score: there. score:
    overall. after: the state with one counter raised, for properties that compare two.
    """

    topics: Mapping[str, TopicCounters]
    counters: GlobalCounters
    topic: str
    topic_score: Number
    score: Number
    said: str
    after: tuple[Mapping[str, TopicCounters], GlobalCounters, Number] | None = None


@dataclass(frozen=True)
class Verdict:
    """What became of a check.

    holds: None where it could not be told. witness: the counterexample, where there is one. margin: by how much the
    property holds (or fails, if negative), in points of the score; None where the way to check knows none. trivial: the
    counterexample rests on counters that are no whole numbers, as they are for moments after decay. said: why it is
    not known. checked: how many states were looked at, where that is how it is done.
    """

    prop: str
    backend: str
    holds: bool | None
    witness: Witness | None = None
    margin: Number | None = None
    seconds: float = 0.0
    trivial: bool = False
    said: str = ""
    checked: int = 0


@implements("gossipsub-resilience")
def check_property(
    cfg: PeerScoreConfig,
    prop: Property,
    backend: Backend = "closed_form",
    *,
    semantics: Semantics = "spec",
    domain: Domain = "integer",
    examples: int = 20_000,
    seed: int = 0,
) -> Verdict:
    """Return whether a property holds for all counters that a neighbour can have.

    P1: no state with ``S_t < 0`` in a topic and a score above 0. P2: one more invalid message, failure or missing
    delivery lowers the score, wherever it has a weight. P3: one more second or first
    delivery never lowers it. P4: equal counters, equal scores. silent: ``tw (w1 cap + w3 thr^2) < 0`` in every topic.

    Args:
        cfg: the parameters; fractions are checked exactly.
        prop: which.
        backend: "closed_form" by formula; "grid" through all small whole counters of two topics; "smt" by z3 on exact
            numbers; "hypothesis" by searching at random.
        semantics: see `scorecraft.gossip.peer_score.topic_score`.
        domain: whether D, I and B are whole numbers, as they are before decay, or real ones. On real ones P1 fails for
            every score that adds up: a hair below zero is in reach; such a counterexample is marked as trivial.
        examples: how many states "hypothesis" tries.
        seed: of "hypothesis".

    Raises `ScorecraftError` for a name that is not known, parameters that make no sense, and a library that is absent.

    Source: arXiv 2212.05197, section IV; "silent" and the closed forms are this project's.
    """
    if prop not in PROPERTIES:
        raise ScorecraftError(f"no property '{prop}': {nearest(prop, PROPERTIES)}")
    for name, value, allowed in (("backend", backend, get_args(Backend)), ("domain", domain, get_args(Domain))):
        if value not in allowed:
            raise ScorecraftError(f"no {name} '{value}': {nearest(value, allowed)}")
    cfg.check()
    start = time.perf_counter()
    verdict = _backend(backend, examples, seed)(cfg, prop, semantics, domain)
    if verdict.witness is not None:
        replay(cfg, prop, verdict.witness, semantics)
    return replace(verdict, seconds=time.perf_counter() - start)


_Check: TypeAlias = Callable[[PeerScoreConfig, Property, Semantics, Domain], Verdict]


def _backend(backend: Backend, examples: int, seed: int) -> _Check:
    if backend == "closed_form":
        from scorecraft.gossip.closed_form import check

        return check
    if backend == "grid":
        require("numba", "gossip", "going through a grid of counters")
        from scorecraft.gossip.grid_check import check

        return check
    if backend == "smt":
        from scorecraft.gossip.smt_check import check

        return check
    from scorecraft.gossip.counterexample_search import search

    return lambda cfg, prop, semantics, domain: search(cfg, prop, semantics, domain, examples, seed)


def witness_of(
    cfg: PeerScoreConfig, topic: str, topics: Mapping[str, TopicCounters], semantics: Semantics, said: str
) -> Witness:
    """Return a state as a counterexample, with its scores computed exactly.

    Args:
        cfg: the parameters.
        topic: in which the neighbour misbehaves.
        topics: its counters.
        semantics: see `scorecraft.gossip.peer_score.topic_score`.
        said: what it does, in words.
    """
    own = topic_score(cfg.topics[topic], topics[topic], semantics=semantics)
    return Witness(topics, GlobalCounters(), topic, own, peer_score(cfg, topics, semantics=semantics), said)


def breaks(cfg: PeerScoreConfig, prop: Property, witness: Witness, semantics: Semantics) -> bool:
    """Return whether a state breaks a property, by its exact scores.

    Args:
        cfg: the parameters.
        prop: which.
        witness: the state.
        semantics: see `scorecraft.gossip.peer_score.topic_score`.
    """
    score = peer_score(cfg, witness.topics, witness.counters, semantics=semantics)
    if prop in {"P1", "silent"}:
        own = topic_score(cfg.topics[witness.topic], witness.topics[witness.topic], semantics=semantics)
        return own < 0 < score if prop == "P1" else own >= 0
    if witness.after is None:
        return False
    topics, counters, _ = witness.after
    then = peer_score(cfg, topics, counters, semantics=semantics)
    return {"P2": then >= score, "P3": then < score, "P4": then != score}[prop]


def replay(cfg: PeerScoreConfig, prop: Property, witness: Witness, semantics: Semantics) -> None:
    """Raise `RuntimeError` unless a counterexample is one by the exact score: a back end that says otherwise is wrong.

    Args:
        cfg: the parameters.
        prop: which.
        witness: the state.
        semantics: see `scorecraft.gossip.peer_score.topic_score`.
    """
    if not breaks(cfg, prop, witness, semantics):
        raise RuntimeError(f"the counterexample to {prop} does not stand up to the exact score: {witness}")
