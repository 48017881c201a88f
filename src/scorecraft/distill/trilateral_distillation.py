"""Per-sample mixing of a soft and a hard loss, by a small net that is trained to make the next student better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from scorecraft.catalog import implements
from scorecraft.distill.trilateral_features import (
    Kind,
    check_labels,
    feature_name,
    feature_size,
    trilateral_features,
)
from scorecraft.errors import ScorecraftError, TrainingStopped

LossOfRatio = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Student logits, teacher logits, labels and ratios give the loss of a batch."""


class FusedParts(NamedTuple):
    """The parts of a fused loss by sample, detached: ``tau^2 KL``, cross entropy, and the weighted sum."""

    soft: Float32[Tensor, " sample"]
    hard: Float32[Tensor, " sample"]
    total: Float32[Tensor, " sample"]


@dataclass(frozen=True, slots=True)
class DistillationBatch:
    """Training samples with what is known of them: inputs, labels, teacher logits, the teacher's class average."""

    x: Tensor
    y: Int64[Tensor, " sample"]
    teacher_logits: Float32[Tensor, "sample teacher_class"]
    average: Float32[Tensor, "sample teacher_class"]


@implements("trilateral-distillation")
class FusionNet(nn.Module):
    """A small net from the geometry of a sample to its fusion ratio.

    ``Linear - LeakyReLU - Linear - LeakyReLU - Linear - sigmoid``. It is given the number of classes and the kind of
    features, not a size, so that it cannot disagree with its features.

    Source: arXiv 2312.15112, section 3, and its published code (32 and 16 hidden units).
    """

    def __init__(self, classes: int, kind: Kind = "vertices+edges", hidden: Sequence[int] = (32, 16)) -> None:
        super().__init__()
        self.classes: int = classes
        self.kind: Kind = kind
        sizes = [feature_size(classes, kind), *hidden]
        layers: list[nn.Module] = []
        for inner, outer in pairwise(sizes):
            layers += [nn.Linear(inner, outer), nn.LeakyReLU()]
        self.layers: nn.Sequential = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))

    def forward(self, features: Float32[Tensor, "sample feature"]) -> Float32[Tensor, " sample"]:
        """Return the ratio of each sample, in (0, 1), from its features."""
        return torch.sigmoid(self.layers(features)).squeeze(1)

    def ratios(
        self, student_logits: Float32[Tensor, "sample class"], batch: DistillationBatch
    ) -> Float32[Tensor, " sample"]:
        """Return the ratio of each sample of a batch for a student's logits; its gradient reaches this net alone.

        Args:
            student_logits: of the samples of the batch.
            batch: the samples.

        Raises `TrainingStopped` where a ratio is not finite, with the first feature that is not, and `ScorecraftError`
        for other classes of the teacher than of the student.
        """
        _check_logits(student_logits, batch.teacher_logits)
        label = F.one_hot(batch.y, self.classes).float()
        student, teacher = student_logits.detach().softmax(1), batch.teacher_logits.softmax(1)
        features = trilateral_features(student, teacher, label, batch.average, self.kind)
        alpha = self(features)
        if not torch.isfinite(alpha).all():
            self._stop(features)
        return alpha

    def _stop(self, features: Tensor) -> None:
        places = (~torch.isfinite(features)).nonzero()
        if len(places):
            row, column = places[0].tolist()
            where = f"feature '{feature_name(column, self.classes, self.kind)}' of sample {row} is "
            where += f"{float(features[row, column])}; look for infinite logits"
        else:
            where = "all features are finite, so the net's own weights are not; lower its learning rate"
        raise TrainingStopped(f"the fusion ratio is not finite: {where}")


@implements("trilateral-distillation")
def kd_per_sample(
    student_logits: Float32[Tensor, "sample class"],
    teacher_logits: Float32[Tensor, "sample teacher_class"],
    tau: float = 4.0,
) -> Float32[Tensor, " sample"]:
    """Return ``KL(softmax(teacher / tau) || softmax(student / tau))`` of each sample, in nats.

    Args:
        student_logits: of each sample.
        teacher_logits: of each sample.
        tau: temperature, above 0.

    Raises `ScorecraftError` for other classes of the teacher than of the student, or a temperature not above 0.

    Source: Distilling the Knowledge in a Neural Network, 2015, arXiv 1503.02531.
    """
    _check_logits(student_logits, teacher_logits)
    if not tau > 0:
        raise ScorecraftError(f"distillation: expected a temperature above 0, got {tau:g}")
    own, other = (student_logits / tau).log_softmax(1), (teacher_logits / tau).log_softmax(1)
    return F.kl_div(own, other, reduction="none", log_target=True).sum(1)


@implements("trilateral-distillation")
def fused_loss(
    student_logits: Float32[Tensor, "sample class"],
    teacher_logits: Float32[Tensor, "sample teacher_class"],
    y: Int64[Tensor, " sample"],
    alpha: Float32[Tensor, " sample"],
    tau: float = 4.0,
) -> tuple[Float32[Tensor, ""], FusedParts]:
    """Return the mean of ``alpha tau^2 KL + (1 - alpha) CE`` over samples, and its parts.

    Args:
        student_logits: of each sample.
        teacher_logits: of each sample.
        y: labels.
        alpha: fusion ratio of each sample; 1 follows the teacher alone, 0 the label alone.
        tau: temperature of the soft loss, above 0.

    Raises `ScorecraftError` as `kd_per_sample`, for no samples, for labels outside the classes, and for a ratio
    outside [0, 1].

    Source: arXiv 2312.15112, equation 1.
    """
    soft = tau**2 * kd_per_sample(student_logits, teacher_logits, tau)
    if not len(y):
        raise ScorecraftError("fused_loss: no samples; expected one or more")
    check_labels(y, student_logits.shape[1])
    outside = ~((alpha >= 0) & (alpha <= 1))
    if outside.any():
        place = int(outside.nonzero()[0, 0])
        raise ScorecraftError(f"fused_loss: the ratio of sample {place} is {float(alpha[place])}; expected [0, 1]")
    hard = F.cross_entropy(student_logits, y, reduction="none")
    total = alpha * soft + (1 - alpha) * hard
    return total.mean(), FusedParts(soft.detach(), hard.detach(), total.detach())


@implements("trilateral-distillation")
def bilevel_step(
    student: nn.Module,
    fusion: FusionNet,
    opt_fusion: torch.optim.Optimizer,
    batch: DistillationBatch,
    val_batch: tuple[Tensor, Int64[Tensor, " held"]],
    inner_lr: float = 0.1,
    loss_fn: LossOfRatio = lambda student, teacher, y, alpha: fused_loss(student, teacher, y, alpha)[0],
) -> float:
    """Take one step of the fusion net towards ratios that make the student better, and return the held-out loss.

    ``theta' = theta - inner_lr grad_theta mean_i L_i(theta, alpha_i(w))``, then a step of ``w`` along the gradient of
    ``CE(theta'; held-out batch)``. The student is left as it was, its gradients and running statistics included: the
    look-ahead works on copies of its buffers, in the mode (train or eval) that the student is in. The graph of the
    look-ahead is kept until the end, so that memory is about twice that of an ordinary step.

    Args:
        student: inputs to logits.
        fusion: the net that gives the ratios.
        opt_fusion: its optimizer.
        batch: training samples.
        val_batch: held-out inputs and labels.
        inner_lr: step of the look-ahead, above 0.
        loss_fn: see `LossOfRatio`; `fused_loss` at its defaults unless given.

    Raises `ScorecraftError` for an empty held-out batch, labels outside the classes, or a step that is not above 0.

    Source: arXiv 2312.15112, equation 2; the paper leaves the solver open, one look-ahead step is ours.
    """
    held_x, held_y = val_batch
    if not len(held_y):
        raise ScorecraftError("bilevel_step: the validation batch is empty; the fusion net learns from it alone")
    if not inner_lr > 0:
        raise ScorecraftError(f"bilevel_step: expected a look-ahead step above 0, got {inner_lr:g}")
    weights = {name: weight for name, weight in student.named_parameters() if weight.requires_grad}
    buffers = {name: buffer.clone() for name, buffer in student.named_buffers()}
    logits = functional_call(student, {**weights, **buffers}, (batch.x,))
    check_labels(held_y, logits.shape[1])
    loss = loss_fn(logits, batch.teacher_logits, batch.y, fusion.ratios(logits, batch))
    slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True, allow_unused=True)
    ahead = {
        name: weight if slope is None else weight - inner_lr * slope
        for (name, weight), slope in zip(weights.items(), slopes, strict=True)
    }
    held_loss = F.cross_entropy(functional_call(student, {**ahead, **buffers}, (held_x,)), held_y)
    own = [weight for weight in fusion.parameters() if weight.requires_grad]
    opt_fusion.zero_grad(set_to_none=True)
    for weight, slope in zip(own, torch.autograd.grad(held_loss, own), strict=True):
        weight.grad = slope
    opt_fusion.step()
    return float(held_loss.detach())


def _check_logits(student: Tensor, teacher: Tensor) -> None:
    if student.shape != teacher.shape:
        raise ScorecraftError(
            f"distillation: the student's logits have shape {tuple(student.shape)}, the teacher's "
            f"{tuple(teacher.shape)}; expected the same samples and classes"
        )
