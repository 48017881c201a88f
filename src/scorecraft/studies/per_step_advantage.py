"""Is a wrong answer a better teacher when it is cut at the step that lost it?

A chain with many solutions. Twelve problems of eight steps; at every step two of four actions are right and
interchangeable. A wrong action flaws the response. Before each later step a flaw is repaired with probability
``repair``, whatever the policy does, so that with repairs some right answers carry actions that did them no good. The
policy is a table of logits over problem and step, blind to flaws; it starts as the supervised policy, which prefers
right actions by 1.6 plus noise. Four right and four wrong responses of that policy to each problem are the data of
all arms; values are those of the best of 5, from 10 rollouts of each prefix. Success and the share of wrong actions
are computed exactly. An epoch is one Adam step on all of the data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from scorecraft.catalog.papers import find
from scorecraft.credit.best_of_k_value import step_q_values
from scorecraft.credit.per_step_advantage import first_pit, step_advantages, uninformative
from scorecraft.objectives.preference_loss import advantage_weighted_nll, per_step_dpo_loss
from scorecraft.studies.study import Arm, Check, Experiment, Metric, Results, Scale, Study, Trial, Tuning

PROBLEMS, STEPS, ACTIONS, RIGHT_ACTIONS = 12, 8, 4, 2
LOGIT_RIGHT, LOGIT_WRONG, NOISE = 1.0, -0.6, 0.25
KEPT, POOL = 4, 1000  # right and wrong responses kept of each problem, out of how many
ROLLOUTS, BEST_OF = 10, 5
RATE = 0.03
SHORT = 3  # epochs at smoke scale

Table = NDArray[np.float64]
Actions = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class World:
    """Which actions are right and the supervised policy's logits, ``[problem, step, action]``."""

    right: Flags
    logits: Table
    repair: float


@dataclass(frozen=True)
class Responses:
    """Actions ``[response, step]`` with their problem; ``flawed`` before each step and, last, in the answer."""

    problem: Actions
    actions: Actions
    flawed: Flags

    def take(self, rows: Actions) -> Responses:
        """Return some of the responses."""
        return Responses(self.problem[rows], self.actions[rows], self.flawed[rows])


def make_world(random: np.random.Generator, repair: float) -> World:
    """Draw the right actions and the supervised policy."""
    right = random.random((PROBLEMS, STEPS, ACTIONS)).argsort(-1).argsort(-1) < RIGHT_ACTIONS
    logits = np.where(right, LOGIT_RIGHT, LOGIT_WRONG) + random.normal(0, NOISE, right.shape)
    return World(right, logits, repair)


def values_of(world: World, logits: Table) -> Table:
    """Return the exact chance of a right answer before each step, ``[problem, step + 1, flawed]``."""
    p = np.exp(logits - logits.max(-1, keepdims=True))
    chance = (p * world.right).sum(-1) / p.sum(-1)
    values = np.zeros((PROBLEMS, STEPS + 1, 2))
    values[:, STEPS, 0] = 1
    for step in range(STEPS - 1, -1, -1):
        right, clean, flawed = chance[:, step], values[:, step + 1, 0], values[:, step + 1, 1]
        values[:, step, 0] = right * clean + (1 - right) * flawed
        values[:, step, 1] = world.repair * values[:, step, 0] + (1 - world.repair) * flawed
    return values


def go_on(world: World, given: Responses, start: Actions, random: np.random.Generator) -> Responses:
    """Return the responses as they are before step ``start``, and sampled from the supervised policy after it."""
    p = np.exp(world.logits) / np.exp(world.logits).sum(-1, keepdims=True)
    actions, flawed = given.actions.copy(), given.flawed.copy()
    for step in range(STEPS):
        free = start <= step
        drawn = (random.random((len(actions), 1)) > p[given.problem, step].cumsum(-1)).sum(-1).clip(0, ACTIONS - 1)
        actions[:, step] = np.where(free, drawn, actions[:, step])
        wrong = ~world.right[given.problem, step, actions[:, step]]
        stays = flawed[:, step] & (random.random(len(actions)) >= world.repair)
        flawed[:, step + 1] = np.where(free, stays | wrong, flawed[:, step + 1])
    return Responses(given.problem, actions, flawed)


def data_of(world: World, random: np.random.Generator) -> tuple[Responses, Responses]:
    """Return right and wrong responses of the supervised policy, `KEPT` of each for every problem, in its order."""
    problem = np.repeat(np.arange(PROBLEMS), POOL)
    blank = np.zeros((len(problem), STEPS), dtype=np.int64), np.zeros((len(problem), STEPS + 1), dtype=bool)
    pool = go_on(world, Responses(problem, *blank), np.zeros(len(problem), dtype=np.int64), random)
    wrong = pool.flawed[:, -1].reshape(PROBLEMS, POOL)
    rows = [[np.flatnonzero(wrong[x] == kind)[:KEPT] + POOL * x for x in range(PROBLEMS)] for kind in (False, True)]
    return pool.take(np.concatenate(rows[0])), pool.take(np.concatenate(rows[1]))


def roll_out(world: World, given: Responses, n: int, random: np.random.Generator) -> Responses:
    """Return ``n`` continuations of every prefix: row ``((response, prefix), n)``, prefixes of 0 to all steps."""
    prefixes = STEPS + 1
    many = given.take(np.repeat(np.arange(len(given.problem)), prefixes * n))
    start = np.tile(np.repeat(np.arange(prefixes), n), len(given.problem))
    return go_on(world, many, start, random)


def estimates(rolled: Responses, n: int, plugin: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the value of the prompt and of every step, from all continuations."""
    counts = (~rolled.flawed[:, -1]).reshape(-1, STEPS + 1, n).sum(-1)
    return step_q_values(torch.from_numpy(counts), n, BEST_OF, "plugin" if plugin else "unbiased")


@dataclass(frozen=True)
class Pairs:
    """Preferred and rejected responses, each with the steps whose log-probabilities count, ``[pair, step]``."""

    chosen: Responses
    rejected: Responses
    win: torch.Tensor
    lose: torch.Tensor


class Learner:
    """The table that is trained, beside that of the supervised policy."""

    def __init__(self, world: World) -> None:
        self.reference = torch.tensor(world.logits, dtype=torch.float32).log_softmax(-1)
        self.logits = torch.tensor(world.logits, dtype=torch.float32, requires_grad=True)

    def logprobs(self, responses: Responses, reference: bool = False) -> torch.Tensor:
        """Return the log-probability of every action, ``[response, step]``."""
        table = self.reference if reference else self.logits.log_softmax(-1)
        problem, actions = torch.from_numpy(responses.problem), torch.from_numpy(responses.actions)
        return table[problem[:, None], torch.arange(STEPS), actions]

    def dpo(self, pairs: Pairs, beta: float) -> torch.Tensor:
        """Return the DPO loss of pairs."""
        sums = [
            (self.logprobs(side, reference) * mask).sum(1)
            for reference in (False, True)
            for side, mask in ((pairs.chosen, pairs.win), (pairs.rejected, pairs.lose))
        ]
        return per_step_dpo_loss(sums[0], sums[1], sums[2], sums[3], beta)[0]


def pairs_of(
    method: str,
    right: Responses,
    wrong: Responses,
    rolled: Responses,
    prompt_values: torch.Tensor,
    values: torch.Tensor,
) -> Pairs:
    """Return the pairs of standard DPO or of a form of per-step DPO, which leaves out what is uninformative."""
    every = torch.ones_like(values, dtype=torch.bool)
    if method == "dpo":
        return Pairs(right, wrong, every, every)
    pit = first_pit(values, every, prompt_values)[:, None]
    keep = ~uninformative(values, every, prompt_values).numpy()
    number = torch.arange(1, STEPS + 1)
    if method == "algorithm1":
        rows = np.flatnonzero(keep)
        return Pairs(right.take(rows), wrong.take(rows), every[rows], (number <= pit)[rows])
    # The first right continuation of the prefix that ends just before the pit, where there is one.
    before = pit[:, 0].numpy() - 1
    good = (~rolled.flawed[:, -1]).reshape(len(values), STEPS + 1, ROLLOUTS)[np.arange(len(values)), before]
    rows = np.flatnonzero(keep & good.any(1))
    place = (rows * (STEPS + 1) + before[rows]) * ROLLOUTS + good[rows].argmax(1)
    return Pairs(rolled.take(place), wrong.take(rows), (number >= pit)[rows], (number == pit)[rows])


def loss_of(
    learner: Learner, world: World, method: str, beta: float, random: np.random.Generator
) -> Callable[[], torch.Tensor]:
    """Return the loss of a method on its data; all methods with one seed have the same responses and rollouts."""
    right, wrong = data_of(world, random)
    if method == "right-only":
        return lambda: -learner.logprobs(right).mean()
    rolled = roll_out(world, wrong, ROLLOUTS, random)
    prompt_values, values = estimates(rolled, ROLLOUTS)
    if method == "advantage-weighted":
        of_right = estimates(roll_out(world, right, ROLLOUTS, random), ROLLOUTS)
        every = torch.ones_like(values, dtype=torch.bool)
        advantages = torch.cat(
            [step_advantages(q, every, v) for v, q in (of_right, (prompt_values, values))],
        )
        both = torch.cat((every, every))
        return lambda: advantage_weighted_nll(
            torch.cat((learner.logprobs(right), learner.logprobs(wrong))), advantages, both, beta
        )
    pairs = pairs_of(method, right, wrong, rolled, prompt_values, values)
    return lambda: learner.dpo(pairs, beta)


def run(trial: Trial) -> Results:
    """Train one policy from the supervised one; return its exact success and its share of wrong actions."""
    random, settings = np.random.default_rng(trial.seed), trial.settings
    world = make_world(random, settings["repair"])
    learner = Learner(world)
    if settings["method"] != "supervised":
        loss = loss_of(learner, world, settings["method"], settings["beta"], random)
        first, second = torch.zeros_like(learner.reference), torch.zeros_like(learner.reference)
        epochs = SHORT if trial.scale == "smoke" else settings["epochs"]
        for epoch in range(epochs):
            # Adam, written out: the import that torch's own needs takes longer than the trial.
            (slope,) = torch.autograd.grad(loss(), learner.logits)
            first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
            size = (second / (1 - 0.999 ** (epoch + 1))).sqrt() + 1e-8
            learner.logits.data -= RATE * first / (1 - 0.9 ** (epoch + 1)) / size
            trial.progress(epoch + 1, epochs)
    logits = learner.logits.detach().double()
    wrong = (logits.softmax(-1) * torch.from_numpy(~world.right)).sum(-1)
    return {"success": float(values_of(world, logits.numpy())[:, 0, 0].mean()), "wrong": float(wrong.mean())}


def run_values(trial: Trial) -> Results:
    """Estimate the values of all prefixes of wrong responses; return how near they are to the exact ones."""
    random, settings = np.random.default_rng(trial.seed), trial.settings
    world = make_world(random, 0.0)
    _, wrong = data_of(world, random)
    prompt_values, values = estimates(roll_out(world, wrong, settings["n"], random), settings["n"], settings["plugin"])
    found = torch.cat((prompt_values[:, None], values), 1).double().numpy()
    exact = values_of(world, world.logits)[wrong.problem]
    exact = 1 - (1 - np.where(wrong.flawed, exact[..., 1], exact[..., 0])) ** BEST_OF
    clean = ~wrong.flawed
    pit = first_pit(values, torch.ones_like(values, dtype=torch.bool), prompt_values).numpy()
    return {
        "correlation": float(np.corrcoef(found.ravel(), exact.ravel())[0, 1]),
        "correlation_clean": float(np.corrcoef(found[clean], exact[clean])[0, 1]),
        "bias": float((found - exact)[clean].mean()),
        "pit": float((pit == wrong.flawed.argmax(1)).mean()),
    }


SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(10))}
TUNING_SEEDS = (100, 101, 102)
METRICS = (
    Metric("success", "success", higher_is_better=True, percent=True),
    Metric("wrong", "wrong actions", higher_is_better=False, percent=True),
)
ARMS = {
    "supervised": "supervised policy",
    "right-only": "right responses only",
    "dpo": "standard DPO",
    "algorithm1": "per-step DPO",
    "shared-prefix": "per-step DPO, shared prefix",
    "advantage-weighted": "advantage-weighted imitation",
}
GRID = tuple({"beta": beta, "epochs": epochs} for beta in (0.1, 0.3, 1.0) for epochs in (5, 20, 60))
# Imitation has no beta: as many candidates, up to as many epochs. The supervised policy is not trained.
CANDIDATES = {
    **dict.fromkeys(ARMS, GRID),
    "right-only": tuple({"epochs": epochs} for epochs in (3, 5, 10, 15, 20, 30, 40, 50, 60)),
}


def arms(repair: float) -> tuple[Arm, ...]:
    """Return all methods in a world with so many repairs."""
    start = {"repair": repair, "beta": 0.3, "epochs": 20}
    return tuple(Arm(name, label, {"method": name, **start}) for name, label in ARMS.items())


PAIRS = Experiment(
    name="pairs",
    title="Cut at the pit",
    question="Do the same wrong responses teach more when they are cut at the step that lost them?",
    run=run,
    arms=arms(0.0),
    metrics=METRICS,
    checks=(
        Check("per-step DPO succeeds more than standard DPO", "success", "algorithm1", "above", "dpo", 0.02),
        Check("so does its form with shared prefixes", "success", "shared-prefix", "above", "dpo", 0.02),
    ),
    seeds=SEEDS,
    tuning=Tuning(CANDIDATES, "success", TUNING_SEEDS),
    limits="The problems that are learned are those that are tested, and every right response is sound, so that "
    "imitation can learn them by heart: it is shown, and no check compares with it.",
)
REPAIRS = Experiment(
    name="repairs",
    title="Right by repair",
    question="And where flaws are repaired by luck, one in ten at each later step, so that right answers mislead?",
    run=run,
    arms=arms(0.1),
    metrics=METRICS,
    checks=(
        Check("per-step DPO succeeds more than standard DPO", "success", "algorithm1", "above", "dpo"),
        Check(
            "it takes fewer wrong actions than imitating right answers", "wrong", "algorithm1", "below", "right-only"
        ),
    ),
    seeds=SEEDS,
    tuning=Tuning(CANDIDATES, "success", TUNING_SEEDS),
    limits="A table does not carry what it learns over to other problems, where imitated mistakes would cost most.",
)
VALUES = Experiment(
    name="values",
    title="Values from few rollouts",
    question="How near are the values of prefixes to the exact ones, and how often is the pit the first wrong action?",
    run=run_values,
    arms=(
        *(Arm(f"n={n}", f"{n} rollouts", {"n": n, "plugin": False}) for n in (5, 10, 20, 40)),
        Arm("plugin", "10 rollouts, plug-in estimate", {"n": 10, "plugin": True}),
    ),
    metrics=(
        Metric("correlation", "correlation with the exact value", higher_is_better=True),
        Metric("correlation_clean", "the same before the first wrong action", higher_is_better=True),
        Metric("bias", "mean error before the first wrong action"),
        Metric("pit", "pit is the first wrong action", higher_is_better=True, percent=True),
    ),
    checks=(
        Check("10 rollouts correlate by 0.9 or more", "correlation", "n=10", "above", margin=0.9),
        Check("the unbiased estimate of 10 is off by less than 0.03 on average", "bias", "n=10", "within", margin=0.03),
    ),
    seeds=SEEDS,
    limits="Most of the correlation is between prefixes that are lost and those that are not.",
)
STUDY = Study(
    "per-step-advantage",
    find("per-step-advantage").claim,
    (PAIRS, REPAIRS, VALUES),
    limits="That wrong answers are worth eight times as much data as right ones alone, and that imitation gets worse "
    "with more data: both are about what 7B models carry over to new problems, and need a model that can.",
)
