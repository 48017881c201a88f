"""Do tiers of proximity teach faster than success alone, and with less noise than the continuous score?

A click task. Targets are a linear function of four features; the policy's clicks are normal around its own linear
function, and succeed within a box around the target. The score is ``exp(-d^2 / 2)`` of the distance in units of three
half-sides of the box. Learning is GRPO with one group of 8 clicks for each of 16 targets an update, and one learning
rate for all, since group-standardised advantages are of one size. The score is clean, or annotated with a displaced
centre, or noisy, or has its peak in the wrong place; success is always judged rightly.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from scorecraft.catalog.papers import find
from scorecraft.rewards.signal_to_noise import ssl_snr
from scorecraft.rewards.sweet_spot import ssl_reward
from scorecraft.studies.study import Arm, Check, Curve, Experiment, Metric, Results, Scale, Study, Trial

FEATURES, TARGETS, GROUP = 4, 16, 8
HALF_SIDE, SPREAD, REACH = 0.12, 0.25, 3 * 0.12
ALPHA, RATE = 0.5, 0.02
STEPS = {"smoke": 40, "full": 1500}
DRAWS = {"smoke": 200, "full": 4000}  # groups of the audit
GOAL, WINDOW = 0.9, 20  # the share of boxes that the mean click must hit, averaged over so many updates
POINTS = 50
HELD_OUT = 256
# How much noise: of the annotated centre in sides of the box, of the score itself, and of a peak beside the target.
DISPLACED, JITTER, HEAVY_JITTER, OFF_CENTRE = 0.2, 0.2, 0.5, 2 * HALF_SIDE

Table = NDArray[np.float64]


def scores_of(clicks: Table, targets: Table, kind: str, random: np.random.Generator) -> Table:
    """Return the score of every click, ``[target, click]``; an annotation is displaced once for all of its clicks."""
    centre = targets[:, None, :]
    if kind == "annotation":
        centre = centre + random.normal(0, DISPLACED * 2 * HALF_SIDE, centre.shape)
    elif kind == "off-centre":
        centre = centre + np.array([OFF_CENTRE, 0.0])
    score = np.exp(-(((clicks - centre) / REACH) ** 2).sum(-1) / 2)
    if kind.endswith("jitter"):
        score = score + random.normal(0, JITTER if kind == "jitter" else HEAVY_JITTER, score.shape)
    return score.clip(0, 1)


def rewards_of(correct: NDArray[np.bool_], score: Table, reward: str | int) -> Table:
    """Return "binary", "continuous" or tiered (a number of zones) rewards of the same clicks."""
    if reward == "binary":
        return correct.astype(float)
    if reward == "continuous":
        return correct + ALPHA * score
    found = ssl_reward(
        torch.from_numpy(correct.ravel()), torch.from_numpy(score.ravel()), alpha=ALPHA, zones=int(reward)
    )
    return found.double().numpy().reshape(correct.shape)


def advantages_of(rewards: Table) -> Table:
    """Return GRPO's advantages, ``(r - mean) / (std + 1e-4)`` with the population's deviation, row by row."""
    return (rewards - rewards.mean(1, keepdims=True)) / (rewards.std(1, keepdims=True) + 1e-4)


def hits(clicks: Table, targets: Table) -> NDArray[np.bool_]:
    """Return whether clicks are within the box around their target."""
    return np.abs(clicks - targets).max(-1) <= HALF_SIDE


def run(trial: Trial) -> Results:
    """Train one policy; return the updates that it needed, how far it misses in the end, and its course."""
    random = np.random.default_rng(trial.seed)
    settings, steps = trial.settings, STEPS[trial.scale]
    truth = random.uniform(-1, 1, (FEATURES, 2))
    held_out = random.uniform(-1, 1, (HELD_OUT, FEATURES))
    weights = np.zeros_like(truth)
    course, miss = np.zeros((2, steps))
    for step in range(steps):
        features = random.uniform(-1, 1, (TARGETS, FEATURES))
        targets, drawn = features @ truth, random.standard_normal((TARGETS, GROUP, 2))
        clicks = (features @ weights)[:, None] + SPREAD * drawn
        score = scores_of(clicks, targets, settings["score"], random)
        advantages = advantages_of(rewards_of(hits(clicks, targets[:, None]), score, settings["reward"]))
        # The derivative of a normal log density to its mean is z / deviation.
        slope = (advantages[:, :, None] * drawn).mean(1) / SPREAD
        weights += RATE * features.T @ slope / TARGETS
        ahead, wanted = held_out @ weights, held_out @ truth
        course[step] = hits(ahead, wanted).mean()
        miss[step] = np.linalg.norm(ahead - wanted, axis=1).mean() / HALF_SIDE
        trial.progress(step + 1, steps)
    smooth = np.convolve(course, np.ones(WINDOW) / WINDOW, "valid")
    reached = np.flatnonzero(smooth >= GOAL)
    updates = float(reached[0] + WINDOW) if len(reached) else float(steps)
    return {
        "updates": updates,
        "doublings": float(np.log2(updates)),
        "miss": float(miss[-steps // 5 :].mean()),
        "course": course[:: max(1, steps // POINTS)].tolist(),
    }


def audit(trial: Trial) -> Results:
    """Return the signal to noise of one reward's gradient at three policies, and success at each of them."""
    random = np.random.default_rng(trial.seed)
    settings, draws = trial.settings, DRAWS[trial.scale]
    truth = random.uniform(-1, 1, (FEATURES, 2))
    found: dict[str, float] = {}
    for name, learned in (("low", 0.0), ("middle", 0.6), ("high", 0.9)):
        features = random.uniform(-1, 1, (draws, FEATURES))
        targets, drawn = features @ truth, random.standard_normal((draws, GROUP, 2))
        clicks = (learned * targets)[:, None] + SPREAD * drawn
        correct, score = hits(clicks, targets[:, None]), scores_of(clicks, targets, settings["score"], random)
        rewards = torch.from_numpy(rewards_of(correct, score, settings["reward"]))
        slopes = features[:, None, :, None] * drawn[:, :, None, :] / SPREAD
        result = ssl_snr(
            lambda values: torch.from_numpy(advantages_of(values.numpy())),
            {"it": rewards},
            torch.from_numpy(slopes.reshape(draws, GROUP, -1)),
        )
        found |= {f"snr_{name}": result["it"].ratio, f"success_{name}": float(correct.mean())}
        trial.progress(len(found), 6)
    return found


REWARDS: dict[str, tuple[str, str | int]] = {
    "binary": ("success alone", "binary"),
    "tiers-2": ("SSL, 2 tiers", 2),
    "tiers-4": ("SSL, 4 tiers", 4),
    "tiers-8": ("SSL, 8 tiers", 8),
    "continuous": ("continuous score", "continuous"),
}
SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(8))}
METRICS = (
    Metric("updates", "updates until 90 % of boxes are hit", higher_is_better=False),
    Metric("doublings", "the same, log2", higher_is_better=False),
    Metric("miss", "distance in the last fifth (half-sides)", higher_is_better=False),
)
CURVES = (Curve("course", "boxes hit", "update / 30"),)
TASK_LIMITS = "Updates are counted up to 1500, which stands for policies that need more."


def _arms(score: str) -> tuple[Arm, ...]:
    return tuple(Arm(name, label, {"reward": reward, "score": score}) for name, (label, reward) in REWARDS.items())


def _experiment(name: str, title: str, question: str, check: Check, *, decides: bool) -> Experiment:
    return Experiment(
        name, title, question, run, _arms(name), METRICS, (check,), SEEDS, curves=CURVES, decides=decides,
        limits=TASK_LIMITS,
    )  # fmt: skip


CLEAN = _experiment(
    "clean", "A clean score", "Do tiers need at most half of the updates that success alone needs?",
    Check("four tiers need at most half the updates of success alone", "doublings", "tiers-4", "below", "binary", 1.0),
    decides=True,
)  # fmt: skip
NOISY = _experiment(
    "jitter", "A noisy score", "Where every score is noisy, do tiers learn faster than the score itself?",
    Check("four tiers need fewer updates than the noisy score", "updates", "tiers-4", "below", "continuous"),
    decides=True,
)  # fmt: skip
HEAVY = _experiment(
    "heavy-jitter", "A very noisy score", "Does that change where the noise is heavier?",
    Check("four tiers need fewer updates than the noisy score", "updates", "tiers-4", "below", "continuous"),
    decides=False,
)  # fmt: skip
ANNOTATED = _experiment(
    "annotation", "A displaced annotation", "Where the annotated centre is displaced, do tiers learn faster?",
    Check("four tiers need fewer updates than the displaced score", "updates", "tiers-4", "below", "continuous"),
    decides=False,
)  # fmt: skip
OFF = _experiment(
    "off-centre", "A score with its peak in the wrong place", "Do tiers hide a wrong peak that the score follows?",
    Check("four tiers end nearer to the target", "miss", "tiers-4", "below", "continuous"),
    decides=False,
)  # fmt: skip
SNR = (
    Metric("snr_low", "signal to noise, beginner", higher_is_better=True),
    Metric("snr_middle", "signal to noise, halfway", higher_is_better=True),
    Metric("snr_high", "signal to noise, nearly there", higher_is_better=True),
    Metric("success_low", "success of the beginner", percent=True),
)
AUDIT = Experiment(
    name="audit",
    title="Gradient of a frozen policy, clean score",
    question="Is a group's gradient clearer with tiers than with success alone where success is rare?",
    run=audit,
    arms=_arms("clean"),
    metrics=SNR,
    checks=(
        Check("four tiers are clearer than success alone", "snr_low", "tiers-4", "above", "binary"),
        Check("two tiers are clearer than success alone", "snr_low", "tiers-2", "above", "binary"),
    ),
    seeds=SEEDS,
)
NOISY_AUDIT = Experiment(
    name="noisy-audit",
    title="Gradient of a frozen policy, noisy score",
    question="Is a group's gradient clearer with tiers than with the noisy score itself?",
    run=audit,
    arms=_arms("jitter"),
    metrics=SNR[:3],
    checks=(
        Check("four tiers are clearer than the noisy score", "snr_low", "tiers-4", "above", "continuous"),
        Check("four tiers are clearer than the noisy score halfway", "snr_middle", "tiers-4", "above", "continuous"),
    ),
    seeds=SEEDS,
)
STUDY = Study(
    "sweet-spot",
    find("sweet-spot").claim,
    (CLEAN, NOISY, HEAVY, ANNOTATED, OFF, AUDIT, NOISY_AUDIT),
    limits="Agents on real screens, and transfer between tasks; vision-language models of 3 B parameters would be "
    "needed. The paper's weight, zone values and width of the score are not known; 0.5, equal zones with linear values "
    "and three half-sides are taken.",
)
