"""Fusion ratios that are not learned: a fixed one, one that falls, and one from the losses of student and teacher.

A rule takes the student's and the teacher's logits, the labels and the share of training that is done, and returns
how much of each sample's loss follows the teacher.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn import functional as F

from scorecraft.errors import ScorecraftError

RatioRule = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def fixed_ratio(alpha: float) -> RatioRule:
    """Return the rule of plain distillation: one ratio for every sample and all of training.

    Args:
        alpha: 1 follows the teacher alone, 0 the label alone.

    Raises `ScorecraftError` for a ratio outside [0, 1].

    Source: Distilling the Knowledge in a Neural Network, 2015, arXiv 1503.02531.
    """
    if not 0 <= alpha <= 1:
        raise ScorecraftError(f"fixed_ratio: expected a ratio in [0, 1], got {alpha:g}")

    def rule(student: Tensor, teacher: Tensor, y: Tensor, done: float) -> Tensor:
        return torch.full(y.shape, alpha)

    return rule


def annealed_ratio(
    student_logits: Float32[Tensor, "sample class"],
    teacher_logits: Float32[Tensor, "sample class"],
    y: Int64[Tensor, " sample"],
    done: float,
) -> Float32[Tensor, " sample"]:
    """Return ``1 - done`` for every sample: the teacher first, then more and more the label.

    Args:
        student_logits: not used.
        teacher_logits: not used.
        y: labels.
        done: share of training that is done, in [0, 1].

    Source: Annealing Knowledge Distillation, 2021, arXiv 2104.07163, as a linear schedule.
    """
    return torch.full(y.shape, 1 - done)


def loss_ratio(
    student_logits: Float32[Tensor, "sample class"],
    teacher_logits: Float32[Tensor, "sample class"],
    y: Int64[Tensor, " sample"],
    done: float = 0.0,
) -> Float32[Tensor, " sample"]:
    """Return ``1 - exp(-CE(student) / CE(teacher))``: follow the teacher where it knows the label better.

    Args:
        student_logits: of each sample; no gradient flows through them.
        teacher_logits: of each sample.
        y: labels.
        done: not used.

    Source: Rethinking Soft Labels for Knowledge Distillation: A Bias-Variance Tradeoff Perspective, 2021,
    arXiv 2102.00650, section 4; its weight of the soft loss, taken as the fusion ratio.
    """
    own = F.cross_entropy(student_logits.detach(), y, reduction="none")
    # A teacher that is certain of the label has a loss of 0, and is followed.
    known = F.cross_entropy(teacher_logits.detach(), y, reduction="none").clamp(min=1e-12)
    return 1 - torch.exp(-own / known)
