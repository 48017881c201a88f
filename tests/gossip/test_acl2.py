"""ACL2 agrees with the peer score on random states, and proves facts of it; skipped where ACL2 is not installed."""

import random
from fractions import Fraction

import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.gossip import acl2_oracle as oracle
from scorecraft.gossip.acl2_oracle import acl2_oracle, acl2_proves, score_expression, topic_expression, why_absent
from scorecraft.gossip.known_parameters import ethereum, filecoin, two_topics
from scorecraft.gossip.peer_score import GlobalCounters, TopicCounters, peer_score, topic_score

needs_acl2 = pytest.mark.skipif(bool(why_absent()), reason=why_absent() or "ACL2 is here")


@needs_acl2
def test_the_published_value():
    expression = topic_expression(ethereum(3).topics["SUB1"], TopicCounters(18, 1, 1), "acl2s")
    assert acl2_oracle([expression, "(+ 1/2 1/3)"]) == [Fraction(-617389, 25000), Fraction(5, 6)]


@needs_acl2
def test_five_hundred_random_states():
    draw = random.Random(0)
    configs = (ethereum(3), filecoin(drand=True), two_topics())
    expressions, expected = [], []
    for at in range(510):
        config, semantics = configs[at % 3], ("spec", "acl2s")[at % 2]
        topics = {
            name: TopicCounters(
                draw.randint(0, 40), Fraction(draw.randint(0, 900), 4), Fraction(draw.randint(0, 40), 2),
                draw.randint(0, 3), Fraction(draw.randint(0, 9), 3),
            )
            for name in config.topics
        }  # fmt: skip
        counters = GlobalCounters(draw.randint(-5, 5), draw.randint(0, 4), draw.randint(0, 12))
        expressions.append(score_expression(config, topics, counters, semantics))
        expected.append(peer_score(config, topics, counters, semantics=semantics))
    assert acl2_oracle(expressions) == expected


@needs_acl2
def test_a_definition_that_is_wrong_would_be_noticed():
    # The same, but with the deficit not squared.
    wrong = oracle.definitions_of_score().replace(
        "(defun p3 (p c) (* (at 7 p) (deficit p c) (deficit p c)))", "(defun p3 (p c) (* (at 7 p) (deficit p c)))"
    )
    own = TopicCounters(20)
    topic = two_topics().topics["ONE"]
    assert acl2_oracle([topic_expression(topic, own)], definitions=wrong) != [topic_score(topic, own)]


@needs_acl2
def test_proofs():
    hint = ' :hints (("Goal" :nonlinearp t))'
    # First deliveries are worth no more than their cap; a deficit is never worth anything.
    assert acl2_proves(f"(implies (<= 0 (at 4 p)) (<= (p2 p c) (* (at 4 p) (at 6 p)))){hint}")
    assert acl2_proves(f"(implies (<= (at 7 p) 0) (<= (p3 p c) 0)){hint}")
    # One more invalid message costs more.
    more, now = "(p4 p (list a f d (+ 1 i) b))", "(p4 p (list a f d i b))"
    assert acl2_proves(f"(implies (and (< (at 15 p) 0) (rationalp i) (<= 0 i)) (< {more} {now})){hint}")
    assert not acl2_proves("(implies (rationalp x) (< x (low x 3)))")


@needs_acl2
def test_what_is_refused():
    with pytest.raises(ScorecraftError, match="refused a definition"):
        acl2_oracle(["1"], definitions="(defun f (x) (f x))")
    with pytest.raises(ScorecraftError, match="0 of 1 expressions"):
        acl2_oracle(["(nonsense 1)"])


def test_where_there_is_no_acl2_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(oracle, "IMAGES", ())
    monkeypatch.delenv(oracle.ENVIRONMENT, raising=False)
    assert "make acl2" in why_absent()
    with pytest.raises(ScorecraftError, match="make acl2"):
        acl2_oracle(["1"])
    fake = tmp_path / "acl2"
    fake.write_text("#!/bin/sh\necho 'ACL2>>'\n")
    fake.chmod(0o755)
    monkeypatch.setenv(oracle.ENVIRONMENT, str(fake))
    with pytest.raises(ScorecraftError, match="did not start in its logic"):
        acl2_oracle(["1"])


def test_expressions_are_exact():
    said = topic_expression(two_topics().topics["ONE"], TopicCounters(Fraction(1, 3), 2))
    assert said.startswith("(topic-score '(1/2 27/1000 1 1 5 ")
    assert said.endswith("'(1/3 2 0 0 0) nil)")
