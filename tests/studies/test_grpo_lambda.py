"""The toy of the switched length penalty by hand: what answers are right, what the policy is, who is penalised."""

import math

import numpy as np
import pytest
import torch

from scorecraft.studies import grpo_lambda as study
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Trial


def trial(tmp_path, **settings):
    settings = {"selection": "top_fraction", "alpha": 0.2, **settings}
    return Trial(settings, 0, "smoke", tmp_path, lambda done, total: None)


def test_an_answer_of_the_needed_length_is_right_half_as_often_as_one_can_be():
    kinds = np.arange(3)
    assert study.right_share(kinds, study.NEED).tolist() == pytest.approx([0.485, 0.425, 0.3])
    # 15 % longer than needed: sigmoid(1).
    longer = study.right_share(kinds, 1.15 * study.NEED)
    assert longer.tolist() == pytest.approx([cap / (1 + math.exp(-1)) for cap in (0.97, 0.85, 0.6)])


def test_accuracy_and_length_are_those_of_the_policy():
    # The mean of a log-normal is exp(mean + deviation^2 / 2); answers of 20 000 tokens are as right as can be.
    accuracy, length = study.measures(math.log(20_000), np.array([0.0, 0.1, -0.1]))
    assert accuracy == pytest.approx((0.97 + 0.85 + 0.6) / 3)
    mean = 20_000 * math.exp(0.35**2 / 2)
    assert length == pytest.approx(mean * (1 + math.exp(0.1) + math.exp(-0.1)) / 3, rel=1e-6)
    # Against samples of the start.
    drawn = np.exp(study.START + 0.35 * np.random.default_rng(0).standard_normal((3, 200_000)))
    accuracy, length = study.measures(study.START, np.zeros(3))
    assert accuracy == pytest.approx(study.right_share(np.arange(3)[:, None], drawn).mean(), abs=2e-3)
    assert length == pytest.approx(drawn.mean(), rel=2e-3)


def test_random_groups_are_as_many_as_chosen_ones():
    random = np.random.default_rng(0)
    correct = torch.ones(480, dtype=torch.bool)
    correct[160:] = torch.arange(320) % 2 == 0
    lengths = torch.full((480,), 100)
    # All lengths are equal, so a penalised right answer earns 1 - 0.2 / 2.
    by_accuracy = study.rewards_of(correct, lengths, random, "top_fraction", 0.2, 0.2).view(30, 16)
    assert by_accuracy[:6].unique().tolist() == pytest.approx([0.9])
    assert by_accuracy[6:].unique().tolist() == pytest.approx([0.0, 1.0])
    by_chance = study.rewards_of(correct, lengths, random, "random", 0.2, 0.2).view(30, 16)
    penalised = (by_chance.max(1).values < 1).nonzero()[:, 0].tolist()
    assert len(penalised) == 6
    assert penalised != list(range(6))


def test_only_a_penalty_on_all_shortens_soon(tmp_path):
    plain = study.run(trial(tmp_path, lam=0.0, times=5))
    pressed = study.run(trial(tmp_path, lam=1.0, times=5))
    assert pressed["length_share"] < 0.9
    assert plain["length_share"] > 1
    assert pressed["length_course"][0] == plain["length_course"][0] == pytest.approx(250 * math.exp(0.06125))


def test_where_the_length_is_not_reached_the_end_is_compared(tmp_path):
    found = study.run_matched(trial(tmp_path, lam=0.0))
    assert found["step"] == study.STEPS["smoke"] - 1
    found = study.run_matched(trial(tmp_path, lam=1.0, times=10))
    assert found["step"] < 10 * study.STEPS["smoke"] - 1
    assert found["length"] <= 0.7 * 250 * math.exp(0.06125)


def test_the_study_is_fair():
    check_study(study.STUDY)
