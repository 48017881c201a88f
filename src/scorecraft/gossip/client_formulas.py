"""Parameters that clients compute from the size of their network: Lighthouse and Prysm."""

from __future__ import annotations

import math
from fractions import Fraction

from scorecraft.errors import ScorecraftError
from scorecraft.gossip.parameters import PeerScoreConfig, RouterParameters, TopicParameters, exact

SLOT, SLOTS, SUBNETS, D = 12.0, 32, 64, 8
EPOCH = SLOT * SLOTS
MOST_COMMITTEES, COMMITTEE_SIZE, AGGREGATORS = 64, 128, 16
TO_ZERO = 0.01
IN_MESH, FIRST = 10.0, 40.0
_ROUTER = RouterParameters(d=8, d_low=6, d_high=12, heartbeat_interval=Fraction(7, 10))


def decay(lifetime: float, interval: float = SLOT) -> float:
    """Return the factor under which a counter fades to ``decay_to_zero`` in a lifetime: ``0.01^(interval / lifetime)``.

    Args:
        lifetime: seconds.
        interval: seconds between two decays.
    """
    return TO_ZERO ** (interval / lifetime)


def convergence(factor: float, rate: float) -> float:
    """Return where a counter settles that grows by a rate and fades by a factor: ``rate / (1 - factor)``."""
    return rate / (1 - factor)


def threshold(factor: float, rate: float) -> float:
    """Return where it settles just after fading: ``factor rate / (1 - factor)``."""
    return convergence(factor, rate) * factor


def committees(validators: int) -> int:
    """Return the committees of a slot for a number of active validators."""
    return max(1, min(MOST_COMMITTEES, validators // SLOTS // COMMITTEE_SIZE))


def lighthouse(validators: int = 500_000, current_slot: int = 10**6) -> PeerScoreConfig:
    """Return the parameters that Lighthouse computes.

    Args:
        validators: how many are active; at least one a committee.
        current_slot: while it is young, a topic does not yet count deliveries.

    Raises `ScorecraftError` for too few validators.

    Source: Lighthouse, beacon_node/lighthouse_network/src/service/gossipsub_scoring_parameters.rs.
    """
    _enough(validators)
    most = (IN_MESH + FIRST) * (0.5 + 0.5 + 1 + 3 * 0.05)
    penalty_decay = decay(10 * EPOCH)
    bursts = committees(validators) >= 2 * SUBNETS // SLOTS

    def topic(
        weight: float, rate: float, first: float, mesh: tuple[int, float, float] | None
    ) -> TopicParameters:  # fmt: skip
        factor = decay(first)
        cap = convergence(factor, 2 * rate / D)
        found = {
            "topic_weight": weight, "time_in_mesh_quantum": SLOT, "time_in_mesh_cap": 3600 / SLOT,
            "time_in_mesh_weight": IN_MESH / (3600 / SLOT), "first_message_deliveries_decay": factor,
            "first_message_deliveries_cap": cap, "first_message_deliveries_weight": FIRST / cap,
            "invalid_message_deliveries_weight": -most / weight, "invalid_message_deliveries_decay": decay(50 * EPOCH),
        }  # fmt: skip
        if mesh is not None:
            slots, times, activation = mesh
            fade = decay(slots * SLOT)
            expected = threshold(fade, rate / 50)
            young = slots >= current_slot
            found |= {
                "mesh_message_deliveries_decay": fade, "mesh_message_deliveries_cap": max(2.0, times * expected),
                "mesh_message_deliveries_threshold": 1.0 if young else expected,
                "mesh_message_deliveries_activation": activation, "mesh_message_deliveries_window": 2.0,
                "mesh_message_deliveries_weight": 0.0 if young else -weight,
                # While a topic is young its threshold is 0, so that no failure is ever counted either.
                "mesh_failure_penalty_weight": 0.0 if young else -weight, "mesh_failure_penalty_decay": fade,
            }  # fmt: skip
        return _exactly(found)

    rare = 100 * EPOCH
    subnet = topic(
        1 / SUBNETS, validators / SUBNETS / SLOTS, EPOCH * (1 if bursts else 4),
        ((4 if bursts else 16) * SLOTS, 16.0, SLOT * (SLOTS // 2 + 1) if bursts else 3 * EPOCH),
    )  # fmt: skip
    topics = {
        "voluntary_exit": topic(0.05, 4 / SLOTS, rare, None),
        "attester_slashing": topic(0.05, 1 / 5 / SLOTS, rare, None),
        "proposer_slashing": topic(0.05, 1 / 5 / SLOTS, rare, None),
        "beacon_block": topic(0.5, 1.0, 20 * EPOCH, (5 * SLOTS, 3.0, EPOCH)),
        "beacon_aggregate_and_proof": topic(0.5, aggregators(validators), EPOCH, (2 * SLOTS, 4.0, EPOCH)),
    } | {f"beacon_attestation_{i}": subnet for i in range(SUBNETS)}
    cap = most / 2
    return PeerScoreConfig(
        topics=topics, topic_score_cap=exact(cap), app_specific_weight=1, ip_colocation_factor_weight=exact(-cap),
        ip_colocation_factor_threshold=8, behaviour_penalty_threshold=6, behaviour_penalty_decay=exact(penalty_decay),
        behaviour_penalty_weight=exact(-4000 / (convergence(penalty_decay, 10 / SLOTS) - 6) ** 2),
        decay_interval=12, retain_score=exact(100 * EPOCH), gossip_threshold=-4000, publish_threshold=-8000,
        graylist_threshold=-16000, accept_px_threshold=100, opportunistic_graft_threshold=5, router=_ROUTER,
    ).check()  # fmt: skip


def aggregators(validators: int) -> float:
    """Return how many aggregators a slot has on average, as Lighthouse counts them."""
    count = committees(validators) * SLOTS
    small = validators // count
    larger = validators - small * count
    few, many = max(1, small // AGGREGATORS), max(1, (small + 1) // AGGREGATORS)
    return ((count - larger) * small / few + larger * (small + 1) / many) / SLOTS


def prysm(validators: int = 500_000, *, mesh_scored: bool = False) -> PeerScoreConfig:
    """Return the parameters that Prysm computes.

    Args:
        validators: how many are active; at least one a subnet and slot.
        mesh_scored: whether deliveries in the mesh count; in released clients a switch keeps them from counting.

    Raises `ScorecraftError` for too few validators.

    Source: Prysm, beacon-chain/p2p/gossip_scoring_params.go.
    """
    _enough(validators)
    weights = {"block": 0.8, "aggregate": 0.5, "contribution": 0.2, "attestation": 1.0, "sync": 0.4, "other": 0.05}
    most = (IN_MESH + FIRST) * (sum(weights.values()) + 3 * 0.05)
    in_mesh = 3600 / SLOT

    def topic(weight: float, first: dict[str, float], mesh: dict[str, float] | None, invalid: float) -> TopicParameters:
        found = {
            "topic_weight": weight, "time_in_mesh_quantum": SLOT, "time_in_mesh_cap": in_mesh,
            "time_in_mesh_weight": IN_MESH / in_mesh, "invalid_message_deliveries_weight": invalid,
            "invalid_message_deliveries_decay": decay(50 * EPOCH), **first,
        }  # fmt: skip
        if mesh is not None:
            live = mesh.pop("weight") if mesh_scored else 0.0 * mesh.pop("weight")
            found |= {
                "mesh_message_deliveries_weight": live, "mesh_failure_penalty_weight": live,
                "mesh_message_deliveries_window": 2.0,
                "mesh_failure_penalty_decay": mesh["mesh_message_deliveries_decay"], **mesh,
            }  # fmt: skip
        return _exactly(found)

    def by_rate(weight: float, first_rate: float, mesh_rate: float, epochs: tuple[float, float]) -> TopicParameters:
        factor, fade = decay(epochs[0] * EPOCH), decay(epochs[1] * EPOCH)
        cap, expected = convergence(factor, first_rate), threshold(fade, mesh_rate / 90)
        first = _first(FIRST / cap, factor, cap)
        return topic(
            weight, first, _mesh(-most / (weight * expected**2), fade, 4 * expected, expected, EPOCH), -most / weight
        )

    rare = decay(100 * EPOCH)
    blocks = topic(
        weights["block"], _first(1.0, decay(20 * EPOCH), 23.0),
        _mesh(-0.717, decay(5 * EPOCH), 5.0 * SLOTS, 5.0 * SLOTS / 10, 4 * EPOCH), -140.4475,
    )  # fmt: skip
    per_slot = committees(validators) * AGGREGATORS
    in_subnet = validators // SUBNETS // SLOTS
    if in_subnet * 2 // D == 0:
        raise ScorecraftError(f"{validators} validators: Prysm scores no subnet with so few; expected at least 8192")
    many = committees(validators) >= 2 * SUBNETS // SLOTS
    subnet = by_rate(
        weights["attestation"] / SUBNETS, float(in_subnet * 2 // D), in_subnet, (4, 16) if many else (1, 4)
    )
    members = min(validators, 512) // 4
    sync = by_rate(weights["sync"] / 4, float(members * 2 // D), members, (1, 4))
    topics = {
        "beacon_block": blocks,
        "beacon_aggregate_and_proof": by_rate(weights["aggregate"], float(per_slot * 2 // D), per_slot, (1, 1)),
        "sync_committee_contribution_and_proof": by_rate(weights["contribution"], float(64 * 2 // D), 64, (1, 1)),
        "voluntary_exit": topic(0.05, _first(2.0, rare, 5.0), None, -2000.0),
        "proposer_slashing": topic(0.05, _first(36.0, rare, 1.0), None, -2000.0),
        "attester_slashing": topic(0.05, _first(36.0, rare, 1.0), None, -2000.0),
        "bls_to_execution_change": topic(0.05, _first(2.0, rare, 5.0), None, -2000.0),
        **{f"sync_committee_{i}": sync for i in range(4)},
        **{f"beacon_attestation_{i}": subnet for i in range(SUBNETS)},
    }  # fmt: skip
    return PeerScoreConfig(
        topics=topics, topic_score_cap=exact("32.72"), app_specific_weight=1,
        ip_colocation_factor_weight=exact("-35.11"), ip_colocation_factor_threshold=10,
        behaviour_penalty_weight=exact("-15.92"), behaviour_penalty_threshold=6,
        behaviour_penalty_decay=exact(decay(10 * EPOCH)), decay_interval=12, retain_score=exact(100 * EPOCH),
        gossip_threshold=-4000, publish_threshold=-8000, graylist_threshold=-16000, accept_px_threshold=100,
        opportunistic_graft_threshold=5, router=_ROUTER,
    ).check()  # fmt: skip


def _first(weight: float, factor: float, cap: float) -> dict[str, float]:
    return {
        "first_message_deliveries_weight": weight, "first_message_deliveries_decay": factor,
        "first_message_deliveries_cap": cap,
    }  # fmt: skip


def _mesh(weight: float, fade: float, cap: float, expected: float, activation: float) -> dict[str, float]:
    return {
        "weight": weight, "mesh_message_deliveries_decay": fade, "mesh_message_deliveries_cap": cap,
        "mesh_message_deliveries_threshold": expected, "mesh_message_deliveries_activation": activation,
    }  # fmt: skip


def _exactly(found: dict[str, float]) -> TopicParameters:
    return TopicParameters(**{name: exact(value, name) for name, value in found.items()})


def _enough(validators: int) -> None:
    if not (isinstance(validators, int) and validators >= SLOTS * SUBNETS and math.isfinite(validators)):
        raise ScorecraftError(f"validators is {validators!r}; expected a whole number, at least {SLOTS * SUBNETS}")
