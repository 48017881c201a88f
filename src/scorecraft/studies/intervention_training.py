"""Do one-step corrections of its own failures give a policy a start on problems that it never solves?

A policy of tables: for each of 16 keys six steps of five actions, one of which is right; a solution is right where all
its steps are. The right action is likely, but on half of the keys one step is blocked: its right action has a chance of
one in some ten thousand, so that these keys are never solved and teach nothing. Failed solutions are corrected with
the reference's step, filtered by continuations and learned by the functions that are used on texts; then comes
REINFORCE with group-centred rewards, for all alike. Every arm spends the same number of rollouts on a key: the one
without interventions trains longer on the blocked keys instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scorecraft.catalog.papers import find
from scorecraft.credit.intervention_training import (
    Attempt,
    GuidedAttempt,
    InterventionExample,
    ReferenceDiffProposer,
    filter_interventions,
    intervention_examples,
    splice,
    split_substeps,
)
from scorecraft.problem import Problem
from scorecraft.studies.study import Arm, Check, Curve, Experiment, Metric, Results, Scale, Study, Trial

KEYS, BLOCKED, STEPS = 16, 8, 6
ACTIONS = "ABCDE"
KNOWN, UNLIKELY = 2.5, -8.0  # logits of the right action, those of the others being 0
FAILURES, CONTINUATIONS = 4, 32
GROUP, RATE = 8, 2.0
EPOCHS, SUPERVISED_RATE = 30, 1.0
ITERATIONS = {"smoke": 20, "full": 60}
OVERLAP = 0.1

Table = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class World:
    """The right action of every step of every key, the policy's first logits, and the keys as problems."""

    right: Indices
    logits: Table
    problems: tuple[Problem, ...]


def make_world(random: np.random.Generator) -> World:
    """Draw the right actions and, for each of the first keys, which of steps 2 to 4 is blocked."""
    right = random.integers(len(ACTIONS), size=(KEYS, STEPS))
    logits = np.zeros((KEYS, STEPS, len(ACTIONS)))
    np.put_along_axis(logits, right[:, :, None], KNOWN, axis=2)
    blocked = random.integers(2, 5, size=BLOCKED)
    hard = np.arange(BLOCKED)
    logits[hard, blocked, right[hard, blocked]] = UNLIKELY
    problems = [
        Problem(f"key {key}", "".join(ACTIONS[action] for action in row), gold=write(0, row))
        for key, row in enumerate(right)
    ]
    return World(right, logits, tuple(problems))


def write(first: int, actions: Sequence[int] | Indices) -> str:
    """Return actions as text, one paragraph each; ``first`` is the number of the first step."""
    return "\n\n".join(f"step {first + place}: {ACTIONS[action]}" for place, action in enumerate(actions))


def verify(problem: Problem, solution: str) -> bool:
    """Return whether all actions are right."""
    return "".join(part[-1] for part in solution.split("\n\n")) == problem.answer


class StepEncoder:
    """One token a step, ``5 step + action``; the prompt is the key."""

    def encode_prompt(self, text: str) -> list[int]:
        """Return the number of the key."""
        return [int(text.split()[1])]

    def encode(self, text: str) -> list[int]:
        """Return the steps."""
        parts = (part.split() for part in text.split("\n\n") if part)
        return [len(ACTIONS) * int(step[:-1]) + ACTIONS.index(action) for _, step, action in parts]


def probabilities(logits: Table) -> Table:
    """Return the softmax over the actions."""
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def success(logits: Table, right: Indices) -> Table:
    """Return the exact chance of a right solution for every key."""
    return np.take_along_axis(probabilities(logits), right[:, :, None], axis=2)[:, :, 0].prod(1)


@dataclass
class Sampler:
    """Draws solutions and their continuations from a policy, and counts them."""

    logits: Table
    random: np.random.Generator
    drawn: int = 0

    def actions(self, key: int, first: int, count: int) -> Indices:
        """Return ``count`` rows of actions for the steps from ``first`` on."""
        self.drawn += count
        chances = probabilities(self.logits[key, first:]).cumsum(-1)
        uniform = self.random.random((count, STEPS - first, 1))
        return (uniform > chances).sum(-1).clip(0, len(ACTIONS) - 1)

    def rollout(self, problems: Sequence[Problem], prefixes: Sequence[str], n: int) -> list[list[str]]:
        """Return ``n`` continuations of each prefix, which may be empty."""
        found = []
        for problem, prefix in zip(problems, prefixes, strict=True):
            first = len(prefix.split("\n\n")) if prefix else 0
            between = "\n\n" if 0 < first < STEPS else ""
            rows = self.actions(int(problem.prompt.split()[1]), first, n)
            found.append([between + write(first, row) for row in rows])
        return found


def failures(world: World, sampler: Sampler) -> list[list[str]]:
    """Return the solutions drawn for the blocked keys."""
    return sampler.rollout(world.problems[:BLOCKED], [""] * BLOCKED, FAILURES)


def moved(logits: Table, step: int, key: int, change: Table, overlap: float) -> None:
    """Add a change to one key's logits and a share of it to those of all keys, as where parameters are shared."""
    logits[key, step] += change
    logits[:, step] += overlap * change


def learn(logits: Table, examples: Sequence[InterventionExample], overlap: float) -> Table:
    """Return the logits after supervised epochs, one example at a time, on the mean of its learned tokens' losses."""
    logits = logits.copy()
    for _ in range(EPOCHS):
        for example in examples:
            key, tokens = example.tokens[0], example.tokens[1:]
            learned = [token for token, known in zip(tokens, example.learned[1:], strict=True) if known]
            for token in learned:
                step, action = divmod(token, len(ACTIONS))
                change = -probabilities(logits[key, step])
                change[action] += 1
                moved(logits, step, key, SUPERVISED_RATE / len(learned) * change, overlap)
    return logits


def reinforce(
    logits: Table, right: Indices, iterations: int, random: np.random.Generator, overlap: float
) -> tuple[Table, list[float]]:
    """Return the logits after REINFORCE on all keys given, and the success on the first half before each step."""
    logits, course = logits.copy(), []
    keys = len(right)
    for _ in range(iterations):
        course.append(float(success(logits, right)[:BLOCKED].mean()))
        chances = probabilities(logits).cumsum(-1)[:, None]
        drawn = (random.random((keys, GROUP, STEPS, 1)) > chances).sum(-1).clip(0, len(ACTIONS) - 1)
        rewards = (drawn == right[:, None]).all(-1).astype(float)
        advantages = rewards - rewards.mean(1, keepdims=True)
        # The expected part of the gradient cancels: the advantages of a group sum to 0.
        chosen = np.eye(len(ACTIONS))[drawn]
        gradient = (advantages[:, :, None, None] * chosen).mean(1)
        logits += RATE * (gradient + overlap * gradient.sum(0))
    return logits, course


def run(trial: Trial) -> Results:
    """Correct failures, learn from them and go on with REINFORCE; return what became of both kinds of keys."""
    target, overlap = str(trial.settings["target"]), float(trial.settings.get("overlap", 0.0))
    world = make_world(np.random.default_rng([trial.seed, 0]))
    hard = world.right[:BLOCKED]
    start = world.logits
    if target == "none":
        # The rollouts that failures and continuations cost at most, spent on the blocked keys.
        extra = math.ceil(FAILURES * (1 + CONTINUATIONS) / GROUP)
        tuned = start.copy()
        tuned[:BLOCKED], _ = reinforce(start[:BLOCKED], hard, extra, np.random.default_rng([trial.seed, 2]), overlap)
    else:
        sampler = Sampler(start, np.random.default_rng([trial.seed, 3]))
        built = intervention_examples(
            world.problems[:BLOCKED],
            failures(world, sampler),
            ReferenceDiffProposer(),
            StepEncoder(),
            rollout=sampler.rollout,
            verify=verify,
            target=target,  # pyright: ignore[reportArgumentType]
            n_rollouts=CONTINUATIONS,
            strict=False,
        )
        tuned = learn(start, built.examples, overlap)
    chance = success(tuned, world.right)
    # The same random numbers for all arms, so that keys which an arm leaves alone come out alike.
    random = np.random.default_rng([trial.seed, 1])
    ended, course = reinforce(tuned, world.right, ITERATIONS[trial.scale], random, overlap)
    final = success(ended, world.right)
    before, after = probabilities(start[BLOCKED:]), probabilities(tuned[BLOCKED:])
    trial.progress(1, 1)
    return {
        "hard": float(final[:BLOCKED].mean()),
        "easy": float(final[BLOCKED:].mean()),
        "zero_advantage": float((chance**GROUP + (1 - chance) ** GROUP).mean()),
        "shift": float((before * np.log(before / after)).sum((1, 2)).mean()),
        "hard_course": course,
    }


def run_insertion(trial: Trial) -> Results:
    """Continue failures before their first error, with or without the intervention; return coverage and success."""
    world = make_world(np.random.default_rng([trial.seed, 0]))
    sampler = Sampler(world.logits, np.random.default_rng([trial.seed, 3]))
    attempts = [
        Attempt(problem, tuple(split_substeps(text)), problem.gold, index, place)
        for index, (problem, texts) in enumerate(zip(world.problems, failures(world, sampler), strict=False))
        for place, text in enumerate(texts)
        if not verify(problem, text)
    ]
    rows = []
    for attempt, (proposal,) in zip(attempts, ReferenceDiffProposer().propose(attempts), strict=True):
        if proposal is not None and proposal.content:
            prefix = "\n\n".join(attempt.steps[: proposal.location - 1])
            rows.append(GuidedAttempt(attempt, proposal, prefix, splice(attempt.steps, proposal)))
    if not trial.settings["insert"]:
        rows = [replace(row, text=row.prefix) for row in rows]
    found = filter_interventions(rows, sampler.rollout, verify, CONTINUATIONS, problems=BLOCKED).statistics
    return {"coverage": found.coverage, "success_rate": found.success_rate}


SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(20))}
METRICS = (
    Metric("hard", "success on blocked keys after RL", higher_is_better=True, percent=True),
    Metric("easy", "success on the other keys after RL", higher_is_better=True, percent=True),
    Metric("zero_advantage", "groups without an advantage at the start of RL", higher_is_better=False, percent=True),
    Metric("shift", "KL of other keys' solutions after fine-tuning, nats", higher_is_better=False),
)
CURVES = (Curve("hard_course", "success on blocked keys", "RL iteration"),)
TARGETS = {
    "none": ("rl", "RL only"),
    "prefix": ("prefix", "own prefix, RL"),
    "intervention": ("intervention", "intervention, RL"),
    "prefix+intervention": ("int", "prefix + intervention, RL"),
    "reference": ("reference", "reference, RL"),
}

BLOCKED_STEP = Experiment(
    name="blocked-step",
    title="A blocked step",
    question="Which start lets RL solve keys that it never solves by itself?",
    run=run,
    arms=tuple(Arm(name, label, {"target": target}) for target, (name, label) in TARGETS.items()),
    metrics=METRICS,
    checks=(
        Check("with interventions, RL solves at least 60 % of blocked keys", "hard", "int", "above", margin=0.60),
        Check("RL alone solves at most 2 %", "hard", "rl", "below", margin=0.02),
        Check("it solves more than after fine-tuning on the prefix alone", "hard", "int", "above", "prefix", 0.5),
        Check("fewer groups are without an advantage", "zero_advantage", "int", "below", "rl", 0.1),
        Check("other keys are as before, within 2 points", "easy", "int", "within", "rl", 0.02),
    ),
    seeds=SEEDS,
    curves=CURVES,
    limits="Keys share no parameter, so that other keys cannot suffer and learning the reference does no harm. A right "
    "suffix is the reference here, so that target is left out.",
)
INSERTION = Experiment(
    name="insertion",
    title="Continuing a failure",
    question="Does a failed solution succeed more often from the intervention on than from its own step, drawn anew?",
    run=run_insertion,
    arms=(Arm("own", "own step", {"insert": False}), Arm("intervention", "intervention", {"insert": True})),
    metrics=(
        Metric("coverage", "blocked keys solved at least once", higher_is_better=True, percent=True),
        Metric("success_rate", "right continuations", higher_is_better=True, percent=True),
    ),
    checks=(
        Check("more keys are solved at least once", "coverage", "intervention", "above", "own", 0.3),
        Check("more continuations are right", "success_rate", "intervention", "above", "own", 0.1),
    ),
    seeds=SEEDS,
    decides=False,
    limits="The inserted step is the reference's, so it is right; a model's own proposals mostly are not.",
)
SHARED = Experiment(
    name="shared-parameters",
    title="Shared parameters",
    question="Where a tenth of every update reaches all keys, which fine-tuning disturbs the others least?",
    run=run,
    arms=tuple(
        Arm(name, label, {"target": target, "overlap": OVERLAP})
        for target, (name, label) in TARGETS.items()
        if target != "none"
    ),
    metrics=METRICS,
    checks=(
        Check("prefix + intervention disturbs less than the reference", "shift", "int", "below", "reference"),
        Check("it disturbs less than the intervention alone", "shift", "int", "below", "intervention"),
    ),
    seeds=SEEDS,
    decides=False,
    limits="The loss of an example is the mean over its tokens, so a short one puts more weight on the blocked step. A "
    "reference here is not further from the policy's own words than an intervention is, as it would be in texts.",
)
STUDY = Study(
    "intervention-training",
    find("intervention-training").claim,
    (BLOCKED_STEP, INSERTION, SHARED),
    limits="Whether a model can find its own first error and word a step that helps: here the reference does. The "
    "accuracies of a 4B model on olympiad problems, and that fine-tuning on references or suffixes hurts what comes "
    "after it, need models that generalise over problems.",
)
