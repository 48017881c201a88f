"""The parameters of a peer score, under the names that the clients give them, and whether they make sense."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from typing import Any, TypeAlias

from scorecraft.errors import ScorecraftError

# Exact where every number given is exact: a `Fraction` or an integer; otherwise a float.
Number: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class TopicParameters:
    """Parameters of the score in one topic; times in seconds, decays as factors of each decay interval.

    A weight of zero switches its part off; what belongs to that part is then not looked at.
    """

    topic_weight: Number = 1
    time_in_mesh_weight: Number = 0  # w1
    time_in_mesh_quantum: Number = 1
    time_in_mesh_cap: Number = 3600
    first_message_deliveries_weight: Number = 0  # w2
    first_message_deliveries_decay: Number = Fraction(1, 2)
    first_message_deliveries_cap: Number = 100
    mesh_message_deliveries_weight: Number = 0  # w3
    mesh_message_deliveries_decay: Number = Fraction(1, 2)
    mesh_message_deliveries_cap: Number = 100
    mesh_message_deliveries_threshold: Number = 10
    mesh_message_deliveries_window: Number = Fraction(1, 100)
    mesh_message_deliveries_activation: Number = 5
    mesh_failure_penalty_weight: Number = 0  # w3b
    mesh_failure_penalty_decay: Number = Fraction(1, 2)
    invalid_message_deliveries_weight: Number = -1  # w4
    invalid_message_deliveries_decay: Number = Fraction(1, 2)


@dataclass(frozen=True, slots=True)
class RouterParameters:
    """How many peers a mesh holds, and how gossip is passed on; times in seconds."""

    d: int = 6
    d_low: int = 5
    d_high: int = 12
    d_score: int = 4
    d_out: int = 2
    d_lazy: int = 6
    history_length: int = 5
    history_gossip: int = 3
    gossip_factor: Number = Fraction(1, 4)
    gossip_retransmission: int = 3
    max_ihave_messages: int = 20
    heartbeat_interval: Number = 1
    fanout_ttl: Number = 60
    prune_backoff: Number = 60
    unsubscribe_backoff: Number = 10
    opportunistic_graft_ticks: int = 60
    opportunistic_graft_peers: int = 2
    iwant_followup_time: Number = 3
    seen_ttl: Number = 120


@dataclass(frozen=True, slots=True)
class PeerScoreConfig:
    """All parameters of a peer score: of each topic, of what is counted over all topics, and the thresholds."""

    topics: Mapping[str, TopicParameters]
    topic_score_cap: Number = 0  # none
    app_specific_weight: Number = 0  # w5
    ip_colocation_factor_weight: Number = 0  # w6
    ip_colocation_factor_threshold: Number = 1
    behaviour_penalty_weight: Number = 0  # w7
    behaviour_penalty_threshold: Number = 0
    behaviour_penalty_decay: Number = Fraction(1, 2)
    decay_interval: Number = 1
    decay_to_zero: Number = Fraction(1, 100)
    retain_score: Number = 3600
    gossip_threshold: Number = -10
    publish_threshold: Number = -50
    graylist_threshold: Number = -80
    accept_px_threshold: Number = 10
    opportunistic_graft_threshold: Number = 5
    router: RouterParameters = field(default_factory=RouterParameters)

    def floats(self) -> PeerScoreConfig:
        """Return the same parameters as floats, for speed."""
        own = {f.name: float(getattr(self, f.name)) for f in fields(self) if f.name not in {"topics", "router"}}
        topics = {
            name: TopicParameters(*(float(getattr(topic, f.name)) for f in fields(topic)))
            for name, topic in self.topics.items()
        }
        return replace(self, topics=topics, **own)

    def check(self) -> PeerScoreConfig:
        """Return the parameters themselves; raises `ScorecraftError` with the topic and the name of a wrong one."""
        if not self.topics:
            raise ScorecraftError("the parameters have no topic: without one, every peer scores alike")
        for name, topic in self.topics.items():
            _check_topic(name, topic)
        _check_global(self)
        _check_router(self.router)
        return self


def exact(value: Number, name: str = "value") -> Number:
    """Return a number as the exact fraction that its decimal digits say; raises `ScorecraftError` if not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float | Fraction | str):
        raise ScorecraftError(f"{name} is {value!r}; expected a number")
    try:
        return Fraction(str(value))
    except (ValueError, ZeroDivisionError) as error:
        raise ScorecraftError(f"{name} is {value!r}; expected a finite number") from error


def _check_topic(name: str, topic: TopicParameters) -> None:
    where = f"topic '{name}': "
    for entry in fields(topic):
        _finite(where, entry.name, getattr(topic, entry.name))
    _sign(where, topic, ("topic_weight", "time_in_mesh_weight", "first_message_deliveries_weight"), 1)
    _sign(where, topic, ("mesh_message_deliveries_weight", "mesh_failure_penalty_weight"), -1)
    _sign(where, topic, ("invalid_message_deliveries_weight",), -1)
    _sign(where, topic, ("mesh_message_deliveries_window",), 1)
    if topic.time_in_mesh_weight:
        _positive(where, topic, ("time_in_mesh_quantum", "time_in_mesh_cap"))
    if topic.first_message_deliveries_weight:
        _decays(where, topic, "first_message_deliveries_decay")
        _positive(where, topic, ("first_message_deliveries_cap",))
    if topic.mesh_message_deliveries_weight or topic.mesh_failure_penalty_weight:
        _decays(where, topic, "mesh_message_deliveries_decay")
        _positive(where, topic, ("mesh_message_deliveries_cap", "mesh_message_deliveries_threshold"))
        if topic.mesh_message_deliveries_activation < 1:
            raise ScorecraftError(
                f"{where}mesh_message_deliveries_activation is {topic.mesh_message_deliveries_activation}; expected at "
                "least 1 s, so that a peer has time to deliver"
            )
        if topic.mesh_message_deliveries_threshold > topic.mesh_message_deliveries_cap:
            raise ScorecraftError(
                f"{where}mesh_message_deliveries_threshold is above mesh_message_deliveries_cap "
                f"({topic.mesh_message_deliveries_threshold} > {topic.mesh_message_deliveries_cap}): no peer could "
                "ever deliver enough"
            )
    if topic.mesh_failure_penalty_weight:
        _decays(where, topic, "mesh_failure_penalty_decay")
    _decays(where, topic, "invalid_message_deliveries_decay")


def _check_global(config: PeerScoreConfig) -> None:
    for entry in fields(config):
        if entry.name not in {"topics", "router"}:
            _finite("", entry.name, getattr(config, entry.name))
    _sign("", config, ("topic_score_cap", "app_specific_weight", "retain_score"), 1)
    _sign("", config, ("ip_colocation_factor_weight", "behaviour_penalty_weight"), -1)
    _sign("", config, ("behaviour_penalty_threshold", "accept_px_threshold", "opportunistic_graft_threshold"), 1)
    if config.ip_colocation_factor_weight and config.ip_colocation_factor_threshold < 1:
        raise ScorecraftError(
            f"ip_colocation_factor_threshold is {config.ip_colocation_factor_threshold}; expected at least 1 peer"
        )
    if config.behaviour_penalty_weight:
        _decays("", config, "behaviour_penalty_decay")
    if config.decay_interval < 1:
        raise ScorecraftError(f"decay_interval is {config.decay_interval} s; expected at least 1 s")
    _decays("", config, "decay_to_zero")
    steps = ("graylist_threshold", "publish_threshold", "gossip_threshold")
    for lower, upper in zip(steps, (*steps[1:], None), strict=True):
        limit = 0 if upper is None else getattr(config, upper)
        if getattr(config, lower) > limit:
            name = f"{upper} ({limit})" if upper else "zero"
            raise ScorecraftError(f"{lower} is {getattr(config, lower)}; expected at most {name}")


def _check_router(router: RouterParameters) -> None:
    if not 0 < router.d_low <= router.d <= router.d_high:
        raise ScorecraftError(
            f"d_low, d, d_high are {router.d_low}, {router.d}, {router.d_high}; expected 0 < d_low <= d <= d_high"
        )


def _finite(where: str, name: str, value: Number) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | Fraction) or not math.isfinite(value):
        raise ScorecraftError(f"{where}{name} is {value!r}; expected a finite number")


def _sign(where: str, holder: Any, names: tuple[str, ...], sign: int) -> None:
    for name in names:
        if getattr(holder, name) * sign < 0:
            raise ScorecraftError(
                f"{where}{name} is {getattr(holder, name)}; expected a number {'>= 0' if sign > 0 else '<= 0'}"
            )


def _positive(where: str, holder: Any, names: tuple[str, ...]) -> None:
    for name in names:
        if getattr(holder, name) <= 0:
            raise ScorecraftError(
                f"{where}{name} is {getattr(holder, name)}; expected a number > 0, its weight is not 0"
            )


def _decays(where: str, holder: Any, name: str) -> None:
    if not 0 < getattr(holder, name) < 1:
        raise ScorecraftError(f"{where}{name} is {getattr(holder, name)}; expected a factor between 0 and 1")
