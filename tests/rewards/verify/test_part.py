"""The reward part: values, outcomes and measurements by hand."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

from scorecraft import parts
from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.problem import Outcome, Problem
from scorecraft.recipes.recipe import Recipe
from scorecraft.rewards.parts import verify as part_module
from scorecraft.rewards.parts.verify import Verify
from scorecraft.rewards.verify import Ruling, Verification
from scorecraft.traits import Trait

CONTEXT = Context(None, torch.Generator())


def scored(make_rollouts, texts, answers, **options):
    problems = [Problem(f"prompt {place}", answer) for place, answer in enumerate(answers)]
    rollouts = make_rollouts([[1]] * len(texts), list(range(len(texts))), texts=texts, problems=problems)
    return Verify(**options)(rollouts, CONTEXT)


def test_values_by_hand(make_rollouts):
    texts = [r"\boxed{0.5}", r"\boxed{2}", "I do not know, as I said.", r"\boxed{\frac{2}{4}}"]
    found = scored(make_rollouts, texts, [r"\frac{1}{2}"] * 4)
    assert found.values.tolist() == [1.0, 0.0, 0.0, 1.0]
    assert found.outcomes == (Outcome.SCORED,) * 4
    assert found.metrics["unparsed"].tolist() == [0.0, 0.0, 1.0, 0.0]
    assert found.metrics["fast"].tolist() == [1.0] * 4


def test_each_ruling_has_its_outcome(make_rollouts, monkeypatch):
    rulings = [
        Verification(Ruling.CORRECT, score=1.0), Verification(Ruling.WRONG), Verification(Ruling.UNPARSED),
        Verification(Ruling.TIMEOUT, path="math-verify"), Verification(Ruling.ERROR, path="math-verify"),
        Verification(Ruling.WRONG, score=0.25, path="reasoning-gym"),
    ]  # fmt: skip
    monkeypatch.setattr(part_module, "verify_many", lambda texts, truths, options: rulings)
    found = scored(make_rollouts, ["x"] * 6, ["y"] * 6)
    expected = [1.0, 0.0, 0.0, math.nan, math.nan, 0.25]
    assert found.values.tolist() == pytest.approx(expected, nan_ok=True)
    assert found.outcomes[3:5] == (Outcome.TIMEOUT, Outcome.ERROR)
    assert found.metrics["unparsed"].tolist() == [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    assert found.metrics["fast"].tolist() == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]


def test_a_batch_is_asked_in_one_go(make_rollouts, monkeypatch):
    calls = []

    def record(texts, truths, options):
        calls.append((tuple(texts), list(truths), options))
        return [Verification(Ruling.WRONG) for _ in texts]

    monkeypatch.setattr(part_module, "verify_many", record)
    scored(make_rollouts, ["a", "b"], ["1", "2"], kind="numeric", absolute=0.5, workers=3)
    ((texts, truths, options),) = calls
    assert (texts, truths) == (("a", "b"), ["1", "2"])
    assert (options.kind, options.absolute, options.workers) == ("numeric", 0.5, 3)


def test_the_truth_may_stand_in_the_metadata(make_rollouts):
    problems = [Problem("a prompt", "7", metadata={"key": "8"})]
    rollouts = make_rollouts([[1]], [0], texts=[r"\boxed{8}"], problems=problems)
    assert Verify(truth="key")(rollouts, CONTEXT).values.tolist() == [1.0]
    with pytest.raises(ScorecraftError, match="metadata has no 'keys', it has key"):
        Verify(truth="keys")(rollouts, CONTEXT)


def test_tolerances_reach_the_comparison(make_rollouts):
    assert scored(make_rollouts, [r"\boxed{3.1}"], ["3.2"]).values.tolist() == [0.0]
    assert scored(make_rollouts, [r"\boxed{3.1}"], ["3.2"], absolute=0.2).values.tolist() == [1.0]


def test_it_stands_in_recipes_and_says_what_it_gives():
    recipe = Recipe.from_yaml("task: jsonl\nreward: {verify: {kind: numeric, relative: 0.01}}\n")
    (part,) = recipe.reward.values()
    assert isinstance(part, Verify)
    assert parts.find("reward", "verify") is Verify
    assert Trait.BINARY_REWARD in part.traits().provides
    assert Trait.BINARY_REWARD not in Verify(weight=0.5).traits().provides
    assert Trait.BINARY_REWARD not in Verify(kind="reasoning-gym").traits().provides


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "numbers"}, "Input should be 'auto'"),
        ({"kind": "code"}, "set run_code: true"),
        ({"absolute": -1.0}, "greater than or equal to 0"),
        ({"seconds": 0.0}, "greater than 0"),
        ({"tolerance": 1.0}, "Extra inputs"),
    ],
)
def test_bad_options_are_refused(options, said):
    with pytest.raises(ValidationError, match=said):
        Verify(**options)
