"""Properties: four ways to check them agree, witnesses stand up exactly, hair-thin cases, repairs and attacks."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.gossip.attack import max_silent_topics, replayed, synthesise_attack
from scorecraft.gossip.known_parameters import ethereum, filecoin, two_topics
from scorecraft.gossip.parameters import PeerScoreConfig, TopicParameters
from scorecraft.gossip.peer_score import peer_score, topic_score
from scorecraft.gossip.properties import PROPERTIES, Witness, check_property, replay
from scorecraft.gossip.repair import repair

# What the card and the paper say: P1 fails for Ethereum, holds for Filecoin as it was, and fails once it has a third
# topic; P2 fails under a cap; a silent topic is seen by the model, which counts the deficit twice, and not otherwise.
EXPECTED = {
    "eth3": (ethereum(3), "acl2s", {"P1": False, "P2": False, "P3": True, "P4": True, "silent": True}),
    "eth3 spec": (ethereum(3), "spec", {"P1": False, "P2": False, "P3": True, "P4": True, "silent": False}),
    "filecoin": (filecoin(), "spec", {"P1": True, "P2": True, "P3": True, "P4": True, "silent": False}),
    "drand": (filecoin(drand=True), "spec", {"P1": False, "P2": True, "P3": True, "P4": True, "silent": False}),
    "safe": (two_topics(), "spec", {"P1": True, "P2": True, "P3": True, "P4": True, "silent": True}),
    "thin": (two_topics(-1000), "spec", {"P1": False, "P2": True, "P3": True, "P4": True, "silent": True}),
}


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("backend", ["closed_form", "smt", "grid"])
def test_what_holds_and_what_fails(name, backend):
    config, semantics, expected = EXPECTED[name]
    found = {prop: check_property(config, prop, backend, semantics=semantics) for prop in PROPERTIES}
    assert {prop: one.holds for prop, one in found.items()} == expected
    for one in found.values():
        assert (one.witness is None) == (one.holds is not False)
        assert not one.trivial


@pytest.mark.parametrize("prop", ["P1", "P2", "silent"])
def test_a_search_at_random_finds_witnesses_too(prop):
    found = check_property(ethereum(3), prop, "hypothesis", semantics="spec", examples=2000)
    assert found.holds is False
    assert found.checked > 0


def test_a_search_at_random_finds_none_where_there_is_none():
    found = check_property(two_topics(), "P1", "hypothesis", examples=300)
    assert found.holds is True
    assert "proves nothing" in found.said


def test_the_hair_thin_witness():
    # One invalid message, or one missing delivery, costs 500; both topics pay 250.0135 each.
    found = check_property(two_topics(-1000), "P1", "smt")
    assert found.witness is not None
    assert 0 < found.witness.score <= Fraction(27, 1000)
    assert check_property(two_topics(-1000), "P1").margin == -Fraction(27, 1000)
    # At -1001 half a point is missing: 500.5 against 500.027.
    assert check_property(two_topics(), "P1").margin == Fraction(473, 1000)


def test_on_real_counters_every_sum_is_trivially_refuted():
    for backend in ("closed_form", "smt"):
        found = check_property(two_topics(), "P1", backend, domain="real")
        assert found.holds is False
        assert found.trivial
    assert not check_property(two_topics(-1000), "P1", "closed_form").trivial


def test_a_silent_subnet_that_keeps_a_positive_score():
    # Silent in one subnet: in the model three subnets are enough to see it, in the specification they are not.
    for subnets, semantics, unseen in ((3, "acl2s", 0), (3, "spec", 1), (4, "acl2s", 1), (6, "spec", 1)):
        found = max_silent_topics(ethereum(subnets), among=["SUB1"], semantics=semantics)
        assert found == unseen, (subnets, semantics)


def test_how_many_subnets_can_be_silent():
    found = [
        max_silent_topics(ethereum(n), among=[f"SUB{i}" for i in range(1, n + 1)], semantics="acl2s")
        for n in (3, 4, 5, 6, 8, 12)
    ]
    assert found == [0, 1, 2, 4, 8, 12]
    assert max_silent_topics(two_topics()) == 0


def test_a_witness_that_is_none_is_not_let_through():
    config = two_topics()
    found = check_property(two_topics(-1000), "P1").witness
    with pytest.raises(RuntimeError, match="does not stand up"):
        replay(config, "P1", found, "spec")
    assert isinstance(found, Witness)


@given(
    st.integers(1, 2000), st.integers(1, 2000), st.integers(1, 20), st.integers(1, 50), st.integers(1, 4),
    st.sampled_from([0, 10, 100]), st.sampled_from(["spec", "acl2s"]),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_formula_and_solver_agree(penalty, invalid, first, cap, threshold, limit, semantics):
    topic = TopicParameters(
        topic_weight=Fraction(1, 2), time_in_mesh_weight=Fraction(1, 10), time_in_mesh_cap=10,
        first_message_deliveries_weight=first, first_message_deliveries_cap=cap,
        mesh_message_deliveries_weight=-penalty, mesh_message_deliveries_cap=10,
        mesh_message_deliveries_threshold=threshold, mesh_failure_penalty_weight=-penalty,
        invalid_message_deliveries_weight=-invalid,
    )  # fmt: skip
    other = replace(topic, topic_weight=1, first_message_deliveries_weight=3)
    config = PeerScoreConfig({"A": topic, "B": other}, topic_score_cap=limit)
    for prop in PROPERTIES:
        formula = check_property(config, prop, "closed_form", semantics=semantics)
        solver = check_property(config, prop, "smt", semantics=semantics)
        assert solver.holds == formula.holds, prop


def test_names_that_are_not_known():
    with pytest.raises(ScorecraftError, match="no property 'P9'"):
        check_property(two_topics(), "P9")
    with pytest.raises(ScorecraftError, match="no backend 'z3'"):
        check_property(two_topics(), "P1", "z3")
    with pytest.raises(ScorecraftError, match="no domain"):
        check_property(two_topics(), "P1", domain="complex")


def test_the_published_attack_on_one_subnet():
    # At first nothing is active, and one message has come; from then on one where two are expected.
    plan = synthesise_attack(ethereum(3), ["SUB1"], sent=1, semantics="acl2s", beats=5)
    assert plan.predicted_scores[0].topics["SUB1"] == Fraction(955, 1000) / 3
    assert all(beat.topics["SUB1"] < 0 < beat.score for beat in plan.predicted_scores[1:])
    assert plan.violations == 4
    assert plan.sustained


@pytest.mark.parametrize(("silent", "semantics", "violations", "sustained"), [
    (1, "acl2s", 49, True), (3, "acl2s", 49, True), (11, "acl2s", 49, True), (12, "acl2s", 48, False),
    (3, "spec", 32, True),
])  # fmt: skip
def test_stopping_subnets_of_twelve(silent, semantics, violations, sustained):
    plan = synthesise_attack(ethereum(12), [f"SUB{i + 1}" for i in range(silent)], semantics=semantics)
    assert plan.violations == violations
    assert plan.sustained == sustained
    if semantics == "spec":
        # After 579 s, time in the mesh alone outweighs the silence: .0324 * 289.8 > 9.3875.
        late = [beat for beat in plan.predicted_scores if beat.seconds > 580]
        assert all(beat.topics["SUB1"] > 0 for beat in late)
        assert all(beat.topics["SUB1"] < 0 for beat in plan.predicted_scores if 17 < beat.seconds < 579)


def test_where_no_other_topic_pays_the_attacker_is_pruned():
    plan = synthesise_attack(two_topics(), ["ONE"], beats=4)
    assert plan.predicted_scores[0].score > 0
    assert plan.predicted_scores[1].score < 0
    assert not plan.sustained
    assert replayed(two_topics(), plan.events) == plan.predicted_scores


def test_attacks_that_cannot_be():
    for options, said in (
        ({"attacked": 9}, "expected 1 to 2"),
        ({"attacked": ["THREE"]}, "no topic 'THREE'"),
        ({"attacked": []}, "at least one"),
        ({"beat_s": 0}, "beat_s"),
        ({"msgs": -1}, "msgs"),
        ({"beats": 0}, "beats"),
    ):
        with pytest.raises(ScorecraftError, match=said):
            synthesise_attack(two_topics(), **options)


@pytest.mark.parametrize("subnets", [3, 12])
def test_a_repair_is_proved_and_changes_what_has_to_change(subnets):
    broken = ethereum(subnets)
    found = repair(broken)
    assert all(one.holds for one in found.proofs)
    assert {one.prop for one in found.proofs} == {"P1", "P2", "P3", "silent"}
    assert check_property(found.config, "P1", "grid").holds
    assert max_silent_topics(found.config) == 0
    assert found.open == ()
    for one in found.changes:
        if one.name.endswith("deliveries_weight") and one.after < 0:
            assert one.after <= one.before
    # What is safe stays as it is.
    assert repair(found.config).changes == ()
    assert repair(two_topics()).changes == ()


def test_silence_alone_needs_less():
    mild, strict = repair(ethereum(3), "silence"), repair(ethereum(3))
    assert max_silent_topics(mild.config) == 0
    assert len(mild.changes) < len(strict.changes)
    weight = {one.topic: one.after for one in mild.changes if one.name == "mesh_message_deliveries_weight"}
    # The sum of all goods is 75.13; BLOCKS needs .8 * 25 * |w3| to be that much.
    most = sum(topic_score(topic, topic_counters(topic), semantics="spec") for topic in ethereum(3).topics.values())
    assert -weight["BLOCKS"] * 20 >= most
    assert -weight["BLOCKS"] * 20 <= most * Fraction(1001, 1000)
    with pytest.raises(ScorecraftError):
        repair(replace(two_topics(), topic_score_cap=-1))


def topic_counters(topic):
    from scorecraft.gossip.peer_score import TopicCounters

    return TopicCounters(10_000, topic.first_message_deliveries_cap, topic.mesh_message_deliveries_cap)


def test_what_weights_alone_cannot_mend_is_said():
    found = repair(filecoin(drand=True))
    assert {one.topic for one in found.changes} == {"BLOCKS", "MESSAGES"}
    # M = 50 + 5 + 62.5 and a little: an invalid message has to cost 117.5003 at topic weight .1.
    assert {float(one.after) for one in found.changes} == {-1176.0}
    assert len(found.open) == 3
    assert peer_score(found.config, {}) == 0
