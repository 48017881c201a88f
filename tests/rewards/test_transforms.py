"""The plain transforms, and how a reward goes through its own before it is weighted."""

import math

import pytest
import torch
from pydantic import ValidationError

from scorecraft import parts
from scorecraft.context import Context
from scorecraft.problem import Outcome
from scorecraft.rewards.reward import Reward
from scorecraft.scores import Scores

NAN = float("nan")
CONTEXT = Context(None, torch.Generator())


def transform(name, **options):
    return parts.find("transform", name)(**options)


@pytest.fixture
def rollouts(make_rollouts):
    return make_rollouts([[1]] * 5, [0, 0, 1, 1, 1])


def scores(*values, **more):
    outcomes = tuple(Outcome.TIMEOUT if math.isnan(value) else Outcome.SCORED for value in values)
    return Scores(torch.tensor(values), outcomes, **more)


def test_scale_and_clip_by_hand_leave_what_failed(rollouts):
    given = scores(1.0, -2.0, NAN, 0.5, 4.0)
    found = transform("scale", factor=2.0, shift=-1.0)(given, rollouts, CONTEXT)
    assert found.values.tolist() == pytest.approx([1.0, -5.0, NAN, 0.0, 7.0], nan_ok=True)
    assert found.outcomes == given.outcomes
    found = transform("clip", low=-1.0, high=1.0)(given, rollouts, CONTEXT)
    assert found.values.tolist() == pytest.approx([1.0, -1.0, NAN, 0.5, 1.0], nan_ok=True)


def test_steps_are_scaled_and_clipped_where_there_are_any(rollouts):
    given = scores(
        *[0.0] * 5, steps=torch.full((5, 2), 0.75), step_mask=torch.tensor([[True, False]] + [[True, True]] * 4)
    )
    found = transform("scale", factor=2.0, shift=5.0)(given, rollouts, CONTEXT)
    assert found.steps.tolist() == [[1.5, 0.0]] + [[1.5, 1.5]] * 4
    found = transform("clip", low=1.0, high=2.0)(given, rollouts, CONTEXT)
    assert found.steps.tolist() == [[1.0, 0.0]] + [[1.0, 1.0]] * 4


def test_centre_takes_the_mean_over_what_has_a_value(rollouts):
    given = scores(1.0, 3.0, NAN, 5.0, 7.0)
    # Batch mean (1+3+5+7)/4 = 4; group means 2 and 6.
    batch = transform("center")(given, rollouts, CONTEXT)
    assert batch.values.tolist() == pytest.approx([-3.0, -1.0, NAN, 1.0, 3.0], nan_ok=True)
    group = transform("center", over="group")(given, rollouts, CONTEXT)
    assert group.values.tolist() == pytest.approx([-1.0, 1.0, NAN, -1.0, 1.0], nan_ok=True)


def test_bounds_must_be_in_order():
    with pytest.raises(ValidationError, match="must be below high"):
        transform("clip", low=1.0, high=1.0)


class Given(Reward):
    def __call__(self, rollouts, context):
        return scores(1.0, 2.0, NAN, 3.0, 4.0)


def test_a_reward_goes_through_its_transforms_in_order_and_keeps_the_raw_value(rollouts):
    chain = (transform("scale", factor=2.0), transform("clip", high=5.0))
    found = Given(transforms=chain).score(rollouts, CONTEXT)
    assert found.values.tolist() == pytest.approx([2.0, 4.0, NAN, 5.0, 5.0], nan_ok=True)
    assert found.metrics["raw"].tolist() == pytest.approx([1.0, 2.0, NAN, 3.0, 4.0], nan_ok=True)
    assert "raw" not in Given().score(rollouts, CONTEXT).metrics


def test_the_mean_of_a_batch_is_that_of_all_workers(rollouts):
    others = torch.tensor([10.0, NAN, 20.0])

    def gather(values):
        return torch.cat((others, values)), slice(3, 8)

    context = Context(None, torch.Generator(), gather=gather)
    found = transform("center")(scores(1.0, 3.0, NAN, 5.0, 7.0), rollouts, context)
    # (10 + 20 + 1 + 3 + 5 + 7) / 6 = 46 / 6
    assert found.values.tolist() == pytest.approx([v - 46 / 6 for v in (1.0, 3.0, NAN, 5.0, 7.0)], nan_ok=True)


@pytest.mark.parametrize(
    ("slot", "name", "options", "scope"),
    [
        ("transform", "center", {}, "batch"),
        ("transform", "center", {"over": "group"}, "group"),
        ("transform", "log-sigmoid", {"reference": "constant"}, "rollout"),
        ("transform", "log-sigmoid", {}, "batch"),
        ("transform", "noise-correction", {"false_negative": 0.2}, "rollout"),
        ("transform", "noise-correction", {"appeal_rate": 0.5}, "batch"),
        ("reward", "grpo-lambda", {}, "batch"),
        ("reward", "grpo-lambda", {"selection": "threshold", "threshold": 0.5}, "group"),
        ("reward", "correct", {}, "rollout"),
    ],
)
def test_parts_say_how_much_of_a_batch_they_look_at(slot, name, options, scope):
    assert parts.find(slot, name)(**options).scope == scope
