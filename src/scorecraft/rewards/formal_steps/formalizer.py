"""The interface of what turns steps into claims, and the one that asks a language model."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal, Protocol, runtime_checkable

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.rewards.formal_steps.claim import MOST_CHARACTERS, ClaimError, LeanStatement
from scorecraft.rewards.formal_steps.parser import parse_claim
from scorecraft.rewards.formal_steps.records import FormalizeError, NoClaim, StepRecord
from scorecraft.rewards.formal_steps.results import AnyClaim

Formalized = AnyClaim | NoClaim | FormalizeError
Language = Literal["claim", "lean"]


@runtime_checkable
class Formalizer(Protocol):
    """Turns a step, in its context, into a claim whose truth would justify it.

    deterministic: whether asking again gives the same answer.
    """

    @property
    def deterministic(self) -> bool:
        """Whether asking again gives the same answer."""
        ...

    def formalize(self, question: str, previous: Sequence[StepRecord], step: str) -> Formalized:
        """Return the claim, that none is needed, or what went wrong."""
        ...


_RULES = """You turn one step of a solution into a formal claim whose truth would justify the step.
Rules:
- Answer only with the claim: no proof, no explanation, no natural language.
- Skip only simple, intuitive steps without any calculation: answer False for those.
- Always formalise every numerical operation of the step.
- Hypotheses may restate the question and the earlier steps, with the same numbers, and nothing else.
"""
_CLAIM_LANGUAGE = """The language of claims: [vars NAMES : SORT, ... ;] [assume FORMULA, ... ;] show FORMULA
Sorts: Int, Nat, Rat, Real. Relations: = != < <= > >= and 6 | n and a == b mod 16. Operations: + - * / ^ abs min max
floor div mod. Connectives: and or not -> <->. Numerals are exact.

Question: Solve a*x + 3 = x - 5 for a, if x = 2.
Step: Putting in x = 2 gives 2a + 3 = -3, so a = -3.
Claim: vars a x : Real; assume a*x + 3 = x - 5, x = 2; show a = -3

Step: 12 boxes of 7 pens are 84 pens.
Claim: show 12*7 = 84

Step: Now let us look at the second part.
Claim: False
"""
_LEAN_LANGUAGE = """The claim is one Lean 4 theorem over Mathlib that ends in `:= by sorry`, with exactly one sorry.

Question: Solve a*x + 3 = x - 5 for a, if x = 2.
Step: Putting in x = 2 gives 2a + 3 = -3, so a = -3.
Claim: theorem step (a x : REAL) (h0 : a * x + 3 = x - 5) (h1 : x = 2) : a = -3 := by sorry

Step: Now let us look at the second part.
Claim: False
""".replace("REAL", "\N{DOUBLE-STRUCK CAPITAL R}")


def formalize_prompt(question: str, previous: Sequence[str], step: str, language: Language = "claim") -> str:
    """Return the prompt that asks a model for the claim of a step.

    Args:
        question: what the solution answers.
        previous: the steps before, as text.
        step: the step.
        language: "claim" for this project's, "lean" for Lean 4.
    """
    shown = "\n".join(previous) or "(none)"
    examples = _CLAIM_LANGUAGE if language == "claim" else _LEAN_LANGUAGE
    return f"{_RULES}{examples}\nQuestion: {question}\nEarlier steps:\n{shown}\nStep: {step}\nClaim:"


@implements("formal-steps")
class LanguageModelFormalizer:
    """Asks a language model for the claim.

    generate: prompt in, text out. language: what the model writes: this project's claims, or Lean for a Lean prover.
    "False" anywhere in its answer means that no claim is needed.

    Source: Safe, 2025, arXiv 2506.04592 (the rules of the prompt).
    """

    deterministic = False

    def __init__(self, generate: Callable[[str], str], language: Language = "claim") -> None:
        if language not in ("claim", "lean"):
            raise ScorecraftError(f"LanguageModelFormalizer: unknown language '{language}'; expected 'claim' or 'lean'")
        self.generate = generate
        self.language: Language = language

    def formalize(self, question: str, previous: Sequence[StepRecord], step: str) -> Formalized:
        """Return what the model's answer says."""
        reply = self.generate(formalize_prompt(question, [record.step for record in previous], step, self.language))
        return read_reply(reply, self.language)


def read_reply(reply: str, language: Language = "claim") -> Formalized:
    """Return the claim in a model's answer, without the fence and the label around it."""
    if len(reply) > MOST_CHARACTERS:
        return FormalizeError("unsupported", f"an answer of {len(reply)} characters")
    if "false" in reply.lower():
        return NoClaim("the model sees nothing to verify")
    text = re.sub(r"```[A-Za-z0-9]*", "", reply).strip()
    text = text.removeprefix("Claim:").strip()
    if language == "lean":
        return LeanStatement(text) if text else FormalizeError("parse", "an empty answer")
    try:
        return parse_claim(text)
    except ClaimError as error:
        return FormalizeError(error.fault, str(error), error.position)
