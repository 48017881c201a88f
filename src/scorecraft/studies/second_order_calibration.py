"""Does what a model gains by peeking at another answer tell what it does not know?

Two worlds. In the first a question is a number x in (0, 1) with answers 0 and 1. Below one half the probability of 1
is a smooth wave, which a network can learn; above, it is 0.1 or 0.9 by a hidden coin for every 1/4000 of the line,
which it cannot. In the second a question is a place k, asked the more often the smaller k is (Zipf), with one true
digit in one of four wordings: an answer is a hallucination if its digit is wrong, and a wording is noise that anybody
has.
Everything is measured by the truth, without sampling noise of answers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from scorecraft.catalog.papers import find
from scorecraft.detect.pair_model import PairClassifier
from scorecraft.errors import ScorecraftWarning
from scorecraft.metrics.calibration import auroc
from scorecraft.metrics.hallucination_filters import selective_filter, top1_search
from scorecraft.metrics.second_order_calibration import (
    cheat_variance,
    conservative_scale,
    ece2,
    epistemic_confidence,
    interval,
)
from scorecraft.studies.study import Arm, Check, Experiment, Metric, Results, Scale, Study, Trial

CELLS = 4000
BETA, FLOOR = 0.05, 0.01
PAIRS = {"smoke": 1_000, "full": 20_000}
TEST = {"smoke": 1_000, "full": 20_000}
EPOCHS, BATCH, RATE, WIDTH = 8, 128, 2e-3, 64
MEMBERS, DROPOUT, PASSES = 5, 0.1, 20
HELD_OUT, DRAWS = {"smoke": 500, "full": 5_000}, {"smoke": 2, "full": 100}

PLACES, DIGITS, WORDINGS = 1000, 10, (0.6, 0.25, 0.1, 0.05)
BUCKETS = (0, 10, 30, 100, 300, 1000)
STATEMENTS = {"smoke": 1_500, "full": 30_000}
HALLUCINATIONS = 0.1


Estimate = Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""From questions to the probability of the answer 1 and its claimed variance."""


class Line:
    """Questions on the line, their true probabilities and answers; the same for every arm of a seed."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.coins = np.where(self.random.random(CELLS) < 0.5, 0.1, 0.9)

    def truth(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the true probability of the answer 1."""
        cell = np.minimum((x * CELLS).astype(np.int64), CELLS - 1)
        return np.where(x < 0.5, 0.5 + 0.4 * np.sin(4 * np.pi * x), self.coins[cell])

    def pairs(self, count: int, copied: float = 0.0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return questions and two answers to each; the second is a copy of the first with chance ``copied``."""
        x = self.random.random(count)
        answers = (self.random.random((count, 2)) < self.truth(x)[:, None]).astype(np.int64)
        answers[:, 1] = np.where(self.random.random(count) < copied, answers[:, 0], answers[:, 1])
        return x, answers


def features(x: NDArray[np.float64]) -> Tensor:
    """Return x and three waves of it: smooth features, in which a cell of the line cannot be seen."""
    turns = 2 * np.pi * np.array([1, 2, 4]) * x[:, None]
    return torch.tensor(np.concatenate([x[:, None], np.sin(turns), np.cos(turns)], 1), dtype=torch.float32)


class Networks(nn.Module):
    """Several networks of one kind side by side, with dropout if asked for: the usual sources of uncertainty."""

    def __init__(self, members: int, dropout: float) -> None:
        super().__init__()
        sizes = (7, WIDTH, WIDTH, 1)
        # Initialised as nn.Linear is.
        self.weights = nn.ParameterList((torch.rand(members, a, b) * 2 - 1) / a**0.5 for a, b in pairwise(sizes))
        self.biases = nn.ParameterList((torch.rand(members, 1, b) * 2 - 1) / a**0.5 for a, b in pairwise(sizes))
        self.members, self.dropout = members, dropout

    def forward(self, x: Tensor) -> Tensor:
        """Return the logit of the answer 1: ``[member, row]``."""
        hidden = x.expand(self.members, *x.shape)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = functional.dropout(torch.relu(hidden @ weight + bias), self.dropout, self.dropout > 0)
        return (hidden @ self.weights[-1] + self.biases[-1])[..., 0]


def trained(members: int, dropout: float, x: Tensor, answers: Tensor, seed: int) -> Networks:
    """Train networks on both answers of every pair, with as many steps as the pair model has."""
    torch.manual_seed(seed)
    networks = Networks(members, dropout)
    optimizer = torch.optim.Adam(networks.parameters(), RATE)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            # The mean of both answers has the gradient of both.
            target = answers[rows].float().mean(1).expand(members, -1)
            loss = functional.binary_cross_entropy_with_logits(networks(x[rows]), target)
            (members * loss).backward()
            optimizer.step()
    return networks


def estimator(trial: Trial, x: NDArray[np.float64], answers: NDArray[np.int64]) -> Estimate:
    """Return a function from questions to the probability of the answer 1 and its claimed variance."""
    asked, given, kind = features(x), torch.tensor(answers), trial.settings["kind"]
    if kind == "pairs":
        model = PairClassifier(2, features=WIDTH, epochs=EPOCHS, batch_size=BATCH, lr=RATE, seed=trial.seed)
        model.fit(asked, given[:, 0], given[:, 1])

        def by_pairs(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            joint = model.log_joint(features(points))
            return joint.exp().sum(2)[:, 1].double().numpy(), cheat_variance(joint)[:, 1]

        return by_pairs
    members, dropout = (MEMBERS, 0.0) if kind == "ensemble" else (1, DROPOUT if kind == "dropout" else 0.0)
    networks = trained(members, dropout, asked, given, trial.seed)

    def by_spread(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        with torch.no_grad():
            seen = features(points)
            logits = torch.cat([networks(seen) for _ in range(PASSES if dropout else 1)])
        spread = logits.double().sigmoid().numpy()
        return spread.mean(0), spread.var(0)

    return by_spread


def line(trial: Trial) -> Results:
    """Train one estimator on the line; return how its variances compare with its squared errors."""
    world, scale = Line(trial.seed), trial.scale
    x, answers = world.pairs(PAIRS[scale], trial.settings.get("copied", 0.0))
    estimate = estimator(trial, x, answers)
    held, both = world.pairs(4 * HELD_OUT[scale])
    points = world.random.random(TEST[scale])
    truth, hard = world.truth(points), points >= 0.5
    p, v = estimate(points)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScorecraftWarning)  # of negative variances, whose share is reported
        found = ece2(p, v, truth, beta=BETA)
    floored = interval(p, v, BETA, floor=FLOOR)
    held_p, held_v = estimate(held)
    kept, widths = [], []
    for _ in range(DRAWS[scale]):
        rows = world.random.choice(len(held), HELD_OUT[scale], replace=False)
        gamma = conservative_scale(held_p[rows], held_v[rows], both[rows, 0], both[rows, 1], floor=FLOOR)
        ends = interval(p, v, BETA, scale=gamma, floor=FLOOR)
        kept.append(((truth < ends.low) | (truth > ends.high)).mean() <= BETA)
        widths.append((ends.high - ends.low).mean())
    return {
        "ratio": found.mean_variance / found.mean_squared_error,
        "hard": float(v[hard].mean()),
        "easy": float(v[~hard].mean()),
        "squared_error": found.mean_squared_error,
        "ece2": found.binned_error,
        "negative": found.fraction_negative,
        "violations": float(found.violation_rate or 0.0),
        "floored": float(((truth < floored.low) | (truth > floored.high)).mean()),
        "auroc": auroc(hard.astype(float), v.clip(0, 1)),
        "scaled_holds": float(np.mean(kept)),
        "scaled_width": float(np.mean(widths)),
    }


class Statements:
    """Places with one true digit each, asked by Zipf's law, stated in one of the wordings."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.digits = self.random.integers(DIGITS, size=PLACES)
        self.share = 1 / np.arange(1, PLACES + 1)
        self.share /= self.share.sum()
        # Answer y = digit * wordings + wording.
        self.false = np.arange(DIGITS * len(WORDINGS)) // len(WORDINGS) != self.digits[:, None]

    def pairs(self, count: int) -> tuple[Tensor, Tensor]:
        """Return places and two independent true statements about each."""
        places = self.random.choice(PLACES, count, p=self.share)
        worded = self.random.choice(len(WORDINGS), (count, 2), p=WORDINGS)
        return torch.tensor(places), torch.tensor(self.digits[places, None] * len(WORDINGS) + worded)


def given_share(
    p: NDArray[np.float64], c: NDArray[np.float64], share: NDArray[np.float64], decoder: str
) -> NDArray[np.float64]:
    """Return how often each answer to each place is given ``[place, answer]``, by its asking, its chance and a decoder.

    "likely" gives the answers with the highest probabilities, as many as "refuse" does.
    """
    drawn = share[:, None] * p
    allowed = selective_filter(c.ravel(), HALLUCINATIONS).reshape(c.shape)
    if decoder == "refuse":
        return drawn * allowed
    if decoder == "likely":
        order = np.argsort(-p, axis=None, kind="stable")
        before = np.cumsum(drawn.ravel()[order]) - drawn.ravel()[order]
        keep = np.zeros(p.size, dtype=bool)
        keep[order] = before < (drawn * allowed).sum()
        return drawn * keep.reshape(p.shape)
    if decoder == "resample":
        passing = p * (1 - c < HALLUCINATIONS)
        total = passing.sum(1, keepdims=True)
        return share[:, None] * np.divide(passing, total, out=np.zeros_like(p), where=total > 0)
    if decoder == "top-1":
        found = np.zeros_like(p)
        for place in range(len(p)):
            if (best := top1_search(p[place], c[place], HALLUCINATIONS)) is not None:
                found[place, best] = share[place]
        return found
    return drawn


def statements(trial: Trial) -> Results:
    """Train a pair model on statements; return how often a decoder's answers are false, and whether the bound holds."""
    world = Statements(trial.seed)
    places, both = world.pairs(STATEMENTS[trial.scale])
    torch.manual_seed(trial.seed)
    body = nn.Sequential(nn.Embedding(PLACES, 64), nn.Linear(64, 128), nn.ReLU())
    # Every pair is new: one pass.
    model = PairClassifier(DIGITS * len(WORDINGS), body=body, features=128, epochs=1, lr=3e-3, seed=trial.seed)
    model.fit(places, both[:, 0], both[:, 1])
    joint = model.log_joint(torch.arange(PLACES))
    p, c = joint.double().exp().sum(2).numpy(), epistemic_confidence(joint)
    wrong, bound = (p * world.false).sum(1), 1 - (p * c).sum(1)
    excess = [
        float(np.average((wrong - bound)[low:high], weights=world.share[low:high])) for low, high in pairwise(BUCKETS)
    ]
    given = given_share(p, c, world.share, trial.settings["decoder"])
    rare = given[BUCKETS[-2] :]
    return {
        "false": float((given * world.false).sum() / max(given.sum(), 1e-12)),
        "rare_false": float((rare * world.false[BUCKETS[-2] :]).sum() / max(rare.sum(), 1e-12)),
        "given": float(given.sum()),
        "rare_given": float(rare.sum() / world.share[BUCKETS[-2] :].sum()),
        "excess": max(excess),
    }


SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(8))}
LINE_METRICS = (
    Metric("ratio", "claimed variance / squared error"),
    Metric("hard", "claimed variance, unlearnable half"),
    Metric("easy", "claimed variance, learnable half"),
    Metric("squared_error", "squared error of the probabilities"),
    Metric("ece2", "second-order calibration error", higher_is_better=False),
    Metric("violations", f"truth outside the interval (beta = {BETA:g})", higher_is_better=False, percent=True),
    Metric("floored", f"the same, with a variance of at least {FLOOR:g}", higher_is_better=False, percent=True),
    Metric("negative", "negative variances", percent=True),
    Metric("auroc", "AUROC of the variance, unlearnable against learnable", higher_is_better=True),
    Metric("scaled_holds", "held-out sets whose scaled interval holds", higher_is_better=True, percent=True),
    Metric("scaled_width", "width of the scaled interval", higher_is_better=False),
)
LINE = Experiment(
    name="line",
    title="A line whose upper half cannot be learnt",
    question="Whose claimed variance is the squared error, and whose interval holds the truth?",
    run=line,
    arms=(
        Arm("pairs", "gain by peeking (one network on pairs)", {"kind": "pairs"}),
        Arm("ensemble", "variance of 5 networks", {"kind": "ensemble"}),
        Arm("dropout", "variance of 20 dropout passes", {"kind": "dropout"}),
        Arm("none", "no variance", {"kind": "none"}),
    ),
    metrics=LINE_METRICS,
    checks=(
        Check("pairs claim at least 0.75 of the squared error", "ratio", "pairs", "above", margin=0.75),
        Check("and at most 1.3 of it", "ratio", "pairs", "below", margin=1.3),
        Check("an ensemble claims less than 0.1 of it", "ratio", "ensemble", "below", margin=0.1),
        Check("dropout claims less than 0.1 of it", "ratio", "dropout", "below", margin=0.1),
        Check("pairs: at most 10 % of the truths are outside", "violations", "pairs", "below", margin=0.10),
        Check("nor more with a least variance of 0.01", "floored", "pairs", "below", margin=0.10),
        Check("ensemble: at least 40 % are", "violations", "ensemble", "above", margin=0.40),
        Check("dropout: at least 40 % are", "violations", "dropout", "above", margin=0.40),
        Check("the variance of pairs tells the halves apart", "auroc", "pairs", "above", margin=0.95),
        Check("scaled by held-out pairs, at least 95 % hold", "scaled_holds", "pairs", "above", margin=0.95),
        Check("and for the ensemble as well", "scaled_holds", "ensemble", "above", margin=0.95),
        Check("but those of pairs are narrower", "scaled_width", "pairs", "below", "ensemble"),
    ),
    seeds=SEEDS,
    limits="At beta = 0.05 Markov's intervals are wide: they cover all of [0, 1] in the unlearnable half.",
)
STATED = Experiment(
    name="statements",
    title="Digits that are seldom asked about",
    question="Does the confidence bound the rate of false statements, and do the decoders keep theirs below 0.1?",
    run=statements,
    arms=(
        Arm("sample", "every sampled answer", {"decoder": "sample"}),
        Arm("likely", "the likeliest, as many as refusing gives", {"decoder": "likely"}),
        Arm("refuse", "refuse by confidence", {"decoder": "refuse"}),
        Arm("resample", "resample until confident", {"decoder": "resample"}),
        Arm("top-1", "likeliest confident answer", {"decoder": "top-1"}),
    ),
    metrics=(
        Metric("false", "false statements among those given", higher_is_better=False, percent=True),
        Metric("rare_false", "the same, places 301 to 1000", higher_is_better=False, percent=True),
        Metric("given", "questions answered", higher_is_better=True, percent=True),
        Metric("rare_given", "the same, places 301 to 1000", percent=True),
        Metric("excess", "rate of false statements above its bound, worst bucket", higher_is_better=False),
    ),
    checks=(
        Check("the bound holds in every bucket within 0.03", "excess", "sample", "below", margin=0.03),
        Check("samples at rare places are false at least 30 %", "rare_false", "sample", "above", margin=0.30),
        Check("refusing keeps false statements below 13 %", "false", "refuse", "below", margin=0.13),
        Check("resampling does", "false", "resample", "below", margin=0.13),
        Check("the search does", "false", "top-1", "below", margin=0.13),
        Check("refusing beats as many likely answers", "false", "refuse", "below", "likely"),
    ),
    seeds=SEEDS,
    limits="A table of all pairs of 40 answers, not a language model that writes them.",
)
COPIES = Experiment(
    name="copies",
    title="Answers that are copies",
    question="What becomes of the variance if some second answers are copies of the first?",
    run=line,
    arms=tuple(
        Arm(f"{share:.0%}", f"{share:.0%} copied", {"kind": "pairs", "copied": share}) for share in (0.0, 0.1, 0.3, 1.0)
    ),
    metrics=LINE_METRICS,
    checks=(Check("with copies only, twice the squared error is claimed", "ratio", "100%", "above", margin=2.0),),
    seeds=SEEDS,
    decides=False,
)
STUDY = Study(
    "second-order-calibration",
    find("second-order-calibration").claim,
    (LINE, STATED, COPIES),
    limits="CIFAR-10H with its 50 annotators an image, navigation, and a language model that writes both answers one "
    "after the other: that needs a transformer and hours.",
)
