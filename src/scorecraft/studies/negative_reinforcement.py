"""Does learning from wrong answers alone keep the other right answers alive?

Many independent prompts over 64 answers of which 8 are right, and a policy that starts out mostly right. Training
accuracy is not what differs; what differs is whether several right answers survive. So pass@256 is measured under a
verifier that accepts just one of the eight, averaged over the eight: a policy that has settled on one right answer
fails seven of them. With a weak start the effect is not there, which is shown beside it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scorecraft.catalog.papers import find
from scorecraft.objectives.group_standardized import group_standardized
from scorecraft.objectives.signed_sample import signed_sample_advantages
from scorecraft.studies.study import Arm, Check, Curve, Experiment, Metric, Results, Scale, Study, Trial

PROMPTS, ANSWERS, RIGHT, SAMPLES, K = 256, 64, 8, 8, 256
STEPS = {"smoke": 20, "full": 400}
EVERY = 8  # steps between two points of a curve


def advantages_of(reward: Tensor, method: str) -> Tensor:
    """Return the advantage of every sample ``[prompt, sample]``; rows that are not kept get 0 (common divisor)."""
    flat = reward.flatten()
    if method == "grpo":
        group = torch.arange(len(reward)).repeat_interleave(reward.shape[1])
        valid = torch.ones(len(flat), dtype=torch.bool)
        baseline, scale = group_standardized(flat, group, valid, epsilon=1e-4, ddof=1, singleton="zero")
        return ((flat - baseline) / scale).view_as(reward)
    values, keep = signed_sample_advantages(flat, "weighted" if method == "weighted" else method, 0.1)  # pyright: ignore[reportArgumentType]
    return (values * keep).view_as(reward)


def measures(logits: Tensor) -> tuple[float, float, float]:
    """Return training accuracy, pass@256 under the verifier that accepts one right answer, and entropy (nats)."""
    p = logits.softmax(1)
    accuracy = float(p[:, :RIGHT].sum(1).mean())
    rotated = float((1 - (1 - p[:, :RIGHT]) ** K).mean())
    entropy = float(-(p * p.clamp(min=1e-30).log()).sum(1).mean())
    return accuracy, rotated, entropy


def run(trial: Trial) -> Results:
    """Train one table of logits by plain policy gradient with a divisor common to all methods."""
    generator = torch.Generator().manual_seed(trial.seed)
    logits = torch.randn(PROMPTS, ANSWERS, generator=generator, dtype=torch.float64)
    logits[:, :RIGHT] += trial.settings["prior"]
    steps = STEPS[trial.scale]
    course: dict[str, list[float]] = {"accuracy_course": [], "rotated_course": []}
    for step in range(steps):
        p = logits.softmax(1)
        drawn = torch.multinomial(p, SAMPLES, replacement=True, generator=generator)
        advantages = advantages_of((drawn < RIGHT).float(), trial.settings["method"]).double()
        gradient = torch.zeros_like(logits).scatter_add_(1, drawn, advantages)
        gradient -= advantages.sum(1, keepdim=True) * p
        logits += trial.settings["lr"] * gradient / SAMPLES
        if step % EVERY == 0:
            accuracy, rotated, _ = measures(logits)
            course["accuracy_course"].append(accuracy)
            course["rotated_course"].append(rotated)
        trial.progress(step + 1, steps)
    accuracy, rotated, entropy = measures(logits)
    return {"accuracy": accuracy, "rotated": rotated, "entropy": entropy, **course}


METHODS = {
    "psr": "right answers only (PSR)",
    "nsr": "wrong answers only (NSR)",
    "weighted": "W-REINFORCE, 0.1",
    "grpo": "GRPO",
}
METRICS = (
    Metric("accuracy", "training accuracy", higher_is_better=True, percent=True),
    Metric("rotated", "pass@256, one right answer accepted", higher_is_better=True, percent=True),
    Metric("entropy", "entropy (nats)"),
)
CURVES = (
    Curve("accuracy_course", "training accuracy", f"step / {EVERY}"),
    Curve("rotated_course", "pass@256, one right answer accepted", f"step / {EVERY}"),
)
SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(8))}


def _arms(prior: float) -> tuple[Arm, ...]:
    return tuple(Arm(method, label, {"method": method, "prior": prior, "lr": 1.0}) for method, label in METHODS.items())


STRONG = Experiment(
    name="strong-start",
    title="A start that is mostly right",
    question="At equal training accuracy, which method keeps more of the eight right answers within reach?",
    run=run,
    arms=_arms(5.0),
    metrics=METRICS,
    checks=(
        Check("NSR keeps more than PSR", "rotated", "nsr", "above", "psr", 0.15),
        Check("W-REINFORCE keeps more than GRPO", "rotated", "weighted", "above", "grpo", 0.10),
        Check("NSR and PSR are equally accurate", "accuracy", "nsr", "within", "psr", 0.01),
        Check("W-REINFORCE and GRPO are equally accurate", "accuracy", "weighted", "within", "grpo", 0.01),
    ),
    seeds=SEEDS,
    curves=CURVES,
    limits="One learning rate for all arms, since they share a divisor and their expected gradient.",
)
WEAK = Experiment(
    name="weak-start",
    title="A start that is mostly wrong",
    question="Is the effect there without a policy that solves most prompts already?",
    run=run,
    arms=_arms(1.0),
    metrics=METRICS,
    checks=(Check("NSR keeps more than PSR", "rotated", "nsr", "above", "psr", 0.15),),
    seeds=SEEDS,
    curves=CURVES,
    decides=False,
    limits="A control: the claim speaks of models that solve most prompts, and this start does not.",
)
STUDY = Study(
    "negative-reinforcement",
    find("negative-reinforcement").claim,
    (STRONG, WEAK),
    limits="Results of 7B models on MATH and AIME. Independent prompts share no parameters, as a language model's do.",
)
