"""A policy folder with random weights: real, and small enough that a run takes a moment."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

TINY = (
    "prompts_per_step=2",
    "sampling.group_size=2",
    "sampling.max_new_tokens=8",
    "evaluate.problems=4",
    "steps=2",
    "checkpoint.every=1",
)


@pytest.fixture(scope="session")
def policy_folder(tmp_path_factory):
    from scorecraft.lm.policy import Policy
    from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer

    folder = tmp_path_factory.mktemp("policy") / "tiny"
    Policy(tunnel_model(layers=1, width=16, heads=2, seed=0), tunnel_tokenizer(), "tiny").save(folder)
    return folder


@pytest.fixture
def tiny_arguments(policy_folder):
    return (f"policy={policy_folder}", *TINY)


@pytest.fixture
def runner():
    return CliRunner()
