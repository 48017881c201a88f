"""Is one pass of the score model for each noise level quicker than a loop over the samples?

The expected perturbation score of 256 samples at 20 levels: all samples in a pass for each level, as
`expected_perturbation_score` does, and a loop that scores a sample at a time. Two score models: the perceptron of the
study on images of 8 by 8, and convolutions on images of 32 by 32. One thread; medians of the ratios of a turn, and the
share of this machine's rate of matrix products that the passes reach. The scores are compared on shared noise.

    python benchmarks/expected_perturbation_score.py [--no-record]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from measuring import matmul_rate, record
from torch import Tensor, nn

from scorecraft.detect.expected_perturbation_score import expected_perturbation_score, score_from_denoiser
from scorecraft.studies.expected_perturbation_score import Denoiser

SAMPLES, LEVELS, TURNS, GOAL = 256, 20, 5, 3.0


class Convolutions(nn.Module):
    """Four convolutions of 3 by 3 that predict the noise of colour images."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(4, width, 3, 1, 1), nn.SiLU(), nn.Conv2d(width, width, 3, 1, 1), nn.SiLU(),
            nn.Conv2d(width, width, 3, 1, 1), nn.SiLU(), nn.Conv2d(width, 3, 3, 1, 1),
        )  # fmt: skip
        self.operations = 2 * 32 * 32 * 9 * (4 * width + 2 * width * width + 3 * width)

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Return the noise."""
        times = t.view(-1, 1, 1, 1).expand(-1, 1, *x_t.shape[2:])
        return self.layers(torch.cat((x_t, times), dim=1))


def seconds(run: Callable[[], Any]) -> float:
    """Return the wall-clock time of a call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(model: nn.Module, shape: tuple[int, ...], operations: float) -> dict[str, Any]:
    """Return how long both ways take, and whether they agree."""
    score = score_from_denoiser(model, time_scale=1.0)
    x = torch.rand(SAMPLES, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def scored(rows: Tensor) -> Tensor:
        return expected_perturbation_score(
            rows, score, levels=LEVELS, common_noise=True, generator=torch.Generator().manual_seed(1)
        )

    def loop() -> Tensor:
        return torch.cat([scored(x[row : row + 1]) for row in range(len(x))])

    torch.testing.assert_close(scored(x), loop(), rtol=1e-3, atol=1e-3)
    turns = [(seconds(lambda: scored(x)), seconds(loop)) for _ in range(TURNS)]
    batched = statistics.median(turn[0] for turn in turns)
    return {
        "batched_seconds": batched,
        "loop_seconds": statistics.median(turn[1] for turn in turns),
        "times_as_fast": statistics.median(turn[1] / turn[0] for turn in turns),
        "share_of_matmul_rate": SAMPLES * LEVELS * operations / batched / matmul_rate(),
    }


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-record", action="store_true", help="print only")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    perceptron, convolutions = Denoiser().eval(), Convolutions().eval()
    weights = sum(weight.numel() for weight in perceptron.parameters())
    found = {
        "perceptron": compare(perceptron, (64,), 2 * weights),
        "convolutions": compare(convolutions, (3, 32, 32), convolutions.operations),
    }
    for name, one in found.items():
        print(
            f"{name}: {SAMPLES} samples, {LEVELS} levels in {one['batched_seconds']:.3f} s, {one['times_as_fast']:.1f} "
            f"times as fast as the loop (goal {GOAL}); {one['share_of_matmul_rate']:.0%} of the matrix-product rate"
        )
    if not arguments.no_record:
        record("expected_perturbation_score", {**found, "goal": GOAL})


if __name__ == "__main__":
    main()
