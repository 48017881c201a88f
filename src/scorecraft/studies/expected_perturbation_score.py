"""Does averaging the score over many noise levels tell attacked digits, whatever the levels, and does direction count?

The 8 by 8 digits of scikit-learn, scaled to [-1, 1]: 797 train a classifier and a denoiser (both small perceptrons),
500 are the references and 500 are tested, as they are and attacked. A sample's score is its squared MMD, with a
Gaussian kernel of the median scale, from the references; the arms differ in what of a sample the kernel compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scorecraft.catalog.papers import find
from scorecraft.detect.attacks import AttackName, Norm, attack
from scorecraft.detect.deep_kernel import DeepKernel, convolutional_features, train_deep_kernel
from scorecraft.detect.expected_perturbation_score import (
    ScoreFunction,
    expected_perturbation_score,
    perturbed_scores,
    score_from_denoiser,
    vp_marginal,
)
from scorecraft.detect.maximum_mean_discrepancy import (
    GaussianKernel,
    Kernel,
    median_scale,
    mmd2_of_each,
    mmd2_unbiased,
)
from scorecraft.detect.ood_report import ood_report
from scorecraft.errors import require
from scorecraft.studies.study import Arm, Check, Curve, Experiment, Metric, Results, Scale, Study, Trial

TRAIN, REFERENCES = 797, 500
SIDE = 8
LEVELS: dict[Scale, tuple[int, ...]] = {"smoke": (1, 5, 20), "full": (1, 5, 20, 50, 100, 200)}
USUAL = 20  # levels, as published for images of 32 by 32
STRENGTHS = {"": 0.2, "weak_": 0.1}  # largest change of a pixel, whose range is 2
PGD_STEPS, PGD_STEP = 10, 0.25  # the second in units of the strength
# The L2 attacks may change an image by as much as if every pixel had its largest change.
L2 = float(SIDE)
DENOISER_STEPS: dict[Scale, int] = {"smoke": 40, "full": 4000}
CLASSIFIER_STEPS: dict[Scale, int] = {"smoke": 60, "full": 600}
KERNEL_EPOCHS: dict[Scale, int] = {"smoke": 3, "full": 200}
# Of the references and of the test set.
USED: dict[Scale, int] = {"smoke": 60, "full": 500}
BATCH = 64
ARMS = {
    "eps": "expected perturbation score",
    "single": "score at the last level alone",
    "norm": "size of the expected perturbation score",
    "sizes": "mean size of the score over levels",
    "pixels": "the image itself",
}


class Denoiser(nn.Module):
    """A perceptron that predicts the noise of flat images at a time."""

    def __init__(self, hidden: int = 256) -> None:
        super().__init__()
        size = SIDE**2
        self.frequencies = nn.Buffer(torch.linspace(0, 3, 8).exp())
        self.layers = nn.Sequential(
            nn.Linear(size + 16, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, size)
        )

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Return the noise; the time t, in [0, 0.3], is given as sines and cosines."""
        angle = t[:, None] / 0.3 * self.frequencies
        return self.layers(torch.cat((x_t, angle.sin(), angle.cos()), dim=1))


@dataclass(frozen=True)
class Digits:
    """Flat images, and the two models that were trained on others."""

    reference: Tensor
    reference_labels: Tensor
    test: Tensor
    test_labels: Tensor
    classifier: nn.Module
    denoiser: nn.Module

    @property
    def score(self) -> ScoreFunction:
        """Return the score function of the denoiser."""
        return score_from_denoiser(self.denoiser, time_scale=1.0)


@lru_cache(maxsize=16)
def digits(seed: int, scale: Scale, share: float = 1.0) -> Digits:
    """Return split digits and trained models, the denoiser for a share of the usual steps; the arms share them."""
    require("sklearn", "detect", "the digits of this study")
    from sklearn.datasets import load_digits

    generator = torch.Generator().manual_seed(seed)
    found: Any = load_digits()
    order = torch.randperm(len(found.data), generator=generator)
    x = (torch.tensor(found.data, dtype=torch.float32) / 8 - 1)[order]
    y = torch.tensor(found.target, dtype=torch.long)[order]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = train_classifier(x[:TRAIN], y[:TRAIN], CLASSIFIER_STEPS[scale], generator)
        denoiser = train_denoiser(x[:TRAIN], round(share * DENOISER_STEPS[scale]), generator)
    reference, test = (slice(start, start + USED[scale]) for start in (TRAIN, TRAIN + REFERENCES))
    return Digits(x[reference], y[reference], x[test], y[test], classifier, denoiser)


def train_classifier(x: Tensor, y: Tensor, steps: int, generator: torch.Generator) -> nn.Module:
    """Return a perceptron of two hidden layers."""
    net = nn.Sequential(
        nn.Linear(SIDE**2, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(steps):
        rows = torch.randint(len(x), (2 * BATCH,), generator=generator)
        optimizer.zero_grad()
        F.cross_entropy(net(x[rows]), y[rows]).backward()
        optimizer.step()
    return net.eval()


def train_denoiser(x: Tensor, steps: int, generator: torch.Generator) -> nn.Module:
    """Return a denoiser trained by denoising score matching at times from .001 to .301."""
    net = Denoiser()
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = torch.randint(len(x), (BATCH,), generator=generator)
        optimizer.zero_grad()
        denoising_loss(net, x[rows], generator).backward()
        optimizer.step()
        schedule.step()
    return net.eval()


def denoising_loss(net: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
    """Return the mean square of what a denoiser leaves of the noise of images, each at a time of its own."""
    t = 0.001 + 0.3 * torch.rand(len(x), generator=generator)
    z = torch.randn(x.shape, generator=generator)
    mean, deviation = vp_marginal(t)
    return F.mse_loss(net(mean[:, None] * x + deviation[:, None] * z, t), z)


def attacked(world: Digits, name: AttackName, norm: Norm, strength: float, *, on_references: bool = False) -> Tensor:
    """Return attacked images: of the test set, or the references."""
    x, y = (world.reference, world.reference_labels) if on_references else (world.test, world.test_labels)
    epsilon = strength * (L2 if norm == "l2" else 1.0)
    return attack(world.classifier, x, y, epsilon, name=name, norm=norm, steps=PGD_STEPS, step_size=PGD_STEP * epsilon)


@lru_cache(maxsize=32)
def views(seed: int, scale: Scale, which: str, share: float = 1.0) -> dict[str, list[Tensor]]:
    """Return what each arm sees of a set of samples with each number of levels in `LEVELS`; shared by the arms.

    "eps" is the expected perturbation score; "single" the score at the last of the levels alone; "norm" the size of
    the first; "sizes" the mean size of the score over the levels; "pixels" the samples.

    Args:
        seed: of the world and of the perturbations.
        scale: of the study.
        which: "reference", "test", or a name in `STRENGTHS` for the test set under PGD of that strength.
        share: as of `digits`.
    """
    world = digits(seed, scale, share)
    if which in STRENGTHS:
        x = attacked(world, "pgd", "linf", STRENGTHS[which])
    else:
        x = world.reference if which == "reference" else world.test
    noise = torch.Generator().manual_seed(10 * seed + ("reference", "test", *STRENGTHS).index(which))
    found: dict[str, list[Tensor]] = {kind: [] for kind in ARMS}
    total, sizes, levels = torch.zeros_like(x), torch.zeros(len(x)), LEVELS[scale]
    for level, score in enumerate(perturbed_scores(x, world.score, levels=levels[-1], generator=noise), start=1):
        total, sizes = total + score, sizes + score.norm(dim=1)
        if level in levels:
            mean = total / level
            seen = {"eps": mean, "single": score, "norm": mean.norm(dim=1), "sizes": sizes / level, "pixels": x}
            for kind, view in seen.items():
                found[kind].append(view)
    return found


def areas(kind: str, seed: int, scale: Scale, strength: str, share: float = 1.0) -> list[float]:
    """Return the AUROC of attacked samples against natural ones with each number of levels."""
    sets = [views(seed, scale, which, share)[kind] for which in ("reference", "test", strength)]
    return [area(*found) for found in zip(*sets, strict=True)]


def area(reference: Tensor, natural: Tensor, other: Tensor, kernel: Kernel | None = None) -> float:
    """Return the AUROC of the discrepancy from the references; vectors of numbers are scores themselves."""
    if reference.ndim == 1:
        return ood_report(natural, other).auroc
    used = GaussianKernel(median_scale(reference)) if kernel is None else kernel
    with torch.no_grad():
        return ood_report(mmd2_of_each(used, reference, natural), mmd2_of_each(used, reference, other)).auroc


def run_levels(trial: Trial) -> Results:
    """Detect PGD at two strengths with every number of levels."""
    kind, share = trial.settings["kind"], trial.settings.get("share", 1.0)
    values: dict[str, float | list[float]] = {}
    for name in STRENGTHS:
        own, sizes = (areas(each, trial.seed, trial.scale, name, share) for each in (kind, "norm"))
        values[f"{name}auroc"] = own[LEVELS[trial.scale].index(USUAL)]
        values[f"{name}spread"] = max(own) - min(own)
        values[f"{name}lead"] = min(a - b for a, b in zip(own, sizes, strict=True))
        values[f"{name}course"] = own
    return values


def run_kernel(trial: Trial) -> Results:
    """Detect unseen attacks with a kernel trained on weak one-step attacks, or with the Gaussian one."""
    world, seed = digits(trial.seed, trial.scale), trial.seed
    place = iter(range(1000 * seed, 1000 * seed + 100))

    def eps(x: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(next(place))
        return expected_perturbation_score(x, world.score, levels=USUAL, generator=generator).view(-1, 1, SIDE, SIDE)

    reference, natural = eps(world.reference), eps(world.test)
    kernel: Kernel | None = None
    if trial.settings["kernel"] == "deep":
        weak = STRENGTHS["weak_"]
        norms: tuple[Norm, Norm] = ("linf", "l2")
        seen = torch.cat([eps(attacked(world, "fgsm", norm, weak, on_references=True)) for norm in norms])
        kernel = trained_kernel(reference, seen, KERNEL_EPOCHS[trial.scale], seed)
    unseen: dict[str, tuple[AttackName, Norm]] = {
        "pgd": ("pgd", "linf"), "pgd_l2": ("pgd", "l2"), "mim": ("mim", "linf"), "auto": ("autoattack", "linf"),
        "auto_l2": ("autoattack", "l2"),
    }  # fmt: skip
    test = {name: eps(attacked(world, *which, STRENGTHS[""])) for name, which in unseen.items()}
    return {name: area(reference, natural, found, kernel) for name, found in test.items()}


def trained_kernel(natural: Tensor, adversarial: Tensor, epochs: int, seed: int) -> DeepKernel:
    """Return a deep kernel with the published constants for CIFAR-10, at the size of the digits."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        kernel = DeepKernel(convolutional_features(1, SIDE, SIDE), scale=2 * SIDE**2 * 100.0, generator=generator)
    train_deep_kernel(kernel, natural, adversarial, epochs=epochs, batch_size=250, generator=generator)
    return kernel


NORMAL_SIZE, NORMAL_ROWS, NORMAL_VARIANCE = 16, 300, 0.04


def normal_score(x_t: Tensor, t: Tensor) -> Tensor:
    """Return the exact score of normal data of mean 0 and variance 0.04."""
    mean, deviation = (value[:, None] for value in vp_marginal(t))
    return -x_t / (mean**2 * NORMAL_VARIANCE + deviation**2)


def run_normal(trial: Trial) -> Results:
    """Compare sets of normal samples, the second shifted, whose score is known exactly."""
    generator = torch.Generator().manual_seed(trial.seed)
    spread = NORMAL_VARIANCE**0.5
    first, second = (spread * torch.randn(NORMAL_ROWS, NORMAL_SIZE, generator=generator) for _ in range(2))
    sets = [x.clamp(-1, 1) for x in (first, second + trial.settings["shift"])]
    a, b = (expected_perturbation_score(x, normal_score, generator=generator) for x in sets)
    kernel = GaussianKernel(median_scale(a))
    mean, deviation = vp_marginal(torch.arange(1, USUAL + 1) / 1000)
    slope = (mean / (mean**2 * NORMAL_VARIANCE + deviation**2)).mean()
    return {
        "mmd2": float(mmd2_unbiased(kernel(a, a), kernel(b, b), kernel(a, b)).mmd2),
        "error": float((b + slope * sets[1]).norm() / (slope * sets[1]).norm()),
    }


SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(5))}
LEVELS_EXPERIMENT = Experiment(
    name="levels",
    title="Number of levels",
    question="How well are digits attacked with PGD told from natural ones, with 1 to 200 noise levels?",
    run=run_levels,
    arms=(
        *(Arm(kind, label, {"kind": kind}) for kind, label in ARMS.items()),
        Arm("half", "the first, the denoiser trained for half of the steps", {"kind": "eps", "share": 0.5}),
    ),
    metrics=(
        Metric("auroc", "AUROC, strength 0.2, 20 levels", higher_is_better=True),
        Metric("spread", "its range over the numbers of levels", higher_is_better=False),
        Metric("lead", "its least lead over the size alone"),
        Metric("weak_auroc", "AUROC, strength 0.1, 20 levels", higher_is_better=True),
        Metric("weak_spread", "its range over the numbers of levels", higher_is_better=False),
        Metric("weak_lead", "its least lead over the size alone"),
    ),
    checks=(
        Check("the average hardly depends on the levels: at most 0.05", "spread", "eps", "below", margin=0.05),
        Check("the score at a single level does: at least 0.15", "spread", "single", "above", margin=0.15),
        Check("weak: the average depends less on the levels, by 0.1", "weak_spread", "eps", "below", "single", 0.1),
        Check("direction adds to size at every number of levels: 0.01", "lead", "eps", "above", margin=0.01),
        Check("weak: direction adds to size at every number of levels: 0.01", "weak_lead", "eps", "above", margin=0.01),
        Check("the average beats the image itself by 0.25", "auroc", "eps", "above", "pixels", 0.25),
        Check("weak: the average beats the image itself by 0.25", "weak_auroc", "eps", "above", "pixels", 0.25),
    ),
    seeds=SEEDS,
    curves=(
        Curve("course", "AUROC, strength 0.2", "1, 5, 20, 50, 100, 200 levels"),
        Curve("weak_course", "AUROC, strength 0.1", "1, 5, 20, 50, 100, 200 levels"),
    ),
    limits="At its best single level the score alone is no worse: what averaging buys is not having to find it.",
)
KERNEL = Experiment(
    name="kernel",
    title="A kernel trained on weak attacks",
    question="Does a deep kernel trained on one-step attacks of half the strength detect others as the Gaussian does?",
    run=run_kernel,
    arms=(
        Arm("gaussian", "Gaussian kernel, median scale", {"kernel": "gaussian"}),
        Arm("deep", "deep kernel", {"kernel": "deep"}),
    ),
    metrics=(
        Metric("pgd", "AUROC, PGD", higher_is_better=True),
        Metric("pgd_l2", "AUROC, PGD in the L2 norm", higher_is_better=True),
        Metric("mim", "AUROC, MIM", higher_is_better=True),
        Metric("auto", "AUROC, AutoAttack", higher_is_better=True),
        Metric("auto_l2", "AUROC, AutoAttack in the L2 norm", higher_is_better=True),
    ),
    checks=(
        Check("PGD: the deep kernel is not worse by 0.01", "pgd", "deep", "above", "gaussian", -0.01),
        Check("PGD in L2: the deep kernel is not worse by 0.01", "pgd_l2", "deep", "above", "gaussian", -0.01),
        Check("AutoAttack: the deep kernel is not worse by 0.01", "auto", "deep", "above", "gaussian", -0.01),
    ),
    seeds=SEEDS,
)
NORMAL = Experiment(
    name="normal",
    title="Normal data with their exact score",
    question="Is a shifted set further from a natural one than another natural one is, as is proved?",
    run=run_normal,
    arms=tuple(
        Arm(f"shift={shift:g}", f"shift {shift:g}" if shift else "both natural", {"shift": shift})
        for shift in (0.0, 0.05, 0.2)
    ),
    metrics=(
        Metric("mmd2", "squared MMD"),
        Metric("error", "noise left in the score, as a share of it", percent=True),
    ),
    checks=(
        Check("a shift of a quarter of the deviation is seen", "mmd2", "shift=0.05", "above", "shift=0"),
        Check("a larger shift is seen more", "mmd2", "shift=0.2", "above", "shift=0.05"),
    ),
    seeds=SEEDS,
)
STUDY = Study(
    "expected-perturbation-score",
    find("expected-perturbation-score").claim,
    (LEVELS_EXPERIMENT, KERNEL, NORMAL),
    limits="CIFAR-10 and ImageNet with pretrained diffusion models; and attackers who know the detector and attack "
    "through the score model, which no experiment here does.",
)
