"""The sampling part that starts a share of the problems from a solution with one planted error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from pydantic import Field

from scorecraft.catalog import implements
from scorecraft.context import Context
from scorecraft.errors import ScorecraftError
from scorecraft.lm.policy import Policy
from scorecraft.parts import register
from scorecraft.problem import Problem
from scorecraft.rewards.signed_answer import own_texts
from scorecraft.sampling.repair_from_flawed.flaw import FlawKind
from scorecraft.sampling.repair_from_flawed.injector import At, solution_steps
from scorecraft.sampling.repair_from_flawed.mixing import KINDS, Assign, draw_flaw, task_injectors
from scorecraft.sampling.sampling import Sampling
from scorecraft.tasks.seeding import stable_random

ROLLOUTS_AT_ONCE = 512


@implements("repair-from-flawed")
@register("sampling", "flawed-prefix")
class FlawedPrefix(Sampling):
    """Completions that start, for a share ``alpha`` of the problems, with the gold steps up to a flawed one.

    The prefix is masked out, and the policy goes on from it. All completions of a problem have the same one. A problem
    whose solution admits no flaw, or whose prefix leaves no room within ``max_new_tokens``, starts clean.

    kinds: "calculation" errors, "reasoning" errors or both. at: whether the "first" step errs or "any". assign: "fixed"
    draws by ``flaw_seed`` and the problem alone, "per_epoch" anew each time the problem comes up.
    """

    group_size: int = Field(8, ge=2)
    alpha: float = Field(0.5, ge=0, le=1)
    kinds: tuple[FlawKind, ...] = Field(KINDS, min_length=1)
    at: At = "any"
    assign: Assign = "fixed"
    flaw_seed: int = 42

    def prefixes(
        self, policy: Policy, problems: Sequence[Problem], notes: list[dict[str, Any]], context: Context
    ) -> list[list[int]]:
        """Return the forced first tokens of every rollout, and note their text and the flaw."""
        starts = range(0, len(problems), self.group_size)
        if self.alpha > 0 and not any(problems[start].gold for start in starts):
            raise ScorecraftError(
                f"sampling 'flawed-prefix': the problems of task '{context.task.name}' have no worked solutions to put "
                "an error into; use a task that has them, such as 'chain-arithmetic', or alpha 0"
            )
        lots = context.uniforms(len(starts)).tolist() if self.assign == "per_epoch" else [None] * len(starts)
        prefixes: list[list[int]] = []
        for start, lot in zip(starts, lots, strict=True):
            tokens, note = self._prefix(policy, problems[start], lot, context.task)
            for row in range(start, start + self.group_size):
                notes[row].update(note)
                prefixes.append(tokens)
        return prefixes

    def _prefix(
        self, policy: Policy, problem: Problem, lot: float | None, task: Any
    ) -> tuple[list[int], dict[str, Any]]:
        """Return the forced tokens of one problem, and what to note about them."""
        steps = solution_steps(problem, task.step_delimiter)
        address = self.flaw_seed if lot is None else int(lot * 2**53)
        rng = stable_random("flawed-prefix", address, problem.key)
        drawn = draw_flaw(problem, steps, task_injectors(task, self.kinds, self.at), self.alpha, rng)
        if drawn.flaw is None:
            return [], {"prefix": "", "clean_because": "no flaw is possible"} if drawn.wanted else {"prefix": ""}
        tokens = policy.encode(drawn.flaw.prefix(steps, task.step_delimiter))
        if len(tokens) >= self.max_new_tokens:
            return [], {"prefix": "", "clean_because": "the prefix is too long"}
        flaw = drawn.flaw
        told = {"kind": flaw.kind, "subkind": flaw.subkind, "step": flaw.step_index, "original": flaw.original}
        # As it is decoded, so that it is what the completion's text begins with.
        return tokens, {"prefix": policy.decode(tokens), "flaw": {**told, "text": flaw.text}}


@dataclass(frozen=True, slots=True)
class MeasuredRobustness:
    """Shares of samples that were right, problem by problem, for `robustness_report`.

    kinds: of the error of each problem. without_flaw: how many problems were left out because they admit none.
    """

    clean: tuple[float, ...]
    flawed: tuple[float, ...]
    kinds: tuple[str, ...]
    without_flaw: int


@implements("repair-from-flawed")
def measure_robustness(
    policy: Policy,
    problems: Sequence[Problem],
    sampling: FlawedPrefix,
    context: Context,
    *,
    samples: int = 1,
    temperature: float = 0.3,
    seed: int = 0,
) -> MeasuredRobustness:
    """Answer every problem from its clean prompt and from its flawed prefix, with the same random numbers.

    What is judged is what the policy wrote, without the prefix. Problems that admit no flaw are left out of both.

    Args:
        policy: to be measured.
        problems: with worked solutions.
        sampling: how completions are drawn and flaws are made; its alpha, group size and temperature are not read.
        context: holds the task.
        samples: completions of each problem and start.
        temperature: of sampling; the paper measures at 0.3.
        seed: of the random numbers.

    Raises `ScorecraftError` where no problem admits a flaw, or samples is below 1.
    """
    if samples < 1:
        raise ScorecraftError(f"measure_robustness: expected at least 1 sample a problem, got {samples}")
    clean: list[float] = []
    flawed: list[float] = []
    kinds: list[str] = []
    each = max(1, ROLLOUTS_AT_ONCE // samples)
    for start in range(0, len(problems), each):
        batch = problems[start : start + each]
        shares = []
        for alpha in (0.0, 1.0):
            drawn = sampling.model_copy(
                update={"alpha": alpha, "group_size": samples, "temperature": temperature, "assign": "fixed"}
            )
            generator = torch.Generator().manual_seed(seed + start)
            rollouts = drawn(policy, batch, replace(context, generator=generator, policy=policy))
            texts = zip(rollouts.problem_of, own_texts(rollouts), strict=True)
            correct = torch.tensor([float(context.task.check(problem, text).correct) for problem, text in texts])
            shares.append(correct.view(len(batch), samples).mean(1).tolist())
        for row in range(len(batch)):
            flaw = rollouts.notes[row * samples].get("flaw")
            if flaw is not None:
                clean.append(shares[0][row])
                flawed.append(shares[1][row])
                kinds.append(flaw["kind"])
    if not kinds:
        raise ScorecraftError(f"measure_robustness: none of {len(problems)} problems admits a flaw")
    return MeasuredRobustness(tuple(clean), tuple(flawed), tuple(kinds), len(problems) - len(kinds))
