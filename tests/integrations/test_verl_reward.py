"""Rewards in verl: through its own loader, reward loop and batch manager, with its own data type, on the CPU."""

from __future__ import annotations

import asyncio
import json
import math

import numpy as np
import pytest
import torch

from scorecraft.errors import ScorecraftError
from scorecraft.integrations.verl import compute_score, compute_scores, rows
from scorecraft.recipes.recipe import Recipe

PLAIN = """
task: chain-arithmetic
reward:
  correct: {}
  brevity: {weight: 0.5, target: 4}
"""
RELATIVE = "reward: {correct: {}, adaptive-length: {strength: 0.2}}\n"
CHAIN = json.dumps({"operands": [[2], [3]], "operators": "+"})


@pytest.fixture
def recipe_file(tmp_path):
    file = tmp_path / "plain.yaml"
    file.write_text(PLAIN)
    return str(file)


@pytest.fixture
def relative_file(tmp_path):
    file = tmp_path / "relative.yaml"
    file.write_text(RELATIVE)
    return str(file)


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory):
    from scorecraft.lm.tunnel import tunnel_tokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    tunnel_tokenizer().save_pretrained(str(folder))
    return str(folder)


def scored(text, recipe, answer="5", info=None, tokenizer="characters", **more):
    return compute_score("sums", text, answer, info, recipe=recipe, tokenizer=tokenizer, **more)


def test_one_completion_has_its_total_and_every_reward(recipe_file):
    assert scored("2+3=5\n#5", recipe_file) == pytest.approx(
        {"score": 0.5, "scored": 1.0, "reward/correct": 1.0, "reward/brevity": -1.0}
    )
    assert scored("#6", recipe_file)["score"] == 0.0
    assert scored("#5", recipe_file, answer=5)["score"] == 1.0
    assert list(scored("2+3=5\n#5", recipe_file, reward="brevity")) == ["score", "scored", "reward/brevity"]
    heavier = scored("2+3=5\n#5", recipe_file, overrides=["reward.brevity.weight=2"])
    assert heavier["score"] == pytest.approx(-1.0)


def test_tokens_are_counted_by_the_policys_tokenizer(recipe_file, tokenizer_folder, tmp_path):
    # Seven tokens, and eight with the character outside the alphabet that the tokenizer has one token for.
    for text, penalty in (("#5     ", -0.75), ("#5    \u00e9é", -1.0)):
        assert scored(text, recipe_file, tokenizer=tokenizer_folder)["reward/brevity"] == pytest.approx(penalty)
    with pytest.raises(ScorecraftError, match=r"tokenizer '.*nowhere' does not load"):
        scored("#5", recipe_file, tokenizer=str(tmp_path / "nowhere"))


def test_extra_info_reaches_the_checkers():
    steps = {"recipe": "default", "overrides": ["reward={steps: {}}"]}
    for metadata in (CHAIN, json.loads(CHAIN)):
        assert scored("2+3=5\n#6", info={"metadata": metadata}, **steps)["score"] == pytest.approx(0.5)
    with pytest.raises(ScorecraftError, match="give the data a column 'metadata'"):
        scored("2+3=5\n#6", info={}, **steps)


def test_a_part_that_compares_completions_is_refused_one_at_a_time(relative_file):
    with pytest.raises(
        ScorecraftError,
        match="reward 'adaptive-length' compares the completions of a prompt, but verl's compute_score sees one",
    ):
        scored("#5", relative_file)
    for override, said in (
        ("reward={correct: {transforms: [{center: {}}]}}", "transform 'center' of reward 'correct' looks at the whole"),
        ("combination={lexicographic: {order: [correct]}}", "combination 'lexicographic' compares the completions"),
        ("reward={biased-judge: {bias: position}}", "reward 'biased-judge' compares the completions"),
    ):
        with pytest.raises(ScorecraftError, match=said):
            scored("#5", "default", overrides=[override])
    assert scored("#5", relative_file, reward="correct")["score"] == 1.0


SOURCE = "def abstain(completions, **columns):\n    return [None for _ in completions]\n"


def test_a_completion_without_a_score_is_an_error_unless_it_is_said_what_it_counts_as(tmp_path):
    (tmp_path / "own.py").write_text(SOURCE)
    own = {"recipe": "default", "overrides": [f"reward={{function: {{path: {tmp_path}/own.py, function: abstain}}}}"]}
    with pytest.raises(ScorecraftError, match=r"completion 0 has no score \('function' abstained\)"):
        scored("#5", **own)
    found = scored("#5", missing=-1.0, **own)
    assert (found["score"], found["scored"]) == (-1.0, 0.0)
    assert math.isnan(found["reward/function"])


def test_a_misspelt_argument_is_named(recipe_file):
    with pytest.raises(ScorecraftError, match="unknown 'mising'; did you mean 'missing'"):
        scored("#5", recipe_file, mising=0.0)
    scored("#5", recipe_file, reward_router_address="http://127.0.0.1:1", reward_model_tokenizer=None)


def test_a_batch_is_grouped_by_prompt_or_index(relative_file):
    texts, answers = ["#5", "#5  ", "#5", "#6"], ["5"] * 4
    low, high = -0.2 / (1 + math.e), -0.2 / (1 + math.exp(-1))

    def batch(infos, recipe=relative_file):
        results = compute_scores(["sums"] * 4, texts, answers, infos, recipe=recipe, tokenizer="characters")
        return [result["reward/adaptive-length"] for result in results]

    assert batch([{"prompt": p} for p in "aaba"]) == pytest.approx([low, high, -0.1, 0.0])
    assert batch([{"index": i, "num_turns": n} for n, i in enumerate((7, 7, 0, 7))]) == pytest.approx(
        [low, high, -0.1, 0.0]
    )
    for infos in (None, [{"prompt": "a"}] * 3 + [{}]):
        with pytest.raises(
            ScorecraftError, match=r"extra_info of completion \d does not tell its prompt; put 'prompt'"
        ):
            batch(infos)
    one_by_one = compute_scores(
        ["sums"] * 4, texts, answers, recipe=relative_file, reward="correct", tokenizer="characters"
    )
    assert [result["score"] for result in one_by_one] == [1.0, 1.0, 1.0, 0.0]


# Through verl itself


@pytest.fixture(scope="module")
def verl():
    pytest.importorskip("verl")
    import verl

    return verl


def custom(name, path="pkg://scorecraft.integrations.verl", **kwargs):
    from omegaconf import OmegaConf

    return OmegaConf.create({
        "reward": {
            "custom_reward_function": {
                "path": path, "name": name, "reward_kwargs": kwargs,
            },
            "reward_manager": {"source": "register", "name": "naive"},
        },
    })  # fmt: skip


def data_of(verl, tokenizer_folder, table):
    """A batch as verl's rollout leaves it: prompts padded on the left, responses on the right."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    end = tokenizer.eos_token_id
    prompts = [tokenizer.encode(row["prompt"][0]["content"]) for row, _ in table]
    responses = [[*tokenizer.encode(text, add_special_tokens=False), end] for _, text in table]
    left, right = max(map(len, prompts)), max(map(len, responses))
    pad = tokenizer.pad_token_id
    prompt_ids = torch.tensor([[pad] * (left - len(ids)) + ids for ids in prompts])
    response_ids = torch.tensor([ids + [pad] * (right - len(ids)) for ids in responses])
    input_ids = torch.cat([prompt_ids, response_ids], 1)
    objects = {key: np.array([row[key] for row, _ in table], dtype=object) for key in table[0][0] if key != "prompt"}
    data = verl.DataProto.from_dict(
        tensors={
            "prompts": prompt_ids, "responses": response_ids, "input_ids": input_ids,
            "attention_mask": (input_ids != pad).long(),
        },
        non_tensors=objects,
    )  # fmt: skip
    return data, tokenizer


def test_verls_loader_and_reward_loop_score_one_completion(verl, recipe_file, tokenizer_folder):
    from verl.trainer.ppo.reward import load_reward_manager

    first, second = rows(recipe_file, 2)
    right = [first["extra_info"]["gold"], f"#{second['reward_model']['ground_truth']}"]
    table = [(first, right[0]), (second, right[1]), (second, "#99999")]
    data, tokenizer = data_of(verl, tokenizer_folder, table)
    config = custom("compute_score", recipe=recipe_file, tokenizer=tokenizer_folder, overrides=["seed=1"])
    manager = load_reward_manager(config, tokenizer)

    async def score_all():
        manager.loop = asyncio.get_running_loop()
        return await asyncio.gather(*(manager.run_single(data[i : i + 1]) for i in range(3)))

    results = asyncio.run(score_all())
    penalties = [min(1.0, max(0, len(text) - 4) / 4) for _, text in table]
    assert [found["reward_score"] for found in results] == pytest.approx(
        [1 - penalties[0] / 2, 1 - penalties[1] / 2, -penalties[2] / 2]
    )
    assert [found["reward_extra_info"]["reward/correct"] for found in results] == [1.0, 1.0, 0.0]
    assert {tuple(found["reward_extra_info"]) for found in results} == {
        ("score", "scored", "reward/correct", "reward/brevity")
    }


def test_verls_loader_and_batch_manager_score_groups(verl, relative_file, tokenizer_folder):
    from verl.trainer.ppo.reward import get_custom_reward_fn
    from verl.workers.reward_manager import get_reward_manager_cls

    (row,) = rows(relative_file, 1)
    answer = f"#{row['reward_model']['ground_truth']}"
    table = [({**row, "extra_info": dict(row["extra_info"])}, text) for text in (answer, answer + "  ", "#99999")]
    data, tokenizer = data_of(verl, tokenizer_folder, table)
    config = custom("compute_scores", recipe=relative_file, tokenizer=tokenizer_folder)
    manager = get_reward_manager_cls("batch")(tokenizer, 0, get_custom_reward_fn(config))
    result = manager(data, return_dict=True)
    low, high = -0.2 / (1 + math.e), -0.2 / (1 + math.exp(-1))
    scores = [1 + low, 1 + high, 0.0]
    assert result["reward_extra_info"]["score"] == pytest.approx(scores)
    # verl puts each on the last token of its response, the end token.
    for place, (expected, (_, text)) in enumerate(zip(scores, table, strict=True)):
        assert result["reward_tensor"][place, len(text)].item() == pytest.approx(expected)
    assert result["reward_tensor"].sum().item() == pytest.approx(sum(scores), rel=1e-5)


def test_the_reward_loop_is_told_why_a_group_reward_does_not_work(verl, relative_file, tokenizer_folder):
    from verl.trainer.ppo.reward import get_custom_reward_fn

    function = get_custom_reward_fn(custom("compute_score", recipe=relative_file, tokenizer=tokenizer_folder))
    with pytest.raises(ScorecraftError, match="use compute_scores with verl's batch reward manager"):
        function(data_source="sums", solution_str="#5", ground_truth="5", extra_info={})


def test_verls_loader_takes_the_file_as_well(verl, recipe_file):
    from verl.trainer.ppo.reward import get_custom_reward_fn

    path = compute_score.__globals__["__file__"]
    function = get_custom_reward_fn(custom("compute_score", path, recipe=recipe_file, tokenizer="characters"))
    assert function(data_source="sums", solution_str="#5", ground_truth="5")["score"] == 1.0


def test_rows_are_problems_of_the_task():
    (row,) = rows("default", 1, split="test", start=3)
    problem = Recipe().task.problem("test", 3)
    assert row["prompt"] == [{"role": "user", "content": problem.prompt}]
    assert row["reward_model"]["ground_truth"] == problem.answer
    assert row["extra_info"]["index"] == 3
    assert json.loads(row["extra_info"]["metadata"]) == problem.metadata
