"""How long does the page on 20,000 rollouts take to write, to open and to filter, and how large is it?

The run is synthetic, of 150 steps, written through `RunStore`: chain arithmetic of about 40 tokens with a credit of
its own for every token, which compresses worst. The page is opened in a headless Chromium.

    python benchmarks/report_speed.py
"""

from __future__ import annotations

import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from measuring import median_seconds, record

from scorecraft.problem import Problem
from scorecraft.report import write_report
from scorecraft.rollouts import Rollouts
from scorecraft.runs import RunStore

STEPS, GROUPS, GROUP_SIZE = 150, 2500, 8
GOALS = {"write_seconds": 5.0, "megabytes": 15.0}
ALPHABET = "0123456789+-*=#?\n "
RECIPE = "policy: tunnel-tiny\ntask: chain-arithmetic\nreward: {correct: {weight: 1.0}}\nsteps: 150\n"


def completion(numbers: list[int], chance: random.Random) -> tuple[str, bool]:
    """Return a worked sum that may err, and whether it is right."""
    total, lines, right = numbers[0], [], True
    for number in numbers[1:]:
        slip = chance.random() < 0.1
        right &= not slip
        result = total + number + slip
        lines.append(f"{total}+{number}={result}")
        total = result
    return "\n".join([*lines, f"#{total}"]), right


def save_step(store: RunStore, step: int, groups: int, chance: random.Random) -> None:
    """Write the rollouts of one step with every column that training writes."""
    problems, texts, correct = [], [], []
    for _ in range(groups):
        numbers = [chance.randint(1, 20) for _ in range(chance.randint(3, 5))]
        problems.append(Problem("+".join(map(str, numbers)) + "=?\n", str(sum(numbers))))
        for _ in range(GROUP_SIZE):
            text, right = completion(numbers, chance)
            texts.append(text)
            correct.append(right)
    lengths = torch.tensor([len(text) for text in texts])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    tokens = torch.zeros(mask.shape, dtype=torch.int64)
    for row, text in enumerate(texts):
        tokens[row, : len(text)] = torch.tensor([ALPHABET.index(character) for character in text])
    generator = torch.Generator().manual_seed(step)
    noise = torch.randn(3, *mask.shape, generator=generator) * mask
    rollouts = Rollouts(
        tokens=tokens, mask=mask, logprobs=-noise[0].abs(), entropies=noise[1].abs(),
        steps=torch.where(mask, (tokens == ALPHABET.index("\n")).cumsum(1), -1), turns=torch.where(mask, 0, -1),
        lengths=lengths, group=torch.arange(groups).repeat_interleave(GROUP_SIZE),
        truncated=torch.zeros(len(texts), dtype=torch.bool),
        texts=tuple(texts), notes=tuple({} for _ in texts), prompt_tokens=torch.zeros(groups, 1, dtype=torch.int64),
        prompt_lengths=torch.ones(groups, dtype=torch.int64), problems=tuple(problems),
    )  # fmt: skip
    rows = [row[:length] for row, length in zip(noise[2].tolist(), lengths.tolist(), strict=True)]
    rewards = [float(right) for right in correct]
    columns: dict[str, list[Any]] = {
        "reward": rewards, "reward/correct": rewards, "correct": correct, "advantage": rows,
        "returns": [[reward] * len(text) for reward, text in zip(rewards, texts, strict=True)],
        "step_labels": [["correct"] * (text.count("\n") + 1) for text in texts],
    }  # fmt: skip
    store.save_rollouts(step, rollouts, columns)


def make_run(folder: Path) -> RunStore:
    """Write the whole run: metrics and rollouts of every step."""
    chance = random.Random(0)
    store = RunStore.create(folder, RECIPE, {}, sync_every=STEPS)
    store.save_token_texts(dict(enumerate(ALPHABET)))
    for step in range(1, STEPS + 1):
        names = ("reward", "accuracy", "length", "entropy", "kl", "clip_fraction", "loss", "zero/same-reward")
        store.append_metrics({"step": step, **{name: chance.random() for name in names}})
        save_step(store, step, GROUPS * step // STEPS - GROUPS * (step - 1) // STEPS, chance)
    return store


def in_browser(page_file: Path, repeats: int = 5) -> dict[str, float]:
    """Return the median seconds from opening the page until it is ready, and until a search and a filter have shown."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    names = ("ready_seconds", "search_seconds", "filter_seconds", "total_seconds")
    times: dict[str, list[float]] = {name: [] for name in names}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(repeats):
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            marks = [time.perf_counter()]
            page.goto(page_file.as_uri())
            page.wait_for_selector("html[data-ready]")
            marks.append(time.perf_counter())
            before = page.locator(".count").inner_text()
            page.fill("input[type=search]", "#42")
            page.wait_for_function("text => document.querySelector('.count').textContent !== text", arg=before)
            marks.append(time.perf_counter())
            before = page.locator(".count").inner_text()
            page.get_by_label("Answer", exact=True).select_option("wrong")
            page.wait_for_function("text => document.querySelector('.count').textContent !== text", arg=before)
            marks.append(time.perf_counter())
            for name, start, end in zip(names, (0, 1, 2, 0), (1, 2, 3, 3), strict=True):
                times[name].append(marks[end] - marks[start])
            page.close()
        browser.close()
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Measure and record."""
    with tempfile.TemporaryDirectory() as folder:
        store = make_run(Path(folder) / "run")
        seconds = median_seconds(lambda: write_report([store.directory]), repeats=3, warm_up=0)
        page = store.directory / "report.html"
        figures = {"write_seconds": seconds, "megabytes": page.stat().st_size / 1e6, **in_browser(page)}
    for name, value in figures.items():
        print(f"{name}: {value:.2f}" + (f" (goal: under {GOALS[name]:g})" if name in GOALS else ""))
    record("report_speed", {"rollouts": GROUPS * GROUP_SIZE, "steps": STEPS, **figures, "goals": GOALS})


if __name__ == "__main__":
    main()
