"""Does correcting a noisy verifier's verdicts by its error rates restore what the true reward teaches?

A contextual bandit: prompts of 8 features, 6 answers of which one is right, a linear softmax policy that starts
uniform, 8 samples for each of 64 prompts a step. The verifier errs at rates that depend on the kind of prompt. Accuracy
is the probability of the right answer on fresh prompts, by the truth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from scorecraft.catalog.papers import find
from scorecraft.objectives.channel_advantage import batch_moments, channel_advantage, smoothed_moments
from scorecraft.objectives.group_standardized import group_standardized_advantages
from scorecraft.rewards.appeals import AppealEstimator
from scorecraft.rewards.noisy_verifier import backward_correct, forward_weights, simulate_channel
from scorecraft.studies.study import Arm, Check, Curve, Experiment, Metric, Results, Scale, Study, Trial, Tuning

FEATURES, ANSWERS, PROMPTS, GROUP, TEST = 8, 6, 64, 8, 4096
KINDS = ((0.05, 0.05), (0.05, 0.60))  # false positives and false negatives of the two kinds of prompts
SMOKE_STEPS = 10
POINTS = 50  # of the curves
APPEALED = 0.1  # share of rejections appealed in training
GROUPS, ALL = torch.arange(PROMPTS).repeat_interleave(GROUP), torch.ones(PROMPTS * GROUP, dtype=torch.bool)


class World:
    """Prompts, right answers and kinds; the same for every arm of a seed."""

    def __init__(self, seed: int, kinds: str, hidden: float) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.weights = torch.randn(FEATURES, ANSWERS, generator=self.generator, dtype=torch.float64)
        self.kinds, self.hidden = kinds, hidden
        self.test = self.prompts(TEST)

    def prompts(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return features, right answers and kinds of prompts.

        ``hidden`` is the deviation of what decides about the right answer beside the features. The kind is a coin, or
        whether the right answer is among the last three.
        """
        x = torch.randn(count, FEATURES, generator=self.generator, dtype=torch.float64)
        unseen = torch.randn(count, ANSWERS, generator=self.generator, dtype=torch.float64)
        right = (x @ self.weights + self.hidden * unseen).argmax(1)
        coin = torch.randint(2, (count,), generator=self.generator)
        return x, right, (right >= ANSWERS // 2).long() if self.kinds == "answer" else coin

    def accuracy(self, policy: Tensor) -> tuple[float, float]:
        """Return the probability of the right answer on all test prompts, and on those of the second kind."""
        x, right, kind = self.test
        own = (x @ policy).softmax(1).gather(1, right[:, None])[:, 0]
        return float(own.mean()), float(own[kind == 1].mean())


class Corrector:
    """Turns verdicts into rewards, and rewards into advantages; it may learn rates and means as it goes."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.method, self.baseline = settings["method"], settings["baseline"]
        self.rates = torch.tensor(settings["rates"], dtype=torch.float32)
        self.running = None
        self.appeals = [AppealEstimator(APPEALED, smoothed="counts", maximum=0.9) for _ in self.rates]

    def reward(self, seen: Tensor, right: Tensor, kind: Tensor, generator: torch.Generator) -> Tensor:
        """Return the rewards of the samples ``[prompt, sample]``, from verdicts alone but for "oracle" and appeals."""
        heard = torch.rand(seen.shape, generator=generator) < APPEALED
        if self.method == "oracle":
            return right.float()
        if self.method == "raw":
            return seen
        rho0, rho1 = self.rates[kind, 0][:, None], self.rates[kind, 1][:, None]
        if self.method == "forward":
            return forward_weights(seen, rho1)
        if self.method == "appeals":
            for place, each in enumerate(self.appeals):
                rejected, own = seen == 0, (kind == place)[:, None]
                appealed = heard & rejected & own
                counts = (own & ~rejected, own & rejected, appealed, appealed & right)
                each.update(*(int(rows.sum()) for rows in counts))
            rho1 = torch.tensor([each.rho1 for each in self.appeals])[kind][:, None]
        return backward_correct(seen, rho0, rho1)

    def advantage(self, reward: Tensor) -> Tensor:
        """Return the advantages of the samples ``[prompt, sample]``."""
        flat = reward.flatten()
        if self.baseline == "standardized":
            return group_standardized_advantages(flat, GROUPS, ALL, epsilon=0.0).view_as(reward)
        kind = "forward" if self.method == "forward" else "backward"
        found = channel_advantage(flat, GROUPS, ALL, kind=kind, baseline=self.baseline, running=self.running)
        self.running = smoothed_moments(self.running, batch_moments(flat, ALL), 0.1)
        return found.view_as(reward)


def train(settings: dict[str, Any], seed: int, steps: int, trial: Trial | None = None) -> tuple[Tensor, list[float]]:
    """Train one policy by plain policy gradient; return its weights and the course of its accuracy."""
    world = World(seed, settings["kinds"], settings["hidden"])
    generator, corrector = world.generator, Corrector(settings)
    policy = torch.zeros(FEATURES, ANSWERS, dtype=torch.float64)
    course: list[float] = []
    for step in range(steps):
        x, answer, kind = world.prompts(PROMPTS)
        p = (x @ policy).softmax(1)
        drawn = torch.rand(PROMPTS, GROUP, generator=generator, dtype=torch.float64)
        chosen = (drawn[:, :, None] > p.cumsum(1)[:, None]).sum(2).clamp(max=ANSWERS - 1)
        right = chosen == answer[:, None]
        rates = corrector.rates[kind]
        seen = simulate_channel(right, rates[:, :1], rates[:, 1:], generator)
        advantage = corrector.advantage(corrector.reward(seen, right, kind, generator)).double()
        pushed = torch.zeros_like(p).scatter_add_(1, chosen, advantage) - advantage.sum(1, keepdim=True) * p
        policy += settings["lr"] * x.T @ pushed / (PROMPTS * GROUP)
        if step % max(1, steps // POINTS) == 0:
            course.append(world.accuracy(policy)[0])
            if trial:
                trial.progress(step + 1, steps)
    return policy, course


def _steps(trial: Trial) -> int:
    return SMOKE_STEPS if trial.scale == "smoke" else trial.settings["steps"]


def run_against_oracle(trial: Trial) -> Results:
    """Train one arm, and beside it the true reward and the raw verdicts under the same baseline and random numbers."""
    own = dict(trial.settings)
    world = World(trial.seed, own["kinds"], own["hidden"])
    policies = {
        method: train({**own, "method": method}, trial.seed, _steps(trial), trial)[0]
        for method in dict.fromkeys(("oracle", "raw", own["method"]))
    }
    accuracy = {method: world.accuracy(policy)[0] for method, policy in policies.items()}
    gap = accuracy["oracle"] - accuracy["raw"]
    return {
        "accuracy": accuracy[own["method"]],
        "closed": (accuracy[own["method"]] - accuracy["raw"]) / gap if abs(gap) > 1e-6 else 0.0,
        "distance": float((policies[own["method"]] - policies["raw"]).abs().max()),
    }


def gradient_noise(settings: dict[str, Any], seed: int) -> float:
    """Return the exact mean square of one sample's gradient at the start, as a multiple of the true reward's."""
    world = World(seed, settings["kinds"], settings["hidden"])
    x, answer, kind = world.test
    corrector, both = Corrector(settings), torch.tensor([0.0, 1.0]).expand(TEST, 2)
    values = corrector.reward(both, both == 1, kind, torch.Generator()).double()
    # A right answer is accepted unless it is a false negative, a wrong one if it is a false positive.
    rates = corrector.rates.double()[kind]
    accepted = torch.where(torch.arange(ANSWERS) == answer[:, None], 1 - rates[:, 1:], rates[:, :1])
    if settings["method"] == "oracle":
        accepted = (torch.arange(ANSWERS) == answer[:, None]).double()
    square = accepted * values[:, 1:] ** 2 + (1 - accepted) * values[:, :1] ** 2
    # All answers have the same score norm under a uniform policy, so it cancels but for the prompt's own length.
    length = (x**2).sum(1, keepdim=True)
    return float((square * length).mean() * ANSWERS / length.mean())


def run(trial: Trial) -> Results:
    """Train one arm."""
    own = dict(trial.settings)
    policy, course = train(own, trial.seed, _steps(trial), trial)
    accuracy, second = World(trial.seed, own["kinds"], own["hidden"]).accuracy(policy)
    noise = gradient_noise(own, trial.seed) if own["method"] != "appeals" else 0.0
    return {"accuracy": accuracy, "second": second, "noise": noise, "course": course}


def run_appeals(trial: Trial) -> Results:
    """Estimate the rate of false negatives many times; return how far off it is on average, and its errors."""
    settings, random = trial.settings, np.random.default_rng(trial.seed)
    repeats = 20 if trial.scale == "smoke" else 400
    values, said = [], []
    for repeat in range(repeats):
        estimator = AppealEstimator(
            settings["q"], smoothed=settings.get("smoothed", "rate"), false_positive_share=settings["share"],
            smoothing=settings.get("smoothing", 0.1),
        )  # fmt: skip
        counts = (0, 0, 0, 0)
        for _ in range(settings.get("batches", 1)):
            counts = appealed_batch(random, settings["size"], settings["q"])
            estimator.update(*counts)
        naive = counts[3] / max(counts[2], 1)
        values.append(naive if settings.get("naive") else estimator.rho1)
        said.append(estimator.se)
        trial.progress(repeat + 1, repeats)
    return {
        "bias": float(np.mean(values)) - FALSE_NEGATIVE,
        "spread": float(np.std(values)),
        "said": float(np.mean(said)),
    }


FALSE_POSITIVE, FALSE_NEGATIVE, RIGHT = 0.02, 0.25, 0.5
# Of the accepted, so many are wrong.
WRONG_SHARE = (1 - RIGHT) * FALSE_POSITIVE / ((1 - RIGHT) * FALSE_POSITIVE + RIGHT * (1 - FALSE_NEGATIVE))


def appealed_batch(random: np.random.Generator, size: int, q: float) -> tuple[int, int, int, int]:
    """Return how many of a batch were accepted, rejected, appealed and overturned."""
    right = random.binomial(size, RIGHT)
    refused = random.binomial(right, FALSE_NEGATIVE)
    accepted = right - refused + random.binomial(size - right, FALSE_POSITIVE)
    overturned = random.binomial(refused, q)
    appealed = overturned + random.binomial(size - accepted - refused, q)
    return int(accepted), int(size - accepted), int(appealed), int(overturned)


LABELS = {
    "oracle": "true reward",
    "raw": "raw verdicts",
    "backward": "backward",
    "forward": "forward",
    "appeals": "backward, rates by 10 % appeals",
}
SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(8))}
ACCURACY = Metric("accuracy", "accuracy by the truth", higher_is_better=True, percent=True)
BANDIT = {"rates": KINDS, "kinds": "coin", "hidden": 0.0, "lr": 1.0, "steps": 300}


def _arm(method: str, baseline: str, name: str, label: str, **more: Any) -> Arm:
    return Arm(name, label, {**BANDIT, "method": method, "baseline": baseline, **more})


EQUAL = Experiment(
    name="equal-step",
    title="Two kinds of prompts, equal learning rate",
    question="Which correction closes the gap between the raw verdicts and the true reward at one learning rate?",
    run=run_against_oracle,
    arms=(
        *(_arm(method, "none", method, LABELS[method]) for method in ("oracle", "raw", "backward", "forward")),
        *(
            _arm(method, "leave-one-out", f"{method}-loo", f"{LABELS[method]}, leave-one-out")
            for method in ("oracle", "raw", "backward")
        ),
    ),
    metrics=(ACCURACY, Metric("closed", "share of the gap closed", higher_is_better=True)),
    checks=(
        Check("backward closes at least 80 % of the gap", "closed", "backward", "above", margin=0.8),
        Check("and with a leave-one-out baseline", "closed", "backward-loo", "above", margin=0.8),
    ),
    seeds=SEEDS,
    limits="The kinds of prompts are independent of their answers, so raw verdicts slow learning down and hardly turn "
    "it; a larger learning rate makes up for that.",
)
CANCELLED = Experiment(
    name="standardised",
    title="Divided by the group's deviation",
    question="What is left of a correction when rewards are standardised by group?",
    run=run_against_oracle,
    arms=tuple(
        _arm(method, "standardized", method, f"{LABELS[method]}, z")
        for method in ("oracle", "raw", "backward", "forward")
    ),
    metrics=(ACCURACY, Metric("distance", "largest difference of a weight from raw verdicts")),
    checks=(
        Check("backward is the raw verdicts", "distance", "backward", "below", margin=0.01),
        Check("forward is the raw verdicts", "distance", "forward", "below", margin=0.01),
    ),
    seeds=SEEDS,
    limits="The two are the same up to the rounding of single-precision rewards.",
)
RATES = (0.3, 1.0, 3.0, 10.0, 30.0)
TUNED = {
    method: tuple(
        {"lr": lr, "baseline": baseline}
        for lr in RATES
        for baseline in ("none", "ema" if method == "forward" else "leave-one-out")
    )
    for method in LABELS
}
FORMS = Experiment(
    name="forms",
    title="Answers of a form that the verifier often refuses",
    question="With the best learning rate for each, does a correction keep the policy from avoiding right answers of a "
    "form that is often refused?",
    run=run,
    arms=tuple(
        _arm(method, "none", method, label, kinds="answer", hidden=2.0, steps=600) for method, label in LABELS.items()
    ),
    metrics=(ACCURACY, Metric("second", "accuracy on the refused form", higher_is_better=True, percent=True)),
    checks=(
        Check("backward is more accurate than raw verdicts", "accuracy", "backward", "above", "raw", 0.02),
        Check("backward finds answers of the refused form", "second", "backward", "above", "raw", 0.05),
        Check("backward comes close to the true reward", "accuracy", "backward", "within", "oracle", 0.02),
        Check("rates from appeals do so too", "accuracy", "appeals", "above", "raw", 0.02),
        Check("forward is more accurate than raw verdicts", "accuracy", "forward", "above", "raw"),
    ),
    seeds=SEEDS,
    tuning=Tuning(TUNED, "accuracy", (100, 101, 102)),
    curves=(Curve("course", "accuracy by the truth", "step / 12"),),
    limits="The verifier's rates are known by the form of the reference answer. Forward weights are the raw verdicts "
    "with a baseline for each prompt, so that their expected update is the same; what differs is noise.",
)
LEVELS = {"light": (0.1, 0.2), "heavy": (0.3, 0.3), "extreme": (0.45, 0.45)}
NOISE_ARMS = (
    _arm("oracle", "none", "oracle", LABELS["oracle"]),
    *(
        _arm(
            method, "none", f"{method}-{level}", f"{LABELS[method]}, {rates[0]:g} / {rates[1]:g}", rates=(rates, rates)
        )
        for level, rates in LEVELS.items()
        for method in ("raw", "backward", "forward")
    ),
)
NOISE = Experiment(
    name="noise-equal",
    title="Noise levels, equal learning rate",
    question="What does more noise cost each correction, with one pair of rates for all prompts and no baseline?",
    run=run,
    arms=NOISE_ARMS,
    metrics=(ACCURACY, Metric("noise", "mean square of a gradient, true reward = 1", higher_is_better=False)),
    checks=(
        Check("backward's gradient is over 50 times as noisy at .45 / .45", "noise", "backward-extreme", "above",
              margin=50.0),
        Check("forward's stays below 3 times", "noise", "forward-extreme", "below", margin=3.0),
    ),
    seeds=SEEDS,
    limits="Backward steps are 1/J times as long as those of raw verdicts, forward ones are of the same length.",
)  # fmt: skip
NOISE_TUNED = Experiment(
    name="noise-tuned",
    title="Noise levels, tuned learning rate",
    question="Once each has its own learning rate, is a correction more accurate than raw verdicts, and is forward the "
    "more stable one?",
    run=run,
    arms=NOISE_ARMS,
    metrics=(ACCURACY,),
    checks=(
        Check("forward is more accurate than raw verdicts at .1 / .2", "accuracy", "forward-light", "above",
              "raw-light"),
        Check("forward is more accurate than backward at .45 / .45", "accuracy", "forward-extreme", "above",
              "backward-extreme"),
    ),
    seeds=SEEDS,
    tuning=Tuning(
        dict.fromkeys((arm.name for arm in NOISE_ARMS), tuple({"lr": lr} for lr in (0.1, 0.3, 1.0, 3.0, 10.0, 30.0))),
        "accuracy",
        (100, 101, 102),
    ),
    limits="One pair of rates for all prompts: all three have the same expected direction and differ in the baseline "
    "that they amount to, which is 0, rho0 and 1 - rho1.",
)  # fmt: skip


def _estimate(name: str, label: str, q: float, share: float = WRONG_SHARE, **more: Any) -> Arm:
    return Arm(name, label, {"q": q, "share": share, "size": 5000, **more})


BIAS = Metric("bias", "estimate - true rate (0.25)")
ERRORS = (Metric("spread", "standard deviation of estimates"), Metric("said", "mean standard error stated"))
APPEALS = Experiment(
    name="appeals",
    title="Rates from appeals, 5000 answers",
    question="Is the rate of false negatives found without bias from a share q of the rejections?",
    run=run_appeals,
    arms=(
        *(_estimate(f"q={q:g}", f"q = {q:g}", q) for q in (0.1, 0.3, 1.0)),
        *(_estimate(f"q={q:g}-ignored", f"q = {q:g}, false positives ignored", q, 0.0) for q in (0.1, 0.3, 1.0)),
        _estimate("naive", "share of appeals overturned", 0.3, naive=True),
    ),
    metrics=(BIAS, *ERRORS),
    checks=(
        *(Check(f"no bias at q = {q:g}", "bias", f"q={q:g}", "within", margin=0.005) for q in (0.1, 0.3, 1.0)),
        Check("ignored false positives make the rate too low", "bias", "q=1-ignored", "below", margin=-0.002),
        Check("the share of appeals overturned is no rate of false negatives", "bias", "naive", "below", margin=-0.02),
    ),
    seeds=SEEDS,
    limits="Errors independent of the answer; a real verifier's depend on its form.",
)
SMALL = Experiment(
    name="appeals-small",
    title="Rates from appeals, batches of 64",
    question="What becomes of the estimate when it is smoothed over small batches, as in training?",
    run=run_appeals,
    arms=tuple(
        _estimate(f"{smoothed}-{q:g}", f"{smoothed} smoothed, q = {q:g}", q, size=64, batches=100, smoothed=smoothed)
        for q in (0.1, 1.0)
        for smoothed in ("rate", "counts")
    ),
    metrics=(BIAS, *ERRORS),
    checks=(
        Check("smoothing ratios is too low at q = 0.1", "bias", "rate-0.1", "below", margin=-0.02),
        Check("smoothing counts is not", "bias", "counts-0.1", "within", margin=0.01),
    ),
    seeds=SEEDS,
    decides=False,
    limits="A check of this library's estimator, not of the paper's claim.",
)
STUDY = Study(
    "noisy-verifier",
    find("noisy-verifier").claim,
    (EQUAL, CANCELLED, FORMS, NOISE, NOISE_TUNED, APPEALS, SMALL),
    limits="Language models: there the form of an answer is itself learned, and verifiers err by form.",
)
