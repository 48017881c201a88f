"""Detectors with `fit` and `predict_score` for any torch model, whose layers are named."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from scorecraft.catalog import implements
from scorecraft.detect.distances import ClassGaussians, check_finite, fit_class_gaussians, knn_score, mahalanobis_score
from scorecraft.detect.layers import Side, all_rows, evaluating, find_layer, is_batched, noting_classes, read_layer
from scorecraft.detect.learned_temperature_energy import (
    HeadOutput,
    LearnedTemperatureHead,
    LearnedTemperatureHead2d,
    abet_score,
    cosine_numerators,
    godin_score,
    two_temperature_energy,
    without_class,
)
from scorecraft.detect.ood_report import threshold_at
from scorecraft.detect.scores import LOGIT_SCORES, LogitScore, odin_score
from scorecraft.detect.shaping import Shaper, Shaping
from scorecraft.errors import ScorecraftError, nearest

Value = TypeVar("Value")
HeadScore = Literal["abet", "two-temperature", "godin-cosine", "godin-temperature"]


class Detector(ABC):
    """Scores inputs by how far they are from what a model was trained on; higher means further out.

    With a model, inputs are the model's own and a named layer is read through a forward hook. Without one, inputs
    are what that layer would give: logits or features. They are a tensor, an array, a list, or an iterable of batches
    such as a ``DataLoader``.

    Args:
        model: any torch model, or None.
        layer: name of the layer that is read, as in ``model.named_modules()``; "" is the model's own output.
        side: whether the output of the layer is read or its input.
        batch_size: inputs in a pass.

    Raises `ScorecraftError` for a layer that the model does not have, or a layer without a model.
    """

    learns = False

    def __init__(
        self, model: nn.Module | None = None, layer: str = "", *, side: Side = "output", batch_size: int = 256
    ) -> None:
        if model is not None:
            find_layer(model, layer)
        elif layer:
            raise ScorecraftError(f"{type(self).__name__}: layer '{layer}' is named, but no model is given")
        self.model, self.layer, self.batch_size = model, layer, batch_size
        self.side: Side = side
        self.threshold_: float | None = None

    def fit(self, x: Any, y: Any = None) -> Detector:
        """Learn what the score needs from training inputs, which are all in the distribution.

        Args:
            x: inputs of the model; features or logits where there is no model.
            y: class of each, where the score needs it; those of a ``DataLoader`` of inputs and classes are taken
                from it.

        Raises `ScorecraftError` for no inputs, and where the score needs classes and there are none.
        """
        if self.learns:
            classes: list[Any] = []
            values = self._read(noting_classes(x, classes) if y is None and is_batched(x) else x)
            y = torch.cat([torch.as_tensor(one) for one in classes]) if classes else y
            if not len(values[0]):
                raise ScorecraftError(f"{type(self).__name__}: fit needs at least 1 training input")
            self._learn(values, None if y is None else torch.as_tensor(y).long())
        return self

    def predict_score(self, x: Any) -> Float[Tensor, "*rest"]:
        """Return the score of each input: of each row, box or pixel that the layer gives.

        Raises `ScorecraftError` where the detector needs `fit` first.
        """
        return self._score(self._read(x))

    def set_threshold(self, x: Any, share: float = 0.95) -> Detector:
        """Set ``threshold_`` so that at least ``share`` of these inputs count as inside; use held-out inputs."""
        self.threshold_ = threshold_at(self.predict_score(x).flatten(), share)
        return self

    def predict(self, x: Any) -> Bool[Tensor, "*rest"]:
        """Return which inputs score above the threshold; raises `ScorecraftError` where none is set."""
        if self.threshold_ is None:
            raise ScorecraftError(f"{type(self).__name__}: call set_threshold with held-out inputs first")
        return self.predict_score(x) > self.threshold_

    def state(self) -> dict[str, Tensor]:
        """Return what `fit` learned, for `restore`; empty where there is nothing to learn. No threshold is in it."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned, in a detector that was made in the same way."""
        if state:
            raise ScorecraftError(f"{type(self).__name__} learns nothing, but was given {', '.join(sorted(state))}")

    def _read(self, x: Any) -> tuple[Tensor, ...]:
        if self.model is None:
            return (all_rows(x, self.batch_size),)
        return read_layer(self.model, self.layer, x, side=self.side, batch_size=self.batch_size)

    def _learn(self, values: tuple[Tensor, ...], y: Tensor | None) -> None:
        """Keep what the score needs of training inputs, in a detector that learns."""
        raise NotImplementedError

    @abstractmethod
    def _score(self, values: tuple[Tensor, ...]) -> Tensor: ...


class LogitDetector(Detector):
    """MSP, maximum logit, entropy or energy of the logits that a layer gives; needs no `fit`.

    Args:
        score: which one.
        model: as of `Detector`.
        layer: as of `Detector`.
        temperature: of "msp" and "energy".
        background: class left out of the score, as for the boxes of a detection model.
        dim: of the classes; 1 for ``[image, class, y, x]``.
        batch_size: inputs in a pass.

    Raises `ScorecraftError` for an unknown score, and a temperature for a score that has none.
    """

    def __init__(
        self,
        score: LogitScore = "energy",
        model: nn.Module | None = None,
        layer: str = "",
        *,
        temperature: float = 1.0,
        background: int | None = None,
        dim: int = -1,
        batch_size: int = 256,
    ) -> None:
        super().__init__(model, layer, batch_size=batch_size)
        self.score, self.background = _logit_score(score), background
        self.settings: dict[str, Any] = {"dim": dim}
        if score in ("msp", "energy"):
            self.settings["temperature"] = temperature
        elif temperature != 1:
            raise ScorecraftError(f"LogitDetector: '{score}' has no temperature; only 'msp' and 'energy' have")

    def _score(self, values: tuple[Tensor, ...]) -> Tensor:
        return self.score(without_class(values[0], self.background), **self.settings)


class OdinDetector(Detector):
    """`odin_score` of a model's own logits; needs no `fit`.

    Args:
        model: returns logits ``[row, class]``.
        temperature: as of `odin_score`.
        epsilon: as of `odin_score`.
        std: as of `odin_score`.
        batch_size: inputs in a pass.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        temperature: float = 1000.0,
        epsilon: float = 0.0014,
        std: Sequence[float] | None = None,
        batch_size: int = 256,
    ) -> None:
        super().__init__(model, batch_size=batch_size)
        self.settings = {"temperature": temperature, "epsilon": epsilon, "std": std}

    def _read(self, x: Any) -> tuple[Tensor, ...]:
        return (all_rows(x, self.batch_size),)

    def _score(self, values: tuple[Tensor, ...]) -> Tensor:
        model, (inputs,) = self.model, values
        assert model is not None
        if not inputs.is_floating_point():
            raise ScorecraftError(
                f"OdinDetector: it moves its inputs, which must be floating point, got {inputs.dtype}"
            )
        place = next(model.parameters(), inputs)
        with evaluating(model):
            parts = [odin_score(model, part.to(place), **self.settings) for part in inputs.split(self.batch_size)]
        return torch.cat(parts).cpu()


class KNNDetector(Detector):
    """`knn_score` of a layer's output, or of features.

    Args:
        k: which neighbour.
        model: as of `Detector`.
        layer: as of `Detector`.
        side: as of `Detector`.
        batch_size: inputs in a pass.
    """

    learns = True

    def __init__(
        self,
        k: int = 200,
        model: nn.Module | None = None,
        layer: str = "",
        *,
        side: Side = "output",
        batch_size: int = 256,
    ) -> None:
        super().__init__(model, layer, side=side, batch_size=batch_size)
        self.k = k
        self.features_: Tensor | None = None

    def _learn(self, values: tuple[Tensor, ...], y: Tensor | None) -> None:
        features = values[0].flatten(1)
        check_finite("KNNDetector", features)
        if not 1 <= self.k <= len(features):
            raise ScorecraftError(
                f"KNNDetector: expected k from 1 to {len(features)}, the number of training inputs, got {self.k}"
            )
        self.features_ = features

    def state(self) -> dict[str, Tensor]:
        """Return the features of the training inputs."""
        return {"features": _fitted(self, self.features_)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        self.features_ = state["features"]

    def _score(self, values: tuple[Tensor, ...]) -> Tensor:
        return knn_score(_fitted(self, self.features_), values[0].flatten(1), self.k)


class MahalanobisDetector(Detector):
    """`mahalanobis_score` of a layer's output, or of features; `fit` needs the classes.

    Args:
        model: as of `Detector`.
        layer: as of `Detector`.
        side: as of `Detector`.
        ridge: as of `fit_class_gaussians`.
        batch_size: inputs in a pass.
    """

    learns = True

    def __init__(
        self,
        model: nn.Module | None = None,
        layer: str = "",
        *,
        side: Side = "output",
        ridge: float = 1e-6,
        batch_size: int = 256,
    ) -> None:
        super().__init__(model, layer, side=side, batch_size=batch_size)
        self.ridge = ridge
        self.gaussians_: ClassGaussians | None = None

    def _learn(self, values: tuple[Tensor, ...], y: Tensor | None) -> None:
        if y is None:
            raise ScorecraftError("MahalanobisDetector: fit needs the class of each training input, fit(x, y)")
        self.gaussians_ = fit_class_gaussians(values[0].flatten(1), y, self.ridge)

    def state(self) -> dict[str, Tensor]:
        """Return the means of the classes, and what whitens the features."""
        return _fitted(self, self.gaussians_)._asdict()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        self.gaussians_ = ClassGaussians(state["means"], state["whitening"])

    def _score(self, values: tuple[Tensor, ...]) -> Tensor:
        return mahalanobis_score(values[0].flatten(1), _fitted(self, self.gaussians_))


class ShapedDetector(Detector):
    """A score of the logits after ReAct, DICE or ASH on what goes into the last linear layer.

    Args:
        model: any torch model with a last linear layer.
        layer: name of that ``nn.Linear``.
        shaping: "react", "dice", "ash-s", "ash-b" or "ash-p"; the first two need `fit`.
        score: of the logits.
        percentile: of activations, contributions or what is pruned, in [0, 100]; that of the papers where not given.
        batch_size: inputs in a pass.

    Raises `ScorecraftError` where the layer is no ``nn.Linear``.
    """

    learns = True

    def __init__(
        self,
        model: nn.Module,
        layer: str,
        shaping: Shaping = "react",
        *,
        score: LogitScore = "energy",
        percentile: float | None = None,
        batch_size: int = 256,
    ) -> None:
        super().__init__(model, layer, side="input", batch_size=batch_size)
        last = find_layer(model, layer)
        if not isinstance(last, nn.Linear):
            raise ScorecraftError(f"ShapedDetector: layer '{layer}' is a {type(last).__name__}, expected nn.Linear")
        self.last, self.score, self.shaper = last, _logit_score(score), Shaper(shaping, percentile)

    def _learn(self, values: tuple[Tensor, ...], y: Tensor | None) -> None:
        self.shaper.learn(values[0], self.last.weight)

    def state(self) -> dict[str, Tensor]:
        """Return the threshold of ReAct or the mask of DICE."""
        return self.shaper.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        self.shaper.restore(state)

    def _score(self, values: tuple[Tensor, ...]) -> Tensor:
        _fitted(self, self.shaper.ready or None)
        features, weight = self.shaper.apply(values[0], self.last.weight)
        bias = self.last.bias
        return self.score(nn.functional.linear(features, weight, None if bias is None else bias.detach().cpu()))


@implements("learned-temperature-energy")
class LearnedTemperatureDetector(Detector):
    """AbeT, or a baseline on the same head, of a model trained with a learned temperature; per row, box or pixel.

    Args:
        model: has a `LearnedTemperatureHead` or a `LearnedTemperatureHead2d`.
        score: "abet"; "two-temperature", the energy with the temperature in front; "godin-cosine" or
            "godin-temperature".
        layer: name of the head; found where the model has only one.
        background: class left out of the score, as for the boxes of a detection model.
        shaping: "react", "dice", "ash-s", "ash-b" or "ash-p" on the features that the cosines are taken of; the
            temperature is that of the features as they are. Rows and boxes only; "react" and "dice" need `fit`.
        percentile: as of `ShapedDetector`.
        batch_size: inputs in a pass.

    Raises `ScorecraftError` for a model without such a head, which no detector can add after training; with several,
    where none is named; and for a background or shaping of pixels.

    Source: Out-of-Distribution Detection & Applications With Ablated Learned Temperature Energy, 2024,
    arXiv 2401.12129.
    """

    def __init__(
        self,
        model: nn.Module,
        score: HeadScore = "abet",
        layer: str | None = None,
        *,
        background: int | None = None,
        shaping: Shaping | None = None,
        percentile: float | None = None,
        batch_size: int = 256,
    ) -> None:
        heads = {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, LearnedTemperatureHead | LearnedTemperatureHead2d)
        }
        if layer is None and len(heads) > 1:
            raise ScorecraftError(f"LearnedTemperatureDetector: which head? layer= one of {', '.join(heads)}")
        name = layer if layer is not None else next(iter(heads), "")
        super().__init__(model, name, side="input", batch_size=batch_size)
        if name not in heads:
            raise ScorecraftError(
                "LearnedTemperatureDetector: the model needs training with LearnedTemperatureHead (or its 2d form) in "
                f"place of its last layer; {f'layer {name!r} is none' if name else 'it has none'}"
            )
        if score not in get_args(HeadScore):
            raise ScorecraftError(f"no score '{score}' of the head: {nearest(score, get_args(HeadScore))}")
        self.head = heads[name]
        self.pixels = isinstance(self.head, LearnedTemperatureHead2d)
        if self.pixels and (background is not None or shaping is not None):
            raise ScorecraftError("LearnedTemperatureDetector: background and shaping are for rows and boxes only")
        self.score: HeadScore = score
        self.learns = shaping is not None
        self.background, self.shaper = background, None if shaping is None else Shaper(shaping, percentile)

    def _learn(self, values: tuple[Tensor, ...], y: Tensor | None) -> None:
        if self.shaper is not None:
            self.shaper.learn(values[0], self.head.cosine.weight)

    def state(self) -> dict[str, Tensor]:
        """Return the threshold of ReAct or the mask of DICE, where there is one."""
        return {} if self.shaper is None else self.shaper.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        if self.shaper is None:
            super().restore(state)
        else:
            self.shaper.restore(state)

    def _score(self, values: tuple[Tensor, ...]) -> Tensor:
        dim = 1 if self.pixels else -1
        output = self._output(values[0])
        if self.background is not None:
            kept = (without_class(output.logits, self.background), without_class(output.numerators, self.background))
            output = HeadOutput(*kept, output.temperature)
        if self.score == "abet":
            return abet_score(output.logits, dim)
        if self.score == "two-temperature":
            return two_temperature_energy(output.logits, output.temperature, dim)
        return godin_score(output, "cosine" if self.score == "godin-cosine" else "temperature", dim)

    def _output(self, features: Tensor) -> HeadOutput:
        weight = self.head.cosine.weight
        with evaluating(self.head), torch.no_grad():
            parts = [self.head(part.to(weight.device)) for part in features.split(self.batch_size)]
        output = HeadOutput(*(torch.cat(values).cpu() for values in zip(*parts, strict=True)))
        if self.shaper is None:
            return output
        _fitted(self, self.shaper.ready or None)
        numerators = cosine_numerators(*self.shaper.apply(features, weight), self.head.cosine.epsilon)
        return HeadOutput(numerators / output.temperature, numerators, output.temperature)


def _logit_score(name: LogitScore) -> Callable[..., Tensor]:
    if name not in LOGIT_SCORES:
        raise ScorecraftError(f"no score '{name}' of logits: {nearest(name, LOGIT_SCORES)}")
    return LOGIT_SCORES[name]


def _fitted(detector: Detector, value: Value | None) -> Value:
    if value is None:
        raise ScorecraftError(f"{type(detector).__name__}: call fit with training inputs first")
    return value
