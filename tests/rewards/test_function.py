import pytest
import torch

from scorecraft import parts
from scorecraft.errors import ScorecraftError, TrainingStopped
from scorecraft.problem import Outcome, Problem

SOURCE = """
from __future__ import annotations
from dataclasses import dataclass

@dataclass
class Helper:
    scale: float = 2.0

def lengths(prompts, completions, completion_ids=None, **columns):
    assert set(columns) == {"answer", "gold", "level", "source"}
    return [Helper().scale * len(ids) for ids in completion_ids]

def named_columns(completions, answer, level):
    return [None if l is None else float(c == a) + l for c, a, l in zip(completions, answer, level)]

async def later(completions, **columns):
    return [1 for _ in completions]

def tensor(completions, **columns):
    import torch
    return torch.arange(len(completions))

def raises(completions, **columns):
    return [int(c) for c in completions]

def short(completions, **columns):
    return [1.0]

def text(completions, **columns):
    return ["1.0" for _ in completions]

def dictionary(completions, **columns):
    return {"score": 1.0}

def not_a_number(completions, **columns):
    return [1.0, float("nan")]

def wants(completions, leval):
    return [1.0, 1.0]
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "my_reward.py"
    file.write_text(SOURCE)
    return str(file)


@pytest.fixture
def rollouts(make_rollouts):
    problems = [Problem("p", "x", metadata={"level": 1}), Problem("q", "y", metadata={"source": "s"})]
    return make_rollouts([[1, 0, 1], [1]], [0, 1], texts=["x", "z"], problems=problems, padding=2)


def call(path, name, rollouts, context):
    return parts.find("reward", "function")(path=path, function=name)(rollouts, context)


@pytest.mark.parametrize(("name", "expected"), [("lengths", [6.0, 2.0]), ("later", [1.0, 1.0]), ("tensor", [0.0, 1.0])])
def test_values(path, rollouts, context, name, expected):
    assert call(path, name, rollouts, context).values.tolist() == expected


def test_none_abstains_and_columns_are_given_by_name(path, rollouts, context):
    scores = call(path, "named_columns", rollouts, context)
    assert scores.outcomes == (Outcome.SCORED, Outcome.ABSTAINED)
    assert scores.values[0] == 2.0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raises", r"my_reward.py:raises raised ValueError: invalid literal .* \(line 24\)"),
        ("short", "expected 2 values, one per rollout, got 1"),
        ("text", "expected a number or None for rollout 0, got str '1.0'"),
        ("dictionary", "expected a list of 2 numbers, got dict"),
        ("wants", "wants an argument 'leval'.*did you mean 'level'"),
        ("tenser", "no function 'tenser'; did you mean 'tensor'"),
    ],
)
def test_mistakes_name_the_file_the_function_and_the_mending(path, rollouts, context, name, words):
    with pytest.raises(ScorecraftError, match=words):
        call(path, name, rollouts, context)


def test_nan_stops_training_and_names_the_rollout(path, rollouts, context):
    with pytest.raises(TrainingStopped, match="not_a_number gave nan for rollout 1"):
        call(path, "not_a_number", rollouts, context)


def test_files_that_are_missing_or_broken(tmp_path, rollouts, context):
    with pytest.raises(ScorecraftError, match="no file"):
        call(str(tmp_path / "absent.py"), "f", rollouts, context)
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_module_here\n")
    with pytest.raises(ScorecraftError, match=r"cannot be run: ModuleNotFoundError: .* \(line 1\)"):
        call(str(broken), "f", rollouts, context)


def test_a_changed_file_is_read_again(tmp_path, rollouts, context):
    file = tmp_path / "r.py"
    for value in (1.0, 2.5):
        file.write_text(f"def f(completions):\n    return [{value}] * len(completions)  # {'x' * int(value * 4)}\n")
        assert call(str(file), "f", rollouts, context).values.tolist() == [value, value]


def test_trl_accepts_the_same_function(path, rollouts, context):
    # TRL's call (GRPOTrainer._calculate_rewards): keywords, columns repeated per completion, then float32.
    from scorecraft.rewards.function import function_columns, load_function

    function = load_function(path, "lengths")
    columns = function_columns(rollouts)
    theirs = torch.tensor(function(**columns), dtype=torch.float32)
    assert theirs.tolist() == call(path, "lengths", rollouts, context).values.tolist()
    assert columns["completion_ids"] == [[1, 2, 3], [1]]
