"""The pair head by hand, and a classifier that finds the joint distribution it was shown."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from scorecraft.detect.pair_model import PairClassifier, PairHead, pair_nll
from scorecraft.errors import ScorecraftError
from scorecraft.metrics.second_order_calibration import cheat_variance

# Of 100 pairs 40 are (0, 0), 10 each way differ, 40 are (1, 1): the probabilities 0.1 and 0.9 would give 41.
FIRST = torch.tensor([0, 0, 1, 1]).repeat_interleave(torch.tensor([40, 10, 10, 40]))
SECOND = torch.tensor([0, 1, 0, 1]).repeat_interleave(torch.tensor([40, 10, 10, 40]))


def test_the_loss_by_hand():
    joint = torch.tensor([[[0.4, 0.1], [0.2, 0.3]]]).log().repeat(2, 1, 1)
    found = pair_nll(joint, torch.tensor([0, 1]), torch.tensor([0, 0]))
    assert float(found) == pytest.approx(-(math.log(0.4) + math.log(0.2)) / 2)


def test_a_symmetric_head_is_the_mean_of_both_orders():
    head, plain = PairHead(1, 2), PairHead(1, 2, symmetric=False)
    joint = torch.tensor([0.4, 0.3, 0.1, 0.2]).log()
    for layer in (head.logits, plain.logits):
        nn.init.zeros_(layer.weight)
        layer.bias.data.copy_(joint + 5)  # a softmax ignores what is added to all
    hidden = torch.zeros(1, 1)
    assert plain(hidden).exp().flatten().tolist() == pytest.approx([0.4, 0.3, 0.1, 0.2])
    assert head(hidden).exp().flatten().tolist() == pytest.approx([0.4, 0.2, 0.2, 0.2])


@given(st.integers(2, 6), st.integers(0, 5), st.booleans(), st.integers(0, 99))
def test_every_row_is_a_distribution_of_its_own(answers, rows, symmetric, seed):
    torch.manual_seed(seed)
    head, hidden = PairHead(3, answers, symmetric), torch.randn(rows, 3) * 20
    found = head(hidden)
    assert found.shape == (rows, answers, answers)
    assert torch.allclose(found.logsumexp((1, 2)), torch.zeros(rows), atol=1e-4)
    if symmetric:
        assert torch.allclose(found, found.mT, atol=1e-5)
    if rows:
        assert torch.allclose(head(hidden[:1]), found[:1], atol=1e-5)


def test_the_loss_moves_the_head_towards_the_pairs_it_saw():
    torch.manual_seed(0)
    head = PairHead(2, 3)
    found = pair_nll(head(torch.ones(1, 2)), torch.tensor([0]), torch.tensor([2]))
    found.backward()
    gradient = head.logits.bias.grad
    assert gradient is not None
    assert gradient[2] < 0
    assert gradient[6] < 0
    assert (gradient[[0, 1, 3, 4, 5, 7, 8]] > 0).all()


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_classifier_finds_the_joint_distribution(symmetric):
    questions = torch.ones(100, 1)
    model = PairClassifier(2, features=4, symmetric=symmetric, epochs=200, batch_size=100, lr=0.05)
    model.fit(questions, FIRST, SECOND)
    joint = model.log_joint(questions[:1]).exp().flatten().tolist()
    assert joint == pytest.approx([0.4, 0.1, 0.1, 0.4], abs=0.003)
    assert model.predict_proba(questions[:1])[0].tolist() == pytest.approx([0.5, 0.5], abs=0.003)
    # V = 0.4 - 0.25 for both answers.
    assert float(model.predict_score(questions[:1])) == pytest.approx(0.3, abs=0.006)


def test_noise_that_nobody_can_predict_scores_nothing_and_ignorance_does():
    # Question 0: a coin for every answer, pairs in the shares of independent tosses. Question 1: always the same answer
    # twice, which of both cannot be seen.
    first = torch.tensor([0, 0, 1, 1] * 10 + [0, 1] * 20)
    second = torch.tensor([0, 1, 0, 1] * 10 + [0, 1] * 20)
    questions = torch.tensor([0] * 40 + [1] * 40)
    model = PairClassifier(2, body=nn.Embedding(2, 8), features=8, epochs=150, batch_size=80, lr=0.1)
    coin, hidden = model.fit(questions, first, second).predict_score(torch.tensor([0, 1])).tolist()
    assert coin == pytest.approx(0, abs=0.01)
    assert hidden == pytest.approx(0.5, abs=0.01)


def test_training_starts_afresh_and_repeats():
    body = nn.Linear(1, 4)
    before = body.weight.detach().clone()
    model = PairClassifier(2, body=body, features=4, epochs=2, seed=3)
    torch.manual_seed(1)
    first = model.fit(torch.ones(100, 1), FIRST, SECOND).log_joint(torch.ones(1, 1))
    drawn = torch.rand(1)
    again = model.fit(torch.ones(100, 1), FIRST, SECOND).log_joint(torch.ones(1, 1))
    assert torch.equal(first, again)
    assert torch.equal(body.weight, before)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(1))  # the caller's random numbers are left alone


def test_scores_are_the_sum_of_variances():
    questions = torch.linspace(-1, 1, 100)[:, None].double().numpy()
    model = PairClassifier(2, features=8, epochs=3).fit(questions, FIRST.numpy(), SECOND.numpy())
    expected = cheat_variance(model.log_joint(questions)).clip(0).sum(1)
    assert model.predict_score(questions).tolist() == pytest.approx(expected.tolist())


def test_pairs_that_always_differ_score_nothing():
    first = torch.tensor([0, 1] * 20)
    model = PairClassifier(2, features=4, epochs=100, batch_size=40, lr=0.05)
    model.fit(torch.ones(40, 1), first, 1 - first)
    assert cheat_variance(model.log_joint(torch.ones(1, 1)))[0].max() < -0.2
    assert model.predict_score(torch.ones(1, 1)).tolist() == [0]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: PairHead(4, 1), "at least 2 answers"),
        (lambda: PairHead(4, 1001), "self_cheat"),
        (lambda: pair_nll(torch.zeros(0, 2, 2), FIRST[:0], SECOND[:0]), "no pairs"),
        (lambda: pair_nll(torch.zeros(1, 2, 2), torch.tensor([2]), torch.tensor([0])), "first answers are 2 to 2"),
        (lambda: pair_nll(torch.zeros(1, 2, 2), torch.tensor([0]), torch.tensor([-1])), "second answers are -1"),
        (lambda: PairClassifier(2, epochs=0), "epochs"),
        (lambda: PairClassifier(2, lr=math.nan), "lr"),
        (lambda: PairClassifier(2).log_joint(torch.ones(1, 1)), "not trained yet"),
        (lambda: PairClassifier(2).fit(torch.ones(3, 1), [0, 1], [0, 1]), "two answers to each question"),
        (lambda: PairClassifier(2).fit(torch.ones(0, 1), FIRST[:0], SECOND[:0]), "no pairs"),
        (lambda: PairClassifier(2).fit(torch.ones(2), [0, 1], [0, 1]), "give a body"),
        (lambda: PairClassifier(2).fit(torch.ones(2, 1), [0, 2], [0, 1]), "expected 0 to 1"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
