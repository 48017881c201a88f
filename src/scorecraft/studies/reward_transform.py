"""Do log-sigmoid-centred rewards improve more prompts at the same KL divergence, and does their sum act as an and?

In closed form: 1000 prompts with 64 answers of the base policy each, whose true quality is a logit that differs between
prompts in level and spread. A reward model sees it with heavy-tailed error. The aligned policy weighs the answers by
``exp(u / gamma)``; gamma is found for every arm so that its KL divergence from the base policy, averaged over prompts,
is the same. An answer wins if its true quality is above the median of the base policy's answers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from scorecraft.catalog.papers import find
from scorecraft.rewards.log_sigmoid import bon_tilt, combine_and, combine_or, lsc
from scorecraft.rewards.reference_reward import reference_of
from scorecraft.studies.study import Arm, Check, Curve, Experiment, Metric, Results, Scale, Study, Trial

PROMPTS: dict[Scale, int] = {"smoke": 60, "full": 1000}
SAMPLES = 64
ERROR, FREEDOM = 0.3, 2.2  # of the reward model: Student's t
RELATION = -0.5  # correlation of the two properties
DIVERGENCES = {"half": 0.5, "one": 1.0, "two": 2.0}
GRID = tuple(0.25 * place for place in range(1, 11))
UNIMPROVED = 0.6  # a prompt whose answers win less often has not been improved


@dataclass(frozen=True)
class Answers:
    """True quality and the reward model's view of answers, ``[prompt, sample]``."""

    truth: Tensor
    reward: Tensor

    @property
    def good(self) -> Tensor:
        """Return which answers are above the median of their prompt."""
        return self.truth > self.truth.median(1, keepdim=True).values


def answers(prompts: int, generator: torch.Generator, spread: float = 0.6) -> tuple[Answers, Answers]:
    """Return two negatively related properties of the same answers; ``spread`` is how much prompts differ in spread."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    own, other = normal(prompts, SAMPLES), normal(prompts, SAMPLES)
    related = RELATION * own + math.sqrt(1 - RELATION**2) * other
    found = []
    for quality in (own, related):
        truth = normal(prompts, 1) + (spread * normal(prompts, 1)).exp() * quality
        # Student's t is a normal over the root of a chi-square over its degrees of freedom.
        chi = torch.empty_like(truth).copy_(_chi_square(truth.shape, generator))
        found.append(Answers(truth, truth + ERROR * normal(*truth.shape) / (chi / FREEDOM).sqrt()))
    return found[0], found[1]


def _chi_square(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Draw from a chi-square with `FREEDOM` degrees of freedom, by the inverse of its distribution."""
    from scipy.stats import chi2

    uniform = torch.rand(shape, generator=generator, dtype=torch.float64).clamp(min=1e-12)
    return torch.from_numpy(chi2.ppf(uniform.numpy(), FREEDOM))


def utility(kind: str, properties: list[Tensor]) -> Tensor:
    """Return what the policy is aligned to.

    Args:
        kind: "raw" sums the rewards; "standardized" brings each prompt's to one mean and deviation first; "capped" cuts
            each off at its reference; "lsc" and "lsc-mean" are log-sigmoids about the 85th percentile and about the
            mean of the base policy's rewards, summed; "or" is the log-probability that some property is good.
        properties: rewards ``[prompt, sample]``, one table for each property.
    """
    rewards = torch.stack(properties)
    if kind == "raw":
        return rewards.sum(0)
    if kind == "standardized":
        return ((rewards - rewards.mean(2, keepdim=True)) / rewards.std(2, keepdim=True)).sum(0)
    estimator = "mean" if kind == "lsc-mean" else "auto"
    references = torch.stack([reference_of(table, kind=estimator) for table in properties])[:, :, None]
    if kind == "capped":
        return torch.minimum(rewards, references).sum(0)
    if kind == "or":
        return combine_or(rewards, references)
    return lsc(rewards[0], references[0]) if len(rewards) == 1 else combine_and(rewards, references)


def divergence(policy: Tensor) -> float:
    """Return the KL divergence from the uniform choice among the samples, in nats, averaged over prompts."""
    return float((torch.special.xlogy(policy, policy).sum(1) + math.log(policy.shape[1])).mean())


def policy_at(u: Tensor, wanted: float) -> Tensor:
    """Return the tilted policy of the wanted average KL divergence, by bisection in log gamma."""
    low, high = -12.0, 12.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if divergence(bon_tilt(u, math.exp(middle))) > wanted else (low, middle)
    return bon_tilt(u, math.exp((low + high) / 2))


def run_single(trial: Trial) -> Results:
    """Align to one property."""
    generator = torch.Generator().manual_seed(trial.seed)
    found, _ = answers(PROMPTS[trial.scale], generator)
    u = utility(trial.settings["kind"], [trial.settings["factor"] * found.reward])
    values: dict[str, float | list[float]] = {}
    for name, wanted in DIVERGENCES.items():
        policy = policy_at(u, wanted)
        win = (policy * found.good).sum(1)
        values[f"win_{name}"] = float(win.mean())
        values[f"unimproved_{name}"] = float((win < UNIMPROVED).double().mean())
        values[f"gain_{name}"] = float(((policy - 1 / SAMPLES) * found.truth).sum(1).mean())
        values[f"error_{name}"] = float((policy * (found.reward - found.truth)).sum(1).mean())
    values["course"] = [float((policy_at(u, wanted) * found.good).sum(1).mean()) for wanted in GRID]
    return values


def run_pair(trial: Trial) -> Results:
    """Align to two properties at once."""
    generator = torch.Generator().manual_seed(trial.seed)
    pair = answers(PROMPTS[trial.scale], generator)
    u = utility(trial.settings["kind"], [each.reward for each in pair])
    both, some = pair[0].good & pair[1].good, pair[0].good | pair[1].good
    values: dict[str, float | list[float]] = {}
    for name, wanted in DIVERGENCES.items():
        policy = policy_at(u, wanted)
        values[f"both_{name}"] = float((policy * both).sum(1).mean())
        values[f"some_{name}"] = float((policy * some).sum(1).mean())
    values["course"] = [float((policy_at(u, wanted) * both).sum(1).mean()) for wanted in GRID]
    return values


def _arm(kind: str, label: str, name: str = "", factor: float = 1.0) -> Arm:
    return Arm(name or kind, label, {"kind": kind, "factor": factor})


SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(8))}
RAW, LSC = _arm("raw", "raw reward"), _arm("lsc", "log-sigmoid, 85th percentile")
WIN = tuple(
    Metric(f"win_{name}", f"win rate at KL {kl:g}", higher_is_better=True, percent=True)
    for name, kl in DIVERGENCES.items()
)
SINGLE = Experiment(
    name="single",
    title="One property",
    question="At equal KL divergence, which utility wins over the base policy more often, and on more prompts?",
    run=run_single,
    arms=(
        RAW,
        LSC,
        _arm("lsc-mean", "log-sigmoid, mean"),
        _arm("capped", "cut off at the 85th percentile"),
        _arm("standardized", "standardised by prompt"),
    ),
    metrics=(
        *WIN,
        Metric("unimproved_half", "prompts that win < 60 % at KL 0.5", higher_is_better=False, percent=True),
        Metric("unimproved_one", "prompts that win < 60 % at KL 1", higher_is_better=False, percent=True),
        Metric("gain_one", "gain in true quality at KL 1", higher_is_better=True),
        Metric("error_one", "reward model's error paid for at KL 1", higher_is_better=False),
        Metric("error_two", "reward model's error paid for at KL 2", higher_is_better=False),
    ),
    checks=(
        Check("it wins more at KL 0.5", "win_half", "lsc", "above", "raw", 0.04),
        Check("it wins more at KL 1", "win_one", "lsc", "above", "raw", 0.04),
        Check("fewer prompts are left unimproved at KL 0.5", "unimproved_half", "lsc", "below", "raw"),
        Check("fewer prompts are left unimproved at KL 1", "unimproved_one", "lsc", "below", "raw"),
        Check("the reward model's errors are exploited less at KL 2", "error_two", "lsc", "below", "raw"),
    ),
    seeds=SEEDS,
    curves=(Curve("course", "win rate", "KL / 0.25"),),
    limits="Rewards that are logits, and the tilt of 64 samples instead of training. The standardised arm shows how "
    "much of the gain is that prompts of different spread are brought to one.",
)
PAIR = Experiment(
    name="and",
    title="Two properties that oppose each other",
    question="At equal KL divergence, which combination gives more answers that are above the median in both?",
    run=run_pair,
    arms=(
        _arm("raw", "sum of raw rewards"),
        _arm("lsc", "sum of log-sigmoids (and)"),
        _arm("or", "or"),
        _arm("standardized", "sum of standardised rewards"),
    ),
    metrics=tuple(
        Metric(f"{which}_{name}", f"{label} at KL {kl:g}", higher_is_better=True, percent=True)
        for which, label in (("both", "good in both"), ("some", "good in one or both"))
        for name, kl in DIVERGENCES.items()
        if which == "both" or name == "half"
    ),
    checks=(
        Check("the and has more answers good in both at KL 0.5", "both_half", "lsc", "above", "raw", 0.04),
        Check("and at KL 1", "both_one", "lsc", "above", "raw", 0.04),
        Check("and at KL 2", "both_two", "lsc", "above", "raw", 0.04),
    ),
    seeds=SEEDS,
    curves=(Curve("course", "good in both", "KL / 0.25"),),
    limits=f"The properties' true qualities are correlated with {RELATION:g} within a prompt; the errors of the two "
    "reward models are independent.",
)
UNITS = Experiment(
    name="scale",
    title="Rewards that are no logits",
    question="What becomes of the transform when the reward model's scale is off?",
    run=run_single,
    arms=(
        RAW,
        *(_arm("lsc", f"log-sigmoid of {factor:g} r", f"lsc-{factor:g}", factor) for factor in (0.1, 1.0, 10.0)),
    ),
    metrics=WIN,
    checks=(Check("with a tenth of the scale little is left", "win_one", "lsc-0.1", "within", "raw", 0.04),),
    seeds=SEEDS,
    decides=False,
    limits="Raw rewards do not depend on the scale, since gamma is matched.",
)
STUDY = Study(
    "reward-transform",
    find("reward-transform").claim,
    (SINGLE, PAIR, UNITS),
    limits="Preferences of people and hacking by language models, which the paper measures with PaLM 2.",
)
