import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scorecraft import parts
from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.problem import Outcome
from scorecraft.rewards import adaptive_length, brevity, matches, overlong
from scorecraft.tasks.task import Task

TEXTS = ["1+1=2\n= 2", "= 3", "no idea", "sleep"]


@pytest.fixture
def rollouts(make_rollouts, sum_task):
    problems = [sum_task.problem("train", 1)]
    return make_rollouts([[1] * 8, [1] * 2, [1] * 4, [1]], texts=TEXTS, problems=problems)


def reward(name, **options):
    return parts.find("reward", name)(**options)


def test_correct_counts_what_it_cannot_read(rollouts, context):
    scores = reward("correct")(rollouts, context)
    assert scores.values[:3].tolist() == [1.0, 0.0, 0.0]
    assert scores.outcomes == (Outcome.SCORED, Outcome.SCORED, Outcome.SCORED, Outcome.TIMEOUT)
    assert math.isnan(scores.values[3])
    assert scores.metrics["unparsed"].tolist() == [0, 0, 1, 0]


def test_format_pays_for_a_readable_answer(rollouts, context):
    scores = reward("format")(rollouts, context)
    assert scores.values[:3].tolist() == [1.0, 1.0, 0.0]
    assert scores.outcomes[3] is Outcome.TIMEOUT


def test_format_pattern_must_match_the_whole_text(rollouts, context):
    assert reward("format", pattern=r".*= \d")(rollouts, context).values.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert matches(["ab", "abc", "a\nb"], "a.?b").tolist() == [1.0, 0.0, 1.0]
    with pytest.raises(ValidationError, match="not a regular expression"):
        reward("format", pattern="(")


def test_brevity_is_linear_beyond_the_target_and_capped(rollouts, context):
    assert brevity(torch.tensor([0, 4, 5, 8, 100]), 4, 1.5).tolist() == [0.0, 0.0, -0.25, -1.0, -1.5]
    assert reward("brevity", target=4)(rollouts, context).values.tolist() == [-1.0, 0.0, 0.0, 0.0]


def test_brevity_counts_sampled_tokens_only(make_rollouts, context):
    rollouts = make_rollouts([[1, 0, 0, 1, 1]])
    assert reward("brevity", target=2)(rollouts, context).values.tolist() == [-0.5]


def test_overlong_by_hand_and_as_trl_has_it():
    lengths = [0, 79, 80, 81, 90, 100, 101, 500]
    expected = [0.0, 0.0, 0.0, -0.05, -0.5, -1.0, -1.0, -1.0]
    torch.testing.assert_close(overlong(torch.tensor(lengths), 100, 20), torch.tensor(expected))
    theirs = pytest.importorskip("trl.rewards").get_soft_overlong_punishment(100, 20)
    assert theirs([[1] * n for n in lengths]) == pytest.approx(expected)


def test_overlong_part_counts_all_tokens_of_the_completion(make_rollouts, context):
    scores = reward("overlong", max_length=4, buffer=2)(make_rollouts([[1, 0, 0], [1, 1]]), context)
    assert scores.values.tolist() == [-0.5, 0.0]
    with pytest.raises(ValidationError, match="must not exceed"):
        reward("overlong", max_length=4, buffer=5)


def test_adaptive_length_by_hand():
    # group 0: correct lengths 2 and 6, mean 4, population deviation 2; group 1: a single correct one
    values = adaptive_length(
        torch.tensor([2, 6, 50, 9, 3]),
        torch.tensor([True, True, False, True, False]),
        torch.tensor([0, 0, 0, 1, 1]),
        0.2,
    )
    low, high = 0.2 / (1 + math.e), 0.2 / (1 + math.exp(-1))
    torch.testing.assert_close(values, torch.tensor([-low, -high, 0.0, -0.1, 0.0]))


@given(st.lists(st.tuples(st.integers(0, 99), st.booleans(), st.integers(0, 2)), min_size=1, max_size=9))
def test_adaptive_length_never_makes_a_correct_answer_worth_less_than_a_wrong_one(rows):
    length, correct, group = (torch.tensor(column) for column in zip(*rows, strict=True))
    values = adaptive_length(length, correct, group, 0.9)
    assert values[~correct].eq(0).all()
    assert ((1 + values[correct]) > 0).all()


def test_adaptive_length_part_leaves_out_what_has_no_verdict(rollouts, context):
    scores = reward("adaptive-length", strength=0.2)(rollouts, context)
    assert scores.values[:3].tolist() == pytest.approx([-0.1, 0.0, 0.0])
    assert scores.outcomes[3] is Outcome.TIMEOUT


def test_steps_give_each_correct_step_its_share(make_rollouts, sum_task, context):
    texts = ["1+1=2\n2+2=5\n1+1=2\nhm", "", "1+1=2"]
    rollouts = make_rollouts([[1]] * 3, texts=texts, problems=[sum_task.problem("train", 1)])
    scores = reward("steps")(rollouts, context)
    assert scores.values.tolist() == [0.25, 0.0, 1.0]
    assert scores.steps.tolist() == [[0.25, 0, 0, 0], [0] * 4, [1, 0, 0, 0]]
    assert scores.step_mask.tolist() == [[True] * 4, [False] * 4, [True, False, False, False]]
    assert scores.metrics["steps"].tolist() == [4, 0, 1]


class NoSteps(Task):
    def problem(self, split, index):
        raise NotImplementedError

    def check(self, problem, completion):
        raise NotImplementedError


def test_steps_need_a_step_checker(rollouts):
    for name in ("steps", "overrating-process-model"):
        with pytest.raises(ScorecraftError, match=f"'{name}' needs a step checker"):
            reward(name)(rollouts, Context(task=NoSteps(), generator=torch.Generator()))


NEEDS = {"overlong": {"max_length": 16, "buffer": 4}}
# These ask the user's file or models; they have tests of their own.
ASK = ("function", "self-aligned", "density-ratio", "continuation-value", "reasoning-depth")


@pytest.mark.parametrize("name", [name for name in parts.names("reward") if name not in ASK])
def test_every_reward_takes_an_empty_batch_and_depends_on_no_padding(name, make_rollouts, sum_task, context):
    part = reward(name, **NEEDS.get(name, {}))
    assert len(part(make_rollouts([], []), context).values) == 0
    problems = [sum_task.problem("train", 1)]
    first, second = (
        part(
            make_rollouts([[1] * 5, [1]], texts=TEXTS[:2], problems=problems, padding=padding),
            Context(task=sum_task, generator=torch.Generator().manual_seed(0)),
        )
        for padding in (0, 3)
    )
    assert first.values.equal(second.values)
