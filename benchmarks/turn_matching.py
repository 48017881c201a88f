"""How much faster are 1,024 traces of 16 tool calls matched at once than in a loop over traces and pairs of calls?

64 prompts have 16 golden calls each to 8 tools, with up to 4 parameters; each of 16 traces a prompt makes 16 calls, of
which some are right, some have wrong values or too few parameters, some repeat an earlier one and some are of another
tool. Both ways start from the same calls and end with the reward of every call, whose totals must agree. The loop is
`tool_similarity` of every pair and scipy's `linear_sum_assignment` of every trace. Soft matching is timed alone.

    python benchmarks/turn_matching.py
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from measuring import median_seconds, record

from scorecraft.credit.tool_similarity import ToolCall, similarity_matrices, tool_similarity
from scorecraft.credit.turn_matching import match_hard_batch, match_soft_batch

PROMPTS, TRACES, CALLS, TOOLS = 64, 16, 16, 8
GOALS = {"speedup": 5.0}


def golden_call(chance: random.Random) -> ToolCall:
    """Return a call with one to four parameters."""
    tool = chance.randrange(TOOLS)
    names = [f"parameter_{tool}_{place}" for place in range(chance.randint(1, 4))]
    values: list[Any] = [chance.choice([chance.randint(0, 99), f"text {chance.randint(0, 99)}"]) for _ in names]
    return {"name": f"tool_{tool}", "arguments": dict(zip(names, values, strict=True))}


def trace_of(golds: list[ToolCall], chance: random.Random) -> list[ToolCall]:
    """Return the calls of a policy that gets some of the golden calls right."""
    made: list[ToolCall] = []
    for place in range(CALLS):
        kind = chance.random()
        gold = golds[place]
        if kind < 0.5:
            made.append({"name": gold["name"], "arguments": dict(gold["arguments"])})
        elif kind < 0.75:
            kept = {key: value if chance.random() < 0.6 else "wrong" for key, value in dict(gold["arguments"]).items()}
            made.append({"name": gold["name"], "arguments": kept})
        elif kind < 0.9 and made:
            made.append(chance.choice(made))
        else:
            made.append(golden_call(chance))
    return made


def at_once(preds: list[list[ToolCall]], golds: list[list[ToolCall]]) -> torch.Tensor:
    """Return the rewards of all traces."""
    found = similarity_matrices(preds, golds)
    return match_hard_batch(found.values, found.calls, found.golds).rewards


def in_a_loop(preds: list[list[ToolCall]], golds: list[list[ToolCall]]) -> torch.Tensor:
    """Return the rewards of all traces, pair by pair and trace by trace."""
    from scipy.optimize import linear_sum_assignment

    rewards = np.zeros((len(preds), CALLS))
    for row, (made, expected) in enumerate(zip(preds, golds, strict=True)):
        table = np.array([[tool_similarity(call, gold) for gold in expected] for call in made])
        rows, columns = linear_sum_assignment(-table)
        rewards[row, rows] = table[rows, columns]
    return torch.from_numpy(rewards)


def main() -> None:
    """Check that both agree, then time them in turn, and soft matching."""
    chance = random.Random(0)
    by_prompt = [[golden_call(chance) for _ in range(CALLS)] for _ in range(PROMPTS)]
    golds = [by_prompt[row // TRACES] for row in range(PROMPTS * TRACES)]
    preds = [trace_of(expected, chance) for expected in golds]
    torch.testing.assert_close(at_once(preds, golds).sum(1), in_a_loop(preds, golds).sum(1))
    ours = median_seconds(lambda: at_once(preds, golds))
    loop = median_seconds(lambda: in_a_loop(preds, golds), repeats=5, warm_up=0)
    found = similarity_matrices(preds, golds)
    table = (found.values, found.calls, found.golds)
    result = {
        "traces": len(preds),
        "seconds": ours,
        "loop_seconds": loop,
        "speedup": loop / ours,
        "similarity_seconds": median_seconds(lambda: similarity_matrices(preds, golds)),
        "assignment_seconds": median_seconds(lambda: match_hard_batch(*table)),
        "soft_seconds": median_seconds(lambda: match_soft_batch(*table), repeats=3, warm_up=1),
        "goals": GOALS,
    }
    print(
        f"{result['traces']} traces: {ours * 1e3:.0f} ms at once, {loop * 1e3:.0f} ms in a loop, "
        f"{result['speedup']:.1f} times as fast (goal: {GOALS['speedup']:.0f}); similarity "
        f"{result['similarity_seconds'] * 1e3:.0f} ms, assignment {result['assignment_seconds'] * 1e3:.0f} ms, "
        f"soft matching {result['soft_seconds'] * 1e3:.0f} ms"
    )
    record("turn_matching", result)


if __name__ == "__main__":
    main()
