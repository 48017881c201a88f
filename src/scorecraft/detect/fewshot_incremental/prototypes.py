"""A classifier that has one direction for each class, and takes in a new class without touching the others."""

from __future__ import annotations

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.detect.fewshot_incremental.losses import unit
from scorecraft.errors import ScorecraftError


@implements("fewshot-incremental")
class PrototypeClassifier:
    """Classifies by the cosine to each class's prototype, ``argmax_c cos(z, w_c)``.

    ``w_c`` is the mean of the unit features of the class, made a unit vector again, or any direction that is given.

    Source: arXiv 2403.14392, section 3 (the incremental-frozen baseline).
    """

    def __init__(self, tau: float = 0.1) -> None:
        """Start without classes; ``tau`` divides cosines. Raises `ScorecraftError` for a ``tau`` not above 0."""
        if not tau > 0:
            raise ScorecraftError(f"PrototypeClassifier: expected a temperature above 0, got {tau:g}")
        self.tau: float = tau
        self.classes: list[int] = []
        self._rows: list[Tensor] = []

    @property
    def prototypes(self) -> Float32[Tensor, "class feature"]:
        """The unit prototypes, in the order of ``classes``."""
        if not self._rows:
            raise ScorecraftError("PrototypeClassifier: no classes yet; add some first")
        return torch.stack(self._rows)

    def add(self, features: Float32[Tensor, "row feature"], y: Int64[Tensor, " row"]) -> None:
        """Take in the classes of some rows by the means of their features.

        Raises `ScorecraftError` for no rows, or a class that is there already.
        """
        if not len(y):
            raise ScorecraftError("PrototypeClassifier: no rows; a class needs at least one image")
        z = unit(features.detach())
        for label in y.unique().tolist():
            self.add_direction(label, z[y == label].mean(0))

    def add_direction(self, label: int, direction: Float32[Tensor, " feature"]) -> None:
        """Take in one class by a direction of its own; raises `ScorecraftError` where it is there already."""
        if label in self.classes:
            raise ScorecraftError(f"PrototypeClassifier: class {label} is there already; a class enters once")
        self.classes.append(label)
        self._rows.append(unit(direction.detach()[None])[0])

    def logits(self, features: Float32[Tensor, "row feature"]) -> Float32[Tensor, "row class"]:
        """Return ``cos(z, w_c) / tau`` of each row and class, in the order of ``classes``."""
        return unit(features) @ self.prototypes.T / self.tau

    def predict(self, features: Float32[Tensor, "row feature"]) -> Int64[Tensor, " row"]:
        """Return the label of the nearest prototype of each row."""
        return torch.tensor(self.classes)[self.logits(features).argmax(1)]
