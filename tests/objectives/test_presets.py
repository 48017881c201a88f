import math

import pytest
import torch
from pydantic import ValidationError

from scorecraft import parts
from scorecraft.context import Context
from scorecraft.scores import RewardTable


def advantages(make_rollouts, name, options):
    rollouts = make_rollouts([[1]] * 5, [0, 0, 0, 0, 1])
    total = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.6])
    table = RewardTable(total, torch.ones(5, dtype=torch.bool), {})
    part = parts.find("advantage", name).model_validate(options)
    return part(total[:, None], rollouts, table, Context(task=None, generator=torch.Generator())).values[:, 0].tolist()


# Rewards 1 0 0 1 with mean .5 and sample deviation sqrt(1/3), and a group of one rollout with reward .6.
S = math.sqrt(1 / 3)


@pytest.mark.parametrize(
    ("name", "preset", "high", "alone"),
    [
        ("group-standardized", "trl", 0.5 / (S + 1e-4), 0.0),
        ("group-standardized", "verl", 0.5 / (S + 1e-6), 0.6 / (1 + 1e-6)),
        ("group-standardized", "skyrl", 0.5 / (S + 1e-6), 0.6 / (1 + 1e-6)),
        ("group-standardized", "prime-rl", 0.5, 0.0),
        ("group-standardized", "dr-grpo", 0.5, 0.0),
        ("group-mean", "verl", 0.5, 0.6),
        ("group-mean", "prime-rl", 0.5, 0.0),
        ("leave-one-out", "trl", 2 / 3, 0.0),
        ("leave-one-out", "verl", 2 / 3, 0.6),
        ("leave-one-out", "skyrl", 2 / 3, 0.0),
    ],
)
def test_hand_vectors(make_rollouts, name, preset, high, alone):
    values = advantages(make_rollouts, name, {"preset": preset})
    assert values == pytest.approx([high, -high, -high, high, alone], abs=1e-6)


def test_written_options_win_over_the_preset(make_rollouts):
    values = advantages(make_rollouts, "group-standardized", {"preset": "verl", "epsilon": 1.0, "singleton": "zero"})
    assert values == pytest.approx([0.5 / (S + 1), -0.5 / (S + 1), -0.5 / (S + 1), 0.5 / (S + 1), 0.0], abs=1e-6)


def test_resolved_part_is_written_out_and_read_back_the_same():
    part = parts.find("advantage", "group-standardized").model_validate({"preset": "verl", "ddof": 0})
    written = part.model_dump()
    assert written == {"preset": "verl", "epsilon": 1e-6, "ddof": 0, "singleton": "raw", "deviation": "group"}
    assert type(part).model_validate(written) == part


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("group-standardized", {"preset": "openrlhf"}),
        ("leave-one-out", {"preset": "prime-rl"}),
        ("group-standardized", {"epsilon": -1.0}),
        ("group-standardized", {"eps": 1e-4}),
    ],
)
def test_unknown_options_are_refused(name, options):
    with pytest.raises(ValidationError):
        parts.find("advantage", name).model_validate(options)
