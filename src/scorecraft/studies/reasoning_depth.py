"""Does depth as a shaping reward leave the best policy alone, and do late layers move more where more is computed?

**Shaping.** All texts of one to three steps: a step has one of two contents and ends the text or goes on, the third
ends it. Every step has a random depth and every text a random outcome, in tenths, so that ties occur. What is best in
each state with and without shaping is found by enumeration, and so is the expected policy gradient of a random policy.

**Planted depth.** A six-layer model is trained on streams of (operation, a, b, answer) over ten digits, in which the
answer is a, or a + b modulo 10: a copy is shallow, a modular sum deep. Reasoning Scores are measured where the answer
is predicted. A linear probe on each layer says, without any lens, where an answer is there to be read.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray

from scorecraft.catalog.papers import find
from scorecraft.credit.reasoning_depth.detector import ranked_auroc
from scorecraft.credit.reasoning_depth.shaping import ALPHA, Align, clip_depth, shaping_rewards
from scorecraft.lm.hidden_states import hidden_states
from scorecraft.lm.policy import Policy
from scorecraft.lm.supervised import Batch, SupervisedSettings, SupervisedTrainer
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.studies.study import Arm, Check, Experiment, Metric, Results, Scale, Study, Trial

Floats = NDArray[np.float64]

# An action is a content (0 or 1) and whether the text goes on (2 and 3) or ends (0 and 1).
ACTIONS, HORIZON = 4, 3
TEXTS: list[tuple[int, ...]] = [
    (*before, last) for steps in range(HORIZON) for before in itertools.product((2, 3), repeat=steps) for last in (0, 1)
]
STATES = {text[:step]: 0 for text in TEXTS for step in range(len(text))}
STATES = {state: place for place, state in enumerate(sorted(STATES, key=lambda s: (len(s), s)))}
THERE = np.array([[step < len(text) for step in range(HORIZON)] for text in TEXTS])
STATE = np.array([[STATES[text[:step]] if step < len(text) else -1 for step in range(HORIZON)] for text in TEXTS])
ACTION = np.array([[text[step] if step < len(text) else 0 for step in range(HORIZON)] for text in TEXTS])
# In the last state nothing goes on.
POSSIBLE = np.array([[len(state) < HORIZON - 1 or action < 2 for action in range(ACTIONS)] for state in STATES])
GAMMA, TAU, NATS = 0.9, 0.6, float(np.log(2))
SIZE: dict[Scale, int] = {"smoke": 20, "full": 200}


def shaped(depth: Floats, align: Align, alpha: float, terminal: bool) -> Floats:
    """Return the shaping rewards ``[problem, text, step]``; ``terminal`` keeps the potential of the last step."""
    problems = len(depth)
    tables = [torch.tensor(values.reshape(-1, HORIZON)) for values in (depth, np.broadcast_to(THERE, depth.shape))]
    clipped = clip_depth(tables[0].float(), tables[1], alpha, TAU)
    rewards = shaping_rewards(clipped, tables[1], GAMMA, align).double().numpy().reshape(problems, -1, HORIZON)
    if terminal:
        last = THERE & (THERE.sum(1, keepdims=True) - 1 == np.arange(HORIZON))
        rewards = rewards - GAMMA * clipped.double().numpy().reshape(rewards.shape) * last
    return rewards


def returns_to_go(rewards: Floats, outcome: Floats) -> Floats:
    """Return the discounted return from each step of each text, ``[problem, text, step]``."""
    last = THERE & (THERE.sum(1, keepdims=True) - 1 == np.arange(HORIZON))
    paid = (rewards + outcome[..., None] * last) * THERE
    returns = np.zeros_like(paid)
    ahead = np.zeros(paid.shape[:2])
    for step in range(HORIZON - 1, -1, -1):
        ahead = paid[..., step] + GAMMA * ahead
        returns[..., step] = ahead
    return returns


def action_values(returns: Floats) -> Floats:
    """Return the best return of every action in every state, minus infinity where it is not possible."""
    values = np.full((len(returns), len(STATES), ACTIONS), -np.inf)
    for text, step in zip(*np.nonzero(THERE), strict=True):
        place = (slice(None), STATE[text, step], ACTION[text, step])
        values[place] = np.maximum(values[place], returns[:, text, step])
    return values


def best(values: Floats) -> NDArray[np.bool_]:
    """Return which actions are best, ties included; what differs by rounding is tied."""
    return values >= values.max(2, keepdims=True) - 1e-5


def expected_gradient(returns: Floats, policy: Floats) -> Floats:
    """Return the policy gradient by the logits of every state, ``sum over texts p(text) grad log pi(action) G``."""
    chance = np.where(THERE, policy[:, STATE, ACTION], 1.0).prod(2)
    weight = np.zeros(policy.shape)
    for text, step in zip(*np.nonzero(THERE), strict=True):
        weight[:, STATE[text, step], ACTION[text, step]] += chance[:, text] * returns[:, text, step]
    return weight - policy * weight.sum(2, keepdims=True)


def value_of(chosen: NDArray[np.int64], outcome: Floats) -> Floats:
    """Return the discounted outcome of the text that the chosen actions ``[problem, state]`` lead to."""
    fits = np.where(THERE, chosen[:, STATE] == ACTION, True).all(2)
    text = fits.argmax(1)
    return outcome[np.arange(len(outcome)), text] * GAMMA ** (THERE.sum(1)[text] - 1)


def planted() -> tuple[Floats, Floats]:
    """Return depths and outcomes of two problems in which ending at once with content 0 is best, by a little.

    In the first the worse content is deep, in the second the better one; all else is worth nothing.
    """
    depth, outcome = np.zeros((2, len(TEXTS), HORIZON)), np.zeros((2, len(TEXTS)))
    outcome[:, 0], outcome[:, 1] = 0.95, 0.90
    depth[0, 1, 0], depth[1, 0, 0] = 0.5, 0.5
    return depth, outcome


def run_shaping(trial: Trial) -> Results:
    """Compare what is best with and without shaping in random problems, and in the planted ones."""
    random = np.random.default_rng(trial.seed)
    problems = SIZE[trial.scale]
    # A step's depth hangs on the state and the action alone, so texts that begin alike share it.
    depth = random.uniform(0, NATS, (problems, len(STATES), ACTIONS))[:, STATE, ACTION]
    outcome = random.integers(0, 11, (problems, len(TEXTS))) / 10
    logits = np.where(POSSIBLE, random.normal(size=(problems, len(STATES), ACTIONS)), -np.inf)
    policy = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    plain, with_shaping = both_returns(depth, outcome, trial)
    before, after = best(action_values(plain)), best(action_values(with_shaping))
    lost = value_of(before.argmax(2), outcome) - value_of(after.argmax(2), outcome)
    gradient = expected_gradient(plain, policy)
    shift = expected_gradient(with_shaping, policy) - gradient
    in_planted = [best(action_values(returns)) for returns in both_returns(*planted(), trial)]
    return {
        "changed": float((before != after).any((1, 2)).mean()),
        "planted": float((in_planted[0] != in_planted[1]).any()),
        "lost": float(lost.mean()),
        "shift": float(np.linalg.norm(shift) / np.linalg.norm(gradient)),
    }


def both_returns(depth: Floats, outcome: Floats, trial: Trial) -> tuple[Floats, Floats]:
    """Return the returns without and with shaping."""
    plain = returns_to_go(np.zeros_like(depth), outcome)
    return plain, returns_to_go(shaped(depth, **trial.settings), outcome)


LAYERS, WIDTH, DIGITS, ITEMS, ROWS = 6, 128, 10, 8, 32
FIRST_DIGIT, OPERATIONS = 10, (4, 5)
STEPS: dict[Scale, int] = {"smoke": 3, "full": 300}
MEASURED: dict[Scale, int] = {"smoke": 8, "full": 128}  # streams; the probes learn from as many others


def streams(
    rows: int, second: str, random: torch.Generator
) -> tuple[torch.Tensor, NDArray[np.int64], NDArray[np.int64]]:
    """Return token rows, and by item which operation it has and its answer; ``second`` is "sum" or "copy"."""
    operation = torch.randint(2, (rows, ITEMS), generator=random)
    a, b = (torch.randint(DIGITS, (rows, ITEMS), generator=random) for _ in range(2))
    answer = torch.where(operation == 0, a, (a + b) % DIGITS if second == "sum" else b)
    items = torch.stack((operation + OPERATIONS[0], *(FIRST_DIGIT + value for value in (a, b, answer))), 2)
    opening = torch.ones(rows, 1, dtype=torch.int64)
    return torch.cat((opening, items.reshape(rows, -1)), 1), operation.numpy(), answer.numpy()


def train(trial: Trial, random: torch.Generator) -> Policy:
    """Return a model that has learned to give the answers."""
    steps = STEPS[trial.scale]
    policy = Policy(tunnel_model(LAYERS, WIDTH, 4, seed=trial.seed), tunnel_tokenizer(), "planted depth")
    trainer = SupervisedTrainer(policy, SupervisedSettings(steps=steps, learning_rate=2e-3))
    learned = torch.zeros(ROWS, 1 + 4 * ITEMS, dtype=torch.bool)
    learned[:, 4::4] = True
    for step in range(steps):
        tokens, _, _ = streams(ROWS, trial.settings["second"], random)
        trainer.step(Batch(tokens, learned, torch.full((ROWS,), tokens.shape[1])))
        trial.progress(step + 1, steps + 1)
    return policy


def readable_from(policy: Policy, second: str, rows: int, random: torch.Generator) -> tuple[float, float]:
    """Return the first layer from which a linear probe reads 90 % of each operation's answers (the last for none)."""
    sets = [streams(rows, second, random) for _ in range(2)]
    first = [float(LAYERS)] * 2
    states = [
        hidden_states(policy.model, tokens, torch.full((rows,), tokens.shape[1]), range(1, LAYERS)).late[:, :, 3::4]
        for tokens, _, _ in sets
    ]
    for kind in (0, 1):
        (train_answers, train_kind), (test_answers, test_kind) = ((s[2], s[1] == kind) for s in sets)
        for layer in range(1, LAYERS):
            seen, fresh = (values[layer - 1].double().numpy() for values in states)
            # One-hot regression with a little ridge, for states that are nearly collinear.
            x = np.column_stack((seen[train_kind], np.ones(train_kind.sum())))
            y = np.eye(DIGITS)[train_answers[train_kind]]
            weights = np.linalg.solve(x.T @ x + 1e-3 * np.eye(x.shape[1]), x.T @ y)
            guess = np.column_stack((fresh[test_kind], np.ones(test_kind.sum()))) @ weights
            if (guess.argmax(1) == test_answers[test_kind]).mean() >= 0.9:
                first[kind] = float(layer)
                break
    return first[0], first[1]


def run_depth(trial: Trial) -> Results:
    """Train a model and measure how well depth, and entropy, tell the second operation from the first."""
    random = torch.Generator().manual_seed(trial.seed)
    policy = train(trial, random)
    rows = MEASURED[trial.scale]
    tokens, operation, answer = streams(rows, trial.settings["second"], random)
    completions = tokens[:, 1:].tolist()
    # An item's one "step" is the token before its answer, whose state the answer is predicted from.
    steps = torch.full((rows, 4 * ITEMS), -1)
    steps[:, 2::4] = torch.arange(ITEMS)
    depth = policy.step_depths([[1]] * rows, completions, steps.tolist(), layers=trial.settings["layers"]).depth.values
    # The distribution that an answer comes from is filed under the answer itself.
    answers = torch.full((rows, 4 * ITEMS), -1)
    answers[:, 3::4] = torch.arange(ITEMS)
    entropy = policy.step_depths([[1]] * rows, completions, answers.tolist()).entropy
    with torch.no_grad():
        guess = policy.model(tokens).logits[:, 3::4, FIRST_DIGIT : FIRST_DIGIT + DIGITS].argmax(2).numpy()
    first, second = readable_from(policy, trial.settings["second"], rows, random)
    kinds = operation.ravel()
    return {
        "auroc": ranked_auroc(kinds, depth.numpy().ravel()),
        "entropy_auroc": ranked_auroc(kinds, entropy.numpy().ravel()),
        "right": float(min((guess == answer)[operation == kind].mean() for kind in (0, 1))),
        "first_layer": first,
        "second_layer": second,
        "depth_ratio": float(depth.numpy()[operation == 1].mean() / depth.numpy()[operation == 0].mean()),
    }


SHAPING = Experiment(
    name="shaping",
    title="What shaping by depth changes",
    question="In how many small problems does another policy become the best one?",
    run=run_shaping,
    arms=(
        Arm("strict", "depth of the step before", {"align": "strict", "alpha": ALPHA, "terminal": False}),
        Arm("own", "depth of the step itself", {"align": "own", "alpha": ALPHA, "terminal": False}),
        Arm("own x10", "the same, ten times as much", {"align": "own", "alpha": 10 * ALPHA, "terminal": False}),
        Arm("terminal", "strict, with a potential at the end", {"align": "strict", "alpha": ALPHA, "terminal": True}),
    ),
    metrics=(
        Metric("changed", "problems whose best actions change", higher_is_better=False, percent=True),
        Metric("planted", "a planted counterexample changes", higher_is_better=False),
        Metric("lost", "outcome lost by the new best policy", higher_is_better=False),
        Metric("shift", "change of the expected gradient, relative", higher_is_better=False),
    ),
    checks=(
        Check("strict changes no best action in any problem", "changed", "strict", "below", margin=1e-9),
        Check("strict changes no planted problem", "planted", "strict", "below", margin=1e-9),
        Check("strict leaves the expected gradient", "shift", "strict", "below", margin=1e-5),
        Check("own depth changes best actions", "changed", "own", "above", margin=0.01),
        Check("own depth changes a planted problem", "planted", "own", "above", margin=0.99),
        Check("own depth moves the expected gradient", "shift", "own", "above", margin=0.01),
        Check("a potential at the end changes best actions", "changed", "terminal", "above", margin=0.01),
        Check("a potential at the end changes a planted problem", "planted", "terminal", "above", margin=0.99),
    ),
    seeds={"smoke": (0,), "full": tuple(range(8))},
    limits="What pays for depth is what is not invariant: shaping that is leaves nothing to learn from depth.",
)
DEPTH = Experiment(
    name="planted-depth",
    title="Copies and modular sums",
    question="Is the Reasoning Score higher where an answer is a modular sum than where it is a copy?",
    run=run_depth,
    arms=(
        Arm("sum", "copy a, or a + b mod 10; layers 3 and 5", {"second": "sum", "layers": (3, 5)}),
        Arm("copy", "copy a, or copy b (nothing is deep)", {"second": "copy", "layers": (3, 5)}),
    ),
    metrics=(
        Metric("auroc", "AUROC of depth for the second operation", higher_is_better=True),
        Metric("entropy_auroc", "AUROC of entropy instead"),
        Metric("depth_ratio", "mean depth, second over first"),
        Metric("right", "right answers, of the worse operation", percent=True),
        Metric("first_layer", "layer from which the first is readable"),
        Metric("second_layer", "layer from which the second is readable"),
    ),
    checks=(
        Check("both operations are learned", "right", "sum", "above", margin=0.95),
        Check("depth tells sums from copies", "auroc", "sum", "above", margin=0.7),
        Check("and better than it tells copies from copies", "auroc", "sum", "above", "copy"),
    ),
    seeds={"smoke": (0,), "full": tuple(range(5))},
    limits=(
        "A model that has more layers than it needs solves a sum early, and a lens through a tied embedding need not "
        "see what a probe reads. It says whether late movement follows computation, not what it does in a large model."
    ),
)
STUDY = Study(
    "reasoning-depth",
    find("reasoning-depth").claim,
    (SHAPING, DEPTH),
    limits=(
        "The paper's detection rates on ReTruthQA and what GRPO-R gains, which need reasoning models of billions of "
        "parameters; `benchmarks/reasoning_depth_on_smollm2.py` tries the detector on a small real one."
    ),
)
