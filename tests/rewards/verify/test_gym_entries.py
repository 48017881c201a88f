"""reasoning-gym's own scorers behind the same front door."""

from __future__ import annotations

import json

import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.rewards.verify import Ruling, verify
from scorecraft.rewards.verify import gym as gym_module
from scorecraft.tasks.gym_worker import ScorerError

reasoning_gym = pytest.importorskip("reasoning_gym", reason="reasoning-gym is not installed")


@pytest.fixture(scope="module")
def entry():
    return reasoning_gym.create_dataset("chain_sum", seed=3, size=1)[0]


def test_the_scorer_of_the_entry_decides(entry):
    right = verify(f"<answer>{entry['answer']}</answer>", entry, kind="reasoning-gym")
    assert (right.verdict, right.score, right.path) == (Ruling.CORRECT, 1.0, "reasoning-gym")
    wrong = verify("<answer>no idea</answer>", entry, kind="reasoning-gym")
    assert wrong.verdict is Ruling.WRONG
    assert wrong.score < 1
    assert verify("", entry, kind="reasoning-gym").verdict is Ruling.UNPARSED
    assert verify(entry["answer"], json.dumps(entry), kind="reasoning-gym").correct


def test_a_share_is_kept_and_is_not_right(entry):
    # A scorer of the library that gives an answer with the true one inside a share.
    answer = f"perhaps {entry['answer']} or so"
    found = verify(f"<answer>{answer}</answer>", entry, kind="reasoning-gym")
    assert found.verdict is Ruling.WRONG
    assert found.score == pytest.approx(len(entry["answer"]) / len(answer))


def test_what_is_evaluated_must_be_harmless():
    entry = reasoning_gym.create_dataset("countdown", seed=3, size=1)[0]
    found = verify("<answer>__import__('os').getpid()</answer>", entry, kind="reasoning-gym")
    assert (found.verdict, found.reason) == (Ruling.UNPARSED, "more than an expression")


@pytest.mark.parametrize(
    ("raised", "verdict"),
    [(TimeoutError("no score after 5 s"), Ruling.TIMEOUT), (ScorerError("KeyError"), Ruling.ERROR)],
)
def test_a_scorer_that_fails_is_no_silent_zero(monkeypatch, entry, raised, verdict):
    def fail(*_):
        raise raised

    monkeypatch.setattr(gym_module, "score_in_worker", fail)
    assert verify("<answer>5</answer>", entry, kind="reasoning-gym").verdict is verdict


@pytest.mark.parametrize(
    ("truth", "said"),
    [
        ("chain_sum", "or its JSON text"),
        ({"question": "?"}, "'metadata' with a 'source_dataset'"),
        ({"question": "?", "answer": "", "metadata": {"source_dataset": "chain_sums"}}, "did you mean 'chain_sum'"),
    ],
)
def test_what_is_no_entry_is_named(truth, said):
    with pytest.raises(ScorecraftError, match=said):
        verify("5", truth, kind="reasoning-gym")
