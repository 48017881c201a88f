"""The pieces of the study of noisy verifiers by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scorecraft.studies import noisy_verifier as study
from scorecraft.studies.noisy_verifier import BANDIT, KINDS, Corrector, World, gradient_noise, train


def settings(method, baseline="none", **more):
    return {**BANDIT, "method": method, "baseline": baseline, **more}


def test_the_world_is_the_same_for_every_arm_and_knows_its_answers():
    first, second = World(3, "answer", 0.0), World(3, "answer", 0.0)
    assert all(a.equal(b) for a, b in zip(first.test, second.test, strict=True))
    x, right, kind = first.test
    assert right.equal((x @ first.weights).argmax(1))
    assert kind.equal((right >= 3).long())
    # A uniform policy is right one time in six; a steep one along the truth nearly always.
    assert first.accuracy(torch.zeros(8, 6, dtype=torch.float64))[0] == pytest.approx(1 / 6)
    assert first.accuracy(100 * first.weights)[0] > 0.98
    coin = World(3, "coin", 0.0).test[2].double().mean().item()
    assert coin == pytest.approx(0.5, abs=0.05)


def test_rewards_by_hand():
    seen, right = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[True, True], [False, False]])
    kind, generator = torch.tensor([0, 1]), torch.Generator().manual_seed(0)

    def reward(method):
        return Corrector(settings(method)).reward(seen, right, kind, generator)

    assert reward("oracle").tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert reward("raw").equal(seen)
    # J is .9 and .35.
    torch.testing.assert_close(reward("backward"), torch.tensor([[0.95 / 0.9, -0.05 / 0.9], [0.95 / 0.35, -1 / 7]]))
    torch.testing.assert_close(reward("forward"), torch.tensor([[0.05, -0.95], [0.6, -0.4]]))


def test_appeals_learn_the_rates_of_each_kind():
    corrector = Corrector(settings("appeals"))
    generator = torch.Generator().manual_seed(0)
    right = torch.ones(64, 8, dtype=torch.bool)
    kind = torch.arange(64) % 2
    for _ in range(200):
        rates = torch.tensor([rho1 for _, rho1 in KINDS])[kind][:, None]
        seen = (torch.rand(64, 8, generator=generator) >= rates).float()
        corrector.reward(seen, right, kind, generator)
    # 256 answers of each kind a batch: standard errors of some .01 and .03 after smoothing.
    assert [each.rho1 for each in corrector.appeals] == pytest.approx([0.05, 0.6], abs=0.12)


def test_the_gradients_noise_by_hand():
    def noise(method, rho0, rho1):
        return gradient_noise(settings(method, rates=((rho0, rho1), (rho0, rho1))), 0)

    assert noise("oracle", 0.1, 0.2) == pytest.approx(1.0)
    # Without noise every correction is the verdict, and forward weights are verdict - 1: 5 of 6 answers earn 1.
    assert noise("raw", 0.0, 0.0) == pytest.approx(1.0)
    assert noise("backward", 0.0, 0.0) == pytest.approx(1.0)
    assert noise("forward", 0.0, 0.0) == pytest.approx(5.0)
    # At .45 / .45 a right answer is accepted at .55, a wrong one at .45; values 5.5 and -4.5.
    by_hand = 0.55 * 5.5**2 + 0.45 * 4.5**2 + 5 * (0.45 * 5.5**2 + 0.55 * 4.5**2)
    assert noise("backward", 0.45, 0.45) == pytest.approx(by_hand, rel=1e-5)


def test_standardised_training_is_the_same_to_the_bit_where_arithmetic_is_exact():
    # J = 1/2 and 1/4: corrected rewards, their means and squares are exact, so nothing may differ.
    rates = ((0.125, 0.375), (0.0, 0.75))
    raw, backward = (train(settings(m, "standardized", rates=rates), 5, 30) for m in ("raw", "backward"))
    assert raw[0].equal(backward[0])
    assert raw[1] == backward[1]
    assert not raw[0].equal(train(settings("oracle", "standardized", rates=rates), 5, 30)[0])
    # Without the division the correction counts.
    assert not train(settings("raw", rates=rates), 5, 30)[0].equal(train(settings("backward", rates=rates), 5, 30)[0])


def test_training_with_the_truth_learns():
    policy, course = train(settings("oracle"), 7, 60)
    assert World(7, "coin", 0.0).accuracy(policy)[0] > 0.5
    assert course[-1] > course[0]
    assert len(course) == 60


def test_appealed_batches_have_the_stated_rates():
    random = np.random.default_rng(0)
    accepted, rejected, appealed, overturned = study.appealed_batch(random, 1_000_000, 0.3)
    # Right .5, of which a quarter is refused; wrong .5, of which 2 % pass.
    assert accepted + rejected == 1_000_000
    assert accepted / 1e6 == pytest.approx(0.375 + 0.01, abs=0.003)
    assert appealed / rejected == pytest.approx(0.3, abs=0.003)
    assert overturned / appealed == pytest.approx(0.125 / 0.615, abs=0.005)
    assert pytest.approx(0.01 / 0.385) == study.WRONG_SHARE
