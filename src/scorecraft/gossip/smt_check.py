"""Properties proved or refuted by z3, on exact numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

from scorecraft.errors import require
from scorecraft.gossip.closed_form import best_counters
from scorecraft.gossip.parameters import Number, PeerScoreConfig, TopicParameters
from scorecraft.gossip.peer_score import GlobalCounters, Semantics, TopicCounters, peer_score, topic_score
from scorecraft.gossip.properties import Domain, Property, Verdict, witness_of

TIMEOUT_MS = 10_000
_BAD = ("invalid_message_deliveries", "mesh_failure_penalty", "mesh_message_deliveries")
_BEST = "best"


def check(cfg: PeerScoreConfig, prop: Property, semantics: Semantics, domain: Domain) -> Verdict:
    """Return the verdict of z3 on a property; see `scorecraft.gossip.properties.check_property`.

    Minimum and maximum become case distinctions, squares products, rounding down a whole number between bounds. A
    question is about one topic, whose neighbour does its best in all others, or for P3 nothing there: what is added by
    others only helps to hide an offence, and cannot hide a fall below the cap. That no other state pays more than the
    best one is asked first. Each question has 10 s; unanswered, the property is neither.

    Raises `ScorecraftError` where z3 is absent.
    """
    require("z3", "gossip", "proving properties of a peer score")
    import z3

    unknown: list[str] = []
    for question in _questions(cfg, prop):
        solver = z3.Solver()
        solver.set("timeout", TIMEOUT_MS)
        states = _put(z3, solver, cfg, prop, semantics, domain, question)
        answer = solver.check()
        if answer == z3.unknown:
            unknown.append(f"{question.topic}: {solver.reason_unknown()}")
        elif answer == z3.sat and question.change == _BEST:
            raise RuntimeError(f"topic '{question.topic}' can pay more than its best counters: {solver.model()}")
        elif answer == z3.sat:
            return _refuted(z3, cfg, prop, semantics, question, solver.model(), states)
    if unknown:
        return Verdict(prop, "smt", holds=None, said="; ".join(unknown))
    return Verdict(prop, "smt", holds=True)


class _Question(NamedTuple):
    """Whether a topic can pay more than its best state, or whether a state or a step there breaks a property."""

    topic: str
    change: str
    said: str


class _State:
    """Fresh counters of a neighbour in one topic, what bounds them, and what they add."""

    def __init__(self, z3: Any, topic: TopicParameters, semantics: Semantics, domain: Domain, mark: str = "") -> None:
        self.z3, self.topic, self.semantics = z3, topic, semantics
        whole = z3.Int if domain == "integer" else z3.Real
        self.counters = (
            z3.Real("mt" + mark), z3.Real("F" + mark), whole("D" + mark), whole("I" + mark), whole("B" + mark)
        )  # fmt: skip
        self.quanta = z3.Int("quanta" + mark)

    def bounds(self) -> Iterator[Any]:
        """Yield what holds of every neighbour."""
        z3, topic = self.z3, self.topic
        mesh, first, delivered, *_ = self.counters
        yield from (value >= 0 for value in self.counters)
        yield first <= _exact(z3, topic.first_message_deliveries_cap)
        if topic.mesh_message_deliveries_weight or topic.mesh_failure_penalty_weight:
            yield delivered <= _exact(z3, topic.mesh_message_deliveries_cap)
        if topic.time_in_mesh_weight and self.semantics == "spec":
            quantum = _exact(z3, topic.time_in_mesh_quantum)
            yield self.quanta >= 0
            yield self.quanta * quantum <= mesh
            yield mesh < (self.quanta + 1) * quantum

    def score(self) -> Any:
        """Return what the topic adds, as a term."""
        z3, topic = self.z3, self.topic
        mesh, first, delivered, invalid, failures = self.counters
        paid = z3.ToReal(self.quanta) if self.semantics == "spec" else mesh / _exact(z3, topic.time_in_mesh_quantum)
        cap, threshold = _exact(z3, topic.time_in_mesh_cap), _exact(z3, topic.mesh_message_deliveries_threshold)
        short = threshold - delivered
        active = z3.And(mesh > _exact(z3, topic.mesh_message_deliveries_activation), short > 0)
        live = topic.mesh_message_deliveries_weight
        if self.semantics == "acl2s":
            live = live + topic.mesh_failure_penalty_weight
        parts = (
            (topic.time_in_mesh_weight, z3.If(paid < cap, paid, cap)), (topic.first_message_deliveries_weight, first),
            (live, z3.If(active, short * short, 0)), (topic.mesh_failure_penalty_weight, failures),
            (topic.invalid_message_deliveries_weight, invalid * invalid),
        )  # fmt: skip
        return _exact(z3, topic.topic_weight) * sum((_exact(z3, w) * value for w, value in parts if w), z3.RealVal(0))


def _questions(cfg: PeerScoreConfig, prop: Property) -> Iterator[_Question]:
    """Yield the questions, one for all topics with the same parameters."""
    if prop == "P4":
        return
    changes = {"P1": ("",), "silent": ("",), "P2": _BAD, "P3": ("time_in_mesh", "first_message_deliveries")}[prop]
    if prop in {"P1", "P2"}:
        changes = (_BEST, *changes)
    said = {
        "P1": "it is negative here and positive overall",
        "silent": "it delivers nothing at all",
        "P2": "its {} get worse by one, and its score does not fall",
        "P3": "its {} grow, and its score falls",
    }[prop]
    seen: set[tuple[TopicParameters, str]] = set()
    for change in changes:
        for name, topic in cfg.topics.items():
            weightless = change in _BAD and not getattr(topic, change + "_weight")
            if topic.topic_weight and not weightless and (topic, change) not in seen:
                seen.add((topic, change))
                yield _Question(name, change, said.format(change.replace("_", " ")))


def _put(
    z3: Any, solver: Any, cfg: PeerScoreConfig, prop: Property, semantics: Semantics, domain: Domain,
    question: _Question,
) -> list[_State]:  # fmt: skip
    """Put a question to a solver, and return the states whose counters answer it."""
    topic, change = cfg.topics[question.topic], question.change
    state = _State(z3, topic, semantics, domain)
    solver.add(*state.bounds())
    own, score = state.counters, state.score()
    if change == _BEST:
        solver.add(score > _exact(z3, topic_score(topic, best_counters(topic), semantics=semantics)))
        return [state]
    active = own[0] > _exact(z3, topic.mesh_message_deliveries_activation)
    whole = _capped(z3, cfg, question.topic, semantics)
    if prop == "P1":
        solver.add(score < 0, whole(score) > 0)
        return [state]
    if prop == "silent":
        full = topic.time_in_mesh_quantum * topic.time_in_mesh_cap
        solver.add(active, own[0] >= _exact(z3, full), score >= 0, *(value == 0 for value in own[1:]))
        return [state]
    after = _State(z3, topic, semantics, domain, "'")
    solver.add(*after.bounds())
    at = TopicCounters._fields.index(change)
    solver.add(*(x == y for k, (x, y) in enumerate(zip(own, after.counters, strict=True)) if k != at))
    before, then = own[at], after.counters[at]
    if prop == "P3":
        solver.add(active, then >= before, after.score() < score)
    elif change == "mesh_message_deliveries":
        threshold = _exact(z3, topic.mesh_message_deliveries_threshold)
        solver.add(active, before <= threshold, then == before - 1, whole(after.score()) >= whole(score))
    else:
        solver.add(then == before + 1, whole(after.score()) >= whole(score))
    return [state, after]


def _capped(z3: Any, cfg: PeerScoreConfig, name: str, semantics: Semantics) -> Callable[[Any], Any]:
    """Return the score as a function of what one topic adds, all others at their best."""
    others = sum(
        topic_score(topic, best_counters(topic), semantics=semantics)
        for other, topic in cfg.topics.items()
        if other != name
    )
    if not cfg.topic_score_cap:
        return lambda own: own + _exact(z3, others)
    cap = _exact(z3, cfg.topic_score_cap)
    return lambda own: z3.If(own + _exact(z3, others) < cap, own + _exact(z3, others), cap)


def _refuted(
    z3: Any, cfg: PeerScoreConfig, prop: Property, semantics: Semantics, question: _Question, model: Any,
    states: list[_State],
) -> Verdict:  # fmt: skip
    found = [TopicCounters(*(_value(z3, model, value) for value in state.counters)) for state in states]
    topic = question.topic
    others = {name: TopicCounters() if prop == "P3" else best_counters(own) for name, own in cfg.topics.items()}
    witness = witness_of(cfg, topic, others | {topic: found[0]}, semantics, question.said)
    if len(found) == 2:
        then = others | {topic: found[1]}
        witness = witness._replace(after=(then, GlobalCounters(), peer_score(cfg, then, semantics=semantics)))
    trivial = prop == "P1" and any(value % 1 != 0 for value in found[0][2:])
    return Verdict(prop, "smt", holds=False, witness=witness, trivial=trivial)


def _value(z3: Any, model: Any, term: Any) -> Fraction:
    value = model.eval(term, model_completion=True)
    if z3.is_algebraic_value(value):
        value = value.approx(30)
    return Fraction(value.as_fraction()) if z3.is_rational_value(value) else Fraction(value.as_long())


def _exact(z3: Any, value: Number) -> Any:
    exact = Fraction(str(value)) if isinstance(value, float) else Fraction(value)
    return z3.Q(exact.numerator, exact.denominator)
