"""The detectors by name, each with its settings checked, for whoever chooses one in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from scorecraft.detect.detector import (
    Detector,
    HeadScore,
    KNNDetector,
    LearnedTemperatureDetector,
    LogitDetector,
    MahalanobisDetector,
    OdinDetector,
    ShapedDetector,
)
from scorecraft.detect.expected_perturbation_detector import ExpectedPerturbationDetector
from scorecraft.detect.expected_perturbation_score import score_from_denoiser
from scorecraft.detect.layers import Side
from scorecraft.detect.scores import LogitScore
from scorecraft.detect.shaping import Shaping
from scorecraft.errors import ScorecraftError, nearest

Reads = Literal["logits", "features", "last layer", "head", "inputs"]
"""What a method looks at: a model's logits, a layer's features, what goes into its last linear layer or its head with
a learned temperature, or its inputs."""


class Settings(BaseModel):
    """What can be set of a method; unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LogitSettings(Settings):
    """Of `LogitDetector`."""

    background: int | None = None


class TemperedSettings(LogitSettings):
    """Of `LogitDetector`, for a score with a temperature."""

    temperature: float = Field(default=1.0, gt=0)


class OdinSettings(Settings):
    """Of `OdinDetector`."""

    temperature: float = Field(default=1000.0, gt=0)
    epsilon: float = Field(default=0.0014, ge=0)
    std: tuple[float, ...] | None = None


class NeighbourSettings(Settings):
    """Of `KNNDetector`."""

    k: int = Field(default=200, ge=1)


class GaussianSettings(Settings):
    """Of `MahalanobisDetector`."""

    ridge: float = Field(default=1e-6, ge=0)


class ShapingSettings(Settings):
    """Of `ShapedDetector`."""

    score: LogitScore = "energy"
    percentile: float | None = Field(default=None, ge=0, le=100)


class HeadSettings(Settings):
    """Of `LearnedTemperatureDetector`."""

    score: HeadScore = "abet"
    background: int | None = None
    shaping: Shaping | None = None
    percentile: float | None = Field(default=None, ge=0, le=100)


class PerturbationSettings(Settings):
    """Of `ExpectedPerturbationDetector` with a Gaussian kernel, and of what its model predicts."""

    predicts: Literal["score", "noise", "data", "velocity"] = "score"
    time_scale: float = Field(default=999.0, gt=0)
    learned_variance: bool = False
    levels: int = Field(default=20, ge=1)
    step: float = Field(default=1e-3, gt=0)
    repeats: int = Field(default=1, ge=1)
    references: int = Field(default=500, ge=2)
    seed: int = 0


class Place(NamedTuple):
    """Where a detector looks: a model or none, a layer and its side where they are named, and inputs in a pass."""

    model: nn.Module | None = None
    layer: str | None = None
    side: Side | None = None
    batch_size: int = 256


@dataclass(frozen=True)
class Method:
    """A detector that can be chosen by name.

    Args:
        line: what the score is.
        reads: what it looks at.
        settings: what can be set.
        build: makes it; the place has a model where one is needed.
        needs_classes: whether `Detector.fit` needs the class of each training input.
    """

    line: str
    reads: Reads
    settings: type[Settings]
    build: Callable[[Place, Any], Detector]
    needs_classes: bool = False

    @property
    def needs_model(self) -> bool:
        """Whether logits or features in a file will not do."""
        return self.reads not in ("logits", "features")


def _logits(score: LogitScore) -> Callable[[Place, Any], Detector]:
    def build(place: Place, settings: LogitSettings) -> Detector:
        return LogitDetector(
            score, place.model, place.layer or "", batch_size=place.batch_size, **settings.model_dump()
        )

    return build


def _odin(place: Place, settings: OdinSettings) -> Detector:
    return OdinDetector(_model(place), batch_size=place.batch_size, **settings.model_dump())


def _features(make: type[KNNDetector | MahalanobisDetector]) -> Callable[[Place, Any], Detector]:
    def build(place: Place, settings: Settings) -> Detector:
        layer, side = place.layer, place.side or "output"
        if place.model is not None and layer is None:
            layer, side = last_linear(place.model), "input"
        return make(
            model=place.model, layer=layer or "", side=side, batch_size=place.batch_size, **settings.model_dump()
        )

    return build


def _shaped(shaping: Shaping) -> Callable[[Place, Any], Detector]:
    def build(place: Place, settings: ShapingSettings) -> Detector:
        layer = last_linear(_model(place)) if place.layer is None else place.layer
        return ShapedDetector(_model(place), layer, shaping, batch_size=place.batch_size, **settings.model_dump())

    return build


def _head(place: Place, settings: HeadSettings) -> Detector:
    return LearnedTemperatureDetector(
        _model(place), layer=place.layer, batch_size=place.batch_size, **settings.model_dump()
    )


def _perturbation(place: Place, settings: PerturbationSettings) -> Detector:
    model = _model(place)
    score = model
    if settings.predicts != "score":
        score = score_from_denoiser(
            model, settings.predicts, time_scale=settings.time_scale, learned_variance=settings.learned_variance
        )
    own = settings.model_dump(exclude={"predicts", "time_scale", "learned_variance"})
    return ExpectedPerturbationDetector(score, batch_size=place.batch_size, **own)


METHODS: dict[str, Method] = {
    "energy": Method("free energy of the logits", "logits", TemperedSettings, _logits("energy")),
    "msp": Method("largest softmax probability", "logits", TemperedSettings, _logits("msp")),
    "max-logit": Method("largest logit", "logits", LogitSettings, _logits("max-logit")),
    "entropy": Method("entropy of the softmax", "logits", LogitSettings, _logits("entropy")),
    "odin": Method(
        "softmax at a high temperature, after a step on the input towards its class", "inputs", OdinSettings, _odin
    ),
    "knn": Method("distance to the k-th nearest training input", "features", NeighbourSettings, _features(KNNDetector)),
    "mahalanobis": Method(
        "distance to the nearest class, by Gaussians with one covariance", "features", GaussianSettings,
        _features(MahalanobisDetector), needs_classes=True,
    ),
    "react": Method("energy after the largest activations are cut", "last layer", ShapingSettings, _shaped("react")),
    "dice": Method("energy over the weights that contribute most", "last layer", ShapingSettings, _shaped("dice")),
    "ash-s": Method("energy over each input's largest activations, raised", "last layer", ShapingSettings,
                    _shaped("ash-s")),
    "ash-b": Method("energy over each input's largest activations, made equal", "last layer", ShapingSettings,
                    _shaped("ash-b")),
    "ash-p": Method("energy over each input's largest activations", "last layer", ShapingSettings, _shaped("ash-p")),
    "learned-temperature-energy": Method(
        "AbeT, of a model trained with a learned temperature", "head", HeadSettings, _head
    ),
    "expected-perturbation-score": Method(
        "how far a diffusion model's scores are from those of natural samples", "inputs", PerturbationSettings,
        _perturbation,
    ),
}  # fmt: skip


def make_detector(name: str, settings: Mapping[str, Any] | None = None, place: Place | None = None) -> Detector:
    """Return the detector of a method.

    Where no layer is named, features are what goes into the last ``nn.Linear`` of the model, and logits its output.

    Args:
        name: of the method, see ``METHODS``.
        settings: those that differ from the defaults.
        place: model, layer, side and batch size.

    Raises `ScorecraftError` for an unknown method or setting, a value out of range, a model that is missing, a layer or
    a side where there is nothing to choose, and what the detector itself refuses.
    """
    place = place or Place()
    if name not in METHODS:
        raise ScorecraftError(f"no method '{name}': {nearest(name, METHODS)}")
    method = METHODS[name]
    if method.needs_model and place.model is None:
        needs = "the logits of its head in a file need only 'energy'" if method.reads == "head" else "it runs the model"
        raise ScorecraftError(f"method '{name}' needs a model: {needs}")
    if place.layer is not None and method.reads == "inputs":
        raise ScorecraftError(f"method '{name}' reads the model's own inputs and output; leave out the layer")
    if place.side is not None and (method.reads != "features" or place.layer is None):
        raise ScorecraftError(
            f"side: there is none to choose for the method '{name}'{'' if place.layer else ' without a layer'}"
        )
    return method.build(place, checked_settings(name, settings or {}))


def checked_settings(name: str, settings: Mapping[str, Any]) -> Settings:
    """Return a method's settings with their defaults; raises `ScorecraftError` as `make_detector` does."""
    form = METHODS[name].settings
    unknown = sorted(set(settings) - set(form.model_fields))
    if unknown:
        raise ScorecraftError(
            f"method '{name}' has no setting '{unknown[0]}': {nearest(unknown[0], form.model_fields)}"
        )
    try:
        return form.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        what = ".".join(str(part) for part in first["loc"])
        raise ScorecraftError(f"method '{name}': {what}: {first['msg']}, got {first['input']!r}") from None


def last_linear(model: nn.Module) -> str:
    """Return the name of a model's last ``nn.Linear``; raises `ScorecraftError` where it has none."""
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not names:
        raise ScorecraftError(f"{type(model).__name__} has no nn.Linear whose input could be read; name a layer")
    return names[-1]


def _model(place: Place) -> nn.Module:
    assert place.model is not None
    return place.model
