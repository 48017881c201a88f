"""Our metrics as torchmetrics have them: batch by batch, over processes, and together in a ``MetricCollection``.

What is a sum over rows is kept as sums and so needs no more memory as rows come; processes add theirs. Ranks need the
rows themselves. ``update(preds, target)`` has torchmetrics' order; predictions are probabilities: of the label 1,
``[row]``, or of every class, ``[row, class]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from scorecraft.errors import ScorecraftError, require
from scorecraft.metrics.balance_score import balance_score_multiclass, balance_terms
from scorecraft.metrics.binning import bin_sums, labels_and_column
from scorecraft.metrics.calibration_errors import Measure, measure_of
from scorecraft.metrics.imbalanced_metrics import Confusion, confusion, imbalanced_metrics
from scorecraft.metrics.ranking import average_precision, fpr_at_tpr, roc_auc
from scorecraft.metrics.scoring_rules import (
    brier_scores,
    log_losses,
    ranked_probability_scores,
    spherical_scores,
)

require("torchmetrics", "torchmetrics", "metrics for torchmetrics")
from torchmetrics import Metric  # noqa: E402 - after the message that it is absent
from torchmetrics.utilities import dim_zero_cat  # noqa: E402


class MeanScore(Metric):
    """Mean over rows of a scoring rule: the base of those that are one.

    States: the sum of the scores, in 64 bits, and the number of rows; both add up over processes.
    """

    full_state_update = False
    is_differentiable = False
    total: Tensor
    rows: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("rows", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch; raises `ScorecraftError` for what is no probability or no label."""
        scores = self.scores(target, preds)
        self.total += float(np.sum(scores))
        self.rows += len(scores)

    def compute(self) -> Tensor:
        """Return the mean over all rows; raises `ScorecraftError` where there were none."""
        if not int(self.rows):
            raise ScorecraftError(f"{type(self).__name__}: no rows yet; call update first")
        return self.total / self.rows

    def scores(self, target: Tensor, preds: Tensor) -> Any:
        """Return the score of each row."""
        raise NotImplementedError


class BrierScore(MeanScore):
    """`scorecraft.metrics.brier_score`."""

    higher_is_better = False

    def scores(self, target: Tensor, preds: Tensor) -> Any:
        """Return the Brier score of each row."""
        return brier_scores(target, preds)


class LogLoss(MeanScore):
    """`scorecraft.metrics.log_loss`; infinite where something happened that was given the probability 0."""

    higher_is_better = False

    def __init__(self, clip: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.clip = clip

    def scores(self, target: Tensor, preds: Tensor) -> Any:
        """Return the log loss of each row."""
        return log_losses(target, preds, clip=self.clip)


class SphericalScore(MeanScore):
    """`scorecraft.metrics.spherical_score`."""

    higher_is_better = True

    def scores(self, target: Tensor, preds: Tensor) -> Any:
        """Return the spherical score of each row."""
        return spherical_scores(target, preds)


class RankedProbabilityScore(MeanScore):
    """`scorecraft.metrics.ranked_probability_score`."""

    higher_is_better = False

    def __init__(self, *, normalized: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.normalized = normalized

    def scores(self, target: Tensor, preds: Tensor) -> Any:
        """Return the ranked probability score of each row."""
        return ranked_probability_scores(target, preds, normalized=self.normalized)


class BalanceScore(MeanScore):
    """`scorecraft.metrics.balance_score`, or its form for several classes; 0 is ideal."""

    def scores(self, target: Tensor, preds: Tensor) -> Any:
        """Return the gain of each row."""
        if preds.ndim == 1:
            return balance_terms(target, preds)
        return np.full(len(preds), balance_score_multiclass(target, preds))


class CalibrationError(Metric):
    """`scorecraft.metrics.expected_calibration_error` and its kin over bins of equal width, of one column or the top
    label.

    States: rows, probabilities and their squares by label and bin; all add up over processes.

    Args:
        measure: "expected", "maximum", "squared" or "debiased".
        n_bins: number of bins.
        options: of ``torchmetrics.Metric``.

    Raises `ScorecraftError` for another measure or fewer than 1 bin.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False
    counts: Tensor
    prob: Tensor
    squares: Tensor

    def __init__(self, measure: Measure = "expected", n_bins: int = 15, **options: Any) -> None:
        super().__init__(**options)
        if n_bins < 1:
            raise ScorecraftError(f"n_bins: expected a whole number of at least 1, got {n_bins}")
        self.measure, self.n_bins = measure_of(measure), n_bins
        self.add_state("counts", torch.zeros((2, n_bins), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("prob", torch.zeros((2, n_bins), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("squares", torch.zeros((3, 2, n_bins), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch; raises `ScorecraftError` for what is no probability or no label."""
        new = bin_sums(*labels_and_column(target, preds), self.n_bins, squares=True)
        self.counts += torch.as_tensor(new.rows).to(self.counts)
        self.prob += torch.as_tensor(new.prob).to(self.prob)
        self.squares += torch.as_tensor(new.squares).to(self.squares)

    def compute(self) -> Tensor:
        """Return the error over all rows; raises `ScorecraftError` where there are none."""
        rows = self.counts.cpu().numpy()
        if not rows.any():
            raise ScorecraftError(f"{type(self).__name__}: no rows yet; call update first")
        found = self.measure(rows, rows.astype(np.float64), self.prob.cpu().numpy(), self.squares[0].cpu().numpy())
        return torch.tensor(float(found), dtype=torch.float64)


class ConfusionMetric(Metric):
    """A metric of the confusion matrix of two classes; probabilities count as 1 from the threshold on.

    Args:
        name: a field of `scorecraft.metrics.imbalanced_metrics.ImbalancedMetrics`, such as "g_mean", "mcc" or "f_beta".
        threshold: for predictions that are not labels.
        beta: of "f_beta".
        options: of ``torchmetrics.Metric``.

    Raises `ScorecraftError` for another name.
    """

    full_state_update = False
    is_differentiable = False
    cells: Tensor

    def __init__(self, name: str = "f1", threshold: float = 0.5, beta: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        known = [field for field in imbalanced_metrics(Confusion(1, 1, 1, 1))._fields if field != "undefined"]
        if name not in known:
            raise ScorecraftError(f"no metric '{name}' of the confusion matrix; known: {', '.join(known)}")
        self.name, self.threshold, self.beta = name, threshold, beta
        self.add_state("cells", torch.zeros(4, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch; raises `ScorecraftError` for other labels, and predictions that are not finite."""
        if preds.is_floating_point() and not torch.isfinite(preds).all():
            raise ScorecraftError(f"{type(self).__name__}: expected finite predictions")
        chosen = (preds >= self.threshold).long() if preds.is_floating_point() else preds
        found = confusion(target, chosen)
        self.cells += torch.tensor([round(cell) for cell in found]).to(self.cells)

    def compute(self) -> Tensor:
        """Return the metric over all rows; 0 where it is undefined, as `imbalanced_metrics` says."""
        if not int(self.cells.sum()):
            raise ScorecraftError(f"{type(self).__name__}: no rows yet; call update first")
        found = imbalanced_metrics(Confusion(*self.cells.tolist()), beta=self.beta)
        return torch.tensor(float(getattr(found, self.name)), dtype=torch.float64)


class RankMetric(Metric):
    """A metric of ranks, whose rows are all kept: the base of those that are one."""

    full_state_update = False
    is_differentiable = False
    scores: Any
    labels: Any

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("labels", [], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add a batch of scores ``[row]`` and labels 0 and 1; raises `ScorecraftError` for unequal lengths."""
        if preds.ndim != 1 or preds.shape != target.shape:
            raise ScorecraftError(
                f"{type(self).__name__}: expected scores and labels [row] of one length, got {tuple(preds.shape)} and "
                f"{tuple(target.shape)}"
            )
        self.scores.append(preds.detach().double())
        self.labels.append(target)

    def compute(self) -> Tensor:
        """Return the metric over all rows; raises `ScorecraftError` for none, or one class only."""
        if not len(self.scores):
            raise ScorecraftError(f"{type(self).__name__}: no rows yet; call update first")
        found = self.value(dim_zero_cat(self.labels), dim_zero_cat(self.scores))
        return torch.tensor(found, dtype=torch.float64)

    def value(self, labels: Tensor, scores: Tensor) -> float:
        """Return the metric of all rows."""
        raise NotImplementedError


class ROCAUC(RankMetric):
    """`scorecraft.metrics.roc_auc`."""

    higher_is_better = True

    def value(self, labels: Tensor, scores: Tensor) -> float:
        """Return the area under the ROC curve."""
        return roc_auc(labels, scores)


class AveragePrecision(RankMetric):
    """`scorecraft.metrics.average_precision`."""

    higher_is_better = True

    def value(self, labels: Tensor, scores: Tensor) -> float:
        """Return the average precision."""
        return average_precision(labels, scores)


class FPRAtTPR(RankMetric):
    """`scorecraft.metrics.fpr_at_tpr`.

    Args:
        tpr: share of positives to catch, in (0, 1].
        options: of ``torchmetrics.Metric``.
    """

    higher_is_better = False

    def __init__(self, tpr: float = 0.95, **options: Any) -> None:
        super().__init__(**options)
        self.tpr = tpr

    def value(self, labels: Tensor, scores: Tensor) -> float:
        """Return the false-positive rate."""
        return fpr_at_tpr(labels, scores, self.tpr)
