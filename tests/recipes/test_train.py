"""Whole training runs of a very small policy: they learn, resume exactly, share work, and stop when they must."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from scorecraft.errors import ScorecraftError, TrainingStopped
from scorecraft.lm.policy import Policy
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.recipes.recipe import Recipe
from scorecraft.recipes.train import train
from scorecraft.runs.store import RunStore


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("policy")
    Policy(tunnel_model(layers=1, width=32, heads=2), tunnel_tokenizer(), "small").save(path)
    return path


def small(folder, **changes):
    values = {
        "policy": str(folder),
        "sampling": {"single-turn": {"group_size": 4, "max_new_tokens": 12}},
        "reward": {"function": {"path": str(folder / "reward.py"), "function": "digits"}},
        "optimizer": {"adamw": {"lr": 1e-2}},
        "prompts_per_step": 4,
        "steps": 6,
        "evaluate": {"every": 3, "problems": 8},
        "checkpoint": {"every": 2, "keep": 2},
        "save_rollouts": {"every": 2, "max_rows": 8},
    }
    return Recipe(**{**values, **changes})


@pytest.fixture(scope="module", autouse=True)
def _rewards(folder):
    (folder / "reward.py").write_text(
        "def digits(completions, **columns):\n"
        "    return [sum(c.isdigit() for c in text) / max(1, len(text)) for text in completions]\n"
        "def broken(completions, **columns):\n"
        "    return [float('nan') if i == 2 else 0.0 for i, _ in enumerate(completions)]\n"
        "def equal(completions, **columns):\n"
        "    return [1.0 for _ in completions]\n"
    )


def weights(directory):
    step, path = RunStore.open(directory).load_checkpoint()
    return step, load_file(path / "policy" / "model.safetensors")


def test_metrics_and_evaluations_reach_a_tracker(folder, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(small(folder, steps=3, trackers=["tensorboard"]), tmp_path / "run")
    found = EventAccumulator(str(tmp_path / "run/tensorboard"))
    found.Reload()
    store = RunStore.open(tmp_path / "run")
    assert [e.value for e in found.Scalars("reward")] == pytest.approx([row["reward"] for row in store.read_metrics()])
    held_out = [row["accuracy"] for row in store.read_evaluations()]
    assert [e.value for e in found.Scalars("held-out/accuracy")] == pytest.approx(held_out)
    assert "@misc{grpo," in store.citations


def test_a_reward_is_learned_and_everything_is_kept(folder, tmp_path):
    summary = train(small(folder, steps=40), tmp_path / "run")
    metrics = RunStore.open(tmp_path / "run").read_metrics()
    assert [row["step"] for row in metrics] == list(range(1, 41))
    first = sum(row["reward"] for row in metrics[:5]) / 5
    last = sum(row["reward"] for row in metrics[-5:]) / 5
    assert last > first + 0.3
    assert summary.report.is_file()
    assert summary.before
    assert summary.after
    assert RunStore.open(tmp_path / "run").rollout_steps()[0] == 1


@pytest.mark.parametrize("changes", [{}, {"minibatches": 2, "epochs": 2}, {"kl": {"coefficient": 0.1}}])
def test_resume_continues_bit_for_bit(folder, tmp_path, changes):
    train(small(folder, **changes), tmp_path / "whole")
    script = (
        "import sys; from scorecraft.recipes import train as t\n"
        "from scorecraft.recipes.recipe import Recipe\n"
        "inner = t._Training._checkpoint\n"
        "def stop(self):\n"
        "    inner(self)\n"
        "    if self.step == 4: import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
        "t._Training._checkpoint = stop\n"
        "t.train(Recipe.from_yaml(open(sys.argv[1]).read()), sys.argv[2])\n"
    )
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(small(folder, **changes).to_yaml())
    done = subprocess.run([sys.executable, "-c", script, str(recipe), str(tmp_path / "cut")], check=False)
    assert done.returncode == -signal.SIGKILL
    train(small(folder, **changes), tmp_path / "cut", resume=True)
    (step, whole), (same_step, resumed) = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert step == same_step == 6
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
    timing = ("seconds", "sampling_seconds", "tokens_per_second")
    rows = [
        [{k: v for k, v in row.items() if k not in timing} for row in RunStore.open(tmp_path / d).read_metrics()]
        for d in ("whole", "cut")
    ]
    assert rows[0] == rows[1]


def test_a_run_killed_at_a_random_moment_goes_on(folder, tmp_path):
    train(small(folder), tmp_path / "whole")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(small(folder).to_yaml())
    command = [
        sys.executable, "-c",
        "import sys; from scorecraft.recipes.train import train; from scorecraft.recipes.recipe import Recipe\n"
        "from scorecraft.runs.store import is_run\n"
        "train(Recipe.from_yaml(open(sys.argv[1]).read()), sys.argv[2], resume=is_run(sys.argv[2]))\n",
        str(recipe), str(tmp_path / "cut"),
    ]  # fmt: skip
    process = subprocess.Popen(command)
    log = tmp_path / "cut" / "metrics.jsonl"
    while process.poll() is None and not (log.exists() and log.read_text().count("\n") >= 3):
        time.sleep(0.01)
    process.kill()
    process.wait()
    subprocess.run(command, check=True)
    for name, value in weights(tmp_path / "whole")[1].items():
        assert torch.equal(value, weights(tmp_path / "cut")[1][name]), name


def test_two_workers_see_the_same_loss_curve_as_one(folder, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(small(folder).to_yaml())
    train(small(folder), tmp_path / "one")
    script = tmp_path / "worker.py"
    script.write_text(
        "import sys, torch; torch.set_num_threads(1)\n"
        "from scorecraft.recipes.train import train; from scorecraft.recipes.recipe import Recipe\n"
        "train(Recipe.from_yaml(open(sys.argv[1]).read()), sys.argv[2])\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29611"]
    subprocess.run(
        [sys.executable, *command, str(script), str(recipe), str(tmp_path / "two")], check=True, env=environment
    )
    one, two = (RunStore.open(tmp_path / d).read_metrics() for d in ("one", "two"))
    assert len(one) == len(two) == 6
    for a, b in zip(one, two, strict=True):
        for name in ("loss", "reward", "gradient_norm", "accuracy", "length", "entropy"):
            assert b[name] == pytest.approx(a[name], rel=2e-3, abs=1e-5), (a["step"], name)


def test_a_reward_that_is_not_a_number_stops_with_the_rollouts_number(folder, tmp_path):
    recipe = small(folder, reward={"function": {"path": str(folder / "reward.py"), "function": "broken"}})
    with pytest.raises(TrainingStopped, match="rollout 2"):
        train(recipe, tmp_path / "run")


def test_equal_rewards_teach_nothing_and_the_log_says_so(folder, tmp_path):
    recipe = small(folder, reward={"function": {"path": str(folder / "reward.py"), "function": "equal"}}, steps=2)
    train(recipe, tmp_path / "run")
    rows = RunStore.open(tmp_path / "run").read_metrics()
    assert [row["zero/same-reward"] for row in rows] == [1.0, 1.0]
    assert rows[0]["zero_advantage_groups"] == 1.0
    start = Policy.load(folder).model.state_dict()
    for name, value in weights(tmp_path / "run")[1].items():
        assert torch.equal(value, start[name])


def test_resampling_without_any_difference_says_what_to_change(folder, tmp_path):
    recipe = small(
        folder,
        reward={"function": {"path": str(folder / "reward.py"), "function": "equal"}},
        sampling={"single-turn": {"group_size": 4, "max_new_tokens": 12, "filter_groups": "resample"}},
    )
    with pytest.raises(ScorecraftError, match="too hard or too easy"):
        train(recipe, tmp_path / "run")


def test_resampling_fills_the_batch(folder, tmp_path):
    sampling = {"single-turn": {"group_size": 2, "max_new_tokens": 4, "filter_groups": "resample"}}
    train(small(folder, sampling=sampling, steps=2), tmp_path / "run")
    rows = RunStore.open(tmp_path / "run").read_metrics()
    assert all(row["zero_advantage_groups"] == 0 for row in rows)
    assert any(row["zero/filtered"] > 0 for row in rows)
    assert json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])["step"] == 1


def test_another_recipe_cannot_resume_a_run(folder, tmp_path):
    train(small(folder, steps=2), tmp_path / "run")
    with pytest.raises(ScorecraftError, match="another recipe"):
        train(small(folder, steps=4), tmp_path / "run", resume=True)
    with pytest.raises(ScorecraftError, match="holds a run already"):
        train(small(folder, steps=2), tmp_path / "run")


@pytest.mark.parametrize(
    "changes", [{"sampling": {"single-turn": {"group_size": 1, "max_new_tokens": 12}}}, {"reward": "equal"}]
)
def test_a_run_that_teaches_nothing_says_so_once(folder, tmp_path, capsys, changes):
    if changes.get("reward") == "equal":
        changes = {"reward": {"function": {"path": str(folder / "reward.py"), "function": "equal"}}}
    train(small(folder, steps=3, **changes), tmp_path / "run")
    said = capsys.readouterr().err
    assert said.count("step 1 taught nothing: all rewards within a group are equal") == 1
    assert said.count("taught nothing") == 1


def test_a_resume_before_the_first_checkpoint_does_not_repeat_the_first_evaluation(folder, tmp_path):
    store = RunStore.create(tmp_path / "run", small(folder).to_yaml(), {})
    store.append_evaluation({"step": 0, "accuracy": 0.25})
    train(small(folder), tmp_path / "run", resume=True)
    assert [row["step"] for row in RunStore.open(tmp_path / "run").read_evaluations()] == [0, 3, 6]


@pytest.mark.parametrize(
    ("rows", "changes", "said"),
    [
        ("", {}, "no"),
        ('{"question": "1+1", "answer": "2"}\n{"question": \n', {}, ":2"),
        ('{"question": "' + "1+" * 600 + '1", "answer": "1"}\n', {}, "does not fit"),
    ],
)
def test_a_mistake_in_data_or_prompts_leaves_no_run_behind(folder, tmp_path, rows, changes, said):
    path = tmp_path / "data.jsonl"
    path.write_text(rows, encoding="utf-8")
    recipe = small(folder, task={"jsonl": {"path": str(path)}}, **changes)
    with pytest.raises(ScorecraftError, match=said):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()
