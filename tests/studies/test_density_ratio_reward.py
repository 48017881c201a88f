"""The density-ratio study's own pieces: facts in closed form, the world of snapshots, noisy copies, and statements."""

import math

import numpy as np
import pytest
import torch

from scorecraft.lm.policy import Policy
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.studies.density_ratio_reward import (
    LAMBDAS,
    World,
    bradley_terry,
    fact_logprobs,
    noisy,
    prefers,
    ratio,
    statements,
    zipf,
)


def test_zipf_by_hand():
    assert zipf(3).tolist() == pytest.approx([6 / 11, 3 / 11, 2 / 11])


def test_a_model_that_knows_more_gives_the_truth_more():
    right, wrong, known = fact_logprobs(0, 2000, frequent=False)
    assert right.shape == wrong.shape == (len(LAMBDAS), 2000)
    assert (known.diff() > 0).all()
    # lambda + (1 - lambda) / 40 on average over evenly drawn truths, but for the noise on the logits.
    assert float(known[-1]) == pytest.approx(0.5 + 0.5 / 40, abs=0.03)
    assert (right.exp() + wrong.exp() <= 1 + 1e-9).all()


def test_without_noise_the_ratio_is_right_wherever_the_strong_one_knows():
    # Truth of prior .1 against a wrong object of prior .6. Strong, lambda .2: .2 + .8 * .1 = .28 and .8 * .6 = .48.
    # Weak, lambda .1: .19 and .54. Alone .28 < .48; the ratio .28/.19 > .48/.54.
    right, wrong = [[math.log(0.28)]], [[math.log(0.48)]]
    weak_right, weak_wrong = [[math.log(0.19)]], [[math.log(0.54)]]
    assert prefers(ratio(right, None), ratio(wrong, None)) == 0.0
    assert prefers(ratio(right, weak_right), ratio(wrong, weak_wrong)) == 1.0
    assert float(ratio(right, weak_right)) == pytest.approx(math.log(0.28 / 0.19), abs=1e-6)


def test_a_tie_counts_half():
    assert prefers(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])) == 0.25


def test_pairs_of_the_world_are_right_and_wrong():
    world = World(3)
    for _ in range(300):
        form, question, right, wrong = world.pair()
        bare_right, bare_wrong = right.removeprefix("it is "), wrong.removeprefix("it is ")
        assert bare_right != bare_wrong
        if question[:-1] in world.truth:
            assert world.truth[question[:-1]] == bare_right
        else:
            first, second = question[:-1].split("+")
            assert int(first) + int(second) == int(bare_right)
        assert right.startswith("it is ") == (form == "long-right")
        assert wrong.startswith("it is ") == (form == "long-wrong")


def test_statements_are_true_and_false_in_one_form_but_for_the_confounded():
    found = statements(0, 3)
    assert [family for family, *_ in found] == ["capitals"] * 3 + ["opposites"] * 3 + ["sums"] * 3 + ["confounded"] * 3
    for family, _, right, wrong in found:
        assert right != wrong
        assert (len(right) > 3 * len(wrong)) == (family == "confounded")
    assert statements(0, 3) == found
    assert statements(1, 3) != found


def test_a_noisy_copy_leaves_the_model_alone():
    policy = Policy(tunnel_model(1, 16, 2), tunnel_tokenizer(), "small")
    before = [weight.clone() for weight in policy.model.parameters()]
    copy = noisy(policy, 0.5, 0)
    assert all(one.equal(other) for one, other in zip(before, policy.model.parameters(), strict=True))
    for one, other in zip(before, copy.model.parameters(), strict=True):
        if one.ndim == 2 and one.numel() > 200:
            assert float((other - one).detach().std() / one.detach().std()) == pytest.approx(0.5, rel=0.2)


def test_bradley_terry_finds_the_direction_that_decides():
    random = np.random.default_rng(0)
    differences = torch.tensor(random.standard_normal((400, 3)), dtype=torch.float32)
    differences[:, 1] = differences[:, 1].abs() + 0.1
    weights = bradley_terry(differences)
    assert int(weights.abs().argmax()) == 1
    assert float(weights[1]) > 0
