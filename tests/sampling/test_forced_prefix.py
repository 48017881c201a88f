"""Forced prefixes: masked out, or with a gradient weight of their own, which a file keeps."""

from __future__ import annotations

import pytest
import torch

from scorecraft.context import Context
from scorecraft.lm.policy import Policy
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.rollouts import Rollouts
from scorecraft.sampling.parts import ForcedPrefix
from scorecraft.tasks.chain_arithmetic import ChainArithmetic


@pytest.fixture(scope="module")
def drawn():
    policy = Policy(tunnel_model(1, 16, 2, seed=0), tunnel_tokenizer(), "small")
    context = Context(ChainArithmetic(), torch.Generator().manual_seed(0), policy=policy)

    def draw(**options):
        part = ForcedPrefix(text="1+2", group_size=2, max_new_tokens=8, **options)
        context.generator.manual_seed(0)
        return part(policy, [context.task.problem("train", 0)], context)

    return draw


def test_without_a_weight_nothing_is_foreign(drawn):
    rollouts = drawn()
    assert rollouts.foreign is None
    assert not rollouts.mask[:, :3].any()
    assert all(text.startswith("1+2") for text in rollouts.texts)


def test_the_weight_stands_on_the_prefix_alone(drawn, tmp_path):
    rollouts = drawn(gradient_weight=0.25)
    assert rollouts.foreign[:, :3].eq(0.25).all()
    assert rollouts.foreign[:, 3:].eq(0).all()
    assert rollouts.mask.equal(drawn().mask)
    rollouts.to_parquet(tmp_path / "rollouts.parquet")
    back = Rollouts.from_parquet(tmp_path / "rollouts.parquet")
    assert back.foreign.equal(rollouts.foreign)
