"""Does matching each tool call with a golden one teach what one reward for the whole trace does not?

A golden trace calls four tools of six, each with one argument of four values, drawn anew for every seed. The policy has
a table of logits over the six tools and stopping for each of six turns, and one over the four values; a group is 16
traces. Success means that every golden call was made exactly, in whatever order. By chance that is one trace in 2,569,
so that a reward for success alone has next to nothing to go by.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scorecraft.catalog.papers import find
from scorecraft.credit.tool_similarity import ToolCall, similarity_matrices
from scorecraft.credit.tool_trace_reward import tool_trace_rewards
from scorecraft.credit.turn_matching import match_hard_batch, match_soft_batch
from scorecraft.objectives.dual_level_advantage import dual_level_advantages
from scorecraft.objectives.group_standardized import group_standardized_advantages
from scorecraft.studies.study import Arm, Check, Curve, Experiment, Metric, Results, Scale, Study, Trial, Tuning

TOOLS, VALUES, GROUP = 6, 4, 16
STOP = TOOLS
GOLDS, SPARE = 4, 2  # golden calls, and turns beyond them
STEPS = {"smoke": 10, "full": 80}
LAST = 20  # steps that the end is averaged over

CALL: list[list[ToolCall]] = [
    [{"name": f"tool-{tool}", "arguments": {"value": value}} for value in range(VALUES)] for tool in range(TOOLS)
]
ROWS = torch.zeros(GROUP, dtype=torch.int64)
ALL = torch.ones(GROUP, dtype=torch.bool)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities of the last axis."""
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def draw(p: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.int64]:
    """Draw one index a trace and turn from the probabilities of the turns."""
    above = random.random((GROUP, len(p), 1)) > p.cumsum(-1)[:, :-1]
    return above.sum(-1)


def measures(
    tools: NDArray[np.int64], values: NDArray[np.int64], called: NDArray[np.bool_], golden: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Return whether each trace made every golden call, how many calls it made, and how many of them were no use.

    The golden trace calls tool k with the value ``golden[k]``.
    """
    exact = (tools[:, :, None] == np.arange(len(golden))) & (values[:, :, None] == golden) & called[:, :, None]
    solved = exact.any(1)
    calls = called.sum(1)
    return solved.all(1), calls, calls - solved.sum(1)


def turn_table(
    preds: list[list[ToolCall]], golds: list[ToolCall], settings: dict[str, Any], turns: int
) -> torch.Tensor:
    """Return the reward of every turn; calls come first in a trace, and stopping earns nothing."""
    found = similarity_matrices(preds, [golds] * len(preds))
    matrices = (found.values, found.calls, found.golds)
    match settings["credit"]:
        case "soft":
            rewards = match_soft_batch(*matrices, rescale=settings.get("rescale", "none")).rewards
        case "best":
            # Each call by its best golden call, claimed or not.
            rewards = found.values.amax(2)
        case solver:
            rewards = match_hard_batch(*matrices, solver=solver, unmatched=settings.get("unmatched", 0.0)).rewards
    table = torch.zeros(len(preds), turns)
    table[:, : rewards.shape[1]] = rewards.float()
    return table


def advantages_of(
    preds: list[list[ToolCall]],
    golds: list[ToolCall],
    success: NDArray[np.bool_],
    there: NDArray[np.bool_],
    settings: dict[str, Any],
) -> NDArray[np.float64]:
    """Return the advantage of every turn; rewards of a whole trace give all of its turns the same."""
    mask = torch.from_numpy(there)
    if settings["credit"] in ("outcome", "toolrl"):
        if settings["credit"] == "outcome":
            whole = torch.from_numpy(success).float()
        else:
            whole = tool_trace_rewards(preds, [golds] * len(preds)).float()
        own = group_standardized_advantages(whole, ROWS, ALL, epsilon=1e-6)
        return (own[:, None] * mask).double().numpy()
    table = turn_table(preds, golds, settings, there.shape[1])
    weight, singleton = settings.get("weight", 0.5), settings.get("singleton", "raw")
    return dual_level_advantages(table, mask, ROWS, weight=weight, singleton=singleton).double().numpy()


def run(trial: Trial) -> Results:
    """Train one policy; return success, calls and useless calls at the end."""
    random = np.random.default_rng(trial.seed)
    settings, steps = dict(trial.settings), STEPS[trial.scale]
    count = settings.get("golds", GOLDS)
    turns = count + SPARE
    golden = random.integers(0, VALUES, count)
    golds = [CALL[tool][value] for tool, value in enumerate(golden)]
    of_tools, of_values = np.zeros((turns, TOOLS + 1)), np.zeros((turns, VALUES))
    course: dict[str, list[float]] = {"success": [], "calls": [], "useless": []}
    for step in range(steps):
        p, q = softmax(of_tools), softmax(of_values)
        tools, values = draw(p, random), draw(q, random)
        stopped = (tools == STOP).cumsum(1)
        there = stopped - (tools == STOP) == 0  # up to the turn that stops, and with it
        called = stopped == 0
        preds = [
            [CALL[tool][value] for tool, value, call in zip(*row, strict=True) if call]
            for row in zip(tools, values, called, strict=True)
        ]
        success, calls, useless = measures(tools, values, called, golden)
        advantages = advantages_of(preds, golds, success, there, settings) * there / GROUP
        picked = np.eye(TOOLS + 1)[tools] - p
        of_tools += settings["lr"] * (advantages[:, :, None] * picked).sum(0)
        filled = np.eye(VALUES)[values] - q
        of_values += settings["lr"] * ((advantages * called)[:, :, None] * filled).sum(0)
        for name, found in (("success", success), ("calls", calls), ("useless", useless)):
            course[name].append(float(found.mean()))
        trial.progress(step + 1, steps)
    last = min(LAST, steps)
    ends = {name: float(np.mean(found[-last:])) for name, found in course.items()}
    return {**ends, "success_course": course["success"], "calls_course": course["calls"]}


def run_totals(trial: Trial) -> Results:
    """Match noisy copies of golden traces; return the mean total, and how often another solver has more."""
    random = np.random.default_rng(trial.seed)
    traces = 50 if trial.scale == "smoke" else 2000
    names = ("a", "b", "c")

    def drawn() -> ToolCall:
        arguments = {name: int(random.integers(0, 3)) for name in names if random.random() < 0.7}
        return {"name": f"tool-{random.integers(0, 2)}", "arguments": arguments}

    golds = [[drawn() for _ in range(6)] for _ in range(traces)]
    preds = [[drawn() for _ in range(8)] for _ in range(traces)]
    found = similarity_matrices(preds, golds)
    totals = {
        solver: match_hard_batch(found.values, found.calls, found.golds, solver=solver).rewards.sum(1)
        for solver in ("hungarian", "greedy")
    }
    own, best = totals[trial.settings["solver"]], totals["hungarian"]
    return {"total": float(own.mean()), "short": float((own < best - 1e-9).double().mean())}


def _arms(*chosen: str, **settings: Any) -> tuple[Arm, ...]:
    known = {
        "outcome": Arm("outcome", "GRPO on success", {"credit": "outcome"}),
        "toolrl": Arm("toolrl", "one similarity a trace (ToolRL)", {"credit": "toolrl"}),
        "hard": Arm("hard", "hard matching", {"credit": "hungarian"}),
        "soft": Arm("soft", "soft matching", {"credit": "soft"}),
        "punished": Arm("punished", "hard, unmatched -0.5", {"credit": "hungarian", "unmatched": -0.5}),
        "greedy": Arm("greedy", "greedy matching", {"credit": "greedy"}),
        "best": Arm("best", "best golden call, not claimed", {"credit": "best"}),
        "turn": Arm("turn", "hard, turn level only", {"credit": "hungarian", "weight": 1.0}),
        "trace": Arm("trace", "hard, trace level only", {"credit": "hungarian", "weight": 0.0}),
        "zero": Arm("zero", "hard, no bonus for the longest", {"credit": "hungarian", "singleton": "zero"}),
        "rescaled": Arm("rescaled", "soft, times P", {"credit": "soft", "rescale": "P"}),
    }
    return tuple(Arm(known[n].name, known[n].label, {**known[n].settings, "lr": 1.0, **settings}) for n in chosen)


SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(8))}
METRICS = (
    Metric("success", "success", higher_is_better=True, percent=True),
    Metric("calls", "calls"),
    Metric("useless", "calls of no use", higher_is_better=False),
)
CURVES = (Curve("success_course", "success", "step"), Curve("calls_course", "calls", "step"))
MAIN = ("outcome", "toolrl", "hard", "soft", "punished")
RATES = ({"lr": 1.0}, {"lr": 3.0}, {"lr": 10.0})

BANDIT = Experiment(
    name="golden-trace",
    title="Four golden calls",
    question="Which reward leads to all golden calls, and with how many calls?",
    run=run,
    arms=_arms(*MAIN),
    metrics=METRICS,
    checks=(
        Check("hard matching succeeds in at least 75 %", "success", "hard", "above", margin=0.75),
        Check("soft matching succeeds in at least 75 %", "success", "soft", "above", margin=0.75),
        Check("hard matching with unmatched -0.5 does too", "success", "punished", "above", margin=0.75),
        Check("a reward for success alone succeeds in at most 5 %", "success", "outcome", "below", margin=0.05),
        Check("hard matching succeeds more than one reward a trace", "success", "hard", "above", "toolrl"),
        Check("unmatched -0.5 saves at least half a call", "calls", "punished", "below", "hard", 0.5),
    ),
    seeds=SEEDS,
    tuning=Tuning(dict.fromkeys(MAIN, RATES), "success", (100, 101, 102)),
    curves=CURVES,
    limits="A table of logits and one golden trace a seed: it shows the mechanism, not any model's tool use.",
)
PARTS = Experiment(
    name="parts",
    title="What each part does, at one learning rate",
    question="What do claiming, the two levels, the solver and the scale of rewards contribute?",
    run=run,
    arms=_arms("hard", "greedy", "best", "turn", "trace", "zero", "soft", "rescaled"),
    metrics=METRICS,
    checks=(
        Check("where golden calls are not claimed, success is rarer", "success", "best", "below", "hard"),
        Check("both levels succeed more than the trace level alone", "success", "hard", "above", "trace"),
    ),
    seeds=SEEDS,
    decides=False,
)
LENGTHS = tuple(
    Arm(f"{arm.name}-{golds}", f"{arm.label}, {golds}", arm.settings)
    for golds in (2, 6)
    for arm in _arms("outcome", "toolrl", "hard", golds=golds)
)
LONGER = Experiment(
    name="length",
    title="Two golden calls, and six",
    question="Does the lead over one reward a trace grow with the length of the trace?",
    run=run,
    arms=LENGTHS,
    metrics=METRICS,
    checks=(Check("with six calls matching succeeds more than ToolRL", "success", "hard-6", "above", "toolrl-6"),),
    seeds=SEEDS,
    tuning=Tuning({arm.name: RATES for arm in LENGTHS}, "success", (100, 101, 102)),
    decides=False,
)
TOTALS = Experiment(
    name="solver",
    title="Greedy matching falls short of the best total",
    question="How much do eight random calls of two tools, matched with six golden ones, lose by greedy matching?",
    run=run_totals,
    arms=(
        Arm("hungarian", "best total", {"solver": "hungarian"}),
        Arm("greedy", "greedy", {"solver": "greedy"}),
    ),
    metrics=(
        Metric("total", "total similarity", higher_is_better=True),
        Metric("short", "traces that fall short", higher_is_better=False, percent=True),
    ),
    checks=(Check("greedy totals are lower", "total", "greedy", "below", "hungarian"),),
    seeds=SEEDS,
    decides=False,
)
STUDY = Study(
    "turn-matching",
    find("turn-matching").claim,
    (BANDIT, PARTS, LONGER, TOTALS),
    limits="The scores on FTRL, BFCL and ToolHop, which need models of 4 B parameters or more that call real tools.",
)
