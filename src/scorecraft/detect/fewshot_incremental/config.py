"""The eight tricks by name, in their groups, and the settings of a few-shot class-incremental learner."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from scorecraft.errors import ScorecraftError, nearest

GROUPS: dict[str, tuple[str, ...]] = {
    "stability": ("supcon", "etf", "pseudo-classes"),
    "training": ("rotation", "pre-training", "larger-encoder"),
    "adaptability": ("fine-tuning", "subnet"),
}
TRICKS: tuple[str, ...] = tuple(trick for group in GROUPS.values() for trick in group)
"""All tricks, in the order in which an ablation adds them."""


@dataclass(frozen=True, slots=True)
class FSCILConfig:
    """Which tricks are on, and their settings; with none on it is the incremental-frozen baseline.

    The baseline trains with cross entropy on cosines, then freezes the encoder, and new classes enter as prototypes.

    tricks: of `TRICKS`. "subnet" restricts the fine-tuning of sessions, and turns it on where "fine-tuning" is not.
    tau: temperature of cosines. classification: loss on the vertices of "etf". prototypes: whether a class is its mean
    feature or, with "etf", its vertex; a new class reaches its vertex only by fine-tuning.
    lambda_ce, lambda_supcon, lambda_ssl: weights of the parts of the loss; 0 for the first replaces it by the second.
    etf_classes: real classes that get a vertex, base and future. pseudo: how synthetic classes are made.
    tuned: what sessions may change. subnet_ratio: share of those weights; subnet_criterion: which ones.
    inc_lr, inc_steps: of a session's fine-tuning; early_stop: ends it once all shots are right.
    encoder_factor: how much wider the larger encoder is. pretrain_epochs, epochs, lr, batch_size: of the base session.
    shots: least images of a new class. seed: of all that is random.
    """

    tricks: frozenset[str] = field(default_factory=frozenset[str])
    tau: float = 0.1
    classification: Literal["cross-entropy", "dot-regression"] = "cross-entropy"
    prototypes: Literal["mean", "vertex"] = "mean"
    lambda_ce: float = 1.0
    lambda_supcon: float = 1.0
    lambda_ssl: float = 0.5
    etf_classes: int = 0
    pseudo: Literal["mix", "rotate"] = "mix"
    tuned: Literal["last-block", "encoder"] = "last-block"
    subnet_ratio: float = 0.1
    subnet_criterion: Literal["low_importance", "low_magnitude"] = "low_importance"
    inc_lr: float = 1e-3
    inc_steps: int = 10
    early_stop: bool = True
    encoder_factor: float = 2.0
    pretrain_epochs: int = 10
    epochs: int = 25
    lr: float = 1e-3
    batch_size: int = 64
    shots: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise `ScorecraftError` for an unknown trick or a setting outside its range."""
        check_tricks(self.tricks)
        for name in ("tau", "inc_lr", "lr", "encoder_factor"):
            if not getattr(self, name) > 0:
                raise ScorecraftError(f"FSCILConfig: expected {name} above 0, got {getattr(self, name):g}")
        for name in ("lambda_ce", "lambda_supcon", "lambda_ssl"):
            if not getattr(self, name) >= 0:
                raise ScorecraftError(f"FSCILConfig: expected {name} of at least 0, got {getattr(self, name):g}")
        for name in ("inc_steps", "pretrain_epochs", "epochs", "batch_size", "shots"):
            if getattr(self, name) < 1:
                raise ScorecraftError(f"FSCILConfig: expected {name} of at least 1, got {getattr(self, name)}")
        if not 0 < self.subnet_ratio <= 1:
            raise ScorecraftError(f"FSCILConfig: expected subnet_ratio in (0, 1], got {self.subnet_ratio:g}")
        if "etf" in self.tricks and self.etf_classes < 2:
            raise ScorecraftError(
                "FSCILConfig: the trick 'etf' needs etf_classes, the number of all classes, base and future; "
                f"got {self.etf_classes}"
            )
        if self.prototypes == "vertex" and "etf" not in self.tricks:
            raise ScorecraftError("FSCILConfig: prototypes 'vertex' need the trick 'etf'")

    def has(self, trick: str) -> bool:
        """Return whether a trick is on."""
        return trick in self.tricks

    @property
    def tunes(self) -> bool:
        """Whether sessions change the encoder."""
        return not self.tricks.isdisjoint(GROUPS["adaptability"])


def check_tricks(tricks: Iterable[str]) -> None:
    """Raise `ScorecraftError` for a trick that is none of `TRICKS`."""
    for trick in sorted(tricks):
        if trick not in TRICKS:
            raise ScorecraftError(f"no trick '{trick}': {nearest(trick, TRICKS)}")
