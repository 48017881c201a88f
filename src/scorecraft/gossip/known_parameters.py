"""Parameters that are in use or in print: Ethereum's as the paper has them, Filecoin's, and a safe pair of topics."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from scorecraft.errors import ScorecraftError
from scorecraft.gossip.parameters import PeerScoreConfig, RouterParameters, TopicParameters

VALIDATORS = 300


def _of(text: str) -> Fraction:
    return Fraction(text)


def ethereum(subnets: int = 3) -> PeerScoreConfig:
    """Return the Ethereum configuration of the paper, a fork of Prysm's, with the small constants of the model.

    Slots of 1 s, epochs of 10 slots, 300 validators, topics BLOCKS, AGG and SUB1 to SUBn.

    Source: arXiv 2212.05197, section V; decay factors from the attack files that are published with it.
    """
    if subnets < 1:
        raise ScorecraftError(f"subnets is {subnets}; expected at least 1")
    blocks = TopicParameters(
        topic_weight=_of("0.8"),
        time_in_mesh_weight=_of("0.0324"),
        time_in_mesh_quantum=1,
        time_in_mesh_cap=300,
        first_message_deliveries_weight=1,
        first_message_deliveries_decay=_of("0.794"),
        first_message_deliveries_cap=23,
        mesh_message_deliveries_weight=_of("-0.717"),
        mesh_message_deliveries_decay=_of("0.398"),
        mesh_message_deliveries_cap=50,
        mesh_message_deliveries_threshold=5,
        mesh_message_deliveries_activation=4,
        mesh_failure_penalty_weight=_of("-0.717"),
        mesh_failure_penalty_decay=_of("0.398"),
        invalid_message_deliveries_weight=_of("-140.4475"),
        invalid_message_deliveries_decay=_of("0.912"),
    )
    aggregates = replace(
        blocks,
        topic_weight=_of("0.5"),
        first_message_deliveries_weight=_of("0.128"),
        first_message_deliveries_decay=_of("0.01"),
        first_message_deliveries_cap=179,
        mesh_message_deliveries_weight=_of("-0.064"),
        mesh_message_deliveries_decay=_of("0.01"),
        mesh_message_deliveries_cap=500,
        mesh_message_deliveries_threshold=10,
        mesh_message_deliveries_activation=32,
        mesh_failure_penalty_weight=_of("-0.064"),
        mesh_failure_penalty_decay=_of("0.01"),
    )
    subnet = replace(
        blocks,
        topic_weight=Fraction(1, subnets),
        # A number of validators to a slot, not a duration: so it stands in the model.
        time_in_mesh_quantum=max(1, VALIDATORS // (10 * subnets)),
        first_message_deliveries_weight=_of("0.955"),
        first_message_deliveries_decay=_of("0.316"),
        first_message_deliveries_cap=24,
        mesh_message_deliveries_weight=_of("-37.55"),
        mesh_message_deliveries_decay=_of("0.749"),
        mesh_message_deliveries_cap=Fraction(VALIDATORS, subnets),
        mesh_message_deliveries_threshold=Fraction(6, subnets),
        mesh_message_deliveries_activation=17,
        mesh_failure_penalty_weight=_of("-37.55"),
        mesh_failure_penalty_decay=_of("0.749"),
        invalid_message_deliveries_weight=-4544,
    )
    return PeerScoreConfig(
        topics={"BLOCKS": blocks, "AGG": aggregates} | {f"SUB{i}": subnet for i in range(1, subnets + 1)},
        topic_score_cap=_of("32.72"),
        app_specific_weight=1,
        ip_colocation_factor_weight=_of("-35.11"),
        ip_colocation_factor_threshold=10,
        behaviour_penalty_weight=_of("-15.92"),
        behaviour_penalty_threshold=6,
        behaviour_penalty_decay=_of("0.63"),
        gossip_threshold=-4000,
        publish_threshold=-8000,
        graylist_threshold=-16000,
        accept_px_threshold=100,
        opportunistic_graft_threshold=5,
        router=RouterParameters(d=8, d_low=6, d_high=12, heartbeat_interval=_of("0.7")),
    ).check()


def filecoin(*, drand: bool = False, as_in_model: bool = False) -> PeerScoreConfig:
    """Return Lotus's configuration: blocks and messages, and the beacon's topic that was added later.

    Args:
        drand: with the topic DRAND.
        as_in_model: with the time-in-mesh weights of the published model, 100 and 10,000 times too large.

    Source: arXiv 2212.05197, section V; Lotus, node/modules/lp2p/pubsub.go.
    """
    hour, minutes = _of("0.9987216"), _of("0.9923541")
    blocks = TopicParameters(
        topic_weight=_of("0.1"),
        time_in_mesh_weight=_of("0.027") if as_in_model else _of("0.00027"),
        time_in_mesh_quantum=1,
        time_in_mesh_cap=1,
        first_message_deliveries_weight=5,
        first_message_deliveries_decay=hour,
        first_message_deliveries_cap=100,
        invalid_message_deliveries_weight=-1000,
        invalid_message_deliveries_decay=hour,
    )
    messages = replace(
        blocks,
        time_in_mesh_weight=_of("2.778") if as_in_model else _of("0.0002778"),
        first_message_deliveries_weight=_of("0.5"),
        first_message_deliveries_decay=minutes,
    )
    topics = {"BLOCKS": blocks, "MESSAGES": messages}
    if drand:
        topics["DRAND"] = replace(
            blocks, topic_weight=_of("0.5"), time_in_mesh_weight=_of("0.00027"), first_message_deliveries_cap=25
        )
    return PeerScoreConfig(
        topics=topics,
        app_specific_weight=1,
        ip_colocation_factor_weight=-100,
        ip_colocation_factor_threshold=5,
        behaviour_penalty_weight=-10,
        behaviour_penalty_threshold=6,
        behaviour_penalty_decay=hour,
        retain_score=6 * 3600,
        gossip_threshold=-500,
        publish_threshold=-1000,
        graylist_threshold=-2500,
        accept_px_threshold=1000,
        opportunistic_graft_threshold=_of("3.5"),
        router=RouterParameters(
            d=8, d_low=6, d_high=12, d_score=6, d_out=3, d_lazy=12, history_length=10, gossip_factor=_of("0.1")
        ),
    ).check()


def two_topics(penalty: int = -1001) -> PeerScoreConfig:
    """Return two equal topics whose penalties outweigh, from -1001 on, all that can be earned in the other one.

    At -1000 a hair-thin witness exists: one invalid message, and nearly all of both topics' deliveries.
    """
    topic = TopicParameters(
        topic_weight=Fraction(1, 2),
        time_in_mesh_weight=Fraction(27, 1000),
        time_in_mesh_cap=1,
        first_message_deliveries_weight=5,
        first_message_deliveries_cap=100,
        mesh_message_deliveries_weight=penalty,
        mesh_message_deliveries_cap=10,
        mesh_message_deliveries_threshold=2,
        mesh_message_deliveries_activation=10,
        mesh_failure_penalty_weight=penalty,
        invalid_message_deliveries_weight=penalty,
    )
    return PeerScoreConfig(topics={"ONE": topic, "TWO": topic}).check()
