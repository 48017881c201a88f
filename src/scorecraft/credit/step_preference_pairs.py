"""Preference pairs whose loser ends at the step where it was lost, for per-step DPO."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch

from scorecraft.catalog import implements
from scorecraft.credit.best_of_k_value import Estimator, bok_success
from scorecraft.credit.per_step_advantage import PitRule, first_pit, first_pit_by_bisection, uninformative
from scorecraft.errors import ScorecraftError

Steps = tuple[str, ...]
"""The text of every step of a response, separators included, so that joined they are the response."""
RollOut = Callable[[str, Steps, int, int], Sequence[Sequence[str]]]
"""Prompt, first steps, how many, seed: so many continuations, each as its further steps."""
Verify = Callable[[str, Steps], bool]
"""Prompt and a whole response: is its answer right."""
PairMode = Literal["algorithm1", "shared_prefix"]

NO_POSITIVE = "the prompt has no right response"
EMPTY = "the response is empty up to its pit"
UNINFORMATIVE = "all values are equal"
NO_PIT = "no value is as low as the threshold"
NO_CONTINUATION = "no continuation from before the pit was right"
OVER_MAXIMUM = "max_pairs was reached"


@dataclass(frozen=True, slots=True)
class StepPair:
    """A preference between two continuations of ``prompt`` and ``prefix``.

    prefix: steps that both share, given and not learned from; empty in the mode "algorithm1".
    chosen, rejected: the further steps.
    pit: the step of the wrong response at which it was lost, counted from 1.
    q: value of the wrong response after 0, 1, ... steps; None where bisection did not ask for it.
    """

    prompt: str
    prefix: Steps
    chosen: Steps
    rejected: Steps
    pit: int
    q: tuple[float | None, ...]

    def texts(self) -> dict[str, str]:
        """Return ``prompt``, ``chosen`` and ``rejected`` as preference trainers read them, the prefix in the prompt."""
        prompt = self.prompt + "".join(self.prefix)
        return {"prompt": prompt, "chosen": "".join(self.chosen), "rejected": "".join(self.rejected)}


@dataclass(frozen=True, slots=True)
class StepPairs:
    """Pairs, how many wrong responses gave none and why, and how many continuations were sampled."""

    pairs: tuple[StepPair, ...]
    skipped: Mapping[str, int]
    generations: int

    def __add__(self, other: StepPairs) -> StepPairs:
        """Return both together, for the pairs of several prompts."""
        skipped = dict(Counter(self.skipped) + Counter(other.skipped))
        return StepPairs(self.pairs + other.pairs, skipped, self.generations + other.generations)


class _Prefix(NamedTuple):
    value: float
    right: tuple[Steps, ...]


@dataclass
class _Prefixes:
    """Values of the prefixes of one prompt, each rolled out once."""

    prompt: str
    roll_out: RollOut
    verify: Verify
    n: int
    k: int
    estimator: Estimator
    seeds: random.Random

    def __post_init__(self) -> None:
        self.known: dict[Steps, _Prefix] = {}
        self.generations = 0

    def __call__(self, prefix: Steps) -> _Prefix:
        if prefix not in self.known:
            found = [tuple(steps) for steps in self.roll_out(self.prompt, prefix, self.n, self.seeds.getrandbits(31))]
            if len(found) != self.n:
                raise ScorecraftError(f"step pairs: roll_out returned {len(found)} continuations, expected {self.n}")
            self.generations += self.n
            right = tuple(steps for steps in found if self.verify(self.prompt, prefix + steps))
            value = float(bok_success(torch.tensor([len(right)]), self.n, self.k, self.estimator)[0])
            self.known[prefix] = _Prefix(value, right)
        return self.known[prefix]


@implements("per-step-advantage")
def step_preference_pairs(
    prompt: str,
    positives: Sequence[Sequence[str]],
    negatives: Sequence[Sequence[str]],
    roll_out: RollOut,
    verify: Verify,
    *,
    n_rollouts: int = 10,
    k: int = 5,
    estimator: Estimator = "unbiased",
    mode: PairMode = "algorithm1",
    rule: PitRule = "argmin",
    threshold: float | None = None,
    binary_search: bool = False,
    keep_uninformative: bool = False,
    max_pairs: int | None = None,
    seed: int = 0,
) -> StepPairs:
    """Return one pair for every wrong response of a prompt whose first pit can be found.

    "algorithm1" (the paper's): a right response is preferred to ``y_1..y_pit``, the wrong one cut after its pit.
    "shared_prefix" (the form of the paper's theorem): after ``y_1..y_(pit-1)`` a continuation that was rolled out
    from there and is right is preferred to ``y_pit``; it needs no right responses.

    A wrong response of L steps costs up to ``L n_rollouts`` continuations, of which those of the bare prompt and of
    prefixes that responses share are sampled once; the value of a whole wrong response is 0 without sampling.

    Args:
        prompt: the text that all responses answer.
        positives: right responses, each as its steps.
        negatives: wrong responses, each as its steps.
        roll_out: samples continuations from the policy that the values are of.
        verify: says whether a whole response is right.
        n_rollouts: continuations of each prefix; the paper does not say how many it takes.
        k: size of the best-of-K policy whose values these are.
        estimator: as in `bok_success`.
        mode: see above.
        rule: where the pit is, as in `first_pit`.
        threshold: for the rule of that name.
        binary_search: find the pit by about log2(L) prefixes, right where values never rise; for rule "argmin".
        keep_uninformative: keep pairs cut at step 1 where all values are equal, instead of dropping them.
        max_pairs: stop rolling out after so many.
        seed: of the choice of right responses and continuations, and of the seeds handed to ``roll_out``.

    Raises `ScorecraftError` for a wrong response that verifies as right or the reverse, an unknown mode, binary
    search with another rule than "argmin", continuations other in number than asked for, and as `bok_success` and
    `first_pit`.

    Source: RL on Incorrect Synthetic Data, 2024, arXiv 2406.14532, algorithm 1 and theorem 6.1.
    """
    if mode not in ("algorithm1", "shared_prefix"):
        raise ScorecraftError(f"step pairs: unknown mode '{mode}'; expected 'algorithm1' or 'shared_prefix'")
    if binary_search and rule != "argmin":
        raise ScorecraftError(f"step pairs: binary_search finds the lowest value; it cannot follow rule '{rule}'")
    right, wrong = [tuple(steps) for steps in positives], [tuple(steps) for steps in negatives]
    _check_verdicts(prompt, "positive", right, verify, True)
    _check_verdicts(prompt, "negative", wrong, verify, False)
    prefixes = _Prefixes(prompt, roll_out, verify, n_rollouts, k, estimator, random.Random(seed))
    pairs: list[StepPair] = []
    skipped: Counter[str] = Counter()
    for steps in wrong:
        if max_pairs is not None and len(pairs) >= max_pairs:
            made = OVER_MAXIMUM
        elif mode == "algorithm1" and not right:
            made = NO_POSITIVE
        elif not "".join(steps).strip():
            made = EMPTY
        else:
            pit, q, flat = _pit(steps, prefixes, rule, threshold, binary_search)
            if flat and not keep_uninformative:
                made = UNINFORMATIVE
            else:
                made = _pair(prefixes, steps, pit, q, right if mode == "algorithm1" else None)
        if isinstance(made, str):
            skipped[made] += 1
        else:
            pairs.append(made)
    return StepPairs(tuple(pairs), dict(skipped), prefixes.generations)


def _check_verdicts(prompt: str, kind: str, responses: list[Steps], verify: Verify, expected: bool) -> None:
    for number, steps in enumerate(responses):
        if bool(verify(prompt, steps)) is not expected:
            said = "wrong" if expected else "right"
            raise ScorecraftError(f"step pairs: {kind} {number} of prompt {prompt!r} verifies as {said}")


def _pit(
    steps: Steps, prefixes: _Prefixes, rule: PitRule, threshold: float | None, binary_search: bool
) -> tuple[int, tuple[float | None, ...], bool]:
    """Return the pit, the values found, and whether they are all equal."""

    def value_of(count: int) -> float:
        return 0.0 if count == len(steps) else prefixes(steps[:count]).value

    prompt_value = prefixes(()).value
    if binary_search:
        pit, seen = first_pit_by_bisection(value_of, len(steps))
        values = [seen.get(count) for count in range(1, len(steps) + 1)]
        return pit, (prompt_value, *values), set(seen.values()) == {prompt_value}
    q = [value_of(count) for count in range(1, len(steps) + 1)]
    table = (torch.tensor([q]), torch.ones(1, len(q), dtype=torch.bool), torch.tensor([prompt_value]))
    return int(first_pit(*table, rule, threshold)[0]), (prompt_value, *q), bool(uninformative(*table)[0])


def _pair(
    prefixes: _Prefixes, steps: Steps, pit: int, q: tuple[float | None, ...], positives: list[Steps] | None
) -> StepPair | str:
    """Return the pair, or why there is none; without ``positives`` the pair shares its prefix."""
    if pit == 0:
        return NO_PIT
    shared = steps[: pit - 1] if positives is None else ()
    rejected = steps[len(shared) : pit]
    if not "".join(rejected).strip():
        return EMPTY
    winners = prefixes(shared).right if positives is None else positives
    if not winners:
        return NO_CONTINUATION
    return StepPair(prefixes.prompt, shared, prefixes.seeds.choice(winners), rejected, pit, q)
