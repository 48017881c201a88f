"""Are our detectors as quick as pytorch-ood's on the same model?

The energy of a small convolutional net's logits, 64 batches of 128 images of 32 by 32 pixels, ours and pytorch-ood's
(`pip install --no-deps pytorch-ood`) in turns, and the forward pass alone; one thread, medians of the ratios of a turn,
so that what else the machine does meets both. The scores are compared.

    python benchmarks/detector_scores.py [--no-record]
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from typing import Any
from unittest.mock import MagicMock

import torch
from measuring import record
from torch import Tensor, nn

from scorecraft.detect.detector import KNNDetector, LogitDetector
from scorecraft.detect.scores import energy_score

BATCHES, BATCH, TURNS = 64, 128, 15
GOAL = 1.05


def network() -> nn.Module:
    """Return a net of three convolutions and ten classes."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1),
        nn.ReLU(), nn.Flatten(), nn.Linear(1024, 10),
    ).eval()  # fmt: skip


def peer_detector() -> Any:
    """Return pytorch-ood's energy detector; torchvision, which its data sets want, is stood in for if it is absent."""
    if importlib.util.find_spec("torchvision") is None:
        for part in (
            "",
            ".transforms",
            ".datasets",
            ".datasets.utils",
            ".models",
            ".models.resnet",
            ".datasets.folder",
        ):
            sys.modules[f"torchvision{part}"] = MagicMock()
            sys.modules[f"torchvision{part}"].__spec__ = ModuleSpec(f"torchvision{part}", None)
    from pytorch_ood.detector import EnergyBased

    return EnergyBased


def seconds(run: Callable[[], Any]) -> float:
    """Return the wall-clock time of a call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure() -> dict[str, Any]:
    """Return times, ratios and whether the scores agree."""
    torch.set_num_threads(1)
    energy_based = peer_detector()
    net = network()
    batches = list(torch.randn(BATCHES, BATCH, 3, 32, 32, generator=torch.Generator().manual_seed(1)))
    ours, theirs = LogitDetector("energy", net), energy_based(net)

    def forward() -> Tensor:
        with torch.no_grad():
            return torch.cat([net(batch) for batch in batches])

    def peer() -> Tensor:
        with torch.no_grad():
            return torch.cat([theirs.predict(batch) for batch in batches])

    def own() -> Tensor:
        return ours.predict_score(iter(batches))

    torch.testing.assert_close(own(), peer())
    torch.testing.assert_close(own(), energy_score(forward()))
    turns = [{"ours": seconds(own), "pytorch-ood": seconds(peer), "forward": seconds(forward)} for _ in range(TURNS)]
    features = KNNDetector(10, net, "7", side="input").fit(batches[0])
    return {
        "images": BATCHES * BATCH,
        "seconds": {name: statistics.median(turn[name] for turn in turns) for name in turns[0]},
        "ours_of_pytorch_ood": statistics.median(turn["ours"] / turn["pytorch-ood"] for turn in turns),
        "ours_of_forward": statistics.median(turn["ours"] / turn["forward"] for turn in turns),
        "knn_seconds": statistics.median(seconds(lambda: features.predict_score(iter(batches))) for _ in range(3)),
        "goal": GOAL,
    }


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-record", action="store_true", help="print only")
    arguments = parser.parse_args()
    found = measure()
    print(
        f"energy of {found['images']:,} images: {found['seconds']['ours']:.3f} s, {found['ours_of_pytorch_ood']:.3f} "
        f"of pytorch-ood's, {found['ours_of_forward']:.3f} of the forward pass alone (goal {GOAL})"
    )
    if not arguments.no_record:
        record("detector_scores", found)


if __name__ == "__main__":
    main()
