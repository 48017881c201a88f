"""Fusion ratios by rule, by hand."""

import math

import pytest
import torch

from scorecraft.distill.fusion_ratios import annealed_ratio, fixed_ratio, loss_ratio
from scorecraft.errors import ScorecraftError

Y = torch.tensor([0, 0])
FLAT = torch.zeros(2, 2)


def test_fixed_and_annealed():
    assert fixed_ratio(0.25)(FLAT, FLAT, Y, 0.5).tolist() == [0.25, 0.25]
    assert annealed_ratio(FLAT, FLAT, Y, 0.75).tolist() == [0.25, 0.25]
    for wrong in (1.5, -0.1, math.nan):
        with pytest.raises(ScorecraftError, match="in \\[0, 1\\]"):
            fixed_ratio(wrong)


def test_loss_ratio_by_hand():
    # Student: ln 2 and ln 2. Teacher: ln 2 (as bad: 1 - 1/e) and ln 4, twice as bad: 1 - exp(-1/2).
    teacher = torch.tensor([[0.5, 0.5], [0.25, 0.75]]).log()
    assert loss_ratio(FLAT, teacher, Y).tolist() == pytest.approx([1 - math.exp(-1), 1 - math.exp(-0.5)])


def test_a_certain_teacher_is_followed():
    certain = torch.tensor([[200.0, 0.0], [200.0, 0.0]])
    assert loss_ratio(FLAT, certain, Y).tolist() == [1.0, 1.0]
    assert torch.isfinite(loss_ratio(certain, certain, Y)).all()


def test_no_gradient_through_the_weight():
    student = torch.zeros(2, 2, requires_grad=True)
    assert not loss_ratio(student, FLAT, Y).requires_grad
