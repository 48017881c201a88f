"""How fast are calibration errors of ten million predictions, and their bootstrap over a million?

The expected calibration error, all checks of the input included, against one NumPy pass without any, and against
torchmetrics and netcal where they can be imported; its interval by resampling bins, against a NumPy loop that resamples
rows, of which a few rounds are timed. Medians of wall-clock time, one thread; the answers are compared.

    python benchmarks/calibration_metrics.py [--no-record]
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from measuring import median_seconds, record

from scorecraft.metrics import (
    brier_score,
    calibration_error_interval,
    expected_calibration_error,
    kernel_calibration_error,
    log_loss,
    roc_auc,
    roc_auc_interval,
)

ROWS, BOOTSTRAP_ROWS, RESAMPLES, TIMED_RESAMPLES, BINS = 10_000_000, 1_000_000, 1000, 20, 15
GOALS = {"against_a_numpy_pass": 1.5, "bootstrap_speedup": 20.0}


def numpy_error(labels: np.ndarray, prob: np.ndarray) -> float:
    """Return the expected calibration error in three lines, without looking at the input."""
    bins = np.minimum((prob * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, labels - prob, minlength=BINS)
    return float(np.abs(gaps).sum() / len(prob))


def numpy_bootstrap(labels: np.ndarray, prob: np.ndarray, resamples: int) -> list[float]:
    """Return the error of rows drawn with replacement, again and again."""
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(resamples):
        rows = random.integers(len(prob), size=len(prob))
        drawn.append(numpy_error(labels[rows], prob[rows]))
    return drawn


def peers(labels: np.ndarray, prob: np.ndarray) -> dict[str, Callable[[], float]]:
    """Return what other libraries have for the same error."""
    found: dict[str, Callable[[], float]] = {}
    if importlib.util.find_spec("torchmetrics"):
        import torch
        from torchmetrics.functional.classification import binary_calibration_error

        torch.set_num_threads(1)
        target, forecast = torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(prob)
        found["torchmetrics"] = lambda: float(binary_calibration_error(forecast, target, n_bins=BINS))
    if importlib.util.find_spec("netcal"):
        from netcal.metrics import ECE

        found["netcal"] = lambda: float(ECE(BINS).measure(prob, labels.astype(np.int64)))
    return found


def measured_errors() -> dict[str, Any]:
    """Time the expected calibration error of all rows, ours and others'."""
    random = np.random.default_rng(0)
    prob = random.random(ROWS)
    labels = random.random(ROWS) < prob**1.2
    ours = expected_calibration_error(labels, prob, n_bins=BINS)
    result: dict[str, Any] = {
        "seconds": median_seconds(lambda: expected_calibration_error(labels, prob, n_bins=BINS)),
        "numpy_seconds": median_seconds(lambda: numpy_error(labels, prob)),
        "quantile_seconds": median_seconds(
            lambda: expected_calibration_error(labels, prob, n_bins=BINS, strategy="quantile"), 3, 1
        ),
        "apart_from_numpy": abs(ours - numpy_error(labels, prob)),
    }
    result["against_a_numpy_pass"] = result["seconds"] / result["numpy_seconds"]
    print(f"ECE of {ROWS:,} rows: {result['seconds']:.3f} s, NumPy {result['numpy_seconds']:.3f} s,", end=" ")
    print(f"{result['against_a_numpy_pass']:.2f} of it; bins of equal weight {result['quantile_seconds']:.3f} s")
    result["peers"] = {}
    for name, run in peers(labels, prob).items():
        seconds, apart = median_seconds(run, 3, 1), abs(run() - ours)
        result["peers"][name] = {"seconds": seconds, "ratio": seconds / result["seconds"], "apart": apart}
        print(f"  {name}: {seconds:.3f} s, {seconds / result['seconds']:.1f} times as long; apart by {apart:.1e}")
    others: dict[str, Callable[[], Any]] = {
        "brier_score": lambda: brier_score(labels, prob),
        "log_loss": lambda: log_loss(labels, prob, clip=1e-15),
        "roc_auc": lambda: roc_auc(labels, prob),
        "roc_auc_interval": lambda: roc_auc_interval(labels, prob),
        "kernel_calibration_error": lambda: kernel_calibration_error(labels, prob),
    }
    result["other_seconds"] = {name: median_seconds(run, 1, 0) for name, run in others.items()}
    for name, seconds in result["other_seconds"].items():
        print(f"  {name}: {seconds:.2f} s")
    return result


def measured_bootstrap() -> dict[str, Any]:
    """Time the interval of a million rows, ours and a loop's."""
    random = np.random.default_rng(1)
    prob = random.random(BOOTSTRAP_ROWS)
    labels = random.random(BOOTSTRAP_ROWS) < prob**1.2
    own = median_seconds(
        lambda: calibration_error_interval(labels, prob, n_bins=BINS, resamples=RESAMPLES, method="percentile"), 5, 1
    )
    loop = median_seconds(lambda: numpy_bootstrap(labels, prob, TIMED_RESAMPLES), 1, 0) * RESAMPLES / TIMED_RESAMPLES
    found = calibration_error_interval(labels, prob, n_bins=BINS, resamples=RESAMPLES, method="percentile")
    spread = float(np.std(numpy_bootstrap(labels, prob, 5 * TIMED_RESAMPLES), ddof=1))
    widths = (found.high - found.low) / (2 * 1.959964 * spread)
    print(f"bootstrap of {BOOTSTRAP_ROWS:,} rows, {RESAMPLES} resamples: {own:.4f} s, a loop {loop:.1f} s,", end=" ")
    print(f"{loop / own:,.0f} times as fast; widths {widths:.2f} of each other")
    return {"seconds": own, "loop_seconds": loop, "bootstrap_speedup": loop / own, "width_ratio": widths}


def main() -> None:
    """Measure both, and record them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-record", action="store_true", help="print only")
    quiet = parser.parse_args().no_record
    result = {"rows": ROWS, "bootstrap_rows": BOOTSTRAP_ROWS, "resamples": RESAMPLES, "goals": GOALS}
    result |= {"errors": measured_errors(), "bootstrap": measured_bootstrap()}
    if not quiet:
        record("calibration_metrics", result)


if __name__ == "__main__":
    main()
