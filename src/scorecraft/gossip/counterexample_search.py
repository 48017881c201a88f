"""Counterexamples searched at random, half of the topics well served and half badly, and made as small as may be."""

from __future__ import annotations

from random import Random
from typing import Any

from scorecraft.errors import require
from scorecraft.gossip.closed_form import best_counters
from scorecraft.gossip.parameters import PeerScoreConfig, TopicParameters
from scorecraft.gossip.peer_score import GlobalCounters, Semantics, TopicCounters, peer_score
from scorecraft.gossip.properties import Domain, Property, Verdict, Witness, breaks, witness_of

GOOD = (300, 400)
_RAISED = {"P2": (2, 3, 4), "P3": (0, 1)}


def search(
    cfg: PeerScoreConfig, prop: Property, semantics: Semantics, domain: Domain, examples: int = 20_000, seed: int = 0
) -> Verdict:
    """Return a small counterexample to a property, or that none was found.

    Args:
        cfg: the parameters.
        prop: which.
        semantics: see `scorecraft.gossip.peer_score.topic_score`.
        domain: on real counters also halves are tried.
        examples: how many states are tried.
        seed: of the search.

    Raises `ScorecraftError` where hypothesis is absent.

    Source: arXiv 2311.08859, whose enumerators of counters are half bad, 0 and 1, and half good, 300 to 400.
    """
    require("hypothesis", "gossip", "searching for counterexamples")
    import hypothesis
    from hypothesis.errors import NoSuchExample

    tried = [0]

    def bad(witness: Witness) -> bool:
        tried[0] += 1
        return breaks(cfg, prop, witness, semantics)

    settings = hypothesis.settings(
        max_examples=examples, database=None, deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
    )  # fmt: skip
    try:
        found = hypothesis.find(_states(cfg, prop, semantics, domain), bad, settings=settings, random=Random(seed))
    except NoSuchExample:
        return Verdict(prop, "hypothesis", holds=True, said="none was found, which proves nothing", checked=tried[0])
    return Verdict(prop, "hypothesis", holds=False, witness=found, checked=tried[0])


def _states(cfg: PeerScoreConfig, prop: Property, semantics: Semantics, domain: Domain) -> Any:
    """Return a strategy of states, with a step from it for the properties that compare two."""
    from hypothesis import strategies as st

    names = [name for name, topic in cfg.topics.items() if topic.topic_weight]

    @st.composite
    def states(draw: Any) -> Witness:
        topic = draw(st.sampled_from(names))
        # One choice for all other topics: to draw each anew takes most of the time and finds no more.
        served = draw(st.booleans())
        topics = {name: best_counters(other) if served else TopicCounters() for name, other in cfg.topics.items()}
        own = topics[topic] = draw(_counters(cfg.topics[topic], domain))
        if prop == "silent":
            topics[topic] = TopicCounters(max(best_counters(cfg.topics[topic]).time_in_mesh, own.time_in_mesh))
        found = witness_of(cfg, topic, topics, semantics, "found at random")
        if prop not in _RAISED:
            return found._replace(after=(topics, found.counters, found.score)) if prop == "P4" else found
        side = draw(st.sampled_from([at for at in _RAISED[prop] if _weight(cfg.topics[topic], at)] or [3]))
        step = -1 if side == 2 else 1
        values = list(own)
        values[side] = max(values[side] + step, 0)
        if side in {0, 1, 2} and own.time_in_mesh <= cfg.topics[topic].mesh_message_deliveries_activation:
            return found
        if side == 2 and (own[2] < 1 or own[2] > cfg.topics[topic].mesh_message_deliveries_threshold):
            return found
        raised = topics | {topic: TopicCounters(*values)}
        return found._replace(
            after=(raised, GlobalCounters(), peer_score(cfg, raised, semantics=semantics)),
            said=f"its {TopicCounters._fields[side].replace('_', ' ')} changes by one",
        )

    return states()


def _counters(topic: TopicParameters, domain: Domain) -> Any:
    from hypothesis import strategies as st

    few, many = st.integers(0, 1), st.integers(*GOOD)
    if domain == "real":
        few = st.one_of(few, st.fractions(0, 1, max_denominator=4))
    cap = int(topic.mesh_message_deliveries_cap)
    limited = many.map(lambda value: min(value, cap))
    time = st.one_of(st.just(0), st.integers(1, 30), many)
    bad = st.tuples(time, few, few, few, few)
    good = st.tuples(time, many, limited, st.just(0), st.just(0))
    mixed = st.tuples(time, many, limited, few, few)
    return st.one_of(bad, good, mixed).map(lambda values: TopicCounters(*values))


def _weight(topic: TopicParameters, at: int) -> bool:
    return bool((
        topic.time_in_mesh_weight, topic.first_message_deliveries_weight, topic.mesh_message_deliveries_weight,
        topic.invalid_message_deliveries_weight, topic.mesh_failure_penalty_weight,
    )[at])  # fmt: skip
