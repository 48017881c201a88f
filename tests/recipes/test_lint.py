"""Every warning is raised where it should be, only there, and what it warns of is real: the effect in numbers."""

from __future__ import annotations

import pytest
import torch

from scorecraft.credit.outcome import outcome_returns
from scorecraft.objectives.group_mean import group_mean
from scorecraft.objectives.group_standardized import group_standardized
from scorecraft.objectives.interfaces import LossInputs
from scorecraft.objectives.parts import ClippedSurrogate
from scorecraft.parts import Part
from scorecraft.problem import StepLabel, StepVerdict
from scorecraft.recipes.lint import lint
from scorecraft.recipes.ready import load_recipe, names
from scorecraft.recipes.recipe import Recipe
from scorecraft.rewards.planted.overrating_process_model import overrated_steps
from scorecraft.rewards.reward_refinement import pr_delta
from scorecraft.traits import Note, Trait, Traits

ONE_GROUP, ALL = torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.bool)


def found(**values):
    return [(finding.kind, finding.where) for finding in lint(Recipe(**values))]


@pytest.mark.parametrize("name", [name for name in names() if name != "hacked"])
def test_the_ready_recipes_are_clean(name):
    assert lint(load_recipe(name)) == []


def test_the_recipe_that_is_hacked_on_purpose_is_warned_of():
    (finding,) = lint(load_recipe("hacked"))
    assert (finding.kind, finding.where) == ("danger", ("reward 'overrating-process-model'",))
    assert "Stop Summation" in str(finding)


# A small reward beside the verdict, under division by the group's spread.


def test_a_weight_under_standardisation_is_warned_of():
    rewards = {"correct": {}, "brevity": {"weight": 0.1}}
    assert found(reward=rewards) == [("lost", ("reward 'brevity'", "advantage 'group-standardized'"))]
    assert found(reward=rewards, advantage="group-mean") == []
    assert found(reward=rewards, advantage="leave-one-out") == []
    assert found(reward=rewards, advantage={"group-standardized": {"deviation": "batch"}}) == []
    assert found(reward={"correct": {}, "brevity": {"weight": 0.0}}) == []


def test_effect_the_weight_of_a_reward_vanishes_where_nothing_else_differs():
    # All are right (1), and differ in brevity by -1 at weight 0.1 or at weight 1.
    small = torch.tensor([1.0, 1.0, 1.0, 0.9])
    large = torch.tensor([1.0, 1.0, 1.0, 0.0])
    advantages = []
    for reward in (small, large):
        baseline, scale = group_standardized(reward, ONE_GROUP, ALL, epsilon=0.0, ddof=1, singleton="zero")
        advantages.append((reward - baseline) / scale)
    # By hand: mean 1 - w/4, deviations w/4 (three times) and -3w/4; sample std w/2; so 0.5 and -1.5 for any w.
    for found_advantages in advantages:
        torch.testing.assert_close(found_advantages, torch.tensor([0.5, 0.5, 0.5, -1.5]), atol=1e-4, rtol=0)
    baseline, scale = group_mean(small, ONE_GROUP, ALL, singleton="zero")
    torch.testing.assert_close((small - baseline) / scale, torch.tensor([0.025, 0.025, 0.025, -0.075]))


def test_partial_credit_under_standardisation_is_warned_of():
    expected = [("lost", ("reward 'steps'", "advantage 'group-standardized'"))]
    assert found(reward="steps") == expected
    assert found(reward={"correct": {}, "adaptive-length": {}})[0][1][0] == "reward 'adaptive-length'"
    assert found(reward="steps", advantage="group-mean") == []


# Group of one.


def test_a_group_of_one_is_warned_of():
    single = {"single-turn": {"group_size": 1}}
    assert found(sampling=single) == [("missing", ("advantage 'group-standardized'",))]
    assert found(sampling=single, advantage="group-mean") == [("missing", ("advantage 'group-mean'",))]
    assert found(sampling=single, advantage={"leave-one-out": {"singleton": "raw"}}) == []
    assert found(sampling=single, advantage="none") == []
    assert found(sampling=single, advantage="batch-standardized") == []


def test_effect_a_group_of_one_has_no_advantage():
    reward = torch.tensor([1.0, 0.0])
    baseline, scale = group_mean(reward, torch.tensor([0, 1]), torch.ones(2, dtype=torch.bool), singleton="zero")
    assert ((reward - baseline) / scale).tolist() == [0.0, 0.0]


# Repetition.


def test_a_sum_that_can_be_farmed_is_warned_of_only_where_it_pays():
    judge = "overrating-process-model"
    assert ("danger", (f"reward '{judge}'",)) in found(reward=judge)
    assert found(reward={judge: {"correct": 0.0, "redundant": 0.0, "repeat_bonus": 0.0}}) == []
    assert found(reward={"correct": {}, judge: {"weight": 0}}) == []


def test_a_cure_in_one_reward_leaves_another_as_it_is():
    judge = {"part": "overrating-process-model"}
    both = {"refined": judge | {"transforms": [{"refine-clip": {"eta": 0.8}}]}, "plain": judge}
    where = [finding[1] for finding in found(reward=both, advantage="group-mean") if finding[0] == "danger"]
    assert where == [("reward 'plain'",)]


def test_step_rewards_of_weight_0_are_there_for_a_credit_that_reads_them():
    rewards = {"correct": {}, "steps": {"weight": 0}}
    kinds = {kind for kind, _ in found(reward=rewards, credit="min-form", advantage="leave-one-out-tokens")}
    assert "missing" not in kinds
    judge = {"correct": {}, "overrating-process-model": {"weight": 0}}
    summed = {"credit": {"reward-to-go": {"form": "sum"}}, "advantage": "leave-one-out-tokens"}
    assert ("danger", ("reward 'overrating-process-model'",)) in found(reward=judge, **summed)
    other = {"credit": {"reward-to-go": {"process": "correct"}}, "advantage": "leave-one-out-tokens"}
    assert ("missing", ("credit 'reward-to-go'",)) in found(reward=judge, **other)


def test_differences_of_steps_are_empty_where_every_token_earns_the_total():
    refined = {"overrating-process-model": {"transforms": ["refine-delta"]}}
    lost = ("lost", ("transform 'refine-delta' of 'overrating-process-model'", "credit 'outcome'"))
    assert lost in found(reward=refined, advantage="group-mean")
    assert lost not in found(reward=refined, credit={"min-form": {"form": "sum"}}, advantage="leave-one-out-tokens")


def test_effect_differences_of_steps_add_up_to_the_first():
    rewards = torch.tensor([[0.3, 0.9, 0.6]])
    torch.testing.assert_close(pr_delta(rewards), torch.tensor([[-0.6, 0.9, 0.0]]))
    assert float(pr_delta(rewards).sum()) == pytest.approx(0.3)


def test_forward_correction_is_lost_where_the_group_mean_is_taken_off():
    corrected = {"correct": {"transforms": [
        {"noise-correction": {"kind": "forward", "false_positive": 0.1, "false_negative": 0.2}},
        {"center": {"over": "group"}},
    ]}}  # fmt: skip
    lost = ("lost", ("transform 'noise-correction' of 'correct'", "transform 'center' of 'correct'"))
    assert lost in found(reward=corrected, advantage="none")


def test_effect_saying_a_right_step_again_pays_more_than_ending():
    step = "1+2=3"
    values = dict.fromkeys(StepLabel, 0.0) | {StepLabel.CORRECT: 0.6, StepLabel.REDUNDANT: 0.6}

    def total(times):
        steps = [StepVerdict(i, 0, 5, step, StepLabel.CORRECT if i == 0 else StepLabel.REDUNDANT) for i in range(times)]
        return sum(overrated_steps(steps, values, 0.1).values())

    # 0.6 once, and 0.7 for every repetition: no bound.
    assert [round(total(n), 6) for n in (1, 2, 11)] == [0.6, 1.3, 7.6]


# Credit by token.


def test_a_discount_under_one_ratio_per_sequence_is_warned_of():
    credit = {"outcome": {"discount": 0.9}}
    level = {"clipped-surrogate": {"level": "sequence"}}
    assert found(credit=credit, advantage="none", objective=level) == [
        ("lost", ("credit 'outcome'", "objective 'clipped-surrogate'"))
    ]
    assert found(credit=credit, advantage="none", objective={"clipped-surrogate": {"level": "sequence-token"}}) == []
    assert found(credit="outcome", objective=level) == []


def test_effect_one_ratio_per_sequence_gives_every_token_the_mean_advantage():
    advantages = torch.tensor([[0.0, 0.0, 0.0, 4.0]])
    mask = torch.ones(1, 4, dtype=torch.bool)
    gradients = {}
    for level in ("token", "sequence", "sequence-token"):
        logprobs = torch.full((1, 4), -1.0, requires_grad=True)
        loss = ClippedSurrogate(level=level)(LossInputs(logprobs, torch.full((1, 4), -1.0), advantages, mask))
        loss.values.sum().backward()
        gradients[level] = logprobs.grad[0].tolist()
    assert gradients == {"token": [0, 0, 0, -4], "sequence": [-1, -1, -1, -1], "sequence-token": [0, 0, 0, -4]}


def test_returns_that_are_not_the_total_under_a_baseline_of_totals_are_warned_of():
    credit = {"outcome": {"discount": 0.5}}
    for advantage in ("group-mean", "group-standardized", "leave-one-out", "batch-standardized"):
        assert ("missing", (f"advantage '{advantage}'",)) in found(credit=credit, advantage=advantage)
    assert found(credit=credit, advantage="none") == []
    assert found(credit=credit, advantage={"batch-standardized": {"over": "token"}}) == []


def test_effect_a_baseline_of_totals_pushes_the_first_tokens_of_right_answers_down():
    reward = torch.tensor([1.0, 0.0, 0.0, 1.0])
    returns = outcome_returns(reward, torch.ones(4, 3, dtype=torch.bool), 0.5)
    baseline, scale = group_mean(reward, ONE_GROUP, ALL, singleton="zero")
    advantages = (returns - baseline[:, None]) / scale[:, None]
    # 1 * 0.5^2 - 0.5 at the first token of a right answer, 1 - 0.5 at its last.
    assert advantages[0].tolist() == [-0.25, 0.0, 0.5]


class Keeps(Part):
    """A part of another package that declares a cure."""

    def traits(self):
        return Traits(cures=(Trait.FARMING,))


def test_the_checker_knows_no_part_by_name(monkeypatch):
    recipe = load_recipe("hacked")
    monkeypatch.setattr(type(recipe.credit), "traits", Keeps.traits)
    # Cured; but this credit no longer says that its returns are the total.
    assert [finding.kind for finding in lint(recipe)] == ["missing"]


def test_traits_add_up():
    note = Note(Trait.MAGNITUDE, "a")
    total = Traits(relies_on=(note,)) + Traits(removes=(note,), provides=(Trait.COMPARISON,))
    assert total == Traits(relies_on=(note,), removes=(note,), provides=(Trait.COMPARISON,))
