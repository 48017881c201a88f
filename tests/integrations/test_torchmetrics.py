"""Our torchmetrics give what the functions give of all rows: batch by batch, in two processes, together, kept, half."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

pytest.importorskip("torchmetrics")

from torchmetrics import MetricCollection

import scorecraft.metrics as functions
from scorecraft.errors import ScorecraftError
from scorecraft.integrations.torchmetrics import (
    ROCAUC,
    AveragePrecision,
    BalanceScore,
    BrierScore,
    CalibrationError,
    ConfusionMetric,
    FPRAtTPR,
    LogLoss,
    RankedProbabilityScore,
    SphericalScore,
)
from scorecraft.metrics.balance_score import balance_score, balance_score_multiclass


def rows(seed=0, count=257):
    random = np.random.default_rng(seed)
    prob = random.uniform(0.02, 0.98, count)
    return torch.tensor(prob), torch.tensor(random.random(count) < prob).long()


def labels(p):
    return (torch.as_tensor(p) >= 0.5).long()


BINARY = {
    "brier": (BrierScore, functions.brier_score),
    "log-loss": (LogLoss, functions.log_loss),
    "spherical": (SphericalScore, functions.spherical_score),
    "ranked": (RankedProbabilityScore, functions.ranked_probability_score),
    "balance": (BalanceScore, balance_score),
    "ece": (CalibrationError, functions.expected_calibration_error),
    "mce": (lambda: CalibrationError("maximum", 10), lambda y, p: functions.maximum_calibration_error(y, p, n_bins=10)),
    "debiased": (lambda: CalibrationError("debiased"), functions.squared_calibration_error),
    "g-mean": (lambda: ConfusionMetric("g_mean"), lambda y, p: functions.g_mean(y, labels(p))),
    "mcc": (lambda: ConfusionMetric("mcc"), lambda y, p: functions.matthews_correlation(y, labels(p))),
    "f2": (lambda: ConfusionMetric("f_beta", beta=2.0), lambda y, p: functions.f_beta(y, labels(p), 2.0)),
    "auroc": (ROCAUC, functions.roc_auc),
    "aupr": (AveragePrecision, functions.average_precision),
    "fpr": (FPRAtTPR, functions.fpr_at_tpr),
}


@pytest.mark.parametrize("name", BINARY)
def test_batches_give_what_all_rows_give(name):
    make, function = BINARY[name]
    prob, target = rows()
    metric = make()
    for part in torch.arange(len(prob)).split(50):
        metric.update(prob[part], target[part])
    expected = pytest.approx(function(target.numpy(), prob.numpy()), abs=1e-12)
    assert float(metric.compute()) == expected
    again = pickle.loads(pickle.dumps(metric))
    assert float(again.compute()) == expected
    # In parts that are merged, and after a new start.
    other = make()
    other.update(prob[:100], target[:100])
    rest = make()
    rest.update(prob[100:], target[100:])
    other.merge_state(rest)
    assert float(other.compute()) == expected
    metric.reset()
    metric.update(prob, target)
    assert float(metric.compute()) == expected


def test_classes():
    random = np.random.default_rng(0)
    prob = random.dirichlet([1, 1, 1], 60)
    target = random.integers(3, size=60)
    for metric, function in (
        (BrierScore(), functions.brier_score),
        (LogLoss(), functions.log_loss),
        (
            RankedProbabilityScore(normalized=True),
            lambda y, p: functions.ranked_probability_score(y, p, normalized=True),
        ),
        (CalibrationError(), functions.expected_calibration_error),
        (BalanceScore(), balance_score_multiclass),
    ):
        for part in np.array_split(np.arange(60), 4):
            metric.update(torch.tensor(prob[part]), torch.tensor(target[part]))
        assert float(metric.compute()) == pytest.approx(function(target, prob), abs=1e-12)


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_few_bits_are_taken_as_they_are(kind):
    prob, target = rows()
    prob = prob.to(kind)
    for make, function in BINARY.values():
        metric = make()
        metric.update(prob, target)
        assert float(metric.compute()) == pytest.approx(function(target, prob), abs=1e-9)


def test_a_collection_and_forward():
    prob, target = rows()
    together = MetricCollection({"brier": BrierScore(), "ece": CalibrationError(), "auroc": ROCAUC()})
    now = together(prob[:100], target[:100])
    assert float(now["brier"]) == pytest.approx(functions.brier_score(target[:100], prob[:100]))
    together(prob[100:], target[100:])
    assert float(together.compute()["auroc"]) == pytest.approx(functions.roc_auc(target, prob))


TWO = """
import sys
import torch
import torch.distributed as dist
sys.path.insert(0, {folder!r})
from test_torchmetrics import BINARY, rows
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://{file}", rank=rank, world_size=2)
prob, target = rows()
# Unequal shares: 200 rows and 57.
own = slice(0, 200) if rank == 0 else slice(200, None)
for name, (make, function) in BINARY.items():
    metric = make()
    metric.update(prob[own], target[own])
    found, expected = float(metric.compute()), float(function(target.numpy(), prob.numpy()))
    assert abs(found - expected) < 1e-12, (name, rank, found, expected)
print("same")
dist.destroy_process_group()
"""


def test_two_processes_give_what_one_gives(tmp_path):
    code = TWO.format(folder=str(__import__("pathlib").Path(__file__).parent), file=tmp_path / "meeting")
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(rank)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    for process in running:
        out, error = process.communicate()
        assert process.returncode == 0, error[-3000:]
        assert "same" in out


@pytest.mark.parametrize("name", BINARY)
def test_no_rows_are_told(name):
    metric = BINARY[name][0]()
    with pytest.warns(UserWarning, match="before the"), pytest.raises(ScorecraftError, match="no rows yet"):
        metric.compute()


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(
    ("prob", "target"),
    [
        (torch.tensor([0.5, float("nan")]), torch.tensor([0, 1])),
        (torch.tensor([0.5, 0.25]), torch.tensor([0, 2])),
        (torch.tensor([0.5]), torch.tensor([0, 1])),
    ],
)
@pytest.mark.filterwarnings("ignore::scorecraft.errors.ScorecraftWarning")
def test_bad_batches_are_told(name, prob, target):
    metric = BINARY[name][0]()
    with pytest.raises(ScorecraftError):
        metric(prob, target)  # ranks look at their rows only when they are put in order


def test_bad_settings_are_told():
    with pytest.raises(ScorecraftError, match="no metric 'f3'"):
        ConfusionMetric("f3")
    with pytest.raises(ScorecraftError, match="n_bins"):
        CalibrationError(n_bins=0)
    with pytest.raises(ScorecraftError):
        CalibrationError("largest")  # pyright: ignore[reportArgumentType]
