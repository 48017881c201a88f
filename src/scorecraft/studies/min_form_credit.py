"""Does the minimum of step rewards withstand a process reward model that their sum invites to farm?

A step game. The state is how many of three sub-goals are solved; the actions are to solve (the model of the process
pays 0.6 while something is left, then 0.1), to write filler (0.7: it looks good and does nothing), to err (-0.6) and
to end (0.8 once all is solved, else -0.8), all with noise. A trajectory that has not ended after 12 steps gets -0.5 on
its last. Success means having ended with all solved. The policy is a table of logits over the state.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from scorecraft.catalog.papers import find
from scorecraft.credit.min_form import Form, step_returns
from scorecraft.objectives.step_baselines import masked_whiten
from scorecraft.studies.study import Arm, Check, Curve, Experiment, Metric, Results, Scale, Study, Trial, Tuning

GOALS, HORIZON, PROMPTS, GROUP = 3, 12, 8, 8
SOLVE, FILLER, ERROR, END = range(4)
ITERATIONS = {"smoke": 20, "full": 300}
POINTS = 60  # of the curves


def play(
    logits: NDArray[np.float64], random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Play one game a row; return states, actions, step rewards, which steps there are, and success."""
    rows = PROMPTS * GROUP
    states, actions = np.zeros((rows, HORIZON), dtype=np.int64), np.zeros((rows, HORIZON), dtype=np.int64)
    rewards, there = np.zeros((rows, HORIZON)), np.zeros((rows, HORIZON), dtype=bool)
    solved, open_, success = np.zeros(rows, dtype=np.int64), np.ones(rows, dtype=bool), np.zeros(rows, dtype=bool)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    for step in range(HORIZON):
        chosen = (random.random((rows, 1)) > p[solved].cumsum(1)).sum(1).clip(0, 3)
        paid = np.select(
            [chosen == SOLVE, chosen == FILLER, chosen == ERROR],
            [np.where(solved < GOALS, 0.6, 0.1), 0.7, -0.6],
            np.where(solved == GOALS, 0.8, -0.8),
        )
        paid = (paid + random.normal(0, 0.1, rows)).clip(-1, 1)
        states[:, step], actions[:, step], there[:, step] = solved, chosen, open_
        rewards[:, step] = np.where(open_, paid, 0.0)
        success |= open_ & (chosen == END) & (solved == GOALS)
        solved = np.where(open_ & (chosen == SOLVE), np.minimum(solved + 1, GOALS), solved)
        open_ = open_ & (chosen != END)
    rewards[open_, -1] = -0.5
    return states, actions, rewards, there, success


def returns_of(rewards: NDArray[np.float64], there: NDArray[np.bool_], form: str, temperature: float) -> torch.Tensor:
    """Return the return of every step; "outcome-min" gives all steps the worst step's reward, as an outcome reward."""
    table, mask = torch.tensor(rewards, dtype=torch.float32), torch.tensor(there)
    if form == "none":
        return torch.zeros_like(table)
    if form == "outcome-min":
        worst = step_returns(table, mask, "strict-min")[:, :1]
        return worst.expand_as(table) * mask
    known: Form = "sum" if form == "sum" else "strict-min" if form == "strict-min" else "softmin"
    return step_returns(table, mask, known, temperature=temperature)


def verified_returns(success: NDArray[np.bool_], there: NDArray[np.bool_], share: float) -> torch.Tensor:
    """Return a verifiable reward of 1 for success at every step, for the first ``share`` of the prompts alone."""
    known = np.arange(len(success)) < round(share * PROMPTS) * GROUP
    return torch.tensor((success & known)[:, None] & there, dtype=torch.float32)


def run(trial: Trial) -> Results:
    """Train one policy; return success, length and the process model's own view at the end."""
    random = np.random.default_rng(trial.seed)
    settings, iterations = trial.settings, ITERATIONS[trial.scale]
    logits = np.zeros((GOALS + 1, 4))
    course: dict[str, list[float]] = {"success": [], "length": [], "paid": []}
    others = np.kron(np.eye(PROMPTS), np.ones((GROUP, GROUP)) - np.eye(GROUP)) / (GROUP - 1)
    for iteration in range(iterations):
        states, actions, rewards, there, success = play(logits, random)
        returns = returns_of(rewards, there, settings["form"], settings.get("temperature", 0.1))
        returns = returns + verified_returns(success, there, settings.get("verified", 0.0))
        baseline = torch.tensor(others @ (returns.sum(1).double().numpy() / HORIZON), dtype=torch.float32)
        mask = torch.tensor(there)
        advantages = masked_whiten((returns - baseline[:, None]) * mask, mask).double().numpy()
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        gradient = np.zeros_like(logits)
        np.add.at(gradient, (states[there], actions[there]), advantages[there])
        by_state = np.bincount(states[there], advantages[there], minlength=GOALS + 1)
        logits += settings["lr"] * (gradient - by_state[:, None] * p) / there.sum()
        course["success"].append(float(success.mean()))
        course["length"].append(float(there.sum(1).mean()))
        course["paid"].append(float(rewards.sum(1).mean()))
        trial.progress(iteration + 1, iterations)
    last = max(1, iterations // 10)
    ends = {name: float(np.mean(values[-last:])) for name, values in course.items()}
    every = max(1, iterations // POINTS)
    return {**ends, "success_course": course["success"][::every], "length_course": course["length"][::every]}


SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(8))}
METRICS = (
    Metric("success", "true success", higher_is_better=True, percent=True),
    Metric("length", "steps"),
    Metric("paid", "sum of the process model's rewards"),
)
CURVES = (Curve("success_course", "true success", "iteration / 5"), Curve("length_course", "steps", "iteration / 5"))
# The update averages over tokens, as language-model trainers do, so learning rates are larger than per trajectory.
RATES = ({"lr": 2.0}, {"lr": 5.0}, {"lr": 10.0})
START = {"lr": 5.0}

HACKING = Experiment(
    name="hacking",
    title="Filler that looks good",
    question="Which credit leads to success, and which to farming the process model?",
    run=run,
    arms=(
        Arm("sum", "sum of step rewards", {"form": "sum", **START}),
        Arm("outcome-min", "worst step as outcome reward (RLOO)", {"form": "outcome-min", **START}),
        Arm("min-form", "min-form, softmin T = 0.1", {"form": "softmin", **START}),
    ),
    metrics=METRICS,
    checks=(
        Check("min-form succeeds in at least 85 %", "success", "min-form", "above", margin=0.85),
        Check("the sum succeeds in at most 10 %", "success", "sum", "below", margin=0.10),
        Check("min-form succeeds more than the sum", "success", "min-form", "above", "sum", 0.5),
        Check("the sum is paid more by the process model", "paid", "sum", "above", "min-form", 0.5),
    ),
    seeds=SEEDS,
    tuning=Tuning(dict.fromkeys(("sum", "outcome-min", "min-form"), RATES), "success", (100, 101, 102)),
    curves=CURVES,
    limits="A game of four actions and a table of logits: it shows the mechanism, not any model's accuracy.",
)
MIXED = Experiment(
    name="mixed",
    title="One prompt in eight verified",
    question="Does a verifiable reward on one prompt in eight save the sum, and does it harm min-form?",
    run=run,
    arms=(
        Arm("verified", "the verified eighth alone", {"form": "none", "verified": 0.125, **START}),
        Arm("sum", "sum of step rewards, and it", {"form": "sum", "verified": 0.125, **START}),
        Arm("min-form", "min-form, and it", {"form": "softmin", "verified": 0.125, **START}),
    ),
    metrics=METRICS,
    checks=(
        Check("min-form succeeds in at least 85 %", "success", "min-form", "above", margin=0.85),
        Check("the sum succeeds in at most 10 %", "success", "sum", "below", margin=0.10),
        Check("min-form succeeds more than the verified eighth alone", "success", "min-form", "above", "verified"),
    ),
    seeds=SEEDS,
    tuning=Tuning(dict.fromkeys(("verified", "sum", "min-form"), RATES), "success", (100, 101, 102)),
    curves=CURVES,
)
TEMPERATURE = Experiment(
    name="temperature",
    title="Temperature of the minimum",
    question="What becomes of min-form credit as its temperature grows towards plain averaging?",
    run=run,
    arms=tuple(
        Arm(f"T={t:g}", f"T = {t:g}", {"form": "softmin", "temperature": t, **START}) for t in (0.01, 0.1, 1.0, 10.0)
    ),
    metrics=METRICS,
    checks=(Check("averaging (T = 10) succeeds less than T = 0.1", "success", "T=10", "below", "T=0.1"),),
    seeds=SEEDS,
    decides=False,
)
STUDY = Study(
    "min-form-credit",
    find("min-form-credit").claim,
    (HACKING, MIXED, TEMPERATURE),
    limits="The paper's accuracies of 7B models, and that min-form needs 30 % of the steps of a verifiable reward.",
)
