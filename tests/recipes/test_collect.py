"""Batches put together of filtered groups keep everything that was measured."""

from __future__ import annotations

import math

import torch

from scorecraft.problem import Outcome
from scorecraft.recipes.collect import concatenate, select
from scorecraft.scores import RewardTable, Scores


def table(values: list[float], **metrics: list[float]) -> RewardTable:
    measured = {name: torch.tensor(numbers) for name, numbers in metrics.items()}
    total = torch.tensor(values)
    scores = Scores(total, (Outcome.SCORED,) * len(values), metrics=measured)
    return RewardTable(total, torch.ones(len(values), dtype=torch.bool), {"one": scores})


def test_what_was_measured_stays_with_its_rollout():
    joined = concatenate([table([1.0, 0.0], ratio=[0.5, 0.25]), table([0.0], ratio=[0.75])])
    assert joined.parts["one"].metrics["ratio"].tolist() == [0.5, 0.25, 0.75]
    kept = select(joined, torch.tensor([False, True, True]))
    assert kept.parts["one"].metrics["ratio"].tolist() == [0.25, 0.75]


def test_what_one_batch_alone_measured_is_missing_in_the_others():
    joined = concatenate([table([1.0]), table([0.0, 1.0], ratio=[0.5, 0.25])])
    found = joined.parts["one"].metrics["ratio"].tolist()
    assert math.isnan(found[0])
    assert found[1:] == [0.5, 0.25]
