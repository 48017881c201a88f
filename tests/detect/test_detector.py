"""Detectors read layers of models by name; their scores are those of the functions."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from torch import nn

from scorecraft.detect.activations import ash_s, dice_mask, react, react_threshold
from scorecraft.detect.detector import (
    KNNDetector,
    LearnedTemperatureDetector,
    LogitDetector,
    MahalanobisDetector,
    OdinDetector,
    ShapedDetector,
)
from scorecraft.detect.distances import fit_class_gaussians, knn_score, mahalanobis_score
from scorecraft.detect.layers import read_layer
from scorecraft.detect.learned_temperature_energy import (
    LearnedTemperatureHead,
    LearnedTemperatureHead2d,
    abet_pixel_score,
    abet_score,
    cosine_numerators,
    two_temperature_energy,
)
from scorecraft.detect.scores import energy_score, msp_score, odin_score
from scorecraft.errors import ScorecraftError

X = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(20) % 3


def model_with(last):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.ReLU())
    return nn.Sequential(OrderedDict(body=body, last=last)).train()


@pytest.fixture
def ordinary():
    return model_with(nn.Linear(6, 3))


@pytest.fixture
def learned():
    model = model_with(LearnedTemperatureHead(6, 3))
    model(X)  # moves the running means
    return model


def of(model, x=X):
    """Features and output in evaluation mode, the model left in training mode."""
    model.eval()
    with torch.no_grad():
        features = model.body(x)
        output = model.last(features)
    model.train()
    return features, output


def test_logits_are_read_from_the_model_or_given(ordinary):
    _, logits = of(ordinary)
    wanted = msp_score(logits)
    torch.testing.assert_close(LogitDetector("msp", ordinary, batch_size=7).predict_score(X), wanted)
    torch.testing.assert_close(LogitDetector("msp", ordinary, "last").fit(X).predict_score(X.double().numpy()), wanted)
    torch.testing.assert_close(LogitDetector("msp").predict_score(logits), wanted)
    without = LogitDetector("energy", ordinary, background=-1).predict_score(X)
    torch.testing.assert_close(without, energy_score(logits[:, :2]))
    assert ordinary.training
    assert ordinary.body[2].training
    assert not any(module._forward_hooks for module in ordinary.modules())


def test_a_frozen_part_stays_frozen(ordinary):
    ordinary.body[1].eval()
    LogitDetector("msp", ordinary).predict_score(X)
    assert [module.training for module in ordinary.body] == [True, False, True, True]


def test_features_by_name_or_given(ordinary):
    features, _ = of(ordinary)
    for detector, train, wanted in (
        (KNNDetector(2, ordinary, "last", side="input"), X, knn_score(features[:12], features, 2)),
        (KNNDetector(2, ordinary, "body"), X, knn_score(features[:12], features, 2)),
    ):
        torch.testing.assert_close(detector.fit(train[:12]).predict_score(X), wanted)
    wanted = mahalanobis_score(features, fit_class_gaussians(features, Y, 0.1))
    by_name = MahalanobisDetector(ordinary, "body", ridge=0.1).fit(X, Y)
    given = MahalanobisDetector(ridge=0.1).fit(features.numpy(), Y.tolist())
    torch.testing.assert_close(by_name.predict_score(X), wanted)
    torch.testing.assert_close(given.predict_score(features), wanted)


def test_odin_is_that_of_the_model(ordinary):
    found = OdinDetector(ordinary, temperature=2.0, epsilon=0.3, batch_size=6).predict_score(X)
    assert ordinary.training
    assert all(parameter.grad is None for parameter in ordinary.parameters())
    torch.testing.assert_close(found, odin_score(ordinary.eval(), X, 2.0, 0.3))


def test_shaping_goes_into_the_last_layer(ordinary):
    features, _ = of(ordinary)
    weight, bias = ordinary.last.weight.detach(), ordinary.last.bias.detach()
    clipped = react(features, react_threshold(features, 80.0))
    found = ShapedDetector(ordinary, "last", "react", percentile=80.0).fit(X).predict_score(X)
    torch.testing.assert_close(found, energy_score(clipped @ weight.T + bias))
    kept = weight * dice_mask(weight, features.mean(0), 60.0)
    found = ShapedDetector(ordinary, "last", "dice", percentile=60.0, score="msp").fit(X).predict_score(X)
    torch.testing.assert_close(found, msp_score(features @ kept.T + bias))
    found = ShapedDetector(ordinary, "last", "ash-s").predict_score(X)
    torch.testing.assert_close(found, energy_score(ash_s(features, 65.0) @ weight.T + bias))


def test_the_head_is_found_and_scored(learned):
    _, output = of(learned)
    wanted = {
        "abet": abet_score(output.logits),
        "two-temperature": two_temperature_energy(output.logits, output.temperature),
        "godin-cosine": -output.numerators.amax(1),
        "godin-temperature": output.temperature[:, 0],
    }
    for score, values in wanted.items():
        found = LearnedTemperatureDetector(learned, score, batch_size=6).fit(X).predict_score(X)  # pyright: ignore
        torch.testing.assert_close(found, values)
    without = LearnedTemperatureDetector(learned, background=-1).predict_score(X)
    torch.testing.assert_close(without, abet_score(output.logits[:, :2]))
    cosine = LearnedTemperatureDetector(learned, "godin-cosine", background=0).predict_score(X)
    torch.testing.assert_close(cosine, -output.numerators[:, 1:].amax(1))


@pytest.mark.parametrize("shaping", ["react", "dice", "ash-s"])
def test_shaping_leaves_the_temperature_alone(learned, shaping):
    features, output = of(learned)
    weight = learned.last.cosine.weight.detach()
    if shaping == "react":
        numerators = cosine_numerators(react(features, react_threshold(features, 50.0)), weight)
    elif shaping == "dice":
        numerators = cosine_numerators(features, weight * dice_mask(weight, features.mean(0), 50.0))
    else:
        numerators = cosine_numerators(ash_s(features, 50.0), weight)
    found = LearnedTemperatureDetector(learned, shaping=shaping, percentile=50.0).fit(X).predict_score(X)
    torch.testing.assert_close(found, abet_score(numerators / output.temperature))


def test_pixels_are_scored():
    model = nn.Sequential(nn.Conv2d(1, 5, 3, padding=1), LearnedTemperatureHead2d(5, 2)).eval()
    images = torch.rand(3, 1, 6, 7)
    with torch.no_grad():
        wanted = abet_pixel_score(model(images).logits)
    found = LearnedTemperatureDetector(model, batch_size=2).predict_score(images)
    torch.testing.assert_close(found, wanted)
    assert found.shape == (3, 6, 7)
    assert LearnedTemperatureDetector(model).set_threshold(images).predict(images).shape == (3, 6, 7)


class Boxes(nn.Module):
    """A detection model in small: takes a list of images, gives a dict; its head sees two boxes of each image."""

    def __init__(self):
        super().__init__()
        self.head = LearnedTemperatureHead(4, 3)

    def forward(self, images):
        boxes = torch.cat([image.flatten()[:8].view(2, 4) for image in images])
        return {"scores": self.head(boxes).logits}


def test_boxes_are_scored_from_lists_of_images():
    model = Boxes().eval()
    images = [torch.rand(1, 3, 3 + size) for size in range(3)]
    found = LearnedTemperatureDetector(model, background=-1, batch_size=2).predict_score(images)
    with torch.no_grad():
        wanted = abet_score(model(images)["scores"][:, :2])
    torch.testing.assert_close(found, wanted)
    with pytest.raises(ScorecraftError, match="expected tensors, got dict; name a layer inside it"):
        LogitDetector("energy", model).predict_score(images)


def test_a_threshold_leaves_95_percent_of_the_held_out_inside(ordinary):
    detector = LogitDetector("energy", ordinary)
    with pytest.raises(ScorecraftError, match="set_threshold"):
        detector.predict(X)
    detector.set_threshold(X)
    assert detector.threshold_ is not None
    assert detector.predict(X).tolist() == (detector.predict_score(X) > detector.threshold_).tolist()
    assert detector.predict(X).sum().item() == 1
    assert detector.set_threshold(X, 0.5).predict(X).sum().item() == 10


def test_integers_are_given_to_a_model_as_they_are():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Flatten())
    assert read_layer(model, "0", np.array([[1, 2]]))[0].shape == (1, 2, 3)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.idle = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(self.layer(x))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: LogitDetector("energy", m, "lsat"), "no layer 'lsat': did you mean 'last'"),
        (lambda m: LogitDetector("energy", None, "last"), "no model is given"),
        (lambda m: KNNDetector(1, m, "last").predict_score(X), "call fit"),
        (lambda m: MahalanobisDetector(m, "last").predict_score(X), "call fit"),
        (lambda m: MahalanobisDetector(m, "last").fit(X), "fit needs the class"),
        (lambda m: ShapedDetector(m, "last", "react").predict_score(X), "call fit"),
        (lambda m: ShapedDetector(m, "body"), "is a Sequential, expected nn.Linear"),
        (LearnedTemperatureDetector, "needs training with LearnedTemperatureHead"),
        (lambda m: LearnedTemperatureDetector(m, layer="last"), "layer 'last' is none"),
        (lambda m: LearnedTemperatureDetector(Boxes(), shaping="react").predict_score([X]), "call fit"),
        (
            lambda m: LearnedTemperatureDetector(nn.ModuleList([LearnedTemperatureHead(2, 2) for _ in range(2)])),
            "layer= one of 0, 1",
        ),
        (lambda m: LearnedTemperatureDetector(LearnedTemperatureHead2d(2, 2), background=0), "rows and boxes only"),
        (lambda m: read_layer(Twice(), "layer", X), "it ran 2 times"),
        (lambda m: read_layer(Twice(), "idle", X), "it ran 0 times"),
        (lambda m: read_layer(m, "last", X[:0]), "at least 1 input"),
        (lambda m: LogitDetector("energy", m).predict_score(X * np.nan), "expected finite"),
    ],
)
def test_bad_input_is_named(ordinary, call, said):
    with pytest.raises(ScorecraftError, match=said):
        call(ordinary)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: LogitDetector("energi", m), "did you mean 'energy'"),  # pyright: ignore
        (lambda m: ShapedDetector(m, "last", "ash"), "no shaping 'ash'"),  # pyright: ignore
        (lambda m: LearnedTemperatureDetector(Boxes(), "abbet"), "did you mean 'abet'"),  # pyright: ignore
    ],
)
def test_what_checked_types_refuse_too(ordinary, call, said):
    with pytest.raises((ScorecraftError, TypeCheckError), match=f"{said}|Type-check error"):
        call(ordinary)
