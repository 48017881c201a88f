"""Does a fusion ratio that is learned for every sample make a better student than one for all, or than a rule's?

Handwritten digits of 8 by 8 pixels: 600 training rows, of which 30 % get a random label (one in ten of those is the
right one by chance), 300 held-out rows with right labels, and the rest for testing. The teacher is trained on the 600
rows for few epochs with weight decay, so that it has not learned the wrong labels by heart; a smaller student is
distilled from it. The learned ratio looks at the held-out labels, so it is also compared with a fixed ratio that was
chosen by them and whose student was then trained on them as well. Then the same with right labels whose classes have 80
rows, and ever fewer down to 8; and with 3,000 images of Fashion-MNIST and a teacher with convolutions.

No arm is tuned. A fixed ratio has a grid of its own.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple, cast, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scorecraft.catalog.papers import find
from scorecraft.distill.fusion_ratios import RatioRule, annealed_ratio, fixed_ratio, loss_ratio
from scorecraft.distill.trilateral_distillation import FusionNet
from scorecraft.distill.trilateral_features import Kind
from scorecraft.distill.trilateral_trainer import TGeoKDTrainer
from scorecraft.errors import require
from scorecraft.studies.fashion_mnist import fashion_mnist
from scorecraft.studies.study import Arm, Check, Curve, Experiment, Metric, Results, Scale, Study, Trial

CLASSES = 10
GRID = (0.0, 0.2, 0.5, 0.9)
EPOCHS: dict[Scale, int] = {"smoke": 1, "full": 60}
GARMENT_EPOCHS: dict[Scale, int] = {"smoke": 1, "full": 20}
TEACHER_EPOCHS: dict[Scale, int] = {"smoke": 2, "full": 25}
GARMENT_TEACHER_EPOCHS: dict[Scale, int] = {"smoke": 1, "full": 6}
GARMENTS: dict[Scale, tuple[int, int, int]] = {"smoke": (200, 60, 100), "full": (3000, 500, 4000)}
LARGEST, SMALLEST = 80, 8  # training rows of a class, where they are imbalanced
BATCH, LR = 64, 5e-3


class Rows(NamedTuple):
    """Flat pixels, labels, and true labels; the first ``train`` rows are for training, ``held`` more are held out."""

    x: Tensor
    y: Tensor
    right: Tensor
    train: int
    held: int

    @property
    def wrong(self) -> Tensor:
        """Which training rows have a wrong label."""
        return (self.y != self.right)[: self.train]

    @property
    def test(self) -> slice:
        """The rows that are left."""
        return slice(self.train + self.held, None)


def digits(seed: int, noise: float) -> Rows:
    """Return 600 training rows, a share of which has a random label, 300 held-out rows and 897 others."""
    pixels, truth = _digits()
    random = np.random.default_rng(seed)
    order = random.permutation(len(truth))
    return _noisy(pixels[order] / 16, truth[order], 600, 300, noise, random)


def imbalanced_digits(seed: int) -> Rows:
    """Return right labels whose classes have 80 training rows, and ever fewer down to 8, in an order that is drawn."""
    pixels, truth = _digits()
    random = np.random.default_rng(seed)
    order = random.permutation(len(truth))
    counts = np.geomspace(LARGEST, SMALLEST, CLASSES).round().astype(int)[random.permutation(CLASSES)]
    place = np.zeros(len(order), dtype=np.int64)
    for label in range(CLASSES):
        rows = truth[order] == label
        place[rows] = np.arange(rows.sum())
    chosen = place < counts[truth[order]]
    rows = np.concatenate([random.permutation(order[part]) for part in (chosen, ~chosen)])
    return _noisy(pixels[rows] / 16, truth[rows], int(counts.sum()), 300, 0.0, random)


def garments(seed: int, noise: float, scale: Scale) -> Rows:
    """Return images of Fashion-MNIST: of the training set to train on and to hold out, of the test set to test on."""
    train, held, test = GARMENTS[scale]
    random = np.random.default_rng(seed)
    learned, tested = (fashion_mnist(part, stand_in=scale == "smoke") for part in ("train", "test"))
    rows = random.choice(len(learned.labels), train + held, replace=False)
    others = random.choice(len(tested.labels), test, replace=False)
    images = np.concatenate((learned.images[rows], tested.images[others])).reshape(train + held + test, -1)
    truth = np.concatenate((learned.labels[rows], tested.labels[others]))
    return _noisy(images / 255, truth, train, held, noise, random)


def _digits() -> tuple[np.ndarray, np.ndarray]:
    require("sklearn", "detect", "the digits of this study")
    from sklearn.datasets import load_digits

    return cast(Any, load_digits(return_X_y=True))


def _noisy(
    pixels: np.ndarray, truth: np.ndarray, train: int, held: int, noise: float, random: np.random.Generator
) -> Rows:
    labels = truth.copy()
    chosen = random.choice(train, round(noise * train), replace=False)
    labels[chosen] = random.integers(0, CLASSES, len(chosen))
    x, y, right = torch.tensor(pixels, dtype=torch.float32), torch.tensor(labels), torch.tensor(truth)
    return Rows(x, y.long(), right.long(), train, held)


def rows_of(trial: Trial) -> Rows:
    """Return the rows of a trial."""
    kind, noise = trial.settings.get("data", "digits"), trial.settings.get("noise", 0.3)
    if kind == "garments":
        return garments(trial.seed, noise, trial.scale)
    return imbalanced_digits(trial.seed) if kind == "imbalanced" else digits(trial.seed, noise)


def net(pixels: int, hidden: int, seed: int) -> nn.Module:
    """Return a net of one hidden layer from pixels to logits."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, CLASSES))


def convolutions(seed: int) -> nn.Module:
    """Return a net of two convolutions from flat images of 28 by 28 to logits."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 16, 5, 2, 2), nn.ReLU(), nn.Conv2d(16, 32, 5, 2, 2), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 7 * 7, CLASSES),
    )  # fmt: skip


def trained_teacher(data: Rows, trial: Trial) -> nn.Module:
    """Return a teacher of 256 hidden units, or of convolutions for garments, trained on the training labels alone."""
    of_garments = trial.settings.get("data") == "garments"
    x, y, seed = data.x[: data.train], data.y[: data.train], trial.seed
    teacher = convolutions(seed) if of_garments else net(x.shape[1], 256, seed)
    optimizer = torch.optim.Adam(teacher.parameters(), lr=1e-3, weight_decay=1e-3)
    random = torch.Generator().manual_seed(seed)
    for _ in range((GARMENT_TEACHER_EPOCHS if of_garments else TEACHER_EPOCHS)[trial.scale]):
        for rows in torch.randperm(len(y), generator=random).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(teacher(x[rows]), y[rows]).backward()
            optimizer.step()
    return teacher


def distilled(
    data: Rows, teacher: nn.Module, fusion: FusionNet | RatioRule, trial: Trial, *, held: bool = False
) -> TGeoKDTrainer:
    """Return the trainer of a student that has been distilled; ``held`` trains on the held-out rows as well."""
    trainer = TGeoKDTrainer(
        net(data.x.shape[1], 24, trial.seed + 1), teacher, fusion, epochs=epochs_of(trial), batch_size=BATCH, lr=LR,
        seed=trial.seed, update_every=trial.settings.get("update_every", 1),
        compat=trial.settings.get("compat", "paper"),
    )  # fmt: skip
    both = data.train + data.held
    train, rest = torch.arange(both if held else data.train), torch.arange(data.train, both)
    return trainer.fit(data.x, data.y, train, torch.arange(0) if held else rest)


def epochs_of(trial: Trial) -> int:
    """Return for how many epochs students are trained."""
    return (GARMENT_EPOCHS if trial.settings.get("data") == "garments" else EPOCHS)[trial.scale]


def by_held_out(data: Rows, teacher: nn.Module, trial: Trial) -> tuple[float, TGeoKDTrainer]:
    """Return the fixed ratio of the grid that is best on the held-out rows, and its student."""
    held = slice(data.train, data.train + data.held)
    students = [distilled(data, teacher, fixed_ratio(alpha), trial) for alpha in GRID]
    best = max(range(len(GRID)), key=lambda place: students[place].score(data.x[held], data.right[held]))
    return GRID[best], students[best]


def class_mean(trainer: TGeoKDTrainer, data: Rows) -> float:
    """Return the mean over classes of the accuracy on test rows."""
    x, right = data.x[data.test], data.right[data.test]
    return float(np.mean([trainer.score(x[right == label], right[right == label]) for label in right.unique()]))


def run(trial: Trial) -> Results:
    """Distil one student; return its accuracy on the test rows, and the ratios of wrongly and rightly labelled rows."""
    data = rows_of(trial)
    wrong = data.wrong
    teacher = trained_teacher(data, trial)
    fusion = trial.settings["fusion"]
    start = time.perf_counter()
    if fusion == "grid":
        alpha, trainer = by_held_out(data, teacher, trial)
        if trial.settings["refit"]:
            trainer = distilled(data, teacher, fixed_ratio(alpha), trial, held=True)
    else:
        torch.manual_seed(trial.seed + 2)
        rules = {"annealed": annealed_ratio, "loss-ratio": loss_ratio}
        learned = fusion in get_args(Kind)
        chosen = FusionNet(CLASSES, fusion) if learned else rules.get(fusion) or fixed_ratio(float(fusion))
        trainer = distilled(data, teacher, chosen, trial)
    seconds = time.perf_counter() - start
    course = torch.stack([ratios[: data.train] for ratios in trainer.history.ratios])
    at_wrong = course[:, wrong].mean(1) if wrong.any() else course.mean(1)
    at_right = course[:, ~wrong].mean(1)
    teacher.eval()
    return {
        "accuracy": trainer.score(data.x[data.test], data.right[data.test]),
        "class_mean": class_mean(trainer, data),
        "teacher": float((teacher(data.x[data.test]).argmax(1) == data.right[data.test]).float().mean()),
        "wrong": float(at_wrong[-1]),
        "right": float(at_right[-1]),
        "gap": float(at_wrong[-1] - at_right[-1]),
        "seconds": seconds / epochs_of(trial),
        "wrong_course": at_wrong.tolist(),
        "right_course": at_right.tolist(),
    }


SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(10))}
METRICS = (
    Metric("accuracy", "test accuracy", higher_is_better=True, percent=True),
    Metric("wrong", "mean ratio, wrong labels"),
    Metric("gap", "mean ratio, wrong less right labels"),
    Metric("teacher", "the teacher's accuracy", percent=True),
    Metric("seconds", "seconds an epoch, with all fits", higher_is_better=False),
)
CURVES = (
    Curve("wrong_course", "mean ratio, wrong labels", "epoch"),
    Curve("right_course", "mean ratio, right labels", "epoch"),
)
LEARNED = Arm("learned", "learned (TGeo-KD)", {"fusion": "vertices+edges"})
CHOSEN = Arm("chosen", "fixed, chosen by held-out rows", {"fusion": "grid", "refit": False})
REFIT = Arm("refit", "the same, then trained on them too", {"fusion": "grid", "refit": True})

NOISE = Experiment(
    name="noise",
    title="Three labels in ten at random",
    question="Does the learned ratio find whom to trust, and is its student better for it?",
    run=run,
    arms=(
        *(Arm(f"fixed-{alpha:g}", f"fixed, {alpha:g}", {"fusion": f"{alpha:g}"}) for alpha in GRID),
        CHOSEN,
        REFIT,
        Arm("annealed", "annealed from 1 to 0", {"fusion": "annealed"}),
        Arm("loss-ratio", "by the losses' ratio (WLS)", {"fusion": "loss-ratio"}),
        LEARNED,
        Arm("every-10", "learned, net moved every 10 steps", {"fusion": "vertices+edges", "update_every": 10}),
        Arm("no-gradient", "as published: no gradient", {"fusion": "vertices+edges", "compat": "published-code"}),
    ),
    metrics=METRICS,
    checks=(
        Check("the learned ratio is higher by 0.4 where labels are wrong", "gap", "learned", "above", margin=0.4),
        Check("more accurate than plain distillation by 1 point", "accuracy", "learned", "above", "fixed-0.2", 0.01),
        Check("more accurate than the fixed ratio chosen by held-out rows", "accuracy", "learned", "above", "chosen"),
        Check("more accurate than that ratio trained on the held-out rows", "accuracy", "learned", "above", "refit"),
        Check("more accurate than the annealed ratio", "accuracy", "learned", "above", "annealed"),
        Check("more accurate than the losses' ratio", "accuracy", "learned", "above", "loss-ratio"),
        Check("more accurate than the published code's", "accuracy", "learned", "above", "no-gradient"),
    ),
    seeds=SEEDS,
    curves=CURVES,
    limits="Random labels are where a ratio for each sample should pay most; natural images have few of them.",
)
GEOMETRY = Experiment(
    name="geometry",
    title="What the net is shown",
    question="Do the edge between student and teacher and the class average add to the edges to the label?",
    run=run,
    arms=(
        Arm("label", "edges to the label (RW)", {"fusion": "label-edges"}),
        Arm("intra", "and student to teacher", {"fusion": "intra-edges"}),
        Arm("inter", "and the class average", {"fusion": "all-edges"}),
        Arm("learned", "and the vertices (TGeo-KD)", {"fusion": "vertices+edges"}),
        Arm("scalar", "ten scalars", {"fusion": "scalar"}),
    ),
    metrics=METRICS[:3],
    checks=(
        Check("student to teacher adds", "accuracy", "intra", "above", "label"),
        Check("the class average adds", "accuracy", "inter", "above", "intra"),
        Check("the whole is better than the edges to the label", "accuracy", "learned", "above", "label"),
    ),
    seeds=SEEDS,
    decides=False,
)
CLEAN = Experiment(
    name="clean",
    title="All labels right",
    question="Is there something to gain where no label is wrong, as in the paper?",
    run=run,
    arms=tuple(
        Arm(arm.name, arm.label, {**arm.settings, "noise": 0.0})
        for arm in (Arm("fixed-0.2", "fixed, 0.2", {"fusion": "0.2"}), CHOSEN, REFIT, LEARNED)
    ),
    metrics=METRICS[:1],
    checks=(
        Check("more accurate than plain distillation", "accuracy", "learned", "above", "fixed-0.2"),
        Check("more accurate than the fixed ratio chosen by held-out rows", "accuracy", "learned", "above", "chosen"),
        Check("more accurate than that ratio trained on the held-out rows", "accuracy", "learned", "above", "refit"),
    ),
    seeds=SEEDS,
    decides=False,
    limits="All students are near the most that 600 digits can teach them.",
)
RIVALS = (
    Arm("fixed-0.2", "fixed, 0.2", {"fusion": "0.2"}),
    CHOSEN,
    REFIT,
    Arm("annealed", "annealed from 1 to 0", {"fusion": "annealed"}),
    Arm("loss-ratio", "by the losses' ratio (WLS)", {"fusion": "loss-ratio"}),
    LEARNED,
)


def with_data(kind: str) -> tuple[Arm, ...]:
    """Return the learned ratio and its rivals on other rows."""
    return tuple(Arm(arm.name, arm.label, {**arm.settings, "data": kind}) for arm in RIVALS)


IMBALANCE = Experiment(
    name="imbalance",
    title="Classes of 80 to 8 rows, all labels right",
    question="Does a ratio for each sample help classes that are rare in training?",
    run=run,
    arms=with_data("imbalanced"),
    metrics=(Metric("class_mean", "test accuracy, mean over classes", higher_is_better=True, percent=True), METRICS[0]),
    checks=(
        Check("more accurate than plain distillation by 1 point", "class_mean", "learned", "above", "fixed-0.2", 0.01),
        Check("more accurate than the fixed ratio chosen by held-out rows", "class_mean", "learned", "above", "chosen"),
        Check("more accurate than that ratio trained on the held-out rows", "class_mean", "learned", "above", "refit"),
        Check("more accurate than the losses' ratio", "class_mean", "learned", "above", "loss-ratio"),
    ),
    seeds=SEEDS,
    limits="The held-out rows have classes of equal size, which the learned ratio and the chosen one see alike.",
)
FASHION = Experiment(
    name="garments",
    title="Fashion-MNIST, three labels in ten at random",
    question="Is it so for other images, and a teacher with convolutions?",
    run=run,
    arms=with_data("garments"),
    metrics=METRICS[:4],
    checks=(
        Check("the learned ratio is higher by 0.4 where labels are wrong", "gap", "learned", "above", margin=0.4),
        Check("more accurate than plain distillation by 1 point", "accuracy", "learned", "above", "fixed-0.2", 0.01),
        Check("more accurate than the fixed ratio chosen by held-out rows", "accuracy", "learned", "above", "chosen"),
        Check("more accurate than that ratio trained on the held-out rows", "accuracy", "learned", "above", "refit"),
        Check("more accurate than the losses' ratio", "accuracy", "learned", "above", "loss-ratio"),
    ),
    seeds={"smoke": (0,), "full": tuple(range(5))},
    curves=CURVES,
)
STUDY = Study(
    "trilateral-distillation",
    find("trilateral-distillation").claim,
    (NOISE, IMBALANCE, FASHION, GEOMETRY, CLEAN),
    limits="The paper's gains on CIFAR-100, ImageNet, attack detection and click prediction, which need larger nets.",
)
