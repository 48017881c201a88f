"""A detector of adversarial samples: the discrepancy of their expected perturbation scores from natural ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.detect.deep_kernel import DeepKernel, train_deep_kernel
from scorecraft.detect.detector import Detector
from scorecraft.detect.expected_perturbation_score import ScoreFunction, expected_perturbation_score
from scorecraft.detect.layers import all_rows
from scorecraft.detect.maximum_mean_discrepancy import GaussianKernel, Kernel, median_scale
from scorecraft.errors import ScorecraftError

CHUNK = 4096  # samples whose kernel with all references is held at once


@implements("expected-perturbation-score")
class ExpectedPerturbationDetector(Detector):
    """Scores a sample by the squared MMD between its expected perturbation score and those of natural references.

    ``fit(x)`` takes natural samples and, where no kernel is given, a Gaussian kernel with the median scale.
    ``fit(x, y)`` with y = 1 for attacked samples trains the `DeepKernel` that was given first. The score costs
    ``levels * repeats`` evaluations of the score function a sample, and one kernel value a reference.

    Args:
        score_function: as of `expected_perturbation_score`.
        kernel: Gaussian with the median scale of the references where not given.
        levels: as of `expected_perturbation_score`.
        step: as of `expected_perturbation_score`.
        repeats: as of `expected_perturbation_score`.
        common_noise: whether references and samples share one noise a level.
        references: how many natural samples are kept, drawn at random where there are more.
        epochs: of the training of a deep kernel.
        learning_rate: of it.
        seed: of all noise and draws; equal calls give equal scores.
        batch_size: perturbed samples in a pass, and samples of either set in a batch of the training.

    Raises `ScorecraftError`, in `fit`, for fewer than 2 natural samples, labels other than 0 and 1, and attacked
    samples without a `DeepKernel` to train.

    Source: Detecting Adversarial Data by Probing Multiple Perturbations Using Expected Perturbation Score, 2023,
    arXiv 2305.16035.
    """

    learns = True

    def __init__(
        self,
        score_function: ScoreFunction,
        *,
        kernel: Kernel | None = None,
        levels: int = 20,
        step: float = 1e-3,
        repeats: int = 1,
        common_noise: bool = False,
        references: int = 500,
        epochs: int = 200,
        learning_rate: float = 2e-3,
        seed: int = 0,
        batch_size: int = 500,
    ) -> None:
        super().__init__(batch_size=batch_size)
        if references < 2:
            raise ScorecraftError(f"ExpectedPerturbationDetector: expected at least 2 references, got {references}")
        self.score_function, self.kernel, self.references, self.seed = score_function, kernel, references, seed
        self.settings: dict[str, Any] = {"levels": levels, "step": step, "repeats": repeats}
        self.common_noise = common_noise
        self.training = {"epochs": epochs, "learning_rate": learning_rate}
        self.kernel_: Kernel | None = None
        self.reference_: Tensor | None = None
        self.among_: Tensor | None = None

    def fit(self, x: Any, y: Any = None) -> ExpectedPerturbationDetector:
        """Keep references among natural samples, and train a deep kernel where attacked ones are given too.

        Args:
            x: samples scaled to [-1, 1].
            y: 1 for attacked samples and 0 for natural ones; all are natural where not given.
        """
        self.reference_ = None
        super().fit(x, y)
        return self

    def _read(self, x: Any) -> tuple[Tensor, ...]:
        # References and what is scored must not share their noise, unless that is asked for.
        seed = self.seed if self.reference_ is None or self.common_noise else self.seed + 1
        generator = torch.Generator().manual_seed(seed)
        samples = all_rows(x, self.batch_size)
        samples = samples if samples.is_floating_point() else samples.float()
        scores = expected_perturbation_score(
            samples, self.score_function, common_noise=self.common_noise, batch_size=self.batch_size,
            generator=generator, **self.settings,
        )  # fmt: skip
        return (scores,)

    def _learn(self, values: tuple[Tensor, ...], y: Tensor | None) -> None:
        (scores,) = values
        labels = torch.zeros(len(scores), dtype=torch.long) if y is None else y.cpu()
        if labels.shape != scores.shape[:1] or not ((labels == 0) | (labels == 1)).all():
            raise ScorecraftError("ExpectedPerturbationDetector: expected y to be 0 or 1 for each sample")
        natural, adversarial = scores[labels == 0], scores[labels == 1]
        if len(natural) < 2:
            raise ScorecraftError(
                f"ExpectedPerturbationDetector: expected at least 2 natural samples, got {len(natural)}"
            )
        generator = torch.Generator().manual_seed(self.seed)
        if len(adversarial):
            if not isinstance(self.kernel, DeepKernel):
                raise ScorecraftError("ExpectedPerturbationDetector: attacked samples need kernel=DeepKernel(...)")
            train_deep_kernel(
                self.kernel, natural, adversarial, batch_size=self.batch_size, generator=generator, **self.training
            )  # fmt: skip
        reference = natural[torch.randperm(len(natural), generator=generator)[: self.references]]
        kernel = GaussianKernel(median_scale(reference)) if self.kernel is None else self.kernel.eval()
        with torch.no_grad():
            self.among_ = kernel(reference, reference).mean()
        self.kernel_, self.reference_ = kernel, reference

    def state(self) -> dict[str, Tensor]:
        """Return the references, their mean kernel, and the kernel's scale or weights."""
        kernel, reference, among = self.kernel_, self.reference_, self.among_
        if kernel is None or reference is None or among is None:
            raise ScorecraftError("ExpectedPerturbationDetector: call fit with natural samples first")
        own = {f"kernel.{name}": value for name, value in kernel.state_dict().items()}
        if isinstance(kernel, GaussianKernel):
            own = {"scale": torch.tensor(kernel.scale, dtype=torch.float64)}
        return {"reference": reference, "among": among, **own}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned; a deep kernel must be of the shape that was given first."""
        kernel = self.kernel
        if "scale" in state:
            kernel = GaussianKernel(state["scale"].item())
        elif kernel is not None:
            kernel.load_state_dict(
                {name.removeprefix("kernel."): value for name, value in state.items() if name.startswith("kernel.")}
            )
            kernel.eval()
        self.kernel_, self.reference_, self.among_ = kernel, state["reference"], state["among"]

    def predict_score(self, x: Any) -> Tensor:
        """Return the squared MMD of each sample from the references; higher for attacked samples.

        Raises `ScorecraftError` before `fit`, and as `expected_perturbation_score` does.
        """
        if self.reference_ is None:
            raise ScorecraftError("ExpectedPerturbationDetector: call fit with natural samples first")
        return super().predict_score(x)

    def _score(self, values: tuple[Tensor, ...]) -> Tensor:
        kernel, reference, among = self.kernel_, self.reference_, self.among_
        assert kernel is not None
        assert reference is not None
        assert among is not None
        with torch.no_grad():
            embedded = kernel.embed(reference)
            parts = [kernel.between(embedded, kernel.embed(part)).mean(0) for part in values[0].split(CHUNK)]
        return (among + 1 - 2 * torch.cat(parts)).cpu()
