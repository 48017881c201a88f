"""A policy of this project takes part as it is: tokens, loss, and the way that the page shows."""

import re
from pathlib import Path

import pytest
import torch

from scorecraft.credit.intervention_training import (
    Attempt,
    GuidedAttempt,
    Intervention,
    intervention_loss,
    row_example,
)
from scorecraft.lm.policy import Policy
from scorecraft.lm.supervised import Example, collate, supervised_loss, trace_example
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.problem import Problem
from scorecraft.tasks.chain_arithmetic import ChainArithmetic

PAGE = Path(__file__).parents[3] / "docs/methods/intervention-training.md"


@pytest.fixture
def policy():
    return Policy(tunnel_model(2, 32, 4, seed=3), tunnel_tokenizer(), "small")


def rows():
    attempt = Attempt(Problem("1+2+4?", "7"), ("1+2=3", "3+4=8"), "1+2=3\n3+4=7\n", 0, 0)
    yield GuidedAttempt(attempt, Intervention(2, "3+4=7"), "1+2=3", "1+2=3\n3+4=7")
    yield GuidedAttempt(attempt, Intervention(1, "1+2=3"), "", "1+2=3")


def test_an_example_is_a_trace_without_its_end(policy):
    for row in rows():
        example = row_example(row, "prefix+intervention", policy)
        trace = trace_example(policy, row.attempt.problem.prompt, [(row.text, True)])
        assert trace.tokens[-1] == policy.tokenizer.eos_token_id
        assert example.tokens == trace.tokens[:-1]
        assert example.learned == trace.learned[:-1]


def test_the_loss_over_tokens_is_that_of_supervised_training(policy):
    examples = [row_example(row, "intervention", policy, separator="\n") for row in rows()]
    batch = collate([Example(example.tokens, example.learned) for example in examples], policy.pad_id)
    labels = torch.where(batch.learned, batch.tokens, -100)
    places = torch.arange(batch.tokens.shape[1])
    with torch.no_grad():
        logits = policy.model(batch.tokens, attention_mask=(places < batch.lengths[:, None]).long()).logits
        torch.testing.assert_close(intervention_loss(logits, labels, "token"), supervised_loss(policy, batch))


@pytest.mark.filterwarnings("ignore:.*do not have the separator")
def test_the_page_runs(policy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(policy, "save", lambda folder: None)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    task = ChainArithmetic()
    problem = task.problem("train", 0)
    before = policy.model.state_dict()["model.embed_tokens.weight"].clone()
    # An untrained policy hardly ever succeeds: what decides is taken to be right, so that there is something to learn.
    shown = blocks[0].replace("task.check(problem, completion).correct", "len(completion) % 2 == 0")
    assert shown != blocks[0]
    names = {"policy": policy, "task": task}
    exec(shown, names)
    built = names["built"]
    assert built.attempts == 64
    assert len(built.examples) > 0
    assert built.rows[0].text.split("\n")[-1] in "\n".join(p.gold for p in names["problems"])
    assert not torch.equal(policy.model.state_dict()["model.embed_tokens.weight"], before)
    told = '<intervention>{"content": "x", "location": 1}</intervention>'
    names = {"chat": lambda messages: told}
    exec(blocks[1], names)
    attempt = Attempt(problem, ("y",), problem.gold)
    assert names["proposer"].propose([attempt]) == [[Intervention(1, "x")]]
