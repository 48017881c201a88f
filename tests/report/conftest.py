"""Small runs with everything a report shows, made with the real store."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
import torch

from scorecraft.problem import Problem
from scorecraft.rollouts import Rollouts
from scorecraft.runs import RunStore

ALPHABET = sorted(set("0123456789+-=*()# \nabcdefghijklmnopqrstuvwxyz<>/&;'\"!?.,:ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
CHROMIUM = next((path for path in ("/usr/bin/chromium", "/usr/bin/chromium-browser") if Path(path).exists()), None)
RECIPE = """\
policy: tunnel-tiny
task:
  chain-arithmetic: {operands: [3, 5], digits: 2}
sampling:
  single-turn: {group_size: 8, temperature: 1.0, max_new_tokens: 64}
reward:
  correct: {weight: 1.0}
  brevity: {weight: 0.1}
credit: outcome
advantage: group-standardized
objective:
  clipped-surrogate: {low: 0.2, high: 0.2}
optimizer:
  adamw: {lr: 3.0e-4}
steps: 150
seed: 0
"""
VERSIONS = {
    "packages": {"scorecraft": "0.1.0", "torch": "2.13.0"},
    "python": "3.11.9",
    "machine": {"system": "Linux", "cores": 2},
}


def encode(text):
    return [ALPHABET.index(character) if character in ALPHABET else 0 for character in text]


def rollouts_of(completions, prompts, groups, chance=None, forced=0):
    """Rollouts with one token per character; the first ``forced`` tokens were not sampled."""
    chance = chance or random.Random(0)
    rows = [encode(text) for text in completions]
    width = max(map(len, rows), default=0)
    count = len(rows)
    tokens = torch.zeros(count, width, dtype=torch.int64)
    mask = torch.zeros(count, width, dtype=torch.bool)
    logprobs, entropies = torch.zeros(count, width), torch.zeros(count, width)
    steps = torch.full((count, width), -1)
    for row, ids in enumerate(rows):
        tokens[row, : len(ids)] = torch.tensor(ids)
        mask[row, forced : len(ids)] = True
        logprobs[row, forced : len(ids)] = -torch.tensor([chance.expovariate(3) for _ in ids[forced:]])
        entropies[row, forced : len(ids)] = torch.tensor([chance.random() for _ in ids[forced:]])
        step = 0
        for position, character in enumerate(completions[row]):
            steps[row, position] = step
            step += character == "\n"
    return Rollouts(
        tokens=tokens,
        mask=mask,
        logprobs=logprobs,
        entropies=entropies,
        steps=steps,
        turns=torch.where(mask, 0, -1),
        lengths=torch.tensor([len(ids) for ids in rows]),
        group=torch.tensor(groups),
        truncated=torch.tensor([len(ids) > 60 for ids in rows]),
        texts=tuple(completions),
        notes=tuple({} for _ in rows),
        prompt_tokens=torch.zeros(len(prompts), 1, dtype=torch.int64),
        prompt_lengths=torch.ones(len(prompts), dtype=torch.int64),
        problems=tuple(Problem(prompt, answer) for prompt, answer in prompts),
    )


def fill_run(store, steps=40, every=10, prompts=2, group_size=4, seed=0, hacking=0.0):
    """Metrics, evaluations and rollouts of a run that learns; ``hacking`` lets the reward run ahead of the truth."""
    chance = random.Random(seed)
    store.save_token_texts(dict(enumerate(ALPHABET)))
    for step in range(1, steps + 1):
        share = 1 - math.exp(-3 * step / max(steps, 1))
        accuracy = 0.33 + (0.35 - 0.5 * hacking) * share + chance.gauss(0, 0.03)
        reward = 0.32 + 0.4 * share + chance.gauss(0, 0.03)
        store.append_metrics(
            {
                "step": step, "reward": reward, "accuracy": accuracy,
                "reward/correct": accuracy, "reward/brevity": 0.2 + 0.5 * share + chance.gauss(0, 0.05),
                "length": 42 - 12 * share + chance.gauss(0, 1.5), "truncated": max(0.0, 0.12 - 0.1 * share),
                "entropy": 0.9 - 0.5 * share + chance.gauss(0, 0.02), "kl": 0.08 * share + abs(chance.gauss(0, 0.004)),
                "clip_fraction": abs(chance.gauss(0.03, 0.01)), "gradient_norm": abs(chance.gauss(1.2, 0.3)),
                "zero_advantage_groups": 0.1 + 0.3 * share, "loss": chance.gauss(0, 0.02), "learning_rate": 3e-4,
                "tokens_per_second": chance.gauss(5200, 200), "seconds": abs(chance.gauss(1.8, 0.1)),
                "outcomes/correct/scored": 0.9 + 0.08 * share, "outcomes/correct/unparsed": 0.1 - 0.08 * share,
                "zero/same-reward": 0.1 + 0.3 * share, "zero/truncated": max(0.0, 0.12 - 0.1 * share),
                "zero/clipped": abs(chance.gauss(0.02, 0.01)), "zero/abstained": 0.0,
            }
        )  # fmt: skip
        if step % every == 0 or step == 1:
            save_step(store, step, prompts, group_size, share, chance)
        if step % every == 0 or step == 1:
            held = 0.33 + (0.3 - 0.5 * hacking) * share
            store.append_evaluation(
                {
                    "step": step, "accuracy": held, "accuracy_low": held - 0.04, "accuracy_high": held + 0.04,
                    "pass@1": held, "pass@4": min(1, held + 0.2),
                }
            )  # fmt: skip


def save_step(store, step, prompts, group_size, share, chance):
    asked, completions, groups, columns = [], [], [], {name: [] for name in ("reward", "correct", "step_labels")}
    columns |= {"reward/correct": [], "reward/brevity": [], "advantage": [], "returns": []}
    for prompt in range(prompts):
        a, b, c = (chance.randint(10, 99) for _ in range(3))
        asked.append((f"What is {a} + {b} - {c}?", str(a + b - c)))
        rewards = []
        for _ in range(group_size):
            right = chance.random() < 0.35 + 0.3 * share
            middle = a + b if right else a + b + chance.choice([-10, 1, 10])
            completions.append(f"{a}+{b}={middle}\n{middle}-{c}={middle - c}\n# {middle - c}")
            groups.append(prompt)
            brevity = round(chance.random(), 3)
            rewards.append(float(right) + 0.1 * brevity)
            columns["correct"].append(right)
            columns["step_labels"].append(["correct", "correct"] if right else ["wrong", "correct"])
            columns["reward/correct"].append(float(right))
            columns["reward/brevity"].append(brevity if chance.random() > 0.1 else None)
        columns["reward"] += rewards
        mean = sum(rewards) / len(rewards)
        for reward, text in zip(rewards, completions[-group_size:], strict=True):
            first = text.index("\n") + 1
            lift = [1.4 if position < first else 0.8 for position in range(len(text))]
            columns["advantage"].append([(reward - mean) * factor for factor in lift])
            columns["returns"].append([reward] * len(text))
    store.save_rollouts(step, rollouts_of(completions, asked, groups, chance, forced=2), columns)


@pytest.fixture
def make_run(tmp_path):
    def make(name="run", recipe=RECIPE):
        return RunStore.create(tmp_path / name, recipe, VERSIONS)

    return make


@pytest.fixture
def seeded(make_run):
    """Runs of one recipe that differ only in the seed."""

    def make(name, seeds, weight=0.1, **choices):
        stores = []
        for seed in seeds:
            recipe = RECIPE.replace("seed: 0", f"seed: {seed}").replace("weight: 0.1", f"weight: {weight}")
            stores.append(make_run(f"{name}-seed-{seed}", recipe))
            fill_run(stores[-1], seed=seed, **choices)
        return stores

    return make


@pytest.fixture
def filled(make_run):
    def make(name="run", **choices):
        store = make_run(name)
        fill_run(store, **choices)
        return store

    return make


@pytest.fixture(name="rollouts_of")
def rollouts_of_fixture():
    return rollouts_of


@pytest.fixture(scope="module")
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium at /usr/bin/chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """Opens a report and, at the end, expects that it neither logged an error nor asked for anything."""
    contexts, complaints = [], []

    def open_report(path, width=1280, height=800, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: request.url == path.as_uri() or complaints.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        return page

    open_report.complaints = complaints
    yield open_report
    for context in contexts:
        context.close()
    assert [text for text in complaints if not text.startswith("data:,")] == []
