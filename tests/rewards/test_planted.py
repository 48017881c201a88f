import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scorecraft import parts
from scorecraft.context import Context
from scorecraft.problem import Outcome, StepLabel, StepVerdict
from scorecraft.rewards.planted import (
    honest_step_sum,
    length_bias,
    magic_token_bias,
    noisy_verdicts,
    overrated_steps,
    pairwise_preference,
    position_bias,
)


def test_noisy_verdicts_flip_below_the_rate():
    correct = torch.tensor([True, True, False, False])
    uniform = torch.tensor([0.19, 0.2, 0.09, 0.1], dtype=torch.float64)
    assert noisy_verdicts(correct, uniform, 0.1, 0.2).tolist() == [0.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("rates", [(0.0, 0.0), (1.0, 1.0), (0.1, 0.3)])
def test_noisy_verdicts_have_the_chosen_rates(rates):
    count = 20_000
    correct = torch.arange(2 * count) % 2 == 0
    uniform = torch.rand(2 * count, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    verdicts = noisy_verdicts(correct, uniform, *rates)
    for wrong_way, rate in ((verdicts[~correct], rates[0]), (1 - verdicts[correct], rates[1])):
        assert abs(wrong_way.mean().item() - rate) <= 4 * math.sqrt(rate * (1 - rate) / count)


@pytest.fixture
def rollouts(make_rollouts, sum_task):
    texts = ["= 2", "= 3", "please", "sleep"] * 8
    return make_rollouts([[1] * 16] * 32, texts=texts, problems=[sum_task.problem("train", 1)])


def test_noisy_verifier_keeps_the_truth_and_repeats_with_the_generator(rollouts, sum_task):
    part = parts.find("reward", "noisy-verifier")(false_positive=0.5, false_negative=0.5)

    def scores(seed):
        return part(rollouts, Context(task=sum_task, generator=torch.Generator().manual_seed(seed)))

    first = scores(0)
    scored = ~first.values.isnan()
    assert first.values[scored].equal(scores(0).values[scored])
    assert not first.values[scored].equal(scores(1).values[scored])
    assert first.metrics["true"][:3].tolist() == [1.0, 0.0, 0.0]
    assert (first.values[scored] != first.metrics["true"][scored]).any()
    assert [outcome is Outcome.SCORED for outcome in first.outcomes] == [True, True, True, False] * 8


def test_without_errors_the_verifier_is_the_truth(rollouts, context):
    scores = parts.find("reward", "noisy-verifier")()(rollouts, context)
    scored = ~scores.values.isnan()
    assert scores.values[scored].equal(scores.metrics["true"][scored])


VALUES = {StepLabel.CORRECT: 0.6, StepLabel.WRONG: -0.6, StepLabel.REDUNDANT: 0.5, StepLabel.OFF_TOPIC: 0.0}


def steps(*labelled):
    return [StepVerdict(index, 0, 0, text, label) for index, (text, label) in enumerate(labelled)]


def test_overrated_steps_pay_repeats_and_the_honest_sum_does_not():
    row = steps(
        ("1+1=2", StepLabel.CORRECT),
        ("1 + 1 = 2", StepLabel.REDUNDANT),
        ("2+2=5", StepLabel.WRONG),
        ("2+2=5", StepLabel.WRONG),
        ("so far", StepLabel.REDUNDANT),
        ("hm", StepLabel.OFF_TOPIC),
    )
    assert overrated_steps(row, VALUES, 0.1) == pytest.approx({0: 0.6, 1: 0.6, 2: -0.6, 3: -0.6, 4: 0.5, 5: 0.0})
    assert honest_step_sum(row, VALUES) == pytest.approx(0.6 - 0.6 - 0.6)


def test_a_checker_that_calls_repeats_correct_is_overrated_too():
    row = steps(("1+1=2", StepLabel.CORRECT), ("1+1=2", StepLabel.CORRECT))
    assert overrated_steps(row, VALUES, 0.1) == pytest.approx({0: 0.6, 1: 0.7})
    assert honest_step_sum(row, VALUES) == pytest.approx(0.6)


@given(st.integers(0, 20))
def test_hacking_grows_with_every_repetition(repeats):
    row = steps(("1+1=2", StepLabel.CORRECT), *[("1+1=2", StepLabel.REDUNDANT)] * repeats)
    hacking = sum(overrated_steps(row, VALUES, 0.1).values()) - honest_step_sum(row, VALUES)
    assert hacking == pytest.approx(0.6 * repeats)


def test_overrating_process_model_fills_the_steps(make_rollouts, sum_task, context):
    problems = [sum_task.problem("train", 1)]
    rollouts = make_rollouts([[1], [1]], texts=["1+1=2\n1+1=2\n1+1=3", "1+1=2"], problems=problems)
    scores = parts.find("reward", "overrating-process-model")()(rollouts, context)
    torch.testing.assert_close(scores.steps, torch.tensor([[0.6, 0.7, -0.6], [0.6, 0.0, 0.0]]))
    assert scores.step_mask.tolist() == [[True] * 3, [True, False, False]]
    torch.testing.assert_close(scores.values, torch.tensor([0.7, 0.6]))
    torch.testing.assert_close(scores.metrics["true"], torch.tensor([0.0, 0.6]))


def test_biases_by_hand():
    assert length_bias(torch.tensor([0, 16, 32, 99]), 0.5, 32).tolist() == [0.0, 0.25, 0.5, 0.5]
    assert magic_token_bias(["please!", "now"], "please", 0.25).tolist() == [0.25, 0.0]
    group = torch.tensor([7, 3, 7, 7, 3, 9])
    assert position_bias(group, 2.0).tolist() == [2.0, 2.0, 1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("options", "bias"),
    [
        ({"bias": "length", "strength": 0.5, "length_scale": 32}, [0.25, 0.25, 0.25]),
        ({"bias": "magic-token", "strength": 0.5, "token": "please"}, [0.0, 0.0, 0.5]),
        ({"bias": "position", "strength": 31.0}, [31.0, 30.0, 29.0]),
    ],
)
def test_biased_judge_is_truth_plus_bias(rollouts, context, options, bias):
    scores = parts.find("reward", "biased-judge")(**options)(rollouts, context)
    assert scores.metrics["true"][:3].tolist() == [1.0, 0.0, 0.0]
    assert (scores.values - scores.metrics["true"])[:3].tolist() == pytest.approx(bias)
    assert math.isnan(scores.values[3])


@pytest.mark.parametrize("options", [{"bias": "magic-token"}, {"token": "x"}, {"bias": "colour"}])
def test_impossible_judges_are_refused(options):
    with pytest.raises(ValidationError):
        parts.find("reward", "biased-judge")(**options)


quality = st.floats(-3, 3, width=16)


def preference(first, second, **options):
    return pairwise_preference(torch.tensor([first]), torch.tensor([second]), **options).item()


def test_preference_by_hand():
    assert preference(1.0, 0.0) == pytest.approx(1 / (1 + math.exp(-1)))
    assert preference(0.0, 0.0, position_bias=math.log(3)) == pytest.approx(0.75)
    assert preference(1.0, 0.0, temperature=0.5) == pytest.approx(1 / (1 + math.exp(-2)))


@given(quality, quality)
def test_an_honest_judge_does_not_see_the_order(first, second):
    assert preference(first, second) + preference(second, first) == pytest.approx(1.0, abs=1e-6)


@given(quality, st.floats(0.25, 3), st.floats(0.5, 3))
def test_asking_in_both_orders_cancels_the_bias(worse, lead, bias):
    better = worse + lead
    shown_first, shown_second = (
        preference(better, worse, position_bias=bias),
        1 - preference(worse, better, position_bias=bias),
    )
    assert shown_first > preference(better, worse) > shown_second
    assert (shown_first + shown_second) / 2 > 0.5
