"""Is it worth more to recommend efforts together, and does a principal that has to learn get there?

Random games of two agents with errors of their own or in common; payment rules in use, each at its cheapest scale, at
the same efforts; a principal that explores and commits, over horizons from a thousand rounds; and three ways to check
answers, with accuracies measured on generated answers, as agents who are paid to run them. Incentives are computed, not
tried on people or models. Nothing is tuned.
"""

from __future__ import annotations

import math
import warnings
from fractions import Fraction

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from scorecraft.catalog.papers import find
from scorecraft.decisions.information_game import InfoGame, accuracy_game
from scorecraft.decisions.information_learner import GameShape, OnlinePrincipal, safe_payments, simulate_online
from scorecraft.decisions.information_mechanism import (
    Mechanism,
    best_deviation,
    deviation_values,
    solve_correlated,
    solve_point,
    solve_uncorrelated,
)
from scorecraft.decisions.information_programme import InfeasibleMechanism
from scorecraft.studies.study import Arm, Check, Experiment, Metric, Results, Scale, Study, Trial

GAMES: dict[Scale, int] = {"smoke": 3, "full": 20}
ANSWERS: dict[Scale, int] = {"smoke": 200, "full": 2000}
SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(20))}
NEAR, FAR = (10**3, 3 * 10**3, 10**4, 3 * 10**4, 10**5, 10**6), (10**9, 10**10, 10**11, 10**12)
CHECK_COSTS = (0.01, 0.02, 0.1)


def random_game(random: np.random.Generator, *, common_noise: bool) -> InfoGame:
    """Return two agents who flip a coin for nothing, or are right more often at a cost."""
    accuracy = [[0.5, random.uniform(0.6, 0.95)] for _ in range(2)]
    return accuracy_game(accuracy, [[0.0, random.uniform(0, 0.15)] for _ in range(2)], common_noise=common_noise)


def random_games(trial: Trial) -> Results:
    """Return what joint recommendations gain in random games, how often, and the most that a deviation gains."""
    random, gains, deviations = np.random.default_rng(trial.seed), [], []
    for done in range(GAMES[trial.scale]):
        game = random_game(random, common_noise=trial.settings["noise"] == "common")
        together, alone = solve_correlated(game), solve_uncorrelated(game)
        gains.append(together.value - alone.value)
        deviations += [best_deviation(game, one, i).gain for one in (together, alone) for i in range(2)]
        trial.progress(done + 1, GAMES[trial.scale])
    return {
        "gain": float(np.mean(gains)),
        "least": float(np.min(gains)),
        "share": float(np.mean(np.array(gains) > 1e-6)),
        "deviation": float(max(*deviations, 0.0)),
    }


def payment_forms(game: InfoGame, b: tuple[int, ...], rule: str) -> list[NDArray[np.float64]]:
    """Return what a rule pays each agent before it is scaled, ``[s_1, s_2, theta]``."""
    shape = game.P.shape[game.agents :]
    reports = np.indices(shape)
    if rule == "flat":
        return [np.ones(shape)] * game.agents
    if rule == "agreement":
        return [(reports[0] == reports[1]).astype(float)] * game.agents
    forms = []
    for i in range(game.agents):
        others = tuple(j for j in range(game.agents) if j != i)
        joint = game.P[b].sum(others)
        belief = joint / np.maximum(joint.sum(1, keepdims=True), 1e-300)
        score = 1 - (1 - belief) ** 2 / 2 - (belief**2).sum(1, keepdims=True) / 2 + belief**2 / 2
        forms.append(np.broadcast_to(np.expand_dims(score, others), shape))
    return forms


def rule_value(game: InfoGame, rule: str, cap: float) -> float:
    """Return the best value over joint efforts of a rule at its cheapest scale that makes obedience and truth best."""
    best = -math.inf
    for b in game.profiles():
        mu, pay = np.zeros(game.efforts), [np.zeros_like(game.P) for _ in range(game.agents)]
        mu[b] = 1
        for own, form in zip(pay, payment_forms(game, b, rule), strict=True):
            own[b] = form
        mech = Mechanism(0.0, mu, tuple(pay), game.decision())
        spent = 0.0
        for i in range(game.agents):
            scale = _cheapest(deviation_values(game, mech, i, b[i]), game.cost[i], b[i])
            top = scale * pay[i].max()
            spent = spent + scale * float((game.P[b] * pay[i][b]).sum()) if top <= cap + 1e-12 else math.inf
        best = max(best, float(game.value()[b]) - spent)
    return best


def _cheapest(worth: Float64[np.ndarray, "effort seen said"], cost: Float64[np.ndarray, " effort"], told: int) -> float:
    """Return the least scale at which the told effort and truth are best; infinite where there is none."""
    truth = worth[told].diagonal().sum()
    low, high = 0.0, math.inf
    for effort, other in enumerate(worth.max(2).sum(1)):
        more, gained = cost[told] - cost[effort], truth - other
        if abs(gained) < 1e-12:
            low = math.inf if more > 1e-12 else low
        elif gained > 0:
            low = max(low, more / gained)
        else:
            high = min(high, more / gained)
    return low if low <= high else math.inf


def rules(trial: Trial) -> Results:
    """Return what a way to pay is worth in random games whose agents err together."""
    random, values = np.random.default_rng(trial.seed), []
    for _ in range(GAMES[trial.scale]):
        game = random_game(random, common_noise=True)
        rule = trial.settings["rule"]
        if rule == "optimum":
            values.append(solve_correlated(game).value)
        else:
            values.append(rule_value(game, rule, 1.0))
    return {"value": float(np.mean(values))}


def learning(trial: Trial) -> Results:
    """Return the slope of log regret over log horizon, how often agents disobey, and what is left to be won."""
    game = accuracy_game([[0.5, 0.8]] * 2, [[0, 0.05]] * 2, common_noise=True)
    safe, rho = safe_payments(game, 1.0)
    optimum = solve_correlated(game).value
    horizons = NEAR if trial.settings["horizons"] == "near" else FAR
    runs = []
    for horizon in horizons:
        with warnings.catch_warnings():
            # Short horizons cannot explore as much as the bound asks for; that is part of the question.
            warnings.simplefilter("ignore")
            principal = OnlinePrincipal(GameShape.of(game), safe, 1.0, horizon, rho, mixing=trial.settings["mixing"])
        runs.append(simulate_online(game, principal, np.random.default_rng([trial.seed, horizon]), optimum=optimum))
        trial.progress(len(runs), len(horizons))
    slope = np.polyfit(np.log(horizons), np.log([run.regret for run in runs]), 1)[0]
    return {
        "slope": float(slope),
        "deviated": float(np.mean([run.deviated for run in runs])),
        "share": runs[-1].value / optimum,
        "alpha": runs[-1].alpha,
    }


def answers(random: np.random.Generator) -> tuple[str, str, bool]:
    """Return a reference, an answer, and whether they are the same number."""
    value = Fraction(int(random.integers(1, 60)), int(random.choice([2, 3, 4, 5, 6, 8, 9, 12])))
    right = bool(random.random() < 0.5)
    form = int(random.integers(4))
    if right:
        times = int(random.integers(2, 5))
        forms = (
            str(value), f"{value.numerator * times}/{value.denominator * times}",
            rf"\frac{{{value.numerator}}}{{{value.denominator}}}", f" {value}",
        )  # fmt: skip
        return str(value), forms[form], True
    near, off = f"{float(value):.2f}", str(value + Fraction(1, value.denominator))
    turned = f"{value.denominator}/{value.numerator + 1}"
    forms = (off, near if Fraction(near) != value else off, turned, off)
    answer = forms[form]
    return str(value), answer, Fraction(answer) == value


def checked(reference: str, answer: str) -> tuple[bool, bool, bool]:
    """Return what three ways to check say: the same text, numbers within a hundredth, and math-verify."""
    from math_verify import parse, verify

    same = reference == answer.strip()
    try:
        close = abs(float(Fraction(answer.strip())) - float(Fraction(reference))) < 0.01
    except ValueError:
        close = False
    first, second = (
        parse(f"${text}$", parsing_timeout=None)  # pyright: ignore[reportArgumentType]
        for text in (reference, answer)
    )
    return same, close, bool(verify(first, second, timeout_seconds=None))


def verifier_game(seed: int, count: int, progress: object = None) -> InfoGame:
    """Return the game of three verifiers, with the joint errors that were counted; who does not run flips a coin."""
    random = np.random.default_rng(seed)
    seen = np.zeros((2, 2, 2, 2))
    for done in range(count):
        reference, answer, right = answers(random)
        seen[(*(int(one) for one in checked(reference, answer)), int(right))] += 1
        if callable(progress):
            progress(done + 1, count)
    seen += 0.5
    seen = seen / seen.sum((0, 1, 2)) / 2
    table = np.zeros((2,) * 3 + seen.shape)
    for b in np.ndindex(2, 2, 2):
        own = seen
        for i, runs in enumerate(b):
            if not runs:
                own = np.repeat(own.sum(i, keepdims=True), 2, axis=i) / 2
        table[b] = own
    return InfoGame(table, np.eye(2), tuple(np.array([0.0, cost]) for cost in CHECK_COSTS))


def verifiers(trial: Trial) -> Results:
    """Return what three verifiers are worth under one way to hire them."""
    game = verifier_game(trial.seed, ANSWERS[trial.scale], trial.progress)
    way = trial.settings["way"]
    if way == "together":
        found = solve_correlated(game)
    elif way == "point":
        found = solve_uncorrelated(game)
    else:
        try:
            found = solve_point(game, (1, 1, 1))
        except InfeasibleMechanism:
            return {"value": 0.5, "paid": 0.0, "right": 0.5}
        votes = np.indices((2, 2, 2)).sum(0) >= 2
        right = float((game.P[1, 1, 1] * np.stack([~votes, votes], -1)).sum())
        paid = float(found.payments(game).sum())
        return {"value": right - paid, "paid": paid, "right": right}
    paid = float(found.payments(game).sum())
    return {"value": found.value, "paid": paid, "right": found.value + paid}


RANDOM = Experiment(
    name="random",
    title="Random games of two agents",
    question="Are joint recommendations never worse, and often better, than the best single one?",
    run=random_games,
    arms=(
        Arm("common", "errors in common", {"noise": "common"}),
        Arm("independent", "independent errors", {"noise": "independent"}),
    ),
    metrics=(
        Metric("gain", "gain of joint recommendations", higher_is_better=True),
        Metric("least", "least gain"),
        Metric("share", "games with a gain", higher_is_better=True),
        Metric("deviation", "most that a deviation gains", higher_is_better=False),
    ),
    checks=(
        Check("never worse, errors in common", "least", "common", "above", margin=-1e-7),
        Check("never worse, independent errors", "least", "independent", "above", margin=-1e-7),
        Check("better in a fifth of the games, errors in common", "share", "common", "above", margin=0.2),
        Check("no deviation gains, errors in common", "deviation", "common", "below", margin=1e-7),
        Check("no deviation gains, independent errors", "deviation", "independent", "below", margin=1e-7),
    ),
    seeds=SEEDS,
)
RULES = Experiment(
    name="rules",
    title="Ways to pay, each at its cheapest scale",
    question="Is the optimum worth more than the rules in use?",
    run=rules,
    arms=(
        Arm("optimum", "optimum", {"rule": "optimum"}),
        Arm("quadratic", "quadratic score", {"rule": "quadratic"}),
        Arm("agreement", "pay for agreement", {"rule": "agreement"}),
        Arm("flat", "flat pay", {"rule": "flat"}),
    ),
    metrics=(Metric("value", "value less payments", higher_is_better=True),),
    checks=(
        Check("more than the quadratic score", "value", "optimum", "above", "quadratic"),
        Check("more than pay for agreement", "value", "optimum", "above", "agreement"),
        Check("flat pay brings a coin's worth", "value", "flat", "below", margin=0.5001),
    ),
    seeds=SEEDS,
)
LEARNING = Experiment(
    name="learning",
    title="A principal that learns",
    question="Does regret grow with the two-thirds power of the horizon, and is mixing with safe payments needed?",
    run=learning,
    arms=(
        Arm("near", "1e3 to 1e6 rounds, mixed", {"horizons": "near", "mixing": True}),
        Arm("near-bare", "1e3 to 1e6 rounds, not mixed", {"horizons": "near", "mixing": False}),
        Arm("far", "1e9 to 1e12 rounds, mixed", {"horizons": "far", "mixing": True}),
        Arm("far-bare", "1e9 to 1e12 rounds, not mixed", {"horizons": "far", "mixing": False}),
    ),
    metrics=(
        Metric("slope", "slope of log regret", higher_is_better=False),
        Metric("deviated", "horizons at which agents disobey", higher_is_better=False),
        Metric("share", "value at the last horizon / optimum", higher_is_better=True),
        Metric("alpha", "weight of the safe mechanisms at the last horizon", higher_is_better=False),
    ),
    checks=(
        Check("slope of at most .75 up to a million rounds", "slope", "near", "below", margin=0.75),
        Check("slope of at most .75 from a thousand million rounds on", "slope", "far", "below", margin=0.75),
        Check("mixed, nobody disobeys", "deviated", "near", "below", margin=1e-9),
        Check("not mixed, agents disobey", "deviated", "near-bare", "above", margin=0.5),
    ),
    seeds=SEEDS,
    limits="Rounds after committing count by their mean, so a long horizon costs no more than a short one.",
)
VERIFIERS = Experiment(
    name="verifiers",
    title="Three ways to check an answer, as agents",
    question="What are verifiers worth who have to be paid to run?",
    run=verifiers,
    arms=(
        Arm("together", "joint recommendations", {"way": "together"}),
        Arm("point", "always the same", {"way": "point"}),
        Arm("majority", "all three, majority vote", {"way": "majority"}),
    ),
    metrics=(
        Metric("value", "value less payments", higher_is_better=True),
        Metric("paid", "paid in a round", higher_is_better=False),
        Metric("right", "decisions that are right", higher_is_better=True),
    ),
    checks=(Check("worth more than the majority vote", "value", "together", "above", "majority"),),
    seeds={"smoke": (0,), "full": tuple(range(10))},
    limits="Incentives are computed; that programmes or models answer to payments is not shown.",
)
STUDY = Study(
    "information-acquisition",
    find("information-acquisition").claim,
    (RANDOM, RULES, LEARNING, VERIFIERS),
    limits="That language models respond to payments.",
)
