"""Does paying a proper score of the stated confidence mend calibration without costing accuracy?

Six kinds of question whose best answer is right with probability .25 to .95, three answers each, and eleven
confidences to state. The policy is a table of logits over the 33 pairs, trained by policy gradient with a baseline per
kind. Expected values are computed exactly from the table at the end, not sampled.
"""

from __future__ import annotations

import torch

from scorecraft.catalog.papers import find
from scorecraft.rewards.rlcr import Rule, rlcr_reward
from scorecraft.studies.study import Arm, Check, Curve, Experiment, Metric, Results, Study, Trial, Tuning

BEST = (0.25, 0.39, 0.53, 0.67, 0.81, 0.95)
ANSWERS, LEVELS = 3, 11
STEPS = {"smoke": 60, "full": 4000}
BATCH = 64
POINTS = 50


def truth() -> torch.Tensor:
    """Return the probability that each answer is right, ``[kind, answer]``: the best one's, and shares of the rest."""
    best = torch.tensor(BEST, dtype=torch.float64)[:, None]
    # The others share what is left as 7 to 3, capped below the best, so that there is one best answer.
    rest = torch.minimum((1 - best) * torch.tensor([[0.7, 0.3]]), 0.8 * best)
    return torch.cat((best, rest), dim=1)


def measures(logits: torch.Tensor) -> dict[str, float]:
    """Return exact accuracy, calibration error, Brier score and mean confidence of a policy's table."""
    p = logits.softmax(1).view(len(BEST), ANSWERS, LEVELS) / len(BEST)
    right = truth()[:, :, None].expand_as(p)
    stated = torch.linspace(0, 1, LEVELS, dtype=torch.float64).expand_as(p)
    mass = p.sum((0, 1))
    gap = ((right - stated) * p).sum((0, 1)).abs().sum()
    brier = (p * (right * (1 - stated) ** 2 + (1 - right) * stated**2)).sum()
    return {
        "accuracy": float((p * right).sum()),
        "ece": float(gap),
        "brier": float(brier),
        "confidence": float((mass * torch.linspace(0, 1, LEVELS, dtype=torch.float64)).sum()),
    }


def run(trial: Trial) -> Results:
    """Train one table of logits."""
    generator = torch.Generator().manual_seed(trial.seed)
    settings, steps = trial.settings, STEPS[trial.scale]
    rule: Rule | None = settings["rule"]
    logits = torch.zeros(len(BEST), ANSWERS * LEVELS, dtype=torch.float64)
    level, right_with = torch.linspace(0, 1, LEVELS), truth()
    baseline = torch.zeros(len(BEST), dtype=torch.float64)
    courses: dict[str, list[float]] = {"accuracy_course": [], "ece_course": []}
    for step in range(steps):
        kind = torch.randint(len(BEST), (BATCH,), generator=generator)
        p = logits.softmax(1)
        pair = torch.multinomial(p[kind], 1, generator=generator)[:, 0]
        answer, stated = pair // LEVELS, level[pair % LEVELS]
        draw = torch.rand(BATCH, generator=generator, dtype=torch.float64)
        correct = (draw < right_with[kind, answer]).float()
        if rule is None:
            reward = correct.double()
        else:
            reward = rlcr_reward(
                correct, stated, rule=rule, weight=settings["weight"], eps=settings.get("eps")
            ).double()
        advantage = reward - baseline[kind]
        baseline.index_add_(0, kind, 0.05 * advantage)
        gradient = torch.zeros_like(logits).index_put_((kind, pair), advantage, accumulate=True)
        gradient -= torch.zeros(len(BEST), dtype=torch.float64).index_add_(0, kind, advantage)[:, None] * p
        logits += settings["lr"] * gradient / BATCH
        if step % max(1, steps // POINTS) == 0:
            found = measures(logits)
            courses["accuracy_course"].append(found["accuracy"])
            courses["ece_course"].append(found["ece"])
        trial.progress(step + 1, steps)
    return {**measures(logits), **courses}


def _arm(name: str, label: str, rule: str | None, weight: float = 1.0) -> Arm:
    return Arm(name, label, {"rule": rule, "weight": weight, "eps": 0.01 if rule == "log" else None, "lr": 2.0})


ARMS = (
    _arm("correctness", "correctness only (RLVR)", None),
    _arm("rlcr", "RLCR, Brier", "brier"),
    _arm("spherical", "RLCR, spherical", "spherical"),
    _arm("brier-3", "Brier at weight 3 (unsafe)", "brier", 3.0),
    _arm("log", "log score (unsafe)", "log"),
)
RATES = ({"lr": 1.0}, {"lr": 3.0}, {"lr": 10.0})
CALIBRATION = Experiment(
    name="calibration",
    title="Questions of known difficulty",
    question="Does the calibration reward lower calibration error, keep accuracy, and do unsafe weights cost it?",
    run=run,
    arms=ARMS,
    metrics=(
        Metric("accuracy", "accuracy", higher_is_better=True, percent=True),
        Metric("ece", "calibration error", higher_is_better=False),
        Metric("brier", "Brier score", higher_is_better=False),
        Metric("confidence", "mean confidence", percent=True),
    ),
    checks=(
        Check("RLCR is as accurate as correctness alone", "accuracy", "rlcr", "within", "correctness", 0.01),
        Check("RLCR has a lower calibration error", "ece", "rlcr", "below", "correctness", 0.1),
        Check("a weight of 3 loses accuracy", "accuracy", "brier-3", "below", "rlcr", 0.01),
        Check("the log score loses accuracy", "accuracy", "log", "below", "rlcr", 0.01),
    ),
    seeds={"smoke": (0,), "full": tuple(range(8))},
    # By accuracy, which every arm is paid for; tuning by calibration would favour the arms that are paid for it.
    tuning=Tuning({arm.name: RATES for arm in ARMS}, "accuracy", (100, 101)),
    curves=(
        Curve("accuracy_course", "accuracy", "step / 80"),
        Curve("ece_course", "calibration error", "step / 80"),
    ),
    limits="Answers have fixed odds here, so accuracy cannot be improved beyond picking the best one.",
)
STUDY = Study(
    "rlcr",
    find("rlcr").claim,
    (CALIBRATION,),
    limits="Confidence found by reasoning, and transfer to other domains.",
)
