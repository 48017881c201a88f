"""Does training from prefixes with one planted error teach a policy to look for errors, at no cost on clean problems?

A game of auditing or working. A solution has six steps, and a hidden flag says whether there is an error in it: from
the start where it was prefilled with a flawed step, later where work slips (probability 0.005). At each step the policy
sees a cue of an error with probability 0.7 where there is one and 0.1 where there is none, and works or checks; a
check mends an error with probability 0.9. Solved means no error at the end and at least five steps of work, so a
second check fails. The policy is a softmax over work and check for each cue, trained by GRPO on the outcome alone,
with a share alpha of flawed starts. Accuracy of a policy, clean and flawed, is computed exactly and not sampled.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from scorecraft.catalog.papers import find
from scorecraft.objectives.group_standardized import group_standardized_advantages
from scorecraft.studies.study import Arm, Check, Curve, Experiment, Metric, Results, Scale, Study, Trial

STEPS, WORK_NEEDED = 6, 5
SLIP, REPAIR = 0.005, 0.9
CUE = np.array([0.1, 0.7])  # without and with an error
START = np.array([[4.0, 0.0], [1.5, 0.0]])  # logits of work and check, without and with a cue
PROMPTS, RATE = 16, 0.3
ITERATIONS = {"smoke": 10, "full": 80}
POINTS = 40  # of the curves

Table = NDArray[np.float64]


def probabilities(logits: Table) -> Table:
    """Return the probabilities of work and check for each cue."""
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def accuracy(logits: Table, *, flawed: bool) -> float:
    """Return the exact probability that a policy solves the game from a clean or a flawed start."""
    check = probabilities(logits)[:, 1]
    checks_by_error = CUE * check[1] + (1 - CUE) * check[0]
    allowed = STEPS - WORK_NEEDED
    # Probability of (error, checks so far); one check more than allowed is beyond repair and is dropped.
    state = np.zeros((2, allowed + 1))
    state[int(flawed), 0] = 1.0
    for _ in range(STEPS):
        working, checking = state * (1 - checks_by_error)[:, None], state * checks_by_error[:, None]
        state = np.stack((working[0] * (1 - SLIP), working[1] + working[0] * SLIP))
        state[0, 1:] += checking[0, :-1] + checking[1, :-1] * REPAIR
        state[1, 1:] += checking[1, :-1] * (1 - REPAIR)
    return float(state[0].sum())


def play(
    logits: Table, flawed: NDArray[np.bool_], random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Play one game a row; return cues and actions ``[row, step]`` (0 work, 1 check), and which rows are solved."""
    rows, error, check = len(flawed), flawed.copy(), probabilities(logits)[:, 1]
    cues, actions = np.zeros((2, rows, STEPS), dtype=np.int64)
    for step in range(STEPS):
        cue = (random.random(rows) < CUE[error.astype(int)]).astype(np.int64)
        checks = random.random(rows) < check[cue]
        slips, repairs = random.random(rows) < SLIP, random.random(rows) < REPAIR
        error = np.where(checks, error & ~repairs, error | slips)
        cues[:, step], actions[:, step] = cue, checks
    return cues, actions, ~error & ((actions == 0).sum(1) >= WORK_NEEDED)


def gradient(logits: Table, cues: NDArray[np.int64], actions: NDArray[np.int64], advantages: Table) -> Table:
    """Return the mean over games of advantage times the derivative of the log-probability of all actions."""
    taken = np.eye(2)[actions] - probabilities(logits)[cues]
    found = np.zeros_like(logits)
    np.add.at(found, cues, taken * advantages[:, None, None])
    return found / len(advantages)


def run(trial: Trial) -> Results:
    """Train one policy with a share of flawed starts; return its accuracy, clean and flawed, and how it checks."""
    random = np.random.default_rng(trial.seed)
    alpha, size = trial.settings["alpha"], trial.settings["group"]
    # Without a share the policy stays untuned.
    iterations, share = (0, 0.0) if alpha is None else (ITERATIONS[trial.scale], float(alpha))
    logits = START.copy()
    group = torch.arange(PROMPTS).repeat_interleave(size)
    valid = torch.ones(len(group), dtype=torch.bool)
    clean, flawed, silent = [accuracy(logits, flawed=False)], [accuracy(logits, flawed=True)], [0.0]
    for iteration in range(iterations):
        starts = np.repeat(random.random(PROMPTS) < share, size)
        cues, actions, solved = play(logits, starts, random)
        reward = torch.tensor(2.0 * solved - 1, dtype=torch.float32)
        advantages = group_standardized_advantages(reward, group, valid, epsilon=1e-4, ddof=1).double().numpy()
        logits += RATE * gradient(logits, cues, actions, advantages)
        clean.append(accuracy(logits, flawed=False))
        flawed.append(accuracy(logits, flawed=True))
        silent.append(float((advantages.reshape(PROMPTS, size) == 0).all(1).mean()))
        trial.progress(iteration + 1, iterations)
    check = probabilities(logits)[:, 1]
    every = max(1, ITERATIONS[trial.scale] // POINTS)
    course = [values if iterations else values * (ITERATIONS[trial.scale] + 1) for values in (clean, flawed)]
    return {
        "clean": clean[-1],
        "flawed": flawed[-1],
        "gap": clean[-1] - flawed[-1],
        "checks_cued": float(check[1]),
        "checks_uncued": float(check[0]),
        "silent": float(np.mean(silent[1:])) if iterations else 0.0,
        "clean_course": course[0][::every],
        "flawed_course": course[1][::every],
    }


METRICS = (
    Metric("clean", "solved from a clean start", higher_is_better=True, percent=True),
    Metric("flawed", "solved from a flawed start", higher_is_better=True, percent=True),
    Metric("gap", "clean minus flawed", higher_is_better=False, percent=True),
    Metric("checks_cued", "checks on a cue", percent=True),
    Metric("checks_uncued", "checks without a cue", percent=True),
    Metric("silent", "groups that teach nothing", percent=True),
)
CURVES = (
    Curve("flawed_course", "solved from a flawed start", "iteration / 2"),
    Curve("clean_course", "solved from a clean start", "iteration / 2"),
)
SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(8))}
SHARES: dict[str, tuple[str, float | None]] = {
    "untuned": ("untuned", None),
    "clean-rl": ("clean RL, alpha = 0", 0.0),
    "mixed": ("mixed, alpha = 0.5", 0.5),
    "all-flawed": ("flawed only, alpha = 1", 1.0),
}


def _arms(group: int) -> tuple[Arm, ...]:
    return tuple(Arm(name, label, {"alpha": alpha, "group": group}) for name, (label, alpha) in SHARES.items())


CHECKS = (
    Check("mixed solves at least 20 points more than clean RL from a flawed start", "flawed", "mixed", "above",
          "clean-rl", 0.20),
    Check("clean RL falls at least 5 points below the untuned policy from a flawed start", "flawed", "clean-rl",
          "below", "untuned", 0.05),
    Check("mixed and clean RL are within 3 points from a clean start", "clean", "mixed", "within", "clean-rl", 0.03),
)  # fmt: skip
GAME = Experiment(
    name="audit-or-work",
    title="Audit or work",
    question="Do flawed starts teach to check, does their absence unlearn it, and what does it cost on clean starts?",
    run=run,
    arms=_arms(8),
    metrics=METRICS,
    checks=CHECKS,
    seeds=SEEDS,
    curves=CURVES,
    limits="A game with two cues and two actions: it shows why flawed starts matter, and no model's accuracy. Margins "
    "were set from a pilot on other seeds.",
)
PAIRS = Experiment(
    name="groups-of-two",
    title="Groups of two, as in the paper",
    question="Does the same come out where a group has two completions, and most groups teach nothing?",
    run=run,
    arms=_arms(2),
    metrics=METRICS,
    checks=CHECKS,
    seeds=SEEDS,
    curves=CURVES,
    decides=False,
    limits="A quarter of the games of the experiment before, at the same number of updates.",
)
STUDY = Study(
    "repair-from-flawed",
    find("repair-from-flawed").claim,
    (GAME, PAIRS),
    limits="Accuracies on MATH-500, and that reasoning errors teach more than calculation errors; a model of 4 B "
    "parameters would be needed. On 100 problems the paper's 24 against 19 % is within chance, with 95 % intervals of "
    "about 8 points either way. Its flawed prompts also carry a hint to correct errors, and its clean ones do not.",
)
