"""The fast path against math-verify on a few hundred generated answers, and both against known labels."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from scorecraft.rewards.verify import Options
from scorecraft.rewards.verify.fast import Pending, decide

math_verify = pytest.importorskip("math_verify", reason="math-verify is not installed")
ANSWERS = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "verify_answers.py"))


def theirs(truth: str, completion: str) -> bool:
    return math_verify.verify(math_verify.parse(f"${truth}$"), math_verify.parse(completion))


@pytest.mark.parametrize("seed", [11])
def test_ordinary_answers_are_ruled_as_math_verify_rules_them(seed):
    items = ANSWERS["make_answers"](250, seed=seed)
    decided = 0
    for item in items:
        try:
            found = decide(item.completion, item.truth, Options())
        except Pending:
            continue
        decided += 1
        assert found.correct == item.correct, item
        assert found.correct == theirs(item.truth, item.completion), item
    # What is left to the algebra system is the exception.
    assert decided >= 0.98 * len(items)


def test_where_verifiers_part_ways_the_labels_are_met():
    for item in ANSWERS["make_rough_edges"](560, seed=11):
        try:
            found = decide(item.completion, item.truth, Options())
        except Pending:
            continue
        assert found.correct == item.correct, item


@pytest.mark.parametrize("family", ["math_hard", "math_log"])
def test_what_the_fast_path_does_decide_of_hard_answers_is_right(family):
    import random

    chance = random.Random(5)
    for _ in range(60):
        truth, right, wrong = ANSWERS[family](chance)
        for answer, label in [(one, True) for one in right] + [(one, False) for one in wrong]:
            try:
                found = decide(f"\\boxed{{{answer}}}", truth, Options())
            except Pending:
                continue
            assert found.correct == label, (truth, answer)
