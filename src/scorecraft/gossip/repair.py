"""The nearest weights under which no offence is paid for by other topics, found by formula and proved by z3."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Literal, NamedTuple, TypeAlias

from scorecraft.catalog.implements import implements
from scorecraft.errors import ScorecraftError
from scorecraft.gossip.closed_form import most_good, penalties
from scorecraft.gossip.parameters import Number, PeerScoreConfig, TopicParameters, exact
from scorecraft.gossip.peer_score import Semantics
from scorecraft.gossip.properties import Verdict, check_property

Against: TypeAlias = Literal["offences", "silence"]
GOODS = ("time_in_mesh_weight", "first_message_deliveries_weight")
_DIGITS = 4


class Change(NamedTuple):
    """A parameter that was changed: of which topic (None for all topics together), its name, and from what to what."""

    topic: str | None
    name: str
    before: Number
    after: Number


class Repair(NamedTuple):
    """A configuration that was mended, what was changed, and the proofs.

    open: what weights alone cannot mend, in words.
    """

    config: PeerScoreConfig
    changes: tuple[Change, ...]
    proofs: tuple[Verdict, ...]
    open: tuple[str, ...]


class _Need(NamedTuple):
    """A weight that has to outweigh the sum of all that is good: ``|weight| * per_weight >= most good``."""

    topic: str
    name: str
    per_weight: Number


@implements("gossipsub-resilience")
def repair(cfg: PeerScoreConfig, against: Against = "offences", *, semantics: Semantics = "spec") -> Repair:
    """Return the nearest safe weights: every smallest offence costs at least what all topics together can pay.

    With M the sum of ``tw (w1 cap + w2 Fcap)``: "offences" asks ``tw |w| unit >= M`` of each penalty's weight and its
    smallest unit (one invalid message, a failure penalty of one, the smallest lack of deliveries), which is property P1
    on whole counters; "silence" asks it of the whole threshold alone, so that no silent topic is paid for by others.
    Good weights may shrink by one common factor; of all factors, that with the least sum of ``|log|`` changes is taken.
    A cap on topics that hides offences (P2) is raised to M. Weights are rounded to 4 digits, to the safe side.

    Args:
        cfg: the parameters.
        against: see above.
        semantics: see `scorecraft.gossip.peer_score.topic_score`.

    Raises `ScorecraftError` for parameters that make no sense, and where z3 is absent.

    Source: this project's.
    """
    cfg.check()
    needs = list(_needs(cfg, against, semantics))
    most = sum(most_good(topic) for topic in cfg.topics.values())
    factor = _factor(cfg, needs, most)
    fixed = _with_goods(cfg, factor)
    most = sum(most_good(topic) for topic in fixed.topics.values())
    for need in needs:
        topic = fixed.topics[need.topic]
        wanted = most / need.per_weight
        if abs(getattr(topic, need.name)) < wanted:
            fixed = _with(fixed, need.topic, **{need.name: -_rounded(wanted, up=True)})
    if against == "offences" and fixed.topic_score_cap and fixed.topic_score_cap < most:
        fixed = replace(fixed, topic_score_cap=_rounded(most, up=True))
    proved = ("P1", "P2", "P3", "silent") if against == "offences" else ("P3", "silent")
    proofs = tuple(check_property(fixed, prop, "smt", semantics=semantics) for prop in proved)
    still_open = tuple(_open(fixed, semantics))
    if against == "silence":
        _never_paid(fixed, semantics, still_open)
    return Repair(fixed.check(), tuple(_changes(cfg, fixed)), proofs, still_open)


def _needs(cfg: PeerScoreConfig, against: Against, semantics: Semantics) -> Iterator[_Need]:
    for name, topic in cfg.topics.items():
        if not topic.topic_weight:
            continue
        tw = topic.topic_weight
        live = topic.mesh_message_deliveries_weight
        if against == "silence":
            if live:
                yield _Need(name, "mesh_message_deliveries_weight", tw * topic.mesh_message_deliveries_threshold**2)
            continue
        if topic.invalid_message_deliveries_weight:
            yield _Need(name, "invalid_message_deliveries_weight", tw)
        if topic.mesh_failure_penalty_weight:
            yield _Need(name, "mesh_failure_penalty_weight", tw)
        missing = [p for p in penalties(topic, semantics) if p.active]
        if live and missing:
            least = min(topic.mesh_message_deliveries_threshold - p.deliveries for p in missing)
            yield _Need(name, "mesh_message_deliveries_weight", tw * least**2)


def _factor(cfg: PeerScoreConfig, needs: list[_Need], most: Number) -> Fraction:
    """Return the common factor of good weights, at most 1, with the least sum of logarithmic changes.

    The sum is piecewise linear in log factor: the least is at 1, or where a penalty needs no change.
    """
    goods = sum(bool(getattr(topic, name)) for topic in cfg.topics.values() for name in GOODS)
    have = [abs(getattr(cfg.topics[n.topic], n.name)) * n.per_weight / most for n in needs] if most else []
    points = sorted({Fraction(1), *(Fraction(point) for point in have if 0 < point < 1)})

    def moved(factor: Fraction) -> float:
        less = goods * -math.log(factor)
        return less + sum(max(0.0, math.log(float(factor / Fraction(point)))) for point in have if point > 0)

    return min(points, key=lambda factor: (moved(factor), -factor))


def _with_goods(cfg: PeerScoreConfig, factor: Fraction) -> PeerScoreConfig:
    if factor == 1:
        return cfg
    topics = {
        name: replace(topic, **{good: _rounded(getattr(topic, good) * factor, up=False) for good in GOODS})
        for name, topic in cfg.topics.items()
    }
    return replace(cfg, topics=topics)


def _with(cfg: PeerScoreConfig, topic: str, **values: Number) -> PeerScoreConfig:
    return replace(cfg, topics={**cfg.topics, topic: replace(cfg.topics[topic], **values)})


def _rounded(value: Number, *, up: bool) -> Fraction:
    """Return a positive number with four digits, rounded away from or towards zero."""
    if not value:
        return Fraction(0)
    value = exact(value) if isinstance(value, float) else Fraction(value)
    step = Fraction(10) ** (math.floor(math.log10(value)) - _DIGITS + 1)
    return (math.ceil(value / step) if up else math.floor(value / step)) * step


def _changes(before: PeerScoreConfig, after: PeerScoreConfig) -> Iterator[Change]:
    if before.topic_score_cap != after.topic_score_cap:
        yield Change(None, "topic_score_cap", before.topic_score_cap, after.topic_score_cap)
    for name, topic in before.topics.items():
        for entry in TopicParameters.__dataclass_fields__:
            pair = (getattr(topic, entry), getattr(after.topics[name], entry))
            if pair[0] != pair[1]:
                yield Change(name, entry, *pair)


def _open(cfg: PeerScoreConfig, semantics: Semantics) -> Iterator[str]:
    for name, topic in cfg.topics.items():
        if topic.topic_weight and not topic.mesh_message_deliveries_weight:
            yield (
                f"topic '{name}' does not count deliveries in the mesh (mesh_message_deliveries_weight is 0): silence "
                "there costs nothing, whatever the other weights are. It needs a threshold, which only operators know"
            )


def _never_paid(cfg: PeerScoreConfig, semantics: Semantics, still_open: tuple[str, ...]) -> None:
    """Raise `ScorecraftError` should a silent topic still be paid for, where all topics count deliveries."""
    from scorecraft.gossip.attack import max_silent_topics

    if not still_open and max_silent_topics(cfg, semantics=semantics):
        raise ScorecraftError("no weights were found under which silence is not paid for")
