"""A value function that is linear in what the policy knows: ridge regression on its last hidden states."""

from __future__ import annotations

import torch
from jaxtyping import Float32
from torch import Tensor

from scorecraft.errors import ScorecraftError


class LinearValue:
    """``V(s) = w . [h(s), 1]``, fitted to returns by ridge regression over all batches seen, older ones fading.

    Fitting is exact, so there is no learning rate, and a value never depends on the batch that it is a baseline of.
    """

    def __init__(self, ridge: float = 1e-3, decay: float = 0.9) -> None:
        """Take the penalty on the weights, relative to the features' mean square, and what a batch keeps of its weight.

        Raises `ScorecraftError` for a ridge that is not positive, or a decay outside [0, 1].
        """
        if not ridge > 0 or not 0 <= decay <= 1:
            raise ScorecraftError(f"LinearValue: expected ridge > 0 and decay in [0, 1], got {ridge} and {decay}")
        self.ridge, self.decay = ridge, decay
        self.products: Tensor | None = None
        self.targets: Tensor | None = None

    def __call__(self, features: Float32[Tensor, "state feature"]) -> Float32[Tensor, " state"]:
        """Return the value of every state; 0 before anything was seen."""
        if self.products is None or self.targets is None:
            return torch.zeros(len(features), dtype=torch.float32, device=features.device)
        width = len(self.products)
        penalty = self.ridge * self.products.diagonal()[:-1].mean().clamp(min=1e-12)
        # The constant is not held back.
        held = torch.eye(width, dtype=torch.float64) * penalty
        held[-1, -1] = 1e-9 * self.products[-1, -1]
        weights = torch.linalg.solve(self.products + held, self.targets)
        return (_with_constant(features).double() @ weights.to(features.device)).float()

    def learn(
        self, products: Float32[Tensor, "feature feature"] | Tensor, targets: Float32[Tensor, " feature"] | Tensor
    ) -> None:
        """Take in the sums of a batch, of all workers: ``X^T X`` and ``X^T y`` as `sums` gives them."""
        if self.products is None or self.targets is None:
            self.products, self.targets = products.double().cpu(), targets.double().cpu()
            return
        self.products = self.decay * self.products + products.double().cpu()
        self.targets = self.decay * self.targets + targets.double().cpu()

    @staticmethod
    def sums(features: Float32[Tensor, "state feature"], returns: Float32[Tensor, " state"]) -> tuple[Tensor, Tensor]:
        """Return ``X^T X`` and ``X^T y`` of a batch, in double precision."""
        rows = _with_constant(features).double()
        return rows.T @ rows, rows.T @ returns.double()


def _with_constant(features: Tensor) -> Tensor:
    return torch.cat((features, torch.ones_like(features[:, :1])), dim=1)
