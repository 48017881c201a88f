"""Scenes of textures, some of them unknown, for detectors that score every pixel or every box."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scorecraft.detect.learned_temperature_energy import (
    LearnedTemperatureHead2d,
    abet_box_score,
    abet_pixel_score,
    two_temperature_energy,
    without_class,
)
from scorecraft.detect.ood_report import ood_report
from scorecraft.detect.scores import energy_score, msp_score
from scorecraft.studies.image_worlds import CLASSES, KNOWN, gratings
from scorecraft.studies.study import Arm, Check, Experiment, Metric, Results, Scale, Trial

SIDE, WIDTH = 24, 32
SCENES: dict[Scale, int] = {"smoke": 32, "full": 1500}
SHOWN: dict[Scale, int] = {"smoke": 16, "full": 200}
EPOCHS: dict[Scale, int] = {"smoke": 1, "full": 6}
BACKGROUND = KNOWN  # the last class of boxes: no object, even grey under noise
LABELS = {
    "abet": "AbeT",
    "two-temperature": "energy with T in front",
    "msp": "MSP, ordinary head",
    "energy": "energy, ordinary head",
}


class Scenes:
    """Images ``[scene, 1, y, x]`` and the class of every pixel, -1 where it is unknown."""

    def __init__(self, images: Tensor, classes: Tensor) -> None:
        self.images, self.classes = images, classes


def scenes(random: np.random.Generator, known: np.ndarray, held: np.ndarray, count: int, *, unknown: bool) -> Scenes:
    """Return scenes of two textures that meet in a straight line; with ``unknown`` one is of a held-out class."""
    left, right = (random.integers(KNOWN, size=count) for _ in range(2))
    first = gratings(known[left], random, SIDE)
    other = random.choice(held, count) if unknown else known[right]
    second = gratings(other, random, SIDE)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    angle, offset = random.uniform(0, 2 * np.pi, (count, 1, 1)), random.uniform(-4, 4, (count, 1, 1))
    side = torch.tensor(np.cos(angle) * x + np.sin(angle) * y > offset)
    classes = torch.where(
        side, torch.tensor(left)[:, None, None], -1 if unknown else torch.tensor(right)[:, None, None]
    )
    return Scenes(torch.where(side[:, None], first, second), classes)


def boxes(random: np.random.Generator, known: np.ndarray, held: np.ndarray, count: int, *, unknown: bool) -> Scenes:
    """Return boxes of one texture each, a third of them of the background; with ``unknown`` all of held-out classes."""
    classes = random.integers(KNOWN, size=count)
    images = gratings(random.choice(held, count) if unknown else known[classes], random, SIDE)
    if unknown:
        return Scenes(images, torch.full((count, 1, 1), -1))
    empty = torch.tensor(random.random(count) < 1 / 3)
    grey = random.uniform(0.2, 0.8, (count, 1, 1, 1)) + random.normal(0, 0.2, (count, 1, SIDE, SIDE))
    images = torch.where(empty[:, None, None, None], torch.tensor(grey.clip(0, 1), dtype=torch.float32), images)
    return Scenes(images, torch.where(empty, BACKGROUND, torch.tensor(classes))[:, None, None])


class SceneNetwork(nn.Module):
    """Three convolutions that see 15 pixels around each, and a head for every pixel, or for the mean of all of them."""

    def __init__(self, classes: int, *, learned: bool, pooled: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after, apart in ((1, 16, 1), (16, WIDTH, 2), (WIDTH, WIDTH, 4)):
            layers += [nn.Conv2d(before, after, 3, 1, apart, apart, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1) if pooled else nn.Identity())
        self.head = LearnedTemperatureHead2d(WIDTH, classes) if learned else nn.Conv2d(WIDTH, classes, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return logits ``[image, class, y, x]`` and, of a learned head, the temperatures."""
        given = self.head(self.body(images))
        return (given, None) if isinstance(given, Tensor) else (given.logits, given.temperature)


@lru_cache(maxsize=8)
def trained(kind: str, learned: bool, seed: int, scale: Scale) -> tuple[SceneNetwork, Scenes, Scenes]:
    """Return a trained network, and test scenes without and with what it does not know; the scores share them."""
    random = np.random.default_rng([seed, kind == "boxes"])
    held, known = np.split(random.permutation(CLASSES), [CLASSES - KNOWN])
    make = boxes if kind == "boxes" else scenes
    learned_on = make(random, known, held, SCENES[scale], unknown=False)
    tests = [make(random, known, held, SHOWN[scale], unknown=unknown) for unknown in (False, True)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = SceneNetwork(KNOWN + (kind == "boxes"), learned=learned, pooled=kind == "boxes")
    _train(net, learned_on, EPOCHS[scale], seed)
    return net, tests[0], tests[1]


def _train(net: SceneNetwork, on: Scenes, epochs: int, seed: int) -> None:
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    batch = 16
    steps = len(on.images) // batch
    cuts = [int(epochs * steps * share) for share in (0.5, 0.75, 0.9)]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, cuts, 0.1)
    order = torch.Generator().manual_seed(seed)
    net.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(on.images), generator=order)[: steps * batch].split(batch):
            optimizer.zero_grad()
            F.cross_entropy(net(on.images[rows])[0], on.classes[rows]).backward()
            optimizer.step()
            schedule.step()
    net.eval()


def scored(score: str, logits: Tensor, temperature: Tensor | None, kind: str) -> Tensor:
    """Return an arm's score of every pixel, or of every box without its background."""
    if kind == "boxes":
        flat = logits.flatten(1)
        if score in {"abet", "abet-background"}:
            return abet_box_score(flat, None if score == "abet-background" else BACKGROUND)
        flat = without_class(flat, BACKGROUND)
        if score == "two-temperature" and temperature is not None:
            return two_temperature_energy(flat, temperature.flatten(1))
        return msp_score(flat) if score == "msp" else energy_score(flat)
    if score == "abet":
        return abet_pixel_score(logits)
    if score == "two-temperature" and temperature is not None:
        return two_temperature_energy(logits, temperature, dim=1)
    return msp_score(logits, dim=1) if score == "msp" else energy_score(logits, dim=1)


def run(trial: Trial) -> Results:
    """Score the pixels, or the boxes, of what is known and what is not."""
    kind, score = trial.settings["kind"], trial.settings["score"]
    net, plain, strange = trained(kind, score not in {"msp", "energy"}, trial.seed, trial.scale)
    inside: list[Tensor] = []
    outside: list[Tensor] = []
    right: list[Tensor] = []
    with torch.no_grad():
        for part in (plain, strange):
            logits, temperature = net(part.images)
            found = scored(score, logits, temperature, kind).reshape(part.classes.shape)
            known = part.classes >= 0
            if kind == "boxes":  # a detector hands on what it takes for an object
                known &= part.classes != BACKGROUND
            inside.append(found[known])
            outside.append(found[part.classes < 0])
            if known.any():
                right.append((logits.argmax(1) == part.classes)[known])
    report = ood_report(torch.cat(inside), torch.cat(outside))
    return {
        "auroc": report.auroc,
        "fpr95": report.fpr95,
        "aupr": report.aupr_out,
        "accuracy": float(torch.cat(right).float().mean()),
    }


METRICS = (
    Metric("auroc", "AUROC, unknown textures", higher_is_better=True),
    Metric("fpr95", "FPR@95", higher_is_better=False, percent=True),
    Metric("aupr", "AUPR, unknown as positive", higher_is_better=True),
    Metric("accuracy", "accuracy", higher_is_better=True, percent=True),
)


def pixel_experiment(seeds: Mapping[Scale, tuple[int, ...]]) -> Experiment:
    """Return the experiment that scores pixels."""
    return Experiment(
        name="pixels",
        title="Every pixel of a scene",
        question="Does the ablation find the pixels of a texture that was never seen?",
        run=run,
        arms=tuple(Arm(score, label, {"kind": "pixels", "score": score}) for score, label in LABELS.items()),
        metrics=METRICS,
        checks=(
            Check("AbeT has a higher AUROC than with T in front", "auroc", "abet", "above", "two-temperature"),
            Check("AbeT has a higher AUROC than MSP of an ordinary net", "auroc", "abet", "above", "msp"),
        ),
        seeds=seeds,
        decides=False,
        limits="The pixels' unknown class is near: a grating of another angle, in half of a scene.",
    )


def box_experiment(seeds: Mapping[Scale, tuple[int, ...]]) -> Experiment:
    """Return the experiment that scores boxes."""
    labels = {**LABELS, "abet-background": "AbeT, the background's logit kept"}
    return Experiment(
        name="boxes",
        title="Every box, with a background class",
        question="Does it help boxes as well, and must the background's logit be left out?",
        run=run,
        arms=tuple(Arm(score, label, {"kind": "boxes", "score": score}) for score, label in labels.items()),
        metrics=METRICS,
        checks=(
            Check("AbeT has a higher AUROC than with T in front", "auroc", "abet", "above", "two-temperature"),
            Check("leaving the background out is better", "auroc", "abet", "above", "abet-background"),
        ),
        seeds=seeds,
        decides=False,
        limits="Boxes are given, not proposed by a detector.",
    )
