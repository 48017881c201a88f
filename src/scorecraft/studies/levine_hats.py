"""Are hats worth 7/20, and does that need a search: exact values, blocks, endless play, all sets, and learners.

The exact parts have no seeds to speak of; searches start at random, games and learners are drawn. Nothing is tuned but
the learners' rate, on a seed that is not reported.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from scorecraft.catalog.papers import find
from scorecraft.decisions.levine_blocks import block_strategy, known_block_strategy
from scorecraft.decisions.levine_hats import (
    alternating_br,
    continuous_best_response,
    continuous_set,
    hats,
    win_prob_finite,
)
from scorecraft.studies.study import Arm, Check, Experiment, Metric, Results, Scale, Study, Trial

GAMES: dict[Scale, int] = {"smoke": 20_000, "full": 1_000_000}
RESTARTS: dict[Scale, int] = {"smoke": 50, "full": 4000}
EPISODES: dict[Scale, int] = {"smoke": 20, "full": 1500}
GRID, ANSWERS, HEIGHT, RATE = 64, 200, 3, 0.5
PROBABILITIES = (0.1, 0.2, 0.25, 0.3)
SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(8))}


def blocks(trial: Trial) -> Results:
    """Return the best value that a search over block tables finds, and its winning pairs of mixed blocks."""
    b = trial.settings["block"]
    found = block_strategy(b, restarts=RESTARTS[trial.scale], seed=trial.seed)
    return {"value": float(found.value), "pairs": float(found.W * 4**b), "above": float(found.value) - 0.35}


def finite(trial: Trial) -> Results:
    """Return the best value that a search finds for stacks of so many hats, and what is known."""
    h = trial.settings["height"]
    found = alternating_br(h, restarts=RESTARTS[trial.scale] // 10, seed=trial.seed)
    return {"value": float(found.value), "apart": float(found.value) - trial.settings["known"]}


def endless(trial: Trial) -> Results:
    """Return the share of games with endless stacks that a strategy wins."""
    random, games = np.random.default_rng(trial.seed), GAMES[trial.scale]
    kind, won = trial.settings["strategy"], 0
    for start in range(0, games, 50_000):
        count = min(50_000, games - start)
        won += int(_played(kind, count, random))
        trial.progress(start + count, games)
    return {"won": won / games, "off": won / games - trial.settings["value"]}


def _played(kind: str, games: int, random: np.random.Generator) -> int:
    """Return how many of some games are won; hats are drawn as they are looked at."""
    if kind == "first":
        return int((random.random((games, 2)) < 0.5).all(1).sum())
    if kind == "first-white":
        # The first white hat of the other: its place is geometric, and the own hat there is the other's to see.
        stacks = random.random((2, games, 40)) < 0.5
        places = [(~stacks[other]).argmax(1) for other in (1, 0)]
        rows = np.arange(games)
        return int((stacks[0][rows, places[0]] & stacks[1][rows, places[1]]).sum())
    strategy = known_block_strategy(5)
    b, left, won = strategy.block, games, 0
    pattern = 1 << np.arange(b - 1, -1, -1)
    while left:
        one, other = random.random((2, left, b)) < 0.5
        kinds = [block.any(1) & ~block.all(1) for block in (one, other)]
        both = kinds[0] & kinds[1]
        rows = np.flatnonzero(both)
        first = strategy.f[(other[rows] @ pattern) - 1]
        second = strategy.g[(one[rows] @ pattern) - 1]
        won += int((one[rows, first] & other[rows, second]).sum())
        # One block of one colour: if it is black, the other's hat in it is; the own hat comes later.
        single = kinds[0] ^ kinds[1]
        black = single & np.where(kinds[0], other.all(1), one.all(1))
        won += int((random.random(int(black.sum())) < 0.5).sum())
        left = int((~kinds[0] & ~kinds[1]).sum())
    return won


def curve(trial: Trial) -> Results:
    """Return the best block strategies at one probability of black, and how much five hats gain on three."""
    p = trial.settings["p"]
    three, five = (
        float(block_strategy(b, p, restarts=RESTARTS[trial.scale] // 4, seed=trial.seed).value) for b in (3, 5)
    )
    return {"three": three, "five": five, "gain": five - three}


def all_sets(trial: Trial) -> Results:
    """Return how often the sum's half wins, and what alternating best responses on a grid come to."""
    random = np.random.default_rng(trial.seed)
    n = trial.settings["players"]
    share = float(continuous_set(n)(random.random((GAMES[trial.scale], n))).mean())
    won, value = random.random((GRID, GRID)).argsort(0) < GRID // 2, 0.0
    for _ in range(ANSWERS):
        answer, value = continuous_best_response(won, random)
        won = answer.T
    return {"share": share, "off": share - 0.5, "grid": value}


def learners(trial: Trial) -> Results:
    """Return the value of two tables that learn by policy gradients from the team's reward, or of a solver's pair."""
    if trial.settings["learner"] == "solver":
        return {"value": float(alternating_br(HEIGHT, restarts=100, seed=trial.seed).value)}
    random = np.random.default_rng(trial.seed)
    black, views = hats(HEIGHT).astype(np.float64), 2**HEIGHT
    tables = [random.normal(0, 0.1, (views, HEIGHT)) for _ in range(2)]
    for _ in range(EPISODES[trial.scale]):
        _learn(tables, black, random, trial.settings["learner"] == "exact")
    f, g = (table.argmax(1) for table in tables)
    return {"value": float(win_prob_finite((f, g), HEIGHT))}


def _learn(
    tables: list[Float64[np.ndarray, "view hat"]], black: Float64[np.ndarray, "view hat"], random: np.random.Generator,
    exact: bool,
) -> None:  # fmt: skip
    """Take a step of REINFORCE with a batch of 256 games and its mean as baseline, or with the exact gradient."""
    chances = [np.exp(table - table.max(1, keepdims=True)) for table in tables]
    chances = [chance / chance.sum(1, keepdims=True) for chance in chances]
    views = len(black)
    if exact:
        hit = [chance @ black.T for chance in chances]  # [view of the other, own stack]: the own named hat is black
        for me, other in ((0, 1), (1, 0)):
            # Gain of naming hat k at the view y: mean over own stacks x of x[k] times the other's success at x.
            gain = (hit[other].T[:, :, None] * black[None]).mean(1)
            tables[me] += 8 * RATE * chances[me] * (gain - (chances[me] * gain).sum(1, keepdims=True))
        return
    stacks = random.integers(views, size=(2, 256))
    named = [
        (random.random((256, 1)) > chances[me][stacks[1 - me]].cumsum(1)).sum(1).clip(max=black.shape[1] - 1)
        for me in range(2)
    ]
    reward = black[stacks[0], named[0]] * black[stacks[1], named[1]]
    for me in range(2):
        slope = np.eye(black.shape[1])[named[me]] - chances[me][stacks[1 - me]]
        np.add.at(tables[me], stacks[1 - me], RATE * (reward - reward.mean())[:, None] * slope / 32)


BLOCKS = Experiment(
    name="blocks",
    title="Blocks of hats, by search",
    question="Does a block of five, and of three, reach 7/20, and does any search go beyond?",
    run=blocks,
    arms=tuple(Arm(f"block-{b}", f"blocks of {b}", {"block": b}) for b in (2, 3, 4, 5, 6)),
    metrics=(Metric("value", "value", higher_is_better=True), Metric("pairs", "winning pairs of mixed blocks"),
             Metric("above", "value less 7/20")),
    checks=(
        Check("blocks of five reach 7/20", "above", "block-5", "above", margin=-1e-12),
        Check("and no more", "above", "block-5", "below", margin=1e-12),
        Check("blocks of three do as well", "above", "block-3", "above", margin=-1e-12),
        Check("blocks of six do not", "above", "block-6", "below"),
    ),
    seeds=SEEDS,
    limits="That a search of 4,000 starts finds no more is no proof: whether 7/20 is the most is open.",
)  # fmt: skip
CURVE = Experiment(
    name="probabilities",
    title="Rare black hats",
    question="Do blocks of five improve on blocks of three where black hats are rare?",
    run=curve,
    arms=tuple(Arm(f"p-{p}", f"black with {p:g}", {"p": p}) for p in PROBABILITIES),
    metrics=(Metric("three", "blocks of three"), Metric("five", "blocks of five"), Metric("gain", "difference")),
    checks=tuple(Check(f"p = {p:g}: they do", "gain", f"p-{p}", "above", margin=5e-5) for p in PROBABILITIES),
    seeds=SEEDS,
)
ENDLESS = Experiment(
    name="endless",
    title="Endless stacks, a million games",
    question="Do games come out as the values say?",
    run=endless,
    arms=(
        Arm("block-5", "blocks of five: 7/20", {"strategy": "block", "value": 0.35}),
        Arm("first-white", "first white hat: 1/3", {"strategy": "first-white", "value": 1 / 3}),
        Arm("first", "always the first: 1/4", {"strategy": "first", "value": 0.25}),
    ),
    metrics=(Metric("won", "games won", percent=True), Metric("off", "less the value", percent=True)),
    checks=tuple(
        Check(f"{name}: within 0.1 points", "off", name, "within", margin=0.001)
        for name in ("block-5", "first-white", "first")
    ),
    seeds=SEEDS,
)
FINITE = Experiment(
    name="finite",
    title="Stacks of few hats",
    question="Does the search find the known best values?",
    run=finite,
    arms=tuple(
        Arm(f"height-{h}", f"{h} hats", {"height": h, "known": known})
        for h, known in ((2, 5 / 16), (3, 22 / 64), (4, 89 / 256), (5, 358 / 1024), (6, 1433 / 4096))
    ),
    metrics=(Metric("value", "value"), Metric("apart", "less what is known")),
    checks=tuple(
        Check(f"{h} hats: at least that", "apart", f"height-{h}", "above", margin=-1e-12) for h in (2, 3, 4, 5, 6)
    ),
    seeds=SEEDS,
    limits="Values of two to four hats are proved to be the most; those of five and six are the best that is known.",
)
SETS = Experiment(
    name="sets",
    title="Every set of one half is a hat",
    question="Is the generalised game worth one half for any number of players?",
    run=all_sets,
    arms=tuple(Arm(f"players-{n}", f"{n} players", {"players": n}) for n in (2, 3, 5)),
    metrics=(
        Metric("share", "games won by the sum's half", percent=True),
        Metric("off", "less one half", percent=True),
        Metric("grid", "alternating best responses, two players"),
    ),
    checks=(
        *(Check(f"{n} players: one half", "off", f"players-{n}", "within", margin=0.002) for n in (2, 3, 5)),
        Check("best responses on a grid come to more than .49", "grid", "players-2", "above", margin=0.49),
    ),
    seeds=SEEDS,
)
LEARNERS = Experiment(
    name="learners",
    title="Learners with a team reward, three hats",
    question="Do learners that share a sparse reward find the best pair?",
    run=learners,
    arms=(
        Arm("solver", "alternating best responses", {"learner": "solver"}),
        Arm("exact", "policy gradients, exact", {"learner": "exact"}),
        Arm("reinforce", "REINFORCE, 256 games a step", {"learner": "reinforce"}),
    ),
    metrics=(Metric("value", "value of the pair", higher_is_better=True),),
    checks=(
        Check("the solver finds 22/64", "value", "solver", "above", margin=22 / 64 - 1e-9),
        Check("and beats independent learners", "value", "reinforce", "below", "solver"),
    ),
    seeds={"smoke": (0,), "full": tuple(range(10))},
    decides=False,
)
STUDY = Study(
    "levine-hats",
    find("levine-hats").claim,
    (BLOCKS, CURVE, ENDLESS, FINITE, SETS, LEARNERS),
    limits="That 7/20 is the most, which is open; the paper's own tables and proofs. Upper bounds are not computed.",
)
