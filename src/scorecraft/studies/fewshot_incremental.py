"""Do eight known tricks, stacked, make a learner that takes in new classes from five images and keeps the old ones?

Handwritten digits of 8 by 8 pixels: six base classes drawn at random with all their training images, then two sessions
of two new classes with five images each. 1200 rows are for training and 597 for testing. The encoder is 64-256-64. Then
the same with 3,000 images of Fashion-MNIST, 2,000 to test on, and an encoder of two convolutions. Every arm sees two
distorted views of each image, with or without contrast, so that the baseline sees as many.

No arm is tuned.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from scorecraft.catalog.papers import find
from scorecraft.detect.fewshot_incremental import (
    FSCILConfig,
    FSCILTrainer,
    Session,
    fscil_protocol,
    mlp_encoder,
    run_protocol,
    tricks_in_order,
    tricks_left_out,
)
from scorecraft.errors import require
from scorecraft.studies.fashion_mnist import fashion_mnist
from scorecraft.studies.study import Arm, Check, Curve, Experiment, Metric, Results, Scale, Study, Trial

TRAIN, PIXELS, CLASSES = 1200, 64, 10
BASE, WAY, SHOT = 6, 2, 5
EPOCHS: dict[Scale, int] = {"smoke": 1, "full": 25}
PRETRAINING: dict[Scale, int] = {"smoke": 1, "full": 10}
GARMENTS: dict[Scale, tuple[int, int]] = {"smoke": (300, 100), "full": (3000, 2000)}
GARMENT_EPOCHS: dict[Scale, int] = {"smoke": 1, "full": 12}
OF_BASE = ("supcon", "etf", "pseudo-classes", "rotation")

Rows = tuple[Tensor, Tensor]


def digits(seed: int) -> tuple[Rows, Rows, tuple[Session, ...]]:
    """Return training rows, test rows and the sessions of a seed."""
    require("sklearn", "detect", "the digits of this study")
    from sklearn.datasets import load_digits

    pixels, labels = cast(Any, load_digits(return_X_y=True))
    order = np.random.default_rng(seed).permutation(len(labels))
    x = torch.tensor(pixels[order] / 16, dtype=torch.float32).view(-1, 1, 8, 8)
    y = torch.tensor(labels[order]).long()
    return (x[:TRAIN], y[:TRAIN]), (x[TRAIN:], y[TRAIN:]), fscil_protocol(y[:TRAIN], BASE, WAY, SHOT, seed)


def garments(seed: int, scale: Scale) -> tuple[Rows, Rows, tuple[Session, ...]]:
    """Return training rows, test rows and the sessions of a seed, of Fashion-MNIST."""
    random = np.random.default_rng(seed)
    found = []
    for part, count in zip(("train", "test"), GARMENTS[scale], strict=True):
        held = fashion_mnist(part, stand_in=scale == "smoke")
        rows = random.choice(len(held.labels), count, replace=False)
        x = torch.tensor(held.images[rows] / 255, dtype=torch.float32)[:, None]
        found.append((x, torch.tensor(held.labels[rows])))
    train, test = found
    return train, test, fscil_protocol(train[1], BASE, WAY, SHOT, seed)


def convolutions(factor: float = 1.0) -> nn.Module:
    """Return an encoder of images of 28 by 28 pixels: two convolutions of 16 and 32 channels times the factor."""
    first, second = round(16 * factor), round(32 * factor)
    return nn.Sequential(
        nn.Conv2d(1, first, 5, 2, 2), nn.ReLU(), nn.Conv2d(first, second, 5, 2, 2), nn.ReLU(), nn.Flatten(),
        nn.Linear(second * 49, 64),
    )  # fmt: skip


def rows_of(trial: Trial) -> tuple[Rows, Rows, tuple[Session, ...]]:
    """Return the rows and sessions of a trial."""
    return garments(trial.seed, trial.scale) if trial.settings.get("garments") else digits(trial.seed)


def trainer_of(trial: Trial, tricks: tuple[str, ...], **settings: Any) -> FSCILTrainer:
    """Return a new trainer with some tricks."""
    of_garments = trial.settings.get("garments", False)
    config = FSCILConfig(
        tricks=frozenset(tricks), etf_classes=CLASSES,
        epochs=(GARMENT_EPOCHS if of_garments else EPOCHS)[trial.scale],
        pretrain_epochs=PRETRAINING[trial.scale], shots=SHOT, seed=trial.seed, **settings,
    )  # fmt: skip
    encoder = convolutions if of_garments else lambda factor: mlp_encoder(PIXELS, factor=factor)
    return FSCILTrainer(encoder, config)


def run(trial: Trial) -> Results:
    """Go through all sessions with the arm's tricks; return the accuracies that the field reports."""
    train, test, protocol = rows_of(trial)
    report = run_protocol(trainer_of(trial, trial.settings["tricks"]), protocol, train, test)
    final = report.final
    return {
        "average": report.average, "drop": report.performance_drop, "base": final.base, "novel": final.novel,
        "harmonic": final.harmonic, "course": [row.overall for row in report.sessions],
    }  # fmt: skip


def run_sessions(trial: Trial) -> Results:
    """Learn the base once; return what tuning in the sessions changes against leaving the encoder frozen."""
    train, test, (first, *later) = digits(trial.seed)
    settings = dict(trial.settings)
    tuned = trainer_of(trial, (*OF_BASE, settings.pop("trick")), early_stop=False, **settings)
    tuned.fit_base(train[0][first.rows], train[1][first.rows])
    # The base session is the same with and without a trick of the sessions.
    frozen = copy.deepcopy(tuned)
    frozen.config = replace(tuned.config, tricks=frozenset(OF_BASE))
    after = []
    for trainer in (frozen, tuned):
        for session in later:
            trainer.learn_session(train[0][session.rows], train[1][session.rows])
        after.append(trainer.evaluate(*test))
    before, now = after
    return {
        "base_change": now.base - before.base,
        "novel_change": now.novel - before.novel,
        "overall_change": now.overall - before.overall,
        "overall": now.overall,
    }


SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(8))}
METRICS = (
    Metric("average", "mean over sessions", higher_is_better=True, percent=True),
    Metric("drop", "drop from first to last", higher_is_better=False, percent=True),
    Metric("base", "base classes, at the end", higher_is_better=True, percent=True),
    Metric("novel", "new classes, at the end", higher_is_better=True, percent=True),
    Metric("harmonic", "their harmonic mean", higher_is_better=True, percent=True),
)


def arms_of(sets: dict[str, frozenset[str]]) -> tuple[Arm, ...]:
    """Return an arm for each set of tricks."""
    return tuple(
        Arm(label.replace("+ ", "").replace(" ", "-"), label, {"tricks": sorted(tricks)})
        for label, tricks in sets.items()
    )


ADDED = Experiment(
    name="added",
    title="One trick after the other",
    question="What does each trick, added to those above it, do to old and to new classes?",
    run=run,
    arms=arms_of(tricks_in_order()),
    metrics=METRICS,
    checks=(
        Check("contrast and vertices raise base accuracy by half a point", "base", "etf", "above", "baseline", 0.005),
        Check("and cost accuracy on new classes", "novel", "etf", "below", "baseline"),
        Check("pseudo-classes give 3 points of it back", "novel", "pseudo-classes", "above", "etf", 0.03),
        Check("rotations give some more", "novel", "rotation", "above", "pseudo-classes"),
        Check("all tricks have a higher mean over sessions than none", "average", "subnet", "above", "baseline"),
        Check("and a higher harmonic mean", "harmonic", "subnet", "above", "baseline"),
    ),
    seeds=SEEDS,
    curves=(Curve("course", "accuracy over classes seen", "session, the base being 1"),),
    limits="Six easy base classes leave little to gain, and four new classes make novel accuracy coarse.",
)
SESSIONS = Experiment(
    name="sessions",
    title="Tuning in the sessions",
    question="Does fine-tuning on five images forget the base, and does a sub-network keep it?",
    run=run_sessions,
    arms=(
        Arm("fine-tuning-hot", "fine-tuning, rate 0.01", {"trick": "fine-tuning", "inc_lr": 0.01}),
        Arm("fine-tuning", "fine-tuning, rate 0.001", {"trick": "fine-tuning", "inc_lr": 0.001}),
        Arm("subnet-hot", "sub-network of a tenth, rate 0.01", {"trick": "subnet", "inc_lr": 0.01}),
        Arm("subnet", "sub-network of a tenth, rate 0.001", {"trick": "subnet", "inc_lr": 0.001}),
    ),
    metrics=(
        Metric("base_change", "base classes, against frozen", higher_is_better=True, percent=True),
        Metric("novel_change", "new classes, against frozen", higher_is_better=True, percent=True),
        Metric("overall_change", "all classes, against frozen", higher_is_better=True, percent=True),
    ),
    checks=(
        Check("fine-tuning at 0.01 raises new classes", "novel_change", "fine-tuning-hot", "above"),
        Check("and costs more than 10 points of the base", "base_change", "fine-tuning-hot", "below", margin=-0.1),
        Check("a sub-network costs less than 1 point of the base", "base_change", "subnet", "above", margin=-0.01),
        Check("and less than half a point of new classes", "novel_change", "subnet", "above", margin=-0.005),
    ),
    seeds=SEEDS,
)
LEFT_OUT = Experiment(
    name="left-out",
    title="All tricks but one",
    question="Which trick is missed most?",
    run=run,
    arms=arms_of(tricks_left_out()),
    metrics=METRICS,
    checks=(),
    seeds={"smoke": (0,), "full": tuple(range(5))},
    decides=False,
)
FASHION = Experiment(
    name="garments",
    title="Fashion-MNIST, one trick after the other",
    question="Is it so for images that are harder, and an encoder with convolutions?",
    run=run,
    arms=tuple(Arm(arm.name, arm.label, {**arm.settings, "garments": True}) for arm in arms_of(tricks_in_order())),
    metrics=METRICS,
    checks=(
        Check("all tricks have a higher mean over sessions than none", "average", "subnet", "above", "baseline"),
        Check("and a higher harmonic mean", "harmonic", "subnet", "above", "baseline"),
    ),
    seeds={"smoke": (0,), "full": tuple(range(5))},
    curves=(Curve("course", "accuracy over classes seen", "session, the base being 1"),),
    decides=False,
)
STUDY = Study(
    "fewshot-incremental",
    find("fewshot-incremental").claim,
    (ADDED, SESSIONS, LEFT_OUT, FASHION),
    limits="The state of the art on CIFAR-100, CUB-200 and miniImageNet, which takes deep encoders and a GPU.",
)
