"""Does the depth of its steps say when a small real model is wrong, better than perplexity, length or entropy?

SmolLM2-135M writes worked solutions of reasoning-gym's chain_sum after a few shots, a step a line; the data set's own
scorer says which are wrong. Every score's area under the curve for "wrong" is out of sample: that of the detector RHD
comes from a nested cross-validation in which weights, strength and settings are chosen inside the training folds, and
the baselines go through the same one. A second part puts a sentence with a number that is of no use (No-Op) into the
worked solution of a shot-like problem and compares the depth of the model's steps with and without it.

A model of 135M parameters is far from a reasoning model. There is no goal: what comes out is reported, nothing too.
Traces and measurements are kept in the directory for temporary files, so that a run that was stopped goes on.

    python benchmarks/reasoning_depth_on_smollm2.py [--traces 400] [--no-op 60]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import record

from scorecraft.credit.reasoning_depth import (
    DepthFeatures,
    DepthScores,
    NestedScores,
    RHDDetector,
    calibrate_threshold,
    depth_features,
    nested_cross_validation,
)
from scorecraft.credit.reasoning_depth.detector import ranked_auroc
from scorecraft.lm.generate import SamplingSettings, generate
from scorecraft.lm.policy import Policy
from scorecraft.lm.smollm2 import smollm2_135m
from scorecraft.stats.intervals import bootstrap_interval
from scorecraft.tasks.reasoning_gym import ReasoningGym

CONFIG = {"min_terms": 3, "max_terms": 3, "min_digits": 1, "max_digits": 1}
MAX_NEW_TOKENS, TEMPERATURE, BATCH = 32, 0.3, 8
SETTINGS = [(early, late) for early in (2, 4) for late in (0.34, 0.5)]
SHOTS = ("7 + 2 - 5", "3 - 4 + 9", "9 - 5 + 8")
NO_OP = "Note that {} of these are red, which does not matter."


def worked(expression: str) -> tuple[str, int]:
    """Return a solution with a running value, a line a step, and the answer."""
    first, *rest = re.findall(r"[+-]?\s*\d+", expression)
    value, lines = int(first), []
    for term in rest:
        after = value + int(term.replace(" ", ""))
        sign = "-" if term.strip().startswith("-") else "+"
        lines.append(f"{value} {sign} {term.strip(' +-')} = {after}")
        value = after
    return "\n".join([*lines, f"Answer: {value}"]), value


def prompt_of(expression: str) -> str:
    """Return the shots and the question, as plain text."""
    shots = [f"Problem: {shot}\n{worked(shot)[0]}\n\n" for shot in SHOTS]
    return "".join(shots) + f"Problem: {expression}\n"


def lines_of(policy: Policy, tokens: Sequence[int]) -> list[int]:
    """Return the line that each token is in, -1 for white space between them."""
    steps, line, begun, ends = [], 0, False, policy.eos_ids
    for token in tokens:
        text = policy.token_text(token)
        if "\n" in text or token in ends:
            steps.append(-1)
            line += begun
            begun = False
        else:
            steps.append(line)
            begun = True
    return steps


class Kept:
    """Rows of JSON by name in one file, each computed once."""

    def __init__(self, key: str) -> None:
        digest = hashlib.sha256(key.encode()).hexdigest()[:12]
        self.path = Path(tempfile.gettempdir()) / f"scorecraft-reasoning-depth-{digest}.jsonl"
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True) if self.path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        self.path.write_text("".join(whole), encoding="utf-8")  # a line that a kill cut off goes
        self.rows = {row["name"]: row for row in map(json.loads, whole)}

    def each(self, names: Sequence[str], make: Callable[[list[str]], list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
        """Yield the row of every name, making those that are missing in batches."""
        missing = [name for name in names if name not in self.rows]
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            with self.path.open("a", encoding="utf-8") as file:
                for name, row in zip(batch, make(batch), strict=True):
                    self.rows[name] = {"name": name, **row}
                    file.write(json.dumps(self.rows[name]) + "\n")
            print(f"{start + len(batch)} of {len(missing)} ({names[0].split('-')[0]})", flush=True)
        return (self.rows[name] for name in names)


def measure(policy: Policy, prompts: list[list[int]], rows: list[list[int]]) -> list[dict[str, Any]]:
    """Return the measurements of each completion's lines; attention is between lines."""
    steps = [lines_of(policy, row) for row in rows]
    found = policy.step_depths(prompts, rows, steps, attention=True, tokens_per_batch=2048)
    assert found.attention is not None
    out = []
    for row, there in enumerate(found.depth.step_mask):
        out.append(
            {
                "depth": found.depth.values[row][there].tolist(),
                "perplexity": found.perplexity[row][there].tolist(),
                "entropy": found.entropy[row][there].tolist(),
                "attention": found.attention[row][there][:, there].tolist(),
                "length": len(rows[row]),
                "layers": list(found.depth.layers),
                "vocabulary": found.depth.vocabulary,
            }
        )
    return out


def make_traces(policy: Policy, task: ReasoningGym, names: list[str]) -> list[dict[str, Any]]:
    """Sample a solution for each problem, score it and measure its lines."""
    problems = [task.problem("test", int(name.split("-")[1])) for name in names]
    expressions = [re.findall(r"\d[\d +-]*\d", problem.prompt)[0] for problem in problems]
    prompts = [policy.encode(prompt_of(expression)) for expression in expressions]
    seeds = [torch.Generator().manual_seed(int(name.split("-")[1])) for name in names]
    uniforms = torch.stack([torch.rand(MAX_NEW_TOKENS, dtype=torch.float64, generator=seed) for seed in seeds])
    sampled = generate(
        policy, prompts, torch.arange(len(names)), uniforms, SamplingSettings(MAX_NEW_TOKENS, temperature=TEMPERATURE)
    )
    rows = []
    for tokens, length in zip(sampled.tokens.tolist(), sampled.lengths.tolist(), strict=True):
        own = tokens[:length]
        # Plain text does not end by itself: the solution ends where the next problem would begin.
        ends = [place for place in range(1, length) if policy.decode(own[: place + 1]).endswith("\n\n")]
        rows.append(own[: ends[0]] if ends else own)
    texts = [policy.decode(row) for row in rows]
    answers = [re.findall(r"Answer:\s*(-?\d+)", text) for text in texts]
    wrong = [
        float(not (said and task.check(problem, f"<answer>{said[0]}</answer>").correct))
        for said, problem in zip(answers, problems, strict=True)
    ]
    measured = measure(policy, prompts, rows)
    return [
        {**m, "wrong": w, "answered": bool(said), "text": text}
        for m, w, said, text in zip(measured, wrong, answers, texts, strict=True)
    ]


def make_no_op(policy: Policy, names: list[str]) -> list[dict[str, Any]]:
    """Measure the true solution of a problem, plain, and with a line about a number of no use in its middle."""
    out = []
    for name in names:
        chance = random.Random(int(name.split("-")[1]))
        terms = [f"{chance.choice('+-')} {chance.randint(1, 40)}" for _ in range(3)]
        expression = " ".join([str(chance.randint(1, 60)), *terms])
        lines = worked(expression)[0].split("\n")
        place = chance.randint(1, 2)
        with_no_op = [*lines[:place], NO_OP.format(chance.randint(2, 40)), *lines[place:]]
        prompt = policy.encode(prompt_of(expression))
        rows = [policy.encode("\n".join(each)) for each in (lines, with_no_op)]
        plain, touched = measure(policy, [prompt] * 2, rows)
        rest = [depth for at, depth in enumerate(touched["depth"]) if at != place]
        after = touched["depth"][place + 1] - plain["depth"][place]
        out.append({"no_op": touched["depth"][place] - float(np.mean(rest)), "after": after})
    return out


def scores_of(rows: Sequence[dict[str, Any]]) -> tuple[DepthScores, torch.Tensor, torch.Tensor]:
    """Return the measurements of all chains as tables."""
    width = max(len(row["depth"]) for row in rows)
    depth, perplexity = torch.zeros(len(rows), width), torch.zeros(len(rows), width)
    there, attention = torch.zeros(len(rows), width, dtype=torch.bool), torch.zeros(len(rows), width, width)
    for place, row in enumerate(rows):
        count = len(row["depth"])
        depth[place, :count], perplexity[place, :count] = torch.tensor(row["depth"]), torch.tensor(row["perplexity"])
        there[place, :count] = True
        attention[place, :count, :count] = torch.tensor(row["attention"])
    return DepthScores(depth, there, rows[0]["vocabulary"], tuple(rows[0]["layers"])), perplexity, attention


def one_column(values: Sequence[float], like: DepthFeatures) -> DepthFeatures:
    """Return a baseline as a table of one feature, so that it goes through the same cross-validation."""
    return DepthFeatures(torch.tensor(values, dtype=torch.float64)[:, None], like.vocabulary, like.layers, like.unit)


def with_interval(found: NestedScores, wrong: np.ndarray) -> dict[str, Any]:
    """Return the area under the curve and its bootstrap interval over chains, folds kept apart."""
    random_numbers = np.random.default_rng(0)
    areas = []
    for _ in range(2000):
        drawn = random_numbers.integers(len(wrong), size=len(wrong))
        parts = [drawn[found.fold[drawn] == fold] for fold in range(len(found.chosen))]
        if all(0 < wrong[part].sum() < len(part) for part in parts):
            areas.append(np.mean([ranked_auroc(wrong[part], found.scores[part]) for part in parts]))
    low, high = np.quantile(areas, (0.025, 0.975))
    return {"auroc": found.auroc(wrong), "low": float(low), "high": float(high), "chosen": list(found.chosen)}


def detection(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the area under the curve of RHD and of every baseline for telling wrong solutions."""
    wrong = np.array([row["wrong"] for row in rows])
    scores, perplexity, attention = scores_of(rows)
    # The threshold comes from all chains without their labels, which is what a calibration set would be.
    tau = calibrate_threshold(scores)
    tables = {
        f"early {early}, late {late:g}": depth_features(
            scores, perplexity, attention, early=early, late_ratio=late, tau=tau
        )
        for early, late in SETTINGS
    }
    first = next(iter(tables.values()))
    baselines = {
        "mean depth": first.table[:, 0].tolist(),
        "perplexity": [float(np.mean(row["perplexity"])) for row in rows],
        "entropy": [float(np.mean(row["entropy"])) for row in rows],
        "length": [float(row["length"]) for row in rows],
    }
    found = {"RHD": with_interval(nested_cross_validation(tables, wrong), wrong)}
    for name, values in baselines.items():
        table = {name: one_column(values, first)}
        found[name] = with_interval(nested_cross_validation(table, wrong), wrong)
    free = RHDDetector.training_free(first).score(first)
    found["RHD, training-free"] = {"auroc": ranked_auroc(wrong, free)}
    return found


def main() -> None:
    """Sample and measure what is not kept yet, and record what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, default=400)
    parser.add_argument("--no-op", type=int, default=60)
    arguments = parser.parse_args()
    start = time.perf_counter()
    policy = Policy.load(smollm2_135m(), name="smollm2-135m")
    task = ReasoningGym(dataset="chain_sum", config=CONFIG, instruction="")
    kept = Kept(Path(__file__).read_text(encoding="utf-8"))
    names = [f"trace-{number}" for number in range(arguments.traces)]
    rows = list(kept.each(names, lambda batch: make_traces(policy, task, batch)))
    chains = [row for row in rows if len(row["depth"])]
    no_op = list(kept.each([f"noop-{n}" for n in range(arguments.no_op)], lambda batch: make_no_op(policy, batch)))
    differences = {
        "the line of no use less the mean of the other lines": [row["no_op"] for row in no_op],
        "the line after it less the same line without it": [row["after"] for row in no_op],
    }
    result: dict[str, Any] = {
        "traces": len(rows),
        "without_a_step": len(rows) - len(chains),
        "wrong": float(np.mean([row["wrong"] for row in chains])),
        "answered": float(np.mean([row["answered"] for row in chains])),
        "mean_depth_nats": float(np.mean([np.mean(row["depth"]) for row in chains])),
        "layers": chains[0]["layers"],
        "no_op": {},
        "seconds": time.perf_counter() - start,
    }
    for name, values in differences.items():
        interval = bootstrap_interval(values, np.mean)
        result["no_op"][name] = {"nats": interval.estimate, "low": interval.low, "high": interval.high}
    kinds = [sum(row["wrong"] == kind for row in chains) for kind in (0.0, 1.0)]
    result["detection"] = detection(chains) if min(kinds) >= 10 else f"too few of a kind: {kinds}"
    print(json.dumps(result, indent=1))
    if (arguments.traces, arguments.no_op) == (400, 60):
        record("reasoning_depth_on_smollm2", result)


if __name__ == "__main__":
    main()
