"""Mixes clean prompts with prefilled ones: each item starts from a flawed prefix with probability alpha."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Literal

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, nearest
from scorecraft.problem import Problem
from scorecraft.sampling.repair_from_flawed.calculation_errors import CalculationErrors
from scorecraft.sampling.repair_from_flawed.flaw import Flaw, FlawKind
from scorecraft.sampling.repair_from_flawed.injector import At, ErrorInjector, solution_steps, task_checker
from scorecraft.sampling.repair_from_flawed.reasoning_errors import ReasoningErrors
from scorecraft.tasks.seeding import stable_random

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Assign = Literal["fixed", "per_epoch"]
Hint = Literal["all", "prefilled_only", "none"]
HINT = "If you notice errors in your reasoning, correct them."
KINDS: tuple[FlawKind, ...] = ("calculation", "reasoning")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One training prompt: what is asked, the true answer, and the flawed prefix where it has one.

    prefill: the solution so far, as if the policy had written it; empty for a clean prompt. system: of the
    conversation.
    """

    prompt: str
    answer: str
    prefill: str = ""
    flaw: Flaw | None = None
    system: str | None = None

    @property
    def is_prefilled(self) -> bool:
        """True where the completion starts from a flawed prefix."""
        return self.flaw is not None

    @property
    def kind(self) -> FlawKind | None:
        """The kind of its error."""
        return None if self.flaw is None else self.flaw.kind


@dataclass(frozen=True, slots=True)
class Mixture:
    """Prompts, and how many items were to be prefilled and are not.

    without_flaw: clean because they admit no flaw. too_long: left out because their prefix exceeds the budget.
    """

    prompts: tuple[Prompt, ...]
    without_flaw: int
    too_long: int


@dataclass(frozen=True, slots=True)
class FlawDraw:
    """What the lot said of one problem: whether it was to be flawed, and the flaw, None where it admits none."""

    wanted: bool
    flaw: Flaw | None = None


def task_injectors(
    task: Any, kinds: Sequence[FlawKind] = KINDS, at: At = "any"
) -> dict[FlawKind, CalculationErrors | ReasoningErrors]:
    """Return the injectors of each kind for a task, whose step checker must refute what they plant.

    Args:
        task: a `scorecraft.tasks.task.Task`.
        kinds: of errors.
        at: whether in the first step or in any.

    Raises `ScorecraftError` for an unknown kind or none at all.
    """
    unknown = next((kind for kind in kinds if kind not in KINDS), None)
    if unknown is not None or not kinds:
        raise ScorecraftError(f"unknown kind of error '{unknown}': {nearest(str(unknown), KINDS)}")
    checker = task_checker(task)
    return {
        kind: CalculationErrors(checker, at=at) if kind == "calculation" else ReasoningErrors(checker, at=at)
        for kind in kinds
    }


def draw_flaw(
    problem: Problem,
    steps: Sequence[str],
    injectors: Mapping[FlawKind, ErrorInjector],
    alpha: float,
    rng: Random,
) -> FlawDraw:
    """Draw whether a problem is flawed, with probability ``alpha``, and by what, each kind as likely.

    A kind that the solution does not admit gives way to the other. What is flawed at one alpha is flawed alike at
    every higher one.

    Args:
        problem: with its true answer.
        steps: of its worked solution.
        injectors: by kind of error.
        alpha: probability, in [0, 1].
        rng: what draws.

    Raises `ScorecraftError` for a problem without a true answer.
    """
    if rng.random() >= alpha:
        return FlawDraw(False)
    kinds = sorted(injectors)
    for kind in rng.sample(kinds, len(kinds)):
        flaw = injectors[kind].inject(problem, steps, problem.answer, rng)
        if flaw is not None:
            return FlawDraw(True, flaw)
    return FlawDraw(True)


@implements("repair-from-flawed")
def mix_prompts(
    items: Sequence[Problem],
    injectors: Mapping[FlawKind, ErrorInjector],
    *,
    alpha: float = 0.5,
    seed: int = 42,
    assign: Assign = "fixed",
    epoch: int = 0,
    delimiter: str = "\n",
    hint: Hint = "all",
    system: str | None = None,
    budget: int | None = None,
    length: Callable[[str], int] = len,
) -> Mixture:
    """Return a prompt for every item, prefilled with probability ``alpha`` with its solution up to one planted error.

    The lot of an item depends on the seed and on the item alone, not on its place. The kinds are those of
    ``injectors``, which know how steps are checked.

    Args:
        items: problems with true answers and worked solutions.
        injectors: by kind of error, such as `task_injectors` returns.
        alpha: share of prefilled prompts, in [0, 1].
        seed: of the lot.
        assign: "fixed" draws once for the whole training, "per_epoch" anew with every ``epoch``.
        epoch: number of the pass over the items.
        delimiter: what ends a step of a worked solution.
        hint: which prompts have "If you notice errors in your reasoning, correct them." in their system prompt: "all",
            so that nothing but the prefix tells them apart; "prefilled_only", as in the published code; or "none".
        system: the rest of the system prompt.
        budget: the longest prefix, in units of ``length``; an item beyond it is left out, never cut.
        length: of a text.

    Raises `ScorecraftError` for an alpha outside [0, 1], a missing true answer, an unknown ``assign`` or ``hint``, no
    injector, and where alpha is above 0 and no item admits a flaw.

    Source: Can Large Reasoning Models Improve Accuracy on Mathematical Tasks Using Flawed Thinking?, 2025,
    arXiv 2512.17079 (Mixed-CoT-RL).
    """
    _check(items, injectors, alpha, assign, hint)
    prompts: list[Prompt] = []
    without_flaw = too_long = 0
    for item in items:
        steps = solution_steps(item, delimiter)
        drawn = draw_flaw(item, steps, injectors, alpha, _lot(item, seed, assign, epoch))
        prefill = "" if drawn.flaw is None else drawn.flaw.prefix(steps, delimiter)
        if budget is not None and length(prefill) > budget:
            too_long += 1
            continue
        without_flaw += drawn.wanted and drawn.flaw is None
        hinted = hint == "all" or (hint == "prefilled_only" and drawn.flaw is not None)
        said = "\n".join(part for part in (system, HINT if hinted else None) if part) or None
        prompts.append(Prompt(item.prompt, item.answer, prefill, drawn.flaw, said))
    if without_flaw and not too_long and not any(prompt.is_prefilled for prompt in prompts):
        _check_some_admit(items, injectors, delimiter)
    return Mixture(tuple(prompts), without_flaw, too_long)


def _lot(item: Problem, seed: int, assign: Assign, epoch: int) -> Random:
    address = ("flawed-prefix", seed, item.key)
    return stable_random(*address) if assign == "fixed" else stable_random(*address, epoch)


def _check(
    items: Sequence[Problem], injectors: Mapping[FlawKind, ErrorInjector], alpha: float, assign: str, hint: str
) -> None:
    if not 0 <= alpha <= 1:
        raise ScorecraftError(f"mix_prompts: expected an alpha from 0 to 1, got {alpha}")
    if assign not in ("fixed", "per_epoch"):
        raise ScorecraftError(f"mix_prompts: unknown assign '{assign}': {nearest(assign, ('fixed', 'per_epoch'))}")
    if hint not in ("all", "prefilled_only", "none"):
        known = ("all", "prefilled_only", "none")
        raise ScorecraftError(f"mix_prompts: unknown hint '{hint}': {nearest(hint, known)}")
    if not injectors:
        raise ScorecraftError("mix_prompts: no injector was given, expected one for each kind of error")
    for item in items:
        if not item.answer.strip():
            raise ScorecraftError(f"mix_prompts: the problem '{item.prompt.strip()[:60]}' has no true answer")


def _check_some_admit(items: Sequence[Problem], injectors: Mapping[FlawKind, ErrorInjector], delimiter: str) -> None:
    """Raise where no item at all admits a flaw, rather than none of those drawn."""
    for item in items:
        if draw_flaw(item, solution_steps(item, delimiter), injectors, 1.0, _lot(item, 0, "fixed", 0)).flaw:
            return
    raise ScorecraftError(
        f"mix_prompts: none of {len(items)} items admits a flaw; they need worked solutions with steps such as "
        "'12 + 7 = 19', or another injector"
    )


def chat_text(prompt: Prompt, tokenizer: PreTrainedTokenizerBase, *, opening: str = "") -> str:
    """Return a prompt as the text that a trainer continues: chat template, the assistant's opening, then the prefix.

    Args:
        prompt: clean or prefilled.
        tokenizer: with a chat template.
        opening: what the assistant's turn begins with, in clean prompts too, such as a thinking tag.

    Raises `ScorecraftError` where the tokenizer has no chat template, or one that does not open the assistant's turn.
    """
    name = tokenizer.name_or_path or type(tokenizer).__name__
    if not tokenizer.chat_template:
        raise ScorecraftError(f"tokenizer '{name}' has no chat template, so there is no assistant's turn to begin")
    turns = [{"role": "system", "content": prompt.system}] if prompt.system else []
    turns.append({"role": "user", "content": prompt.prompt})
    closed, opened = (
        str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=add)) for add in (False, True)
    )
    if closed == opened:
        raise ScorecraftError(
            f"the chat template of tokenizer '{name}' does not open the assistant's turn (add_generation_prompt has no "
            "effect), so a prefix would stand in the user's; mend the template"
        )
    return opened + opening + prompt.prefill
