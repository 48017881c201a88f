"""The part with the real tiny policy: what is forced, what is masked, who shares it, and what is rewarded."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.lm.policy import resolve_policy
from scorecraft.problem import Problem, StepLabel
from scorecraft.recipes.lint import lint
from scorecraft.recipes.recipe import Recipe
from scorecraft.rewards.parts.signed_answer import SignedAnswer
from scorecraft.sampling.flawed_prefix import FlawedPrefix, measure_robustness
from scorecraft.sampling.repair_from_flawed.mixing import mix_prompts, task_injectors
from scorecraft.sampling.repair_from_flawed.robustness import robustness_report
from scorecraft.tasks.chain_arithmetic import ChainArithmetic
from scorecraft.tasks.jsonl import JsonLines

TASK = ChainArithmetic()
PROBLEMS = TASK.problems("train", 0, 12)


@pytest.fixture(scope="module")
def policy():
    return resolve_policy("tunnel-tiny", {}, TASK)


def context(seed=0, task=TASK):
    return Context(task, torch.Generator().manual_seed(seed))


def flaws(rollouts):
    return [note.get("flaw") for note in rollouts.notes]


def test_the_prefix_is_there_masked_out_and_shared_by_its_group(policy):
    sampling = FlawedPrefix(group_size=3, alpha=0.5)
    rollouts = sampling(policy, PROBLEMS, context())
    started = [note["prefix"] for note in rollouts.notes]
    assert 0 < sum(bool(prefix) for prefix in started[::3]) < len(PROBLEMS)
    for row, (prefix, text) in enumerate(zip(started, rollouts.texts, strict=True)):
        assert started[row - row % 3] == prefix
        assert text.startswith(prefix)
        forced = len(policy.encode(prefix))
        length = int(rollouts.lengths[row])
        assert not rollouts.mask[row, :forced].any()
        assert rollouts.mask[row, forced:length].all()
        assert length > forced
        assert rollouts.logprobs[row, :forced].eq(0).all()
        assert rollouts.logprobs[row, forced:length].lt(0).all()
        assert rollouts.tokens[row, :forced].tolist() == policy.encode(prefix)
    # The policy goes on from it in more than one way.
    assert any(len(set(rollouts.texts[row : row + 3])) > 1 for row in range(0, len(rollouts), 3) if started[row])


def test_the_prefix_is_the_gold_solution_with_its_last_step_wrong(policy):
    rollouts = FlawedPrefix(group_size=2, alpha=1.0)(policy, PROBLEMS, context())
    flawed = [
        (problem, note) for problem, note in zip(rollouts.problem_of, rollouts.notes, strict=True) if note["prefix"]
    ]
    assert len(flawed) >= 20
    for problem, note in flawed:
        labels = [verdict.label for verdict in TASK.check_steps(problem, note["prefix"])]
        assert labels == [StepLabel.CORRECT] * note["flaw"]["step"] + [StepLabel.WRONG]
        gold = problem.gold.split("\n")
        assert note["prefix"].split("\n")[:-2] == gold[: note["flaw"]["step"]]
        assert note["flaw"]["original"] == gold[note["flaw"]["step"]]
    assert {note["flaw"]["kind"] for _, note in flawed} == {"calculation", "reasoning"}


def test_without_flaws_it_is_the_plain_sampler(policy):
    plain = Recipe(sampling="single-turn").sampling.model_copy(update={"group_size": 2})
    expected = plain(policy, PROBLEMS, context())
    found = FlawedPrefix(group_size=2, alpha=0.0)(policy, PROBLEMS, context())
    assert torch.equal(found.tokens, expected.tokens)
    assert torch.equal(found.mask, expected.mask)
    assert flaws(found) == [None] * 24


def test_fixed_flaws_are_the_problems_own_and_others_are_drawn(policy):
    def drawn(seed, problems=PROBLEMS, **options):
        found = FlawedPrefix(group_size=2, max_new_tokens=40, **options)(policy, problems, context(seed))
        return [note["prefix"] for note in found.notes[::2]]

    assert drawn(0) == drawn(1) == drawn(0, PROBLEMS[::-1])[::-1]
    assert drawn(0) != drawn(0, flaw_seed=7)
    assert drawn(0, assign="per_epoch") == drawn(0, assign="per_epoch")
    assert drawn(0, assign="per_epoch") != drawn(1, assign="per_epoch")
    # One kind alone, in the first step.
    found = FlawedPrefix(group_size=2, alpha=1, kinds=("reasoning",), at="first")(policy, PROBLEMS, context())
    told = [flaw for flaw in flaws(found) if flaw]
    assert {(flaw["kind"], flaw["step"]) for flaw in told} == {("reasoning", 0)}


def test_two_workers_draw_what_one_would(policy):
    options = {"group_size": 2, "assign": "per_epoch", "max_new_tokens": 40}
    whole = FlawedPrefix(**options)(policy, PROBLEMS[:4], context())
    halves = [
        FlawedPrefix(**options)(
            policy,
            PROBLEMS[2 * rank : 2 * rank + 2],
            Context(TASK, torch.Generator().manual_seed(0), rank=rank, world_size=2),
        )
        for rank in (0, 1)
    ]
    assert [note for half in halves for note in half.notes] == list(whole.notes)


def test_a_prefix_that_leaves_no_room_is_not_cut(policy):
    rollouts = FlawedPrefix(group_size=2, alpha=1, max_new_tokens=10)(policy, PROBLEMS, context())
    reasons = [note.get("clean_because") for note in rollouts.notes]
    assert "the prefix is too long" in reasons
    for note, row in zip(rollouts.notes, rollouts.mask, strict=True):
        if "clean_because" in note:
            assert note["prefix"] == ""
            assert row[0]
        else:
            assert len(policy.encode(note["prefix"])) < 10


def test_a_problem_without_flaw_starts_clean_and_a_task_without_solutions_is_named(policy):
    plain = Problem("1+1=?\n", "2", "#2", {"operands": [[1], [1]], "operators": "+"})
    rollouts = FlawedPrefix(group_size=2, alpha=1)(policy, [plain], context())
    assert [note["clean_because"] for note in rollouts.notes] == ["no flaw is possible"] * 2
    assert rollouts.mask[:, 0].all()
    bare = Problem("1+1=?\n", "2", metadata=plain.metadata)
    with pytest.raises(ScorecraftError, match="'chain-arithmetic' have no worked solutions"):
        FlawedPrefix(group_size=2)(policy, [bare], context())
    assert len(FlawedPrefix(group_size=2, alpha=0)(policy, [bare], context())) == 2


def test_options_are_checked():
    for options in ({"alpha": 1.1}, {"alpha": -0.1}, {"group_size": 1}, {"kinds": ()}, {"kinds": ("typo",)}):
        with pytest.raises(ValidationError):
            FlawedPrefix(**options)
    recipe = Recipe.from_yaml("sampling: {flawed-prefix: {alpha: 0.25}}\nreward: {signed-answer: {}}")
    assert lint(recipe) == []
    assert "repair-from-flawed" in recipe.sampling.cites()


def test_the_reward_reads_what_the_policy_wrote(policy):
    rollouts = FlawedPrefix(group_size=4, alpha=0.5)(policy, PROBLEMS, context())
    scores = SignedAnswer()(rollouts, context())
    for row, (problem, text) in enumerate(zip(rollouts.problem_of, rollouts.texts, strict=True)):
        own = text[len(rollouts.notes[row]["prefix"]) :]
        assert scores.values[row] == (1.0 if own.rpartition("#")[2] == problem.answer else -1.0)
    assert scores.metrics["flawed"].tolist() == [float(bool(note["prefix"])) for note in rollouts.notes]
    assert {1.0, -1.0} == set(scores.values.tolist())


def test_the_untrained_policy_is_led_astray(policy):
    problems = TASK.problems("test", 0, 120)
    measured = measure_robustness(policy, problems, FlawedPrefix(), context())
    again = measure_robustness(policy, problems, FlawedPrefix(alpha=0, group_size=2), context(5))
    assert measured == again
    assert len(measured.clean) == len(measured.kinds) == 120 - measured.without_flaw
    report = robustness_report(measured.clean, measured.flawed, measured.kinds)
    assert report.gap.low > 0
    assert set(report.by_kind) == {"calculation", "reasoning"}
    several = measure_robustness(policy, problems[:10], FlawedPrefix(), context(), samples=4)
    assert all(share * 4 == round(share * 4) for share in several.clean)
    with pytest.raises(ScorecraftError, match="none of 1 problems"):
        measure_robustness(policy, [Problem("1+1=?\n", "2", "#2", problems[0].metadata)], FlawedPrefix(), context())
    with pytest.raises(ScorecraftError, match="at least 1 sample"):
        measure_robustness(policy, problems, FlawedPrefix(), context(), samples=0)


def test_worked_solutions_from_a_file_have_their_equations_checked():
    task = JsonLines(path="example")
    mixture = mix_prompts(task.problems("train", 0, 20), task_injectors(task), alpha=1)
    kinds = {prompt.kind for prompt in mixture.prompts}
    assert "calculation" in kinds
    # True arithmetic refutes nothing where no checker knows what was asked.
    assert "reasoning" not in kinds
