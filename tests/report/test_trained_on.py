"""What the report shows as advantages is what the loss saw, and its reasons are those that were logged."""

from __future__ import annotations

import base64
import gzip
import json

import numpy as np
import pytest
import torch

from scorecraft.lm.policy import Policy
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.objectives.parts import Reinforce
from scorecraft.parts import register
from scorecraft.recipes.recipe import Recipe
from scorecraft.recipes.train import train
from scorecraft.report.pack import pack_rollouts
from scorecraft.runs import RunStore

SEEN = []


@register("objective", "recording")
class Recording(Reinforce):
    """The plain loss; remembers what it was given, the rows without an advantage too."""

    @property
    def idle_without_advantage(self):
        return False

    def __call__(self, inputs):
        SEEN.append(inputs)
        return super().__call__(inputs)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    Policy(tunnel_model(layers=1, width=16, heads=2, seed=0), tunnel_tokenizer(), "tiny").save(folder / "policy")
    # Rewards in thirds need rounding; every second prompt's completions earn the same; some abstain.
    (folder / "reward.py").write_text(
        "def digits(completions, prompts, **columns):\n"
        "    same = {prompt: index % 2 for index, prompt in enumerate(dict.fromkeys(prompts))}\n"
        "    return [None if not text or text[0] in 'aeiou' else 0.25 if same[prompt] else len(set(text)) / 3\n"
        "            for text, prompt in zip(completions, prompts)]\n"
    )
    SEEN.clear()
    recipe = Recipe(
        policy=str(folder / "policy"), sampling={"single-turn": {"group_size": 4, "max_new_tokens": 8}},
        reward={"function": {"path": str(folder / "reward.py"), "function": "digits"}},
        credit={"outcome": {"discount": 0.9}},
        objective="recording", prompts_per_step=4, steps=1, evaluate=None, save_rollouts={"every": 1, "max_rows": 99},
    )  # fmt: skip
    train(recipe, folder / "out")
    return RunStore.open(folder / "out"), list(SEEN)


def by_rollout(seen):
    """What the loss saw, by the log-probabilities of the sampled tokens, which no two rollouts share."""
    rows = {}
    for inputs in seen:
        for old, advantages, mask in zip(inputs.old_logprobs, inputs.advantages, inputs.mask, strict=True):
            rows[tuple(old[mask].tolist())] = advantages[mask].tolist()
    return rows


def test_the_advantages_of_the_report_are_those_the_loss_saw(trained):
    store, seen = trained
    given = by_rollout(seen)
    table = store.read_rollouts(1)
    columns = {name: table.column(name).to_pylist() for name in ("logprobs", "mask", "advantage", "reward")}
    expected, compared = [], 0
    for logprobs, mask, advantage, reward in zip(*columns.values(), strict=True):
        key = tuple(value for value, sampled in zip(logprobs, mask, strict=True) if sampled)
        stored = [value for value, sampled in zip(advantage, mask, strict=True) if sampled]
        if reward is None:
            assert set(advantage) <= {0.0}  # no valid reward: not in the loss at all
        else:
            assert stored == given[key]
            compared += 1
        expected += advantage
    assert compared == len(given) > 4
    assert any(expected)

    # The page keeps 8 bits of the mantissa.
    packed = pack_rollouts(store, 10**9)
    planes = np.frombuffer(gzip.decompress(base64.b64decode(packed["blocks"][0])), np.uint8)
    planes = planes.reshape(5 + 2 * len(packed["planes"]), -1)
    place = 5 + 2 * packed["planes"].index("advantage")
    shown = (planes[place].astype(np.uint16) | planes[place + 1].astype(np.uint16) << 8).view(np.float16)
    assert shown.astype(np.float64) == pytest.approx(expected, rel=2**-8, abs=1e-6)


def test_the_reasons_of_the_saved_rollouts_are_those_that_were_logged(trained):
    store, _ = trained
    packed = pack_rollouts(store, 10**9)
    index = json.loads(gzip.decompress(base64.b64decode(packed["index"])))
    (logged,) = store.read_metrics()
    count = len(index["reason"])
    for reason in ("same-reward", "abstained", "masked", "zero"):
        assert index["reason"].count(reason) / count == pytest.approx(logged[f"zero/{reason}"]), reason
    assert index["reason"].count("same-reward") >= 4
    assert torch.tensor([reason is None for reason in index["reason"]]).any()
