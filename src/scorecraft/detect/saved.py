"""Detectors in a folder: what was chosen as JSON, what was learned as safetensors, nothing that runs when read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from scorecraft.detect.detector import Detector
from scorecraft.detect.layers import Side
from scorecraft.detect.methods import Place, make_detector
from scorecraft.detect.ood_report import Threshold
from scorecraft.errors import ScorecraftError
from scorecraft.stats.intervals import Interval

RECORD, LEARNED = "detector.json", "learned.safetensors"
HELD_OUT = "held_out_scores"


class ThresholdRecord(BaseModel):
    """A threshold as it is written: an end of the interval is missing where it is infinite."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keep: float = Field(gt=0, le=1)
    value: float
    low: float | None
    high: float | None
    kept: tuple[float, float, float]

    @classmethod
    def of(cls, keep: float, found: Threshold) -> ThresholdRecord:
        """Return the record of a `threshold_interval`."""
        value, low, high = found.value
        ends = (end if abs(end) < float("inf") else None for end in (low, high))
        return cls(
            keep=keep,
            value=value,
            low=next(ends),
            high=next(ends),
            kept=(found.kept.estimate, found.kept.low, found.kept.high),
        )

    def interval(self) -> Interval:
        """Return the threshold with its interval."""
        low, high = -float("inf") if self.low is None else self.low, float("inf") if self.high is None else self.high
        return Interval(self.value, low, high)


class DetectorRecord(BaseModel):
    """All that is chosen of a detector: enough to make it again, given its model and what it learned."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    settings: dict[str, Any]
    model: str | None = None
    weights: str | None = None
    layer: str | None = None
    side: Side | None = None
    batch_size: int = Field(default=256, ge=1)
    inputs: dict[str, Any] = Field(default_factory=dict)
    threshold: ThresholdRecord


class SavedDetector(NamedTuple):
    """A detector's record, what it learned, and the scores of the held-out inputs that its threshold is of."""

    record: DetectorRecord
    learned: dict[str, Tensor]
    held_out: Float[Tensor, " row"]

    def detector(self, model: nn.Module | None = None) -> Detector:
        """Return the detector itself, with its threshold.

        Args:
            model: the one it was fitted with, where there was one.

        Raises `ScorecraftError` for a model that is missing or has other weights.
        """
        record = self.record
        if record.weights is not None and model is not None and fingerprint(model) != record.weights:
            raise ScorecraftError(
                "the model's weights are not those that the detector was fitted with, so its threshold means nothing; "
                "fit again, or make sure that the model loads its weights"
            )
        if (model is None) != (record.weights is None):
            what = "without a model" if record.weights is None else "with a model"
            raise ScorecraftError(f"the detector was fitted {what}, and needs the same now")
        place = Place(model, record.layer, record.side, record.batch_size)
        found = make_detector(record.method, record.settings, place)
        found.restore(self.learned)
        found.threshold_ = record.threshold.value
        return found


def save_detector(folder: Path, record: DetectorRecord, detector: Detector, held_out: Float[Tensor, " row"]) -> None:
    """Write a fitted detector into a folder, which is made where it is not there.

    Args:
        folder: for the two files.
        record: how the detector was made, and its threshold.
        detector: fitted.
        held_out: scores that the threshold is of.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().cpu().clone().contiguous() for name, value in detector.state().items()}
    save_file({**state, HELD_OUT: held_out.contiguous()}, folder / LEARNED)
    text = json.dumps(record.model_dump(mode="json"), indent=1, allow_nan=False)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")


def load_detector(folder: Path) -> SavedDetector:
    """Return what `save_detector` wrote; nothing of it is run.

    Raises `ScorecraftError` where the folder holds no detector, or one that cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not (folder / RECORD).is_file():
        raise ScorecraftError(f"{folder}: no detector here; expected a folder with {RECORD}, as 'detect fit' writes it")
    try:
        record = DetectorRecord.model_validate_json((folder / RECORD).read_bytes())
        learned: Mapping[str, Tensor] = load_file(folder / LEARNED)
    except (ValidationError, SafetensorError, OSError) as error:
        first = str(error).splitlines()[0]
        raise ScorecraftError(f"{folder}: the detector cannot be read ({first}); fit it again") from None
    if HELD_OUT not in learned:
        raise ScorecraftError(f"{folder / LEARNED}: holds no '{HELD_OUT}'; fit the detector again")
    return SavedDetector(
        record, {name: value for name, value in learned.items() if name != HELD_OUT}, learned[HELD_OUT]
    )


def fingerprint(model: nn.Module) -> str:
    """Return a hash of a model's parameters and buffers: their names, shapes, types and values."""
    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if not isinstance(value, Tensor):
            continue
        found.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        flat = value.detach().cpu().contiguous().flatten()
        if flat.numel():
            found.update(flat.view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
