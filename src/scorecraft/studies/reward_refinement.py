"""Do clipped and differenced process rewards stop farming, at no cost in success?

A step game. Each step is filler, work or stop. Work is good with probability 0.85, else it spoils the solution for
good; success is to stop after four good steps of work, within 30 steps. The process reward model likes filler (0.9) as
it likes good work (0.92), gives 0.35 to whatever follows an error, and to stopping 0.9 or 0.2. The policy is a table of
logits over (good steps, spoilt), trained by REINFORCE on returns-to-go that are standardised in each state, as a critic
would have it. The objective is ``0.1 * process rewards + success``. Success and length at the end are those of many
fresh games.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from scorecraft.catalog.papers import find
from scorecraft.rewards.reward_refinement import pr_clip, pr_clip_delta, pr_delta, pr_length_normalized
from scorecraft.studies.study import Arm, Check, Curve, Experiment, Metric, Results, Scale, Study, Trial

FILLER, WORK, STOP = range(3)
NEEDED, HORIZON, EPISODES = 4, 30, 64
GOOD, NOISE = 0.85, 0.04
ALPHA, ETA, RATE = 0.1, 0.8, 0.3
ITERATIONS = {"smoke": 20, "full": 200}
FRESH = {"smoke": 64, "full": 4096}  # games at the end
POINTS = 50
COPIES = 20
LOG_1_3 = float(np.log(1.3))

Floats = NDArray[np.float64]


class Games(NamedTuple):
    """Games of one policy, ``[game, step]``: state and action, the model's rewards, which steps there are; success."""

    states: NDArray[np.int64]
    actions: NDArray[np.int64]
    rewards: Floats
    there: NDArray[np.bool_]
    success: NDArray[np.bool_]


def softmax(logits: Floats) -> Floats:
    """Return the policy's probabilities."""
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def play(p: Floats, games: int, random: np.random.Generator) -> Games:
    """Play with a policy whose state is ``2 * good + spoilt``."""
    states, actions = np.zeros((games, HORIZON), dtype=np.int64), np.zeros((games, HORIZON), dtype=np.int64)
    rewards, there = np.zeros((games, HORIZON)), np.zeros((games, HORIZON), dtype=bool)
    good, spoilt = np.zeros(games, dtype=np.int64), np.zeros(games, dtype=bool)
    open_, success = np.ones(games, dtype=bool), np.zeros(games, dtype=bool)
    for step in range(HORIZON):
        state = 2 * good + spoilt
        action = (random.random((games, 1)) > p[state].cumsum(1)).sum(1).clip(0, STOP)
        works, errs = action == WORK, random.random(games) >= GOOD
        spoilt = spoilt | (open_ & works & errs)
        good = np.where(open_ & works & ~errs, np.minimum(good + 1, NEEDED), good)
        solved = (good == NEEDED) & ~spoilt
        liked = np.where(spoilt, 0.35, np.where(works, 0.92, 0.9))
        paid = np.where(action == STOP, np.where(solved, 0.9, 0.2), liked)
        states[:, step], actions[:, step], there[:, step] = state, action, open_
        rewards[:, step] = np.where(open_, (paid + random.normal(0, NOISE, games)).clip(0, 1), 0.0)
        success |= open_ & (action == STOP) & solved
        open_ = open_ & (action != STOP)
    return Games(states, actions, rewards, there, success)


def refined(rewards: Floats, there: NDArray[np.bool_], kind: str) -> Floats:
    """Return the step rewards that are trained on."""
    steps, mask = torch.from_numpy(rewards).float(), torch.from_numpy(there)
    if kind == "naive":
        return rewards
    if kind == "clip":
        found = pr_clip(steps, mask, eta=ETA)
    elif kind == "delta":
        found = pr_delta(steps, mask)
    elif kind == "clip-delta":
        found = pr_clip_delta(steps, mask, eta=ETA)
    else:
        found = pr_length_normalized(steps, mask)
    return found.double().numpy()


def returns_of(games: Games, kind: str, random: np.random.Generator) -> Floats:
    """Return the return-to-go of every step: weighted process (or outcome) rewards, and success at the end."""
    outcome = games.success.astype(float)
    process = np.zeros_like(games.rewards)
    if kind == "outcome":
        judged = np.where(games.success, 0.9, 0.2) + random.normal(0, NOISE, len(outcome))
        outcome = outcome + ALPHA * judged
    elif kind != "success":
        process = ALPHA * refined(games.rewards, games.there, kind)
    ahead = process[:, ::-1].cumsum(1)[:, ::-1] + outcome[:, None]
    return np.where(games.there, ahead, 0.0)


def standardized(values: Floats, states: NDArray[np.int64], count: int) -> Floats:
    """Return values less the mean of their state, by its standard deviation; 0 where a state's values are all equal."""
    visits = np.bincount(states, minlength=count).clip(1)
    mean = np.bincount(states, values, minlength=count) / visits
    centred = values - mean[states]
    spread = np.sqrt(np.bincount(states, centred**2, minlength=count) / visits)
    return np.where(spread[states] > 1e-9, centred / (spread[states] + 1e-9), 0.0)


def run(trial: Trial) -> Results:
    """Train one policy; return what it does in fresh games at the end, and its course."""
    random = np.random.default_rng(trial.seed)
    kind, iterations = trial.settings["kind"], ITERATIONS[trial.scale]
    logits = np.zeros((2 * (NEEDED + 1), 3))
    course: dict[str, list[float]] = {"success_course": [], "steps_course": []}
    for iteration in range(iterations):
        p = softmax(logits)
        games = play(p, EPISODES, random)
        there = games.there
        states, actions = games.states[there], games.actions[there]
        advantages = standardized(returns_of(games, kind, random)[there], states, len(logits))
        gradient = np.zeros_like(logits)
        np.add.at(gradient, (states, actions), advantages)
        gradient -= np.bincount(states, advantages, minlength=len(logits))[:, None] * p
        logits += RATE * gradient / EPISODES
        course["success_course"].append(float(games.success.mean()))
        course["steps_course"].append(float(there.sum(1).mean()))
        trial.progress(iteration + 1, iterations)
    end = play(softmax(logits), FRESH[trial.scale], random)
    steps = float(end.there.sum(1).mean())
    filler = float((end.there & (end.actions == FILLER)).sum(1).mean())
    every = max(1, iterations // POINTS)
    return {
        "success": float(end.success.mean()), "steps": steps, "log_steps": float(np.log(steps)), "filler": filler,
        "paid": float(end.rewards.sum(1).mean()), **{name: values[::every] for name, values in course.items()},
    }  # fmt: skip


def append(trial: Trial) -> Results:
    """Return what n trivial steps before the end of a solved trace add to its (refined) process return."""
    random = np.random.default_rng(trial.seed)
    totals = []
    for copies in range(COPIES + 1):
        mean = np.array([[*[0.92] * NEEDED, *[0.9] * copies, 0.9]]).repeat(FRESH[trial.scale], 0)
        rewards = (mean + random.normal(0, NOISE, mean.shape)).clip(0, 1)
        totals.append(float(refined(rewards, np.ones_like(rewards, dtype=bool), trial.settings["kind"]).sum(1).mean()))
    return {"gain": (totals[-1] - totals[0]) / COPIES, "totals": totals}


LABELS = {
    "success": "success alone (SR)",
    "outcome": "SR + outcome model",
    "naive": "SR + process model",
    "length-normalized": "SR + mean of steps",
    "clip": "SR + Clip",
    "delta": "SR + Delta",
    "clip-delta": "SR + Clip-Delta",
}
SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(10))}
GAME = Experiment(
    name="game",
    title="Filler that the process model likes",
    question="Which process rewards are farmed, and which leave success as it is?",
    run=run,
    arms=tuple(Arm(kind, label, {"kind": kind}) for kind, label in LABELS.items()),
    metrics=(
        Metric("success", "success", higher_is_better=True, percent=True),
        Metric("steps", "steps"),
        Metric("filler", "steps of filler", higher_is_better=False),
        Metric("log_steps", "log steps"),
        Metric("paid", "sum of the model's rewards"),
    ),
    checks=(
        Check("the process model as it is loses 0.3 of success", "success", "naive", "below", "success", 0.3),
        Check("it runs to 90 % of the horizon", "steps", "naive", "above", margin=0.9 * HORIZON),
        Check("Clip-Delta succeeds as often as success alone", "success", "clip-delta", "within", "success", 0.05),
        Check("and takes as many steps, to a factor of 1.3", "log_steps", "clip-delta", "within", "success", LOG_1_3),
        Check("Clip succeeds as often as success alone", "success", "clip", "within", "success", 0.05),
        Check("Delta succeeds as often as success alone", "success", "delta", "within", "success", 0.05),
        Check("Delta does not run to the horizon", "steps", "delta", "below", margin=0.9 * HORIZON),
    ),
    seeds=SEEDS,
    curves=(Curve("success_course", "success", "iteration / 4"), Curve("steps_course", "steps", "iteration / 4")),
    limits="At most 0.85^4 = 52 % can succeed. A table of logits sees what was spoilt; a language model must notice.",
)
APPEND = Experiment(
    name="append",
    title="Trivial steps in a solved trace",
    question="What does one more trivial step add to the process return?",
    run=append,
    arms=tuple(
        Arm(kind, LABELS[kind].removeprefix("SR + "), {"kind": kind})
        for kind in ("naive", "length-normalized", "clip", "delta", "clip-delta")
    ),
    metrics=(Metric("gain", "added by a trivial step"),),
    checks=(
        Check("the sum grows by 0.9", "gain", "naive", "above", margin=0.85),
        Check("clipped it does not grow", "gain", "clip", "below", margin=0.001),
        Check("differenced it does not grow", "gain", "delta", "below", margin=0.001),
        Check("clipped and differenced it does not grow", "gain", "clip-delta", "below", margin=0.001),
    ),
    seeds=SEEDS,
    curves=(Curve("totals", "process return", "trivial steps + 1"),),
)
STUDY = Study(
    "reward-refinement",
    find("reward-refinement").claim,
    (GAME, APPEND),
    limits="That a refined process reward beats success alone: the paper's +0.9 points on MATH need a model of 1.5 B "
    "parameters or more and a learned process model. Its eta and weight are not known; 0.8 and 0.1 are taken.",
)
