"""Does the hypergeometric law say how many tips are needed, and when does it promise too much?

Rounds of thirteen matches with three outcomes each, whose probabilities are drawn around 0.45, 0.27 and 0.28, so that
the truth is known; a result is drawn from them, and tips are bought: distinct ones at random from all, where the law
applies; or drawn from the forecast, where all of them share one result and it does not; or from the tips with as many
favourites as will win, guessed beforehand. Then the same law as pass@k, on prompts whose pass rates differ.

Nothing is tuned, no market is simulated, and no profit is claimed.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from scorecraft.catalog.papers import find
from scorecraft.decisions.hypergeometric import METHODS, approximations, p_at_least, tips_needed_with_repetition
from scorecraft.decisions.lottery_tips import (
    poisson_binomial,
    strike_counts,
    strike_counts_stratified,
    strike_probability,
)
from scorecraft.decisions.sample_budget import success_prob_mixture, tips_needed_mixture
from scorecraft.studies.study import Arm, Check, Experiment, Metric, Results, Scale, Study, Trial

MATCHES, TIPS = 13, 3**13
ALPHA = 0.95
ROUNDS: dict[Scale, int] = {"smoke": 200, "full": 5000}
RESULTS: dict[Scale, int] = {"smoke": 500, "full": 20_000}
STRIKES = (9, 10, 11)
PRIOR = 30 * np.array([0.45, 0.27, 0.28])  # of a match's three probabilities, favourite first or not
PROMPTS = 400
SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(10))}


def forecasts(random: np.random.Generator) -> Float64[np.ndarray, "match outcome"]:
    """Return the probabilities of a round's matches."""
    return random.dirichlet(PRIOR, MATCHES)


def results_of(q: Float64[np.ndarray, "match outcome"], count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return results drawn from the probabilities, ``[result, match]``."""
    return (random.random((count, MATCHES, 1)) >= q.cumsum(1)[:, :-1]).sum(2)


def uniform(trial: Trial) -> Results:
    """Return how often distinct random tips reach the strikes, less what the law says, in its standard errors."""
    random, rounds = np.random.default_rng(trial.seed), ROUNDS[trial.scale]
    strikes = trial.settings["strikes"]
    good = sum(count for s, count in strike_counts(MATCHES).items() if s >= strikes)
    n = trial.settings["tips"]
    law = p_at_least(1, n, good, TIPS)
    hits = 0
    weights = 3 ** np.arange(MATCHES)
    for done in range(rounds):
        result = random.integers(3, size=MATCHES)
        drawn = random.choice(TIPS, n, replace=False)
        hits += int(((drawn[:, None] // weights % 3 == result).sum(1) >= strikes).any())
        if done % 100 == 99:
            trial.progress(done + 1, rounds)
    found = hits / rounds
    return {"law": law, "found": found, "off": (found - law) / math.sqrt(law * (1 - law) / rounds)}


def methods(trial: Trial) -> Results:
    """Return how far one method's number of tips is off, over shares of good ones up to 1 in 100, and safety levels."""
    random = np.random.default_rng(trial.seed)
    errors = []
    for _ in range(100):
        good = int(10 ** random.uniform(0, 4.2))
        alpha = random.uniform(0.1, 0.99)
        found = {row.method: row for row in approximations(alpha, good, TIPS)}[trial.settings["method"]]
        errors.append(abs(found.relative_error))
    return {
        "mean": float(np.mean(errors)),
        "worst": float(np.max(errors)),
        "exact": float(np.mean(np.equal(errors, 0))),
    }


def weighted(trial: Trial) -> Results:
    """Return the success of tips drawn from the forecast, with as many as the average or the mixture asks for."""
    random = np.random.default_rng(trial.seed)
    q = forecasts(random)
    # One set of results to plan by, another to see what comes of it.
    plan, test = (strike_probability(q, results_of(q, RESULTS[trial.scale], random), 10) for _ in range(2))
    if trial.settings["plan"] == "naive":
        n = tips_needed_with_repetition(ALPHA, float(plan.mean()))
    else:
        n = int(tips_needed_mixture(ALPHA, plan))
    success = success_prob_mixture(test, n)
    return {"tips": n, "success": success, "shortfall": ALPHA - success}


def strata(trial: Trial) -> Results:
    """Return how much likelier tips with the likeliest number of favourites reach ten strikes, at equal number."""
    random = np.random.default_rng(trial.seed)
    # A favourite wins with one probability in all matches; the surer, the more its number is concentrated.
    share, n = trial.settings["favourite"], trial.settings["tips"]
    k_law = poisson_binomial(np.full(MATCHES, share))
    guess = int(k_law.argmax())
    held = strike_counts_stratified(MATCHES, guess)
    stratum = sum(held.values())
    n = min(n, stratum)
    inside = p_at_least(1, n, sum(c for s, c in held.items() if s >= 10), stratum)
    # Where the guess is wrong, tips of the stratum are few of those with ten strikes: simulated.
    chosen = _of_stratum(guess, n, random)
    favourites = np.zeros(MATCHES, dtype=np.int64)
    other = 0.0
    draws = ROUNDS[trial.scale] // 10
    for _ in range(draws):
        result = np.where(random.random(MATCHES) < share, 0, 1 + random.integers(2, size=MATCHES))
        if (result == favourites).sum() != guess:
            other += float(((chosen == result).sum(1) >= 10).any())
    success = float(k_law[guess]) * inside + other / draws
    good = sum(c for s, c in strike_counts(MATCHES).items() if s >= 10)
    return {
        "stratified": success,
        "uniform": p_at_least(1, n, good, TIPS),
        "gain": success - p_at_least(1, n, good, TIPS),
    }


def _of_stratum(k: int, n: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return n distinct tips with exactly k favourites, outcome 0."""
    found: dict[bytes, NDArray[np.int64]] = {}
    while len(found) < n:
        tip = 1 + random.integers(2, size=MATCHES)
        tip[random.permutation(MATCHES)[:k]] = 0
        found.setdefault(tip.tobytes(), tip)
    return np.array(list(found.values()))


def prompts(trial: Trial) -> Results:
    """Return the share of prompts solved with as many samples as the average pass rate, or all of them, ask for."""
    random = np.random.default_rng(trial.seed)
    rates = random.beta(trial.settings["a"], trial.settings["a"], PROMPTS).clip(0.01, 1)
    if trial.settings["plan"] == "naive":
        n = tips_needed_with_repetition(0.9, float(rates.mean()))
    else:
        n = int(tips_needed_mixture(0.9, rates))
    solved = float((random.random((PROMPTS, n)) < rates[:, None]).any(1).mean())
    return {"samples": n, "solved": solved, "shortfall": 0.9 - solved}


UNIFORM = Experiment(
    name="uniform",
    title="Distinct tips at random",
    question="Do distinct random tips reach so many strikes as often as the law says?",
    run=uniform,
    arms=tuple(
        Arm(f"{s}-strikes", f"{s} strikes or more, {n:,} tips", {"strikes": s, "tips": n})
        for s, n in zip(STRIKES, (60, 400, 2000), strict=True)
    ),
    metrics=(
        Metric("law", "what the law says", percent=True),
        Metric("found", "what came out", percent=True),
        Metric("off", "difference in standard errors"),
    ),
    checks=tuple(
        Check(f"{s} strikes: within a standard error of the law", "off", f"{s}-strikes", "within", margin=1.0)
        for s in STRIKES
    ),
    seeds=SEEDS,
)
TABLE = Experiment(
    name="approximations",
    title="Approximations over all shares of good ones",
    question="How far off are the approximations, from one good tip to 16,000, and safety levels from .1 to .99?",
    run=methods,
    arms=tuple(Arm(name, name, {"method": name}) for name in METHODS[1:]),
    metrics=(
        Metric("mean", "mean relative error", higher_is_better=False),
        Metric("worst", "largest relative error", higher_is_better=False),
        Metric("exact", "equal to the exact number", higher_is_better=True, percent=True),
    ),
    checks=(
        Check("the midpoint approximation is off by at most 0.1 %", "worst", "midpoint", "below", margin=0.001),
        Check("the swap by at most 2 %", "worst", "swap", "below", margin=0.02),
        Check("the binomial by more than 10 % at times", "worst", "binomial", "above", margin=0.1),
    ),
    seeds=SEEDS,
)
WEIGHTED = Experiment(
    name="weighted",
    title="Tips drawn from the forecast, ten strikes, 95 % wanted",
    question="Does the law hold its safety level where tips share one result, and what does?",
    run=weighted,
    arms=(
        Arm("naive", "tips by the average chance", {"plan": "naive"}),
        Arm("mixture", "tips by the mixture", {"plan": "mixture"}),
    ),
    metrics=(
        Metric("tips", "tips"),
        Metric("success", "rounds with ten strikes", higher_is_better=True, percent=True),
        Metric("shortfall", "safety level less that", higher_is_better=False, percent=True),
    ),
    checks=(
        Check("by the average, the level is missed by more than 10 points", "shortfall", "naive", "above", margin=0.1),
        Check("by the mixture, it is missed by less than 2", "shortfall", "mixture", "below", margin=0.02),
    ),
    seeds=SEEDS,
)
STRATA = Experiment(
    name="strata",
    title="Tips with as many favourites as will win",
    question="Are tips of one stratum better than any, at equal number?",
    run=strata,
    arms=(
        Arm("sure", "favourites win 85 % of the time", {"favourite": 0.85, "tips": 200}),
        Arm("usual", "favourites win 50 % of the time", {"favourite": 0.5, "tips": 200}),
        Arm("none", "favourites win as often as others", {"favourite": 1 / 3, "tips": 200}),
    ),
    metrics=(
        Metric("stratified", "ten strikes, stratified", percent=True),
        Metric("uniform", "ten strikes, any tips", percent=True),
        Metric("gain", "difference", percent=True),
    ),
    checks=(
        Check("with sure favourites it is better by 20 points", "gain", "sure", "above", margin=0.2),
        Check("where there are none it gains less than 5 points", "gain", "none", "below", margin=0.05),
    ),
    seeds=SEEDS,
)
BRIDGE = Experiment(
    name="prompts",
    title="Samples of prompts, nine in ten to be solved",
    question="Is a number of samples by the average pass rate enough where prompts differ?",
    run=prompts,
    arms=(
        Arm("naive-alike", "by the average, prompts alike", {"plan": "naive", "a": 20.0}),
        Arm("naive-unlike", "by the average, prompts unlike", {"plan": "naive", "a": 0.4}),
        Arm("mixture-unlike", "by the mixture, prompts unlike", {"plan": "mixture", "a": 0.4}),
    ),
    metrics=(
        Metric("samples", "samples a prompt"),
        Metric("solved", "prompts solved", higher_is_better=True, percent=True),
        Metric("shortfall", "target less that", higher_is_better=False, percent=True),
    ),
    checks=(
        Check("by the average, more than 10 points are missing", "shortfall", "naive-unlike", "above", margin=0.1),
        Check("by the mixture, less than 2", "shortfall", "mixture-unlike", "below", margin=0.02),
        Check("where prompts are alike, less than 3", "shortfall", "naive-alike", "below", margin=0.03),
    ),
    seeds=SEEDS,
)
STUDY = Study(
    "lottery-tips",
    find("lottery-tips").claim,
    (UNIFORM, TABLE, WEIGHTED, STRATA, BRIDGE),
    limits="The paper's profits on the German TOTO, whose odds and quotas are not at hand; `backtest` takes your own.",
)
