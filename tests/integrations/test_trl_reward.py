"""Rewards in TRL: what one function returns, who counts as a group, and the real GRPOTrainer on the wind tunnel."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from scorecraft.errors import ScorecraftError
from scorecraft.integrations.trl import reward_function, reward_functions, rows
from scorecraft.recipes.recipe import Recipe
from scorecraft.rewards.reward import Reward
from scorecraft.scores import Scores

RECIPE = """
task: chain-arithmetic
reward:
  correct: {weight: 1.0}
  brevity: {weight: 0.5, target: 4}
"""
CHAIN = {"operands": [[2], [3]], "operators": "+"}


@pytest.fixture
def recipe_file(tmp_path):
    file = tmp_path / "short.yaml"
    file.write_text(RECIPE)
    return file


def called(function, completions, prompts=None, answers=None, **more):
    count = len(completions)
    return function(
        prompts=prompts or ["2+3=?\n"] * count, completions=completions, answer=answers or ["5"] * count, **more
    )


def test_a_recipe_is_one_function_with_its_name(recipe_file):
    function = reward_function(recipe_file)
    assert function.__name__ == "short"
    # Characters: "#5" 2, "2+3=5\n#5" 8 (-1 at twice the target), "#6" 2.
    assert called(function, ["#5", "2+3=5\n#5", "#6"]) == pytest.approx([1.0, 0.5, 0.0])
    assert reward_function(str(recipe_file), name="mine").__name__ == "mine"
    assert reward_function("default").__name__ == "default"


def test_token_ids_are_counted_where_given(recipe_file):
    ids = [[7] * 4, torch.tensor([7] * 6), [7] * 40]
    found = called(reward_function(recipe_file), ["#5", "#5", "#6"], completion_ids=ids)
    assert found == pytest.approx([1.0, 0.75, -0.5])


def test_overrides_and_single_rewards(recipe_file):
    heavier = reward_function(recipe_file, overrides=["reward.brevity.weight=2"])
    assert called(heavier, ["2+3=5\n#5"]) == pytest.approx([-1.0])
    alone = reward_function(recipe_file, reward="brevity")
    assert (alone.__name__, called(alone, ["2+3=5\n#5"])) == ("brevity", [-1.0])
    with pytest.raises(ScorecraftError, match="no reward 'brevty' in this recipe: did you mean 'brevity'"):
        reward_function(recipe_file, reward="brevty")


def test_conversations_are_read_by_their_messages():
    prompt = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "2+3=?\n"}]},
    ]
    completions = [
        [{"role": "assistant", "content": "2+3=5"}, {"role": "assistant", "content": "#5"}],
        [{"role": "assistant", "content": [{"type": "image"}, {"type": "text", "text": "#5"}]}],
        [{"role": "assistant", "content": None, "tool_calls": []}],
        [],
    ]
    function = reward_function(Recipe(reward="correct"))
    assert called(function, completions, prompts=[prompt] * 4) == [1.0, 1.0, 0.0, 0.0]
    with pytest.raises(ScorecraftError, match="expected a text or a list of messages, got int 5"):
        called(function, [5])


def test_columns_have_configurable_names_and_reach_the_checkers():
    function = reward_function(Recipe(reward="steps"), answer="solution", metadata="chain")
    texts = ["2+3=5\n#5", "2+3=6\n#6"]
    for chain in (CHAIN, json.dumps(CHAIN)):
        # The second: a wrong step, then an answer that follows from it.
        assert function(["2+3=?\n"] * 2, texts, solution=[5, 5], chain=[chain] * 2) == pytest.approx([1.0, 0.5])
    with pytest.raises(ScorecraftError, match=r"no column 'solution' \(it has answer, chain\)"):
        called(function, texts, chain=[CHAIN] * 2)
    with pytest.raises(ScorecraftError, match="did not find it; problems of task 'chain-arithmetic' may need"):
        function(["2+3=?\n"] * 2, texts, solution=[5, 5])
    with pytest.raises(ScorecraftError, match="metadata: expected a mapping, or JSON text of one, got"):
        function(["2+3=?\n"], ["#5"], solution=[5], chain=['"x"'])


def test_a_reward_that_needs_no_answers_can_go_without():
    function = reward_function(Recipe(reward={"brevity": {"target": 1}}), answer=None)
    assert function(prompts=["q"], completions=["abc"]) == [-1.0]


SOURCE = """
def half(completions, level, **columns):
    assert "trainer_state" not in columns
    return [None if level is None else level / 2 for level in level]
"""


def test_what_has_no_value_is_none_counted_and_logged(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(SOURCE)
    recipe = Recipe(reward={"half": {"part": "function", "path": str(file), "function": "half"}})
    function, logged = reward_function(recipe), []
    found = called(
        function, ["a", "b", "c", "d"], prompts=list("wxyz"), level=[1, None, 3, None],
        trainer_state=SimpleNamespace(global_step=3, max_steps=9),
        log_metric=lambda *pair: logged.append(pair), log_extra=None,
    )  # fmt: skip
    assert found == [0.5, None, 1.5, None]
    assert function.counts == {("half", "scored"): 2, ("half", "abstained"): 2}
    assert logged == [("half/half/abstained", 0.5)]


def test_the_parts_of_a_recipe_are_logged_beside_the_total(recipe_file):
    logged = {}
    called(reward_function(recipe_file), ["#5", "#6\n    "], log_metric=logged.__setitem__)
    # Seven characters cost 3/4.
    assert logged == pytest.approx({"short/correct": 0.5, "short/brevity": -0.375})


def test_equal_prompts_are_a_group():
    function = reward_function(Recipe(reward={"adaptive-length": {"strength": 0.2}}))
    low, high = -0.2 / (1 + math.e), -0.2 / (1 + math.exp(-1))
    texts = ["#5", " #5  ", "#5", "#6"]
    found = called(function, texts, prompts=["2+3=?", "2+3=?", "1+4=?", "2+3=?"])
    assert found == pytest.approx([low, high, -0.1, 0.0])
    # The same question with another answer is another problem.
    assert called(function, texts[:2], answers=["5", "6"]) == pytest.approx([-0.1, 0.0])


def test_the_same_prompt_twice_in_a_batch_needs_the_size_of_a_group():
    recipe = Recipe(reward={"adaptive-length": {"strength": 0.2}})
    texts = ["#5", "#5", "#5  ", "#5  "]
    apart = called(reward_function(recipe, group_size=2), texts)
    assert apart == pytest.approx([-0.1] * 4)
    assert called(reward_function(recipe), texts)[0] > -0.06
    for size in (3, 4):
        with pytest.raises(ScorecraftError, match=f"expected each prompt {size} times in a row"):
            called(reward_function(recipe, group_size=size), texts, prompts=["a", "a", "b", "b"])
    with pytest.raises(ScorecraftError, match="group_size: expected at least 1"):
        reward_function(recipe, group_size=0)


def test_random_rewards_differ_from_call_to_call_and_repeat_with_the_seed():
    recipe = Recipe(reward={"noisy-verifier": {"false_positive": 0.5, "false_negative": 0.5}})
    first, again = reward_function(recipe, seed=3), reward_function(recipe, seed=3)
    texts = ["#5"] * 40
    one, two = called(first, texts), called(first, texts)
    assert one != two
    assert [called(again, texts), called(again, texts)] == [one, two]


def test_one_function_for_each_reward_with_its_weight(recipe_file):
    functions, weights = reward_functions(recipe_file)
    assert ([function.__name__ for function in functions], weights) == (["correct", "brevity"], [1.0, 0.5])
    texts = ["2+3=5\n#5", "#6"]
    parts = [called(function, texts) for function in functions]
    together = called(reward_function(recipe_file), texts)
    assert [sum(w * v for w, v in zip(weights, row, strict=True)) for row in zip(*parts, strict=True)] == together
    gated = Recipe(reward={"correct": {}, "brevity": {}}, combination={"gate": {"gate": "correct"}})
    with pytest.raises(ScorecraftError, match="this recipe's combination is 'gate'; use reward_function"):
        reward_functions(gated)
    assert called(reward_function(gated), ["#6"]) == [0.0]


def test_a_function_survives_being_sent_to_another_process(recipe_file):
    function = pickle.loads(pickle.dumps(reward_function(recipe_file)))
    assert called(function, ["#5"]) == [1.0]
    assert function.__name__ == "short"


WORKER = """
import json, sys, torch
from scorecraft.integrations.trl import reward_function
from scorecraft.recipes.recipe import Recipe
rank, store = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
function = reward_function(Recipe(reward={"adaptive-length": {"strength": 0.2}}))
texts, prompts = [(["#5", "#5"], ["p", "p"]), (["#5  ", "#6"], ["p", "q"])][rank]
values = function(prompts, texts, answer=["5", "5"])
print(json.dumps([values, function.counts["adaptive-length", "scored"]]))
torch.distributed.destroy_process_group()
"""


def test_a_group_that_is_spread_over_workers_is_compared_as_a_whole(tmp_path):
    commands = [[sys.executable, "-c", WORKER, str(rank), str(tmp_path / "store")] for rank in (0, 1)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    results = [json.loads(worker.communicate()[0].splitlines()[-1]) for worker in workers]
    # Lengths 2, 2, 4: mean 8/3, deviation sqrt(8/9); sigmoid of -.7071 and 1.4142.
    low, high = (-0.2 / (1 + math.exp(-z)) for z in (-math.sqrt(0.5), math.sqrt(2)))
    assert results[0] == [pytest.approx([low, low]), 2]
    assert results[1] == [pytest.approx([high, 0.0]), 2]


class AsksAPolicy(Reward):
    def __call__(self, rollouts, context):
        policy = context.load_policy(context.policy)
        assert policy is context.load_policy(context.policy)
        return Scores.of([float(policy.parameter_count > 0)] * len(rollouts))


def test_rewards_may_ask_a_policy(policy_folder):
    recipe = Recipe().model_copy(update={"reward": {"asks": AsksAPolicy()}})
    assert called(reward_function(recipe, policy=str(policy_folder)), ["#5"]) == [1.0]


@pytest.fixture(scope="module")
def policy_folder(tmp_path_factory):
    from scorecraft.lm.policy import resolve_policy

    folder = tmp_path_factory.mktemp("policy") / "tunnel-tiny"
    resolve_policy("tunnel-tiny", {}, Recipe().task).save(folder)
    return folder


def test_rows_are_problems_of_the_task():
    (plain,), (chat,) = rows("default", 1, start=5), rows("default", 1, start=5, conversational=True)
    problem = Recipe().task.problem("train", 5)
    assert plain == {
        "prompt": problem.prompt, "answer": problem.answer, "gold": problem.gold,
        "metadata": json.dumps(problem.metadata),
    }  # fmt: skip
    assert chat["prompt"] == [{"role": "user", "content": problem.prompt}]


def test_the_real_trainer_trains_on_the_reward(policy_folder, tmp_path):
    trl = pytest.importorskip("trl")
    from datasets import Dataset

    recipe = Recipe(reward={"correct": {"weight": 1.0}, "steps": {"weight": 0.5}, "adaptive-length": {"weight": 1.0}})
    function, seen = reward_function(recipe, name="tunnel"), []

    def recorder(prompts, completions, completion_ids, answer, metadata, **columns):
        seen.append((prompts, completions, completion_ids, answer, metadata))
        return [None] * len(prompts)

    trainer = trl.GRPOTrainer(
        model=str(policy_folder),
        reward_funcs=[function, recorder],
        train_dataset=Dataset.from_list(rows(recipe, 4)),
        args=trl.GRPOConfig(
            output_dir=str(tmp_path), max_steps=2, per_device_train_batch_size=8, num_generations=4,
            max_completion_length=48, use_cpu=True, bf16=False, report_to=[], logging_steps=1, learning_rate=1e-4,
            save_strategy="no", disable_tqdm=True,
        ),
    )  # fmt: skip
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    trainer.train()
    assert any(not value.equal(before[name]) for name, value in trainer.model.named_parameters())
    logs = [entry for entry in trainer.state.log_history if "rewards/tunnel/mean" in entry]
    assert len(logs) == len(seen) == 2
    for log, (prompts, completions, ids, answers, metadata) in zip(logs, seen, strict=True):
        assert [len(set(prompts[start : start + 4])) for start in (0, 4)] == [1, 1]
        right = [recipe.task.check(_problem(*row), text).correct for *row, text in zip(
            prompts, answers, metadata, completions, strict=True)]  # fmt: skip
        assert log["tunnel/correct"] == pytest.approx(sum(right) / 8)
        expected = reward_function(recipe)(prompts, completions, ids, answer=answers, metadata=metadata)
        assert log["rewards/tunnel/mean"] == pytest.approx(sum(expected) / 8, abs=1e-5)
        # Tokens were counted: each completion but a cut one has its characters and the end token.
        assert all(len(row) in (len(text), len(text) + 1) for row, text in zip(ids, completions, strict=True))
    assert function.counts["correct", "scored"] == 16


def _problem(prompt, answer, metadata):
    from scorecraft.problem import Problem

    return Problem(prompt, answer, metadata=json.loads(metadata))


def test_what_reads_the_policys_numbers_is_refused_instead_of_scored_wrongly():
    for reward in ("self-aligned", "continuation-value"):
        with pytest.raises(ScorecraftError, match="reads what the policy computed"):
            called(reward_function(Recipe(reward=reward), policy=object()), ["#5"])
