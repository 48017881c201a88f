"""A small package of somebody else's, built and installed for real, brings a reward of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "my-rewards"
version = "1.0"
[project.entry-points."scorecraft.parts"]
mine = "my_rewards"
"""
MODULE = '''\
import torch
from scorecraft.parts import register
from scorecraft.rewards.reward import Reward
from scorecraft.scores import Scores


@register("reward", "no-minus")
class NoMinus(Reward):
    """1 for a completion without a minus sign."""

    def __call__(self, rollouts, context):
        return Scores.of(torch.tensor([float("-" not in text) for text in rollouts.texts]))
'''


@pytest.fixture
def install(tmp_path):
    def install(module):
        source, target = tmp_path / "source", tmp_path / "site"
        (source / "my_rewards").mkdir(parents=True)
        (source / "pyproject.toml").write_text(PROJECT)
        (source / "my_rewards" / "__init__.py").write_text(module)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
        subprocess.run([*pip, "--target", str(target), str(source)], check=True, cwd=tmp_path)
        return target

    return install


def scorecraft(site, *arguments, cwd):
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "scorecraft.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=cwd)


def test_a_part_from_another_package_is_listed_and_can_be_trained_against(install, tmp_path):
    site = install(MODULE)
    listed = scorecraft(site, "parts", "reward", cwd=tmp_path)
    assert "no-minus" in listed.stdout, listed.stderr
    done = scorecraft(
        site, "train", "reward={no-minus: {}}", "steps=1", "prompts_per_step=2", "sampling.group_size=2",
        "sampling.max_new_tokens=8", "evaluate=null", "--run", "run", "--quiet", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert '"reward/no-minus"' in (tmp_path / "run" / "metrics.jsonl").read_text()


def test_a_package_that_cannot_be_loaded_is_named_and_stops_nothing_else(install, tmp_path):
    site = install("import something_that_is_not_there\n")
    listed = scorecraft(site, "parts", "reward", cwd=tmp_path)
    assert listed.returncode == 0
    assert "correct" in listed.stdout
    assert "my-rewards" in listed.stderr
    assert "something_that_is_not_there" in listed.stderr
    assert "Traceback" not in listed.stderr
