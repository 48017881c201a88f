"""The peer score: the card's values in fractions, both semantics, floats and batches, bad input."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.gossip.batch_scores import config_arrays, peer_scores
from scorecraft.gossip.counting import decayed, decayed_as_in_model, delivered, faded, left_mesh, ticks_between
from scorecraft.gossip.known_parameters import ethereum, filecoin, two_topics
from scorecraft.gossip.parameters import PeerScoreConfig, RouterParameters, TopicParameters
from scorecraft.gossip.peer_score import GlobalCounters, TopicCounters, peer_score, topic_score

ETH = ethereum(3)
SERVED = TopicCounters(18, 200, 200)


def in_model(name, *counters):
    return topic_score(ETH.topics[name], TopicCounters(*counters), semantics="acl2s")


def test_the_published_counterexample():
    assert in_model("AGG", *SERVED) == Fraction(29369, 2500)
    assert in_model("BLOCKS", *SERVED) == Fraction(58958, 3125)
    assert in_model("SUB1", *SERVED) == Fraction(95743, 12500)
    assert in_model("SUB1", 18, 1, 1) == Fraction(-617389, 25000)
    topics = dict.fromkeys(ETH.topics, SERVED) | {"SUB1": TopicCounters(18, 1, 1)}
    assert peer_score(ETH, topics, semantics="acl2s") == Fraction(530937, 25000)
    # The specification counts the deficit once, and whole quanta: floor(18/10) = 1.
    assert topic_score(ETH.topics["SUB1"], TopicCounters(18, 1, 1)) == Fraction(-182813, 15000)


def test_a_silent_subnet_of_twelve():
    silent = topic_score(ethereum(12).topics["SUB1"], TopicCounters(18), semantics="acl2s")
    # (1/12) (.0324 * 18/2 - 2 * 37.55 * .25)
    assert silent == (Fraction("0.0324") * 9 - 2 * Fraction("37.55") / 4) / 12
    assert float(silent) == pytest.approx(-1.540283, abs=1e-6)


def test_the_cap_cuts_from_above_only():
    # Both raw sums are above the cap of 32.72.
    best = {"BLOCKS": TopicCounters(300, 23, 50), "AGG": TopicCounters(300, 179, 500)}
    assert peer_score(ETH, best) == Fraction("32.72")
    assert peer_score(ETH, best | {"SUB1": TopicCounters(0, 24)}) == Fraction("32.72")
    assert peer_score(ETH, {"SUB1": TopicCounters(0, 0, 0, 3)}) < -13_000


def test_what_is_counted_over_all_topics():
    # 2 - 35.11 * 3^2 - 15.92 * (8 - 6)^2
    assert peer_score(ETH, {}, GlobalCounters(2, 3, 8)) == 2 - Fraction("35.11") * 9 - Fraction("15.92") * 4
    assert peer_score(ETH, {}, GlobalCounters(2, 3, 5)) == 2 - Fraction("35.11") * 9
    # The model takes P6 as it is and knows no threshold of H.
    found = peer_score(ETH, {}, GlobalCounters(2, 3, 5), semantics="acl2s")
    assert found == 2 - Fraction("35.11") * 3 - Fraction("15.92") * 25


def test_a_topic_becomes_active_after_its_activation():
    topic = two_topics().topics["ONE"]
    assert topic_score(topic, TopicCounters(10)) == Fraction(27, 2000)
    assert topic_score(topic, TopicCounters(11)) == Fraction(27, 2000) - Fraction(1001 * 4, 2)


def test_unknown_topics_and_bad_counters():
    with pytest.warns(ScorecraftWarning, match="OTHER"):
        assert peer_score(ETH, {"OTHER": SERVED}) == 0
    for bad in (TopicCounters(-1), TopicCounters(0, float("nan")), TopicCounters(0, 0, float("inf"))):
        with pytest.raises(ScorecraftError, match="not negative"):
            topic_score(ETH.topics["AGG"], bad)


counters = st.tuples(*(st.integers(0, 400) for _ in range(5)))


@given(st.lists(counters, min_size=5, max_size=5), st.sampled_from(["spec", "acl2s"]), st.tuples(
    st.integers(-5, 5), st.integers(0, 9), st.integers(0, 9)))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_batches_equal_the_exact_score(values, semantics, over_all):
    topics = {name: TopicCounters(*own) for name, own in zip(ETH.topics, values, strict=True)}
    exact = peer_score(ETH, topics, GlobalCounters(*over_all), semantics=semantics)
    floats = peer_score(ETH.floats(), topics, GlobalCounters(*over_all), semantics=semantics)
    batch = peer_scores(
        config_arrays(ETH, semantics), np.array([values], dtype=float), np.array([over_all], dtype=float)
    )[0]
    assert floats == pytest.approx(float(exact), rel=1e-12, abs=1e-9)
    assert batch == pytest.approx(float(exact), rel=1e-12, abs=1e-9)


@given(counters, st.sampled_from(sorted(ETH.topics)), st.sampled_from(["spec", "acl2s"]))
@settings(max_examples=150, deadline=None)
def test_facts_that_are_proved_of_the_model(values, name, semantics):
    topic, own = ETH.topics[name], TopicCounters(*values)
    score = topic_score(topic, own, semantics=semantics)
    assert score <= topic.topic_weight * (
        topic.time_in_mesh_weight * topic.time_in_mesh_cap
        + topic.first_message_deliveries_weight * topic.first_message_deliveries_cap
    )
    worse = own._replace(invalid_message_deliveries=own.invalid_message_deliveries + 1)
    assert topic_score(topic, worse, semantics=semantics) < score
    fewer = own._replace(mesh_message_deliveries=max(0, own.mesh_message_deliveries - 1))
    assert topic_score(topic, fewer, semantics=semantics) <= score


def test_more_time_may_lower_a_score_once():
    # Refuted: crossing the activation switches the deficit on.
    topic = two_topics().topics["ONE"]
    assert topic_score(topic, TopicCounters(11)) < topic_score(topic, TopicCounters(10))


def test_one_invalid_message_outweighs_two_topics_of_filecoin():
    config = filecoin()
    best = {name: TopicCounters(10, 100, 0) for name in config.topics}
    assert peer_score(config, best) == pytest.approx(55, abs=0.01)
    assert peer_score(config, best | {"BLOCKS": TopicCounters(10, 100, 0, 1)}) < 0
    # With the beacon's topic: -50 + 5 + 62.5.
    third = filecoin(drand=True)
    best = {name: TopicCounters(10, own.first_message_deliveries_cap) for name, own in third.topics.items()}
    found = peer_score(third, best | {"BLOCKS": TopicCounters(10, 100, 0, 1)})
    assert float(found) == pytest.approx(17.5, abs=1e-3)


def test_counting():
    topic = replace(two_topics().topics["ONE"], mesh_message_deliveries_cap=3, mesh_message_deliveries_activation=1)
    # B += (thr - D)^2 with D = 1 and thr = 2; no time in the mesh is left.
    assert left_mesh(topic, TopicCounters(20, 5, 1)) == TopicCounters(0, 5, 1, 0, 1)
    assert left_mesh(topic, TopicCounters(1, 5, 1)) == TopicCounters(0, 5, 1)

    def take(own, **how):
        return delivered(topic, own, "spec", **({"valid": True, "first": True, "in_mesh": True} | how))

    assert take(TopicCounters(0, 5, 2)) == TopicCounters(0, 6, 3)
    assert take(TopicCounters(0, 100, 3)) == TopicCounters(0, 100, 3)
    assert take(TopicCounters(0, 5, 2), first=False) == TopicCounters(0, 5, 3)
    assert take(TopicCounters(0, 5, 2), in_mesh=False) == TopicCounters(0, 6, 2)
    assert take(TopicCounters(0, 5, 2), valid=False) == TopicCounters(0, 5, 2, 1)


def test_decay():
    config = replace(two_topics(), decay_interval=6)
    assert faded(config, 120, Fraction("0.97"), 1) == Fraction("116.4")
    # The model's floor: 1 + floor(6/6) = 2 intervals.
    halved = replace(config.topics["ONE"], first_message_deliveries_decay=Fraction(1, 2))
    assert decayed_as_in_model(config, halved, TopicCounters(0, 8), 6).first_message_deliveries == 2
    fast = replace(halved, first_message_deliveries_decay=Fraction("0.01"))
    second = replace(config, decay_interval=1)
    assert decayed_as_in_model(second, fast, TopicCounters(0, 200), 18).first_message_deliveries == 0
    assert decayed(second, halved, TopicCounters(9, 8, 8, 8, 8), 1) == TopicCounters(9, 4, 4, 4, 4)
    assert decayed(second, halved, TopicCounters(9, 8), 20) == TopicCounters(9, 0)
    assert ticks_between(config, 5, 6) == 1
    assert ticks_between(config, 6, Fraction(119, 10)) == 0
    assert ticks_between(config, 0, 18) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"topic_weight": -1}, "topic 'T': topic_weight is -1; expected a number >= 0"),
        ({"time_in_mesh_weight": float("nan")}, "time_in_mesh_weight is nan"),
        ({"time_in_mesh_weight": 1, "time_in_mesh_quantum": 0}, "time_in_mesh_quantum is 0; expected a number > 0"),
        ({"mesh_message_deliveries_weight": 1}, "expected a number <= 0"),
        ({"mesh_message_deliveries_weight": -1, "mesh_message_deliveries_activation": 0}, "at least 1 s"),
        ({"mesh_message_deliveries_weight": -1, "mesh_message_deliveries_cap": 5}, "no peer could"),
        ({"first_message_deliveries_weight": 1, "first_message_deliveries_decay": 1}, "between 0 and 1"),
        ({"invalid_message_deliveries_decay": 0}, "between 0 and 1"),
        ({"topic_weight": "1"}, "expected a finite number"),
        ({"topic_weight": True}, "expected a finite number"),
    ],
)
def test_topics_that_make_no_sense(change, said):
    with pytest.raises(ScorecraftError, match=said):
        PeerScoreConfig({"T": TopicParameters(**change)}).check()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"topics": {}}, "no topic"),
        ({"topic_score_cap": -1}, "topic_score_cap"),
        ({"decay_interval": 0.5}, "at least 1 s"),
        ({"decay_to_zero": 1}, "between 0 and 1"),
        ({"gossip_threshold": 1}, "at most zero"),
        ({"publish_threshold": -5, "gossip_threshold": -10}, r"at most gossip_threshold \(-10\)"),
        ({"accept_px_threshold": -1}, "accept_px_threshold"),
        ({"ip_colocation_factor_weight": -1, "ip_colocation_factor_threshold": 0}, "at least 1 peer"),
        ({"router": RouterParameters(d_low=9)}, "0 < d_low <= d <= d_high"),
    ],
)
def test_configurations_that_make_no_sense(change, said):
    with pytest.raises(ScorecraftError, match=said):
        replace(PeerScoreConfig({"T": TopicParameters()}), **change).check()


def test_shapes_of_batches():
    with pytest.raises(ScorecraftError, match="expected shapes"):
        peer_scores(config_arrays(ETH), np.zeros((2, 3, 5)), np.zeros((2, 3)))
    with pytest.raises(ScorecraftError, match="none negative"):
        peer_scores(config_arrays(ETH), np.full((2, 5, 5), -1.0), np.zeros((2, 3)))
    with pytest.raises(ScorecraftError, match="subnets"):
        ethereum(0)
