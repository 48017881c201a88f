"""Does paying each step for the accuracy that it adds tell good steps from bad ones, and make reasoning shorter?

Planted traces: the accuracy behind each step is known, and probes of a few answers see it with noise.

A game of overthinking: three steps of work lead to the answer, then every check turns a right answer wrong with
probability 0.05 and a wrong one right with 0.02; a thought that has not stopped after 24 steps is wrong. Forced to
answer, the policy is never right before the work is done, then with probability 0.95 or 0.05; five answers are drawn
before and after every step. The policy is a table of logits over (work done, answered) that checks heavily, trained by
REINFORCE++: undiscounted returns, whitened over the batch. It sees not whether its answer is right. In the padded game
it can also check before the work is done, which does nothing. Success and length of a policy are computed exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from scorecraft.catalog.papers import find
from scorecraft.credit.stepwise_reward import stepwise_rewards, vsrm_token_rewards
from scorecraft.objectives.step_baselines import masked_whiten
from scorecraft.studies.study import Arm, Check, Curve, Experiment, Metric, Results, Scale, Study, Trial, Tuning

Table = NDArray[np.float64]
Steps = NDArray[np.bool_]

PROBES, LOOKAHEAD, EFFECT = 5, 4, 1.5
TRACES, SEGMENTS = {"smoke": 200, "full": 4000}, 8
HIGH, TURN = 0.8, 0.3

WORK, CHECK, STOP = range(3)
RIGHT, WRONG, NEEDED = 3, 4, 3  # states 0, 1, 2: work done
HORIZON, BATCH = 24, 32
FORCED = np.array([0.0, 0.0, 0.0, 0.95, 0.05])
SPOILS, MENDS = 0.05, 0.02
# Of the four rows that the policy tells apart: work, check, stop.
HEAVY = np.array([[0.0, -np.inf, -4.0]] * NEEDED + [[-np.inf, 2.2, 0.0]])
PADDED = np.array([[0.0, 0.5, -4.0]] * NEEDED + [[-np.inf, 2.2, 0.0]])
STEP_COST = 0.02
POINTS = 20
LOG_1_08, LOG_1_5 = float(np.log(1.08)), float(np.log(1.5))


def auroc(positive: Table, negative: Table) -> float:
    """Return how often a positive value is above a negative one, ties counting half."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left") + np.searchsorted(ordered, positive, "right")
    return float(below.mean() / (2 * len(ordered)))


def traces(count: int, low: float, random: np.random.Generator) -> Table:
    """Return true accuracies ``[trace, probe]`` that change between a high and a low one now and then."""
    turns = random.random((count, SEGMENTS)) < TURN
    start = random.random((count, 1)) < 0.5
    high = np.concatenate((start, start ^ (turns.cumsum(1) % 2 == 1)), axis=1)
    return np.where(high, HIGH, low)


def diagnose(trial: Trial) -> Results:
    """Return how well the rewards of one setting tell what steps do in planted traces."""
    random = np.random.default_rng(trial.seed)
    settings, probes = trial.settings, trial.settings["probes"]
    truth = traces(TRACES[trial.scale], settings["low"], random)
    seen = torch.from_numpy(random.binomial(probes, truth) / probes).float()
    rewards = stepwise_rewards(
        seen, max_lookahead=settings["lookahead"], min_effect=settings["min_effect"], probes=probes
    )
    # Equal shares must stay equal: 1 - 0.8 and 0.8 - 0.6 are not in floating point.
    paid = rewards.double().numpy().round(5)
    before, change = truth[:, :-1], np.diff(truth, axis=1)
    good, idle = before == HIGH, change == 0
    harmful, effective = paid[change < 0], paid[change > 0]
    return {
        "harmful": auroc(-harmful, -paid[good & idle]),
        "effective": auroc(effective, paid[~good & idle]),
        "caught": float((harmful < 0).mean()),
        "false_nonzero": float((paid[good & idle] != 0).mean()),
    }


def pad(trial: Trial) -> Results:
    """Return what steps without effect earn before the largest gain of a trace, in units of that gain."""
    random = np.random.default_rng(trial.seed)
    trace = random.random(SEGMENTS + 1)
    # Accuracy only grows, so that no other step is without effect.
    trace.sort()
    place = int(np.diff(trace).argmax())
    totals = []
    for copies in range(LOOKAHEAD + 3):
        longer = np.insert(trace, place, [trace[place]] * copies)
        rewards = stepwise_rewards(torch.from_numpy(longer).float(), max_lookahead=trial.settings["lookahead"])
        totals.append(float(rewards.sum()) / float(np.diff(trace)[place]))
    return {"gain": totals[LOOKAHEAD] - totals[0], "more": totals[-1] - totals[LOOKAHEAD], "totals": totals}


def probabilities(logits: Table) -> Table:
    """Return the policy's probabilities by state; it does not tell right answers from wrong ones."""
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return p[[0, 1, 2, 3, 3]]


def outlook(p: Table) -> tuple[Table, Table]:
    """Return success and steps still to come, ``[time, state]``, exactly."""
    success, steps = np.zeros((2, HORIZON + 1, WRONG + 1))
    checked = np.eye(WRONG + 1)
    checked[RIGHT, [RIGHT, WRONG]] = 1 - SPOILS, SPOILS
    checked[WRONG, [RIGHT, WRONG]] = MENDS, 1 - MENDS
    worked = np.eye(WRONG + 1)
    worked[:NEEDED] = np.eye(WRONG + 1)[1 : NEEDED + 1]
    move = p[:, WORK, None] * worked + p[:, CHECK, None] * checked
    for time in range(HORIZON - 1, -1, -1):
        success[time] = move @ success[time + 1] + p[:, STOP] * (np.arange(WRONG + 1) == RIGHT)
        steps[time] = 1 + move @ steps[time + 1]
    return success, steps


class Games(NamedTuple):
    """Games ``[game, step]``: states after and before every step, actions, which steps there are; success, stopped."""

    states: NDArray[np.int64]
    actions: NDArray[np.int64]
    there: Steps
    success: Steps
    stopped: Steps


def play(p: Table, games: int, random: np.random.Generator) -> Games:
    """Play with a policy; ``states`` has one more column, that before each step and last that after all."""
    states = np.zeros((games, HORIZON + 1), dtype=np.int64)
    actions, there = np.zeros((games, HORIZON), dtype=np.int64), np.zeros((games, HORIZON), dtype=bool)
    state, open_ = states[:, 0].copy(), np.ones(games, dtype=bool)
    for step in range(HORIZON):
        action = (random.random((games, 1)) > p[state].cumsum(1)).sum(1).clip(0, STOP)
        actions[:, step], there[:, step] = action, open_
        open_ = open_ & (action != STOP)
        flips = random.random(games) < np.select([state == RIGHT, state == WRONG], [SPOILS, MENDS], 0.0)
        state = np.where(open_ & (action == WORK), np.minimum(state + 1, RIGHT), state)
        state = np.where(open_ & (action == CHECK) & flips, RIGHT + WRONG - state, state)
        states[:, step + 1] = state
    return Games(states, actions, there, ~open_ & (state == RIGHT), ~open_)


def returns_of(games: Games, p: Table, settings: dict[str, float | str], random: np.random.Generator) -> Table:
    """Return the return of every step, or for "values" its advantage by the value of the state before and after it."""
    there, kind = games.there, settings["kind"]
    outcome = np.where(games.stopped, games.success.astype(float), float(settings["unfinished"]))
    lengths = there.sum(1)
    if kind == "values":
        success, _ = outlook(p)
        drawn = random.binomial(PROBES, success[np.arange(HORIZON + 1), games.states].clip(0, 1)) / PROBES
        last = np.arange(HORIZON) == lengths[:, None] - 1
        return np.where(last, outcome[:, None], drawn[:, 1:]) - drawn[:, :-1]
    rewards = torch.zeros(there.shape)
    if kind == "stepwise":
        acc = torch.from_numpy(random.binomial(PROBES, FORCED[games.states]) / PROBES).float()
        probed = np.ones(games.states.shape, dtype=bool)
        probed[:, 1:] = there & (games.actions != STOP)
        rewards = stepwise_rewards(acc, torch.from_numpy(probed), max_lookahead=int(settings["lookahead"]))
    elif kind == "length":
        rewards = torch.from_numpy(np.where(there, -STEP_COST, 0.0)).float()
    kept = "add" if kind == "length" else "replace"
    tokens = vsrm_token_rewards(rewards, torch.from_numpy(outcome).float(), torch.from_numpy(lengths), kept)
    return tokens.flip(1).cumsum(1).flip(1).double().numpy()


def run(trial: Trial) -> Results:
    """Train one policy; return what it does in the end, beside what it did at the start, and its course."""
    random = np.random.default_rng(trial.seed)
    settings = {"unfinished": 0.0, **trial.settings}
    padded = bool(settings["padded"])
    iterations = {"smoke": 5, "full": 80 if padded else 60}[trial.scale]
    logits = (PADDED if padded else HEAVY).copy()
    lengths, successes = [], []
    for iteration in range(iterations + 1):
        p = probabilities(logits)
        success, steps = outlook(p)
        lengths.append(float(steps[0, 0]))
        successes.append(float(success[0, 0]))
        if iteration == iterations:
            break
        games = play(p, BATCH, random)
        there = torch.from_numpy(games.there)
        returns = torch.from_numpy(returns_of(games, p, settings, random)).float() * there
        advantages = masked_whiten(returns, there).double().numpy()[games.there]
        rows = games.states[:, :-1][games.there].clip(max=RIGHT)
        gradient = np.zeros_like(logits)
        np.add.at(gradient, (rows, games.actions[games.there]), advantages)
        gradient -= np.bincount(rows, advantages, minlength=len(logits))[:, None] * p[:-1]
        logits += settings["lr"] * gradient / len(rows)
        trial.progress(iteration + 1, iterations)
    every = max(1, iterations // POINTS)
    return {
        "length": lengths[-1], "log_length": float(np.log(lengths[-1])), "cut": 1 - lengths[-1] / lengths[0],
        "success": successes[-1], "gained": successes[-1] - successes[0],
        "length_course": lengths[::every], "success_course": successes[::every],
    }  # fmt: skip


SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(10))}
SETTINGS = {
    "published": ("VSRM, look-ahead 4", {"lookahead": LOOKAHEAD, "min_effect": None, "probes": PROBES}),
    "safe": ("VSRM, no look-ahead", {"lookahead": 0, "min_effect": None, "probes": PROBES}),
    "tested": ("no look-ahead, tested", {"lookahead": 0, "min_effect": EFFECT, "probes": PROBES}),
    "tested-ahead": ("look-ahead 4, tested", {"lookahead": LOOKAHEAD, "min_effect": EFFECT, "probes": PROBES}),
    "safe-20": ("no look-ahead, 20 answers", {"lookahead": 0, "min_effect": None, "probes": 20}),
}
SIGNS = (
    Metric("harmful", "AUROC of harmful steps", higher_is_better=True),
    Metric("effective", "AUROC of effective steps", higher_is_better=True),
    Metric("caught", "harmful steps below 0", higher_is_better=True, percent=True),
    Metric("false_nonzero", "neutral steps off 0", higher_is_better=False, percent=True),
)


def _diagnosis(name: str, title: str, low: float, checks: tuple[Check, ...], *, decides: bool) -> Experiment:
    return Experiment(
        name=name,
        title=title,
        question=f"Do rewards tell steps that change accuracy between {HIGH:g} and {low:g} from those that do not?",
        run=diagnose,
        arms=tuple(Arm(arm, label, {"low": low, **each}) for arm, (label, each) in SETTINGS.items()),
        metrics=SIGNS,
        checks=checks,
        seeds=SEEDS,
        decides=decides,
    )


DIAGNOSIS = _diagnosis(
    "diagnosis", "Which steps help, which harm", 0.2,
    (
        Check("VSRM tells harmful steps from neutral ones", "harmful", "published", "above", margin=0.9),
        Check("so it does without look-ahead", "harmful", "safe", "above", margin=0.9),
        Check("but pays most neutral steps something", "false_nonzero", "safe", "above", margin=0.6),
        Check("a test of significance mends that by 0.3", "false_nonzero", "tested", "below", "safe", 0.3),
    ),
    decides=True,
)  # fmt: skip
MILD = _diagnosis("mild", "Milder harm", 0.4, (), decides=False)
PADDING = Experiment(
    name="padding",
    title="Steps without effect before a gain",
    question="What do four copies of a state earn before the largest gain of a trace, in units of that gain?",
    run=pad,
    arms=tuple(Arm(arm, SETTINGS[arm][0], SETTINGS[arm][1]) for arm in ("published", "safe")),
    metrics=(Metric("gain", "earned by four steps"), Metric("more", "by two more")),
    checks=(
        Check("looking ahead pays 1.77 for them", "gain", "published", "above", margin=1.7),
        Check("without it they earn nothing", "gain", "safe", "within", margin=0.001),
    ),
    seeds=SEEDS,
    curves=(Curve("totals", "sum of rewards / gain", "copies + 1"),),
)
ARMS: dict[str, tuple[str, dict[str, float | str]]] = {
    "outcome": ("outcome", {"kind": "outcome"}),
    "length": ("outcome - 0.02 a step", {"kind": "length"}),
    "values": ("values of states (VinePPO)", {"kind": "values"}),
    "safe": (SETTINGS["safe"][0], {"kind": "stepwise", "lookahead": 0}),
    "published": (SETTINGS["published"][0], {"kind": "stepwise", "lookahead": LOOKAHEAD}),
}
RATES = ({"lr": 2.0}, {"lr": 5.0}, {"lr": 10.0})
METRICS = (
    Metric("length", "steps", higher_is_better=False),
    Metric("success", "success", higher_is_better=True, percent=True),
    Metric("cut", "cut of length", higher_is_better=True, percent=True),
    Metric("gained", "success gained", higher_is_better=True, percent=True),
    Metric("log_length", "log steps"),
)


def _game(
    name: str, title: str, question: str, checks: tuple[Check, ...], *, decides: bool = True, limits: str = "",
    arms: tuple[str, ...] = tuple(ARMS), **settings: float,
) -> Experiment:  # fmt: skip
    common: dict[str, float | str] = {"lr": 5.0, "padded": False, **settings}
    return Experiment(
        name=name,
        title=title,
        question=question,
        run=run,
        arms=tuple(Arm(arm, ARMS[arm][0], {**common, **ARMS[arm][1]}) for arm in arms),
        metrics=METRICS,
        checks=checks,
        seeds=SEEDS,
        tuning=Tuning(dict.fromkeys(arms, RATES), "success", (100, 101, 102)),
        curves=(Curve("length_course", "steps", "iteration / 3"), Curve("success_course", "success", "iteration / 3")),
        decides=decides,
        limits=limits,
    )


def _shortens(arm: str) -> tuple[Check, ...]:
    label = ARMS[arm][0]
    return (
        Check(f"{label}: length is cut by 55 % or more", "cut", arm, "above", margin=0.55),
        Check(f"{label}: success grows", "gained", arm, "above"),
    )


def _as_outcome(arm: str) -> tuple[Check, ...]:
    label = ARMS[arm][0]
    return (
        Check(f"{label}: success as with outcome alone, to 0.02", "success", arm, "within", "outcome", 0.02),
        Check(f"{label}: length as with outcome alone, to 8 %", "log_length", arm, "within", "outcome", LOG_1_08),
    )


GAME = _game(
    "game", "A policy that checks too much",
    "Does VSRM shorten thoughts at no cost in success, and what does it add to outcome reward?",
    (*_shortens("outcome"), *_shortens("safe"), *_shortens("published"), *_as_outcome("safe"),
     *_as_outcome("published")),
    limits="Outcome reward alone removes harmful checks here, so there is nothing left for step rewards to win.",
)  # fmt: skip
PADDED_GAME = _game(
    "padded-game", "Checks before there is anything to check",
    "Where steps without effect can be put before the gain, does looking ahead pay for them?",
    (
        Check("look-ahead 4 thinks half as long again", "log_length", "published", "above", "safe", LOG_1_5),
        Check("and succeeds less", "success", "published", "below", "safe", 0.05),
    ),
    padded=True,
)  # fmt: skip
PENALTY = _game(
    "penalty", "The published penalty of -10 for a thought without an end, for all",
    "How much of the cut is the penalty's?",
    (*_shortens("outcome"), *_shortens("published")),
    decides=False,
    arms=("outcome", "safe", "published"),
    unfinished=-10.0,
)  # fmt: skip
STUDY = Study(
    "stepwise-reward",
    find("stepwise-reward").claim,
    (DIAGNOSIS, MILD, PADDING, GAME, PADDED_GAME, PENALTY),
    limits="Cuts of length in models of 1.5 to 7 B parameters on mathematics, whose steps are many, whose accuracy "
    "after a prefix has to be found out by real answers, and where outcome reward alone may not be enough.",
)
