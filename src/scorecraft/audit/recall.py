"""Is an answer recalled: can a policy give it without any reasoning, or without having read the whole question?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.problem import Problem

if TYPE_CHECKING:
    from scorecraft.lm.policy import Policy

Answers = Callable[[Sequence[str]], Sequence[str]]
"""Prompts in, completions out, without reasoning before the answer."""
Correct = Callable[[Problem, str], bool]


@implements("rubric-reward")
def recall_probe(
    answers: Answers,
    questions: Sequence[Problem],
    correct: Correct,
    *,
    truncate: Sequence[float] = (0.0, 0.25, 0.5, 0.75),
    suffix: str = "",
) -> dict[str, float]:
    """Return the share of questions answered right without reasoning, for each share of the question that is cut off.

    What is answered right with nothing cut was done in the head or recalled; what is answered right with much of the
    question missing was recalled. The result has ``recalled@0``, ``recalled@0.25`` and so on.

    Args:
        answers: asks the policy for answers alone; see `direct_answers`.
        questions: with their true answers.
        correct: whether a completion answers a question rightly.
        truncate: shares in [0, 1) of each prompt's characters that are cut off at its end.
        suffix: put after what is left, such as the signs that end a question. A prompt that ends with it is cut
            before it.

    Raises `ScorecraftError` for no questions, a share outside [0, 1), or another number of answers than of questions.

    Source: after Curing Miracle Steps in LLM Mathematical Reasoning with Rubric Rewards, 2025, arXiv 2510.07774.
    """
    if not questions:
        raise ScorecraftError("recall_probe: expected at least one question")
    result = {}
    for share in truncate:
        if not 0 <= share < 1:
            raise ScorecraftError(f"recall_probe: share to cut is {share}; expected a number from 0 to below 1")
        prompts = []
        for question in questions:
            body = question.prompt.removesuffix(suffix)
            prompts.append(body[: len(body) - round(share * len(body))] + suffix)
        given = answers(prompts)
        if len(given) != len(questions):
            raise ScorecraftError(f"recall_probe: {len(questions)} questions, but {len(given)} answers")
        right = sum(correct(question, text) for question, text in zip(questions, given, strict=True))
        result[f"recalled@{share:g}"] = right / len(questions)
    return result


def direct_answers(policy: Policy, *, mark: str = "#", max_new_tokens: int = 16) -> Answers:
    """Return a function that lets a policy answer at once: each completion begins with ``mark``, decoded greedily.

    Args:
        policy: who is asked.
        mark: the text that an answer begins with, which the policy does not choose.
        max_new_tokens: the most tokens of a completion, the mark's included.
    """
    import torch

    from scorecraft.lm.generate import SamplingSettings, generate

    forced = policy.encode(mark)

    def ask(prompts: Sequence[str]) -> list[str]:
        tokens = [policy.encode_prompt(prompt) for prompt in prompts]
        uniforms = torch.zeros((len(tokens), max_new_tokens), dtype=torch.float64)
        out = generate(
            policy,
            tokens,
            torch.arange(len(tokens)),
            uniforms,
            SamplingSettings(max_new_tokens, temperature=0.0),
            prefixes=[forced] * len(tokens),
        )
        return [policy.decode(ids[:n]) for ids, n in zip(out.tokens.tolist(), out.lengths.tolist(), strict=True)]

    return ask
