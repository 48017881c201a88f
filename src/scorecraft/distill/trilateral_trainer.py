"""A distillation loop in which every sample has its own fusion ratio, learned or by a rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from scorecraft.catalog import implements
from scorecraft.distill.fusion_ratios import RatioRule
from scorecraft.distill.trilateral_distillation import (
    DistillationBatch,
    FusionNet,
    bilevel_step,
    fused_loss,
    kd_per_sample,
)
from scorecraft.distill.trilateral_features import check_labels, class_average_teacher
from scorecraft.errors import ScorecraftError

Compat = Literal["paper", "published-code"]


@dataclass
class DistillationHistory:
    """What became of training, an entry an epoch: mean loss, ratio of every training row, held-out loss."""

    loss: list[float] = field(default_factory=list)
    ratios: list[Float32[Tensor, " row"]] = field(default_factory=list)
    held_loss: list[float] = field(default_factory=list)


@implements("trilateral-distillation")
class TGeoKDTrainer:
    """Distils a teacher into a student with a ratio for each sample, learned from held-out data.

    Every ``update_every`` steps `bilevel_step` moves the fusion net; then the student takes an ordinary step on the
    fused loss with ratios of the new net. With a rule from `scorecraft.distill.fusion_ratios` in the net's place the
    same loop is plain distillation, or a published re-weighting.

    The teacher is frozen: its logits of all rows are computed once and kept.

    Source: arXiv 2312.15112.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        fusion: FusionNet | RatioRule,
        *,
        tau: float = 4.0,
        inner_lr: float | None = None,
        val_fraction: float = 0.1,
        update_every: int = 1,
        epochs: int = 60,
        batch_size: int = 64,
        lr: float = 5e-3,
        fusion_lr: float = 3e-3,
        optimizer: Literal["adam", "sgd"] = "adam",
        seed: int = 0,
        compat: Compat = "paper",
    ) -> None:
        """Keep the settings.

        Args:
            student: inputs to logits; trained in place.
            teacher: inputs to logits.
            fusion: the net that is trained, or a rule.
            tau: temperature of the soft loss, above 0.
            inner_lr: step of the look-ahead; ``lr`` with "sgd" and 0.1 with "adam" where not given.
            val_fraction: share of the rows that is held out where `fit` is given no rows, in (0, 1).
            update_every: student steps between steps of the net; a step of the net costs about two of the student's.
            epochs: passes over the training rows.
            batch_size: rows of a step, for training and held-out rows alike.
            lr: learning rate of the student.
            fusion_lr: learning rate of the net, with Adam.
            optimizer: of the student.
            seed: of the order of rows.
            compat: "published-code" repeats two defects of the paper's code: the net gets no gradient and stays as it
                was initialised, and cross entropy is taken of probabilities as if they were logits.

        Raises `ScorecraftError` for settings outside their range.
        """
        for name, value in (("tau", tau), ("lr", lr), ("fusion_lr", fusion_lr), ("inner_lr", inner_lr or 0.1)):
            if not value > 0:
                raise ScorecraftError(f"TGeoKDTrainer: expected {name} above 0, got {value:g}")
        if min(update_every, epochs, batch_size) < 1:
            raise ScorecraftError(
                f"TGeoKDTrainer: expected update_every, epochs and batch_size of at least 1, got {update_every}, "
                f"{epochs} and {batch_size}"
            )
        if not 0 < val_fraction < 1:
            raise ScorecraftError(f"TGeoKDTrainer: expected val_fraction in (0, 1), got {val_fraction:g}")
        self.student: nn.Module = student
        self.teacher: nn.Module = teacher
        self.fusion: FusionNet | RatioRule = fusion
        self.tau: float = tau
        self.inner_lr: float = inner_lr or (lr if optimizer == "sgd" else 0.1)
        self.val_fraction: float = val_fraction
        self.update_every: int = update_every
        self.epochs: int = epochs
        self.batch_size: int = batch_size
        self.compat: Compat = compat
        self.history: DistillationHistory = DistillationHistory()
        self._random: torch.Generator = torch.Generator().manual_seed(seed)
        make = torch.optim.Adam if optimizer == "adam" else torch.optim.SGD
        self._opt_student: torch.optim.Optimizer = make(student.parameters(), lr=lr)
        self._opt_fusion: torch.optim.Optimizer | None = None
        if isinstance(fusion, FusionNet):
            self._opt_fusion = torch.optim.Adam(fusion.parameters(), lr=fusion_lr)

    def fit(
        self,
        x: Tensor,
        y: Int64[Tensor, " row"],
        train_index: Int64[Tensor, " train"] | None = None,
        val_index: Int64[Tensor, " held"] | None = None,
    ) -> TGeoKDTrainer:
        """Train the student, and return the trainer.

        Args:
            x: inputs, a row a sample.
            y: labels.
            train_index: rows to train on; all that are not held out where not given.
            val_index: held-out rows, with labels that can be trusted; ``val_fraction`` of all, chosen at random, where
                not given. A rule looks at none of them.

        Raises `ScorecraftError` for labels outside the classes, a teacher or fusion net of other classes than the
        student, no training rows, rows both trained on and held out, and no held-out rows for a net.
        """
        train, held = self._split(len(y), train_index, val_index)
        self.teacher.eval()
        with torch.no_grad():
            teacher_logits = self.teacher(x).float()
        classes = teacher_logits.shape[1]
        check_labels(y, classes)
        if isinstance(self.fusion, FusionNet) and self.fusion.classes != classes:
            raise ScorecraftError(
                f"TGeoKDTrainer: the fusion net is for {self.fusion.classes} classes, the teacher has {classes}"
            )
        averages = class_average_teacher(teacher_logits[train].softmax(1), y[train], classes)
        data = DistillationBatch(x[train], y[train], teacher_logits[train], averages[y[train]])
        steps = self.epochs * -(-len(train) // self.batch_size)
        step = 0
        for _ in range(self.epochs):
            losses, ratios, held_losses = [], torch.empty(len(train)), []
            self.student.train()
            for rows in self._batches(len(train)):
                batch = DistillationBatch(data.x[rows], data.y[rows], data.teacher_logits[rows], data.average[rows])
                if self._learns() and step % self.update_every == 0:
                    held_losses.append(self._fusion_step(batch, x, y, held))
                loss, alpha = self._student_step(batch, step / steps)
                losses.append(loss * len(rows))
                ratios[rows] = alpha
                step += 1
            self.history.loss.append(sum(losses) / len(train))
            self.history.ratios.append(ratios)
            self.history.held_loss += [sum(held_losses) / len(held_losses)] if held_losses else []
        self.student.eval()
        return self

    def predict(self, x: Tensor) -> Int64[Tensor, " row"]:
        """Return the student's class of each row."""
        self.student.eval()
        with torch.no_grad():
            return self.student(x).argmax(1)

    def score(self, x: Tensor, y: Int64[Tensor, " row"]) -> float:
        """Return the student's accuracy."""
        return float((self.predict(x) == y).float().mean())

    def _learns(self) -> bool:
        return isinstance(self.fusion, FusionNet) and self.compat == "paper"

    def _fusion_step(self, batch: DistillationBatch, x: Tensor, y: Tensor, held: Tensor) -> float:
        assert isinstance(self.fusion, FusionNet)
        assert self._opt_fusion is not None
        rows = held[torch.randperm(len(held), generator=self._random)[: self.batch_size]]
        return bilevel_step(
            self.student, self.fusion, self._opt_fusion, batch, (x[rows], y[rows]), self.inner_lr, self._loss
        )

    def _student_step(self, batch: DistillationBatch, done: float) -> tuple[float, Tensor]:
        logits = self.student(batch.x)
        with torch.no_grad():
            if isinstance(self.fusion, FusionNet):
                alpha = self.fusion.ratios(logits, batch)
            else:
                alpha = self.fusion(logits.detach(), batch.teacher_logits, batch.y, done)
        loss = self._loss(logits, batch.teacher_logits, batch.y, alpha)
        self._opt_student.zero_grad(set_to_none=True)
        loss.backward()
        self._opt_student.step()
        return float(loss.detach()), alpha

    def _loss(self, student: Tensor, teacher: Tensor, y: Tensor, alpha: Tensor) -> Tensor:
        if self.compat == "paper":
            return fused_loss(student, teacher, y, alpha, self.tau)[0]
        soft = self.tau**2 * kd_per_sample(student, teacher, self.tau)
        return (alpha * soft + (1 - alpha) * F.cross_entropy(student.softmax(1), y, reduction="none")).mean()

    def _batches(self, rows: int) -> Iterator[Tensor]:
        yield from torch.randperm(rows, generator=self._random).split(self.batch_size)

    def _split(self, rows: int, train_index: Tensor | None, val_index: Tensor | None) -> tuple[Tensor, Tensor]:
        everything = torch.arange(rows)
        if val_index is None:
            free = everything if train_index is None else everything[~torch.isin(everything, train_index)]
            count = min(round(self.val_fraction * rows), len(free))
            val_index = free[torch.randperm(len(free), generator=self._random)[:count]]
        if train_index is None:
            train_index = everything[~torch.isin(everything, val_index)]
        shared = train_index[torch.isin(train_index, val_index)]
        if len(shared):
            raise ScorecraftError(
                f"TGeoKDTrainer: {len(shared)} rows are both trained on and held out, such as row {int(shared[0])}; "
                "held-out rows must not be trained on"
            )
        if not len(train_index):
            raise ScorecraftError("TGeoKDTrainer: no rows to train on")
        if self._learns() and not len(val_index):
            raise ScorecraftError("TGeoKDTrainer: no held-out rows, from which the fusion net learns; give val_index")
        return train_index, val_index
