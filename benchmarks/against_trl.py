"""How fast is a whole GRPO step against TRL's, and how much memory does it take?

Same model folder, prompts, group size, completion length (forced to the full length in both), reward, update and
optimizer. Each engine runs in a process of its own, in turns; the figure of a run is the median of its steps.
TRL runs with gradient checkpointing off (its fastest setting here) and, for memory, also with it on.

    python benchmarks/against_trl.py [--settings tiny vocabulary smollm2] [--repeats 3]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from measuring import RESULTS, in_own_process, peak_memory_bytes, record

THREADS = 2
GROUP = 8


@dataclass(frozen=True)
class Setting:
    """One size of the comparison: rollouts and completion tokens a step, steps to time, target ratios."""

    rollouts: int
    tokens: int
    steps: int
    goal: float


SETTINGS = {
    "tiny": Setting(128, 48, 10, 1.6),
    "vocabulary": Setting(128, 48, 3, 6.0),
    "smollm2": Setting(16, 48, 4, 1.35),
}


def prompts_of(setting: Setting, name: str) -> list[str]:
    """Return one prompt per group, of equal kind for all sizes."""
    if name == "smollm2":
        return [
            f"Question: What is {a} + {3 * a} - {a + 5}? Answer step by step.\n"
            for a in range(11, 11 + setting.rollouts // GROUP)
        ]
    return [f"{a}+{a + 7}-{a // 2}+3=?\n" for a in range(10, 10 + setting.rollouts // GROUP)]


def make_model(name: str, folder: Path) -> Path:
    """Write the model folder that both engines load; random weights but for smollm2."""
    if name == "smollm2":
        from scorecraft.lm.smollm2 import smollm2_135m

        return smollm2_135m()
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer

    model, tokenizer = tunnel_model(), tunnel_tokenizer()
    if name == "vocabulary":
        from scorecraft.lm.smollm2 import smollm2_135m

        tokenizer = AutoTokenizer.from_pretrained(smollm2_135m())
        tokenizer.chat_template = None
        config = model.config
        config.vocab_size, config.eos_token_id, config.bos_token_id = 49152, tokenizer.eos_token_id, None
        config.pad_token_id = None
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def value_of(text: str) -> float:
    """A reward that costs nothing and differs within a group."""
    return (sum(map(ord, text)) % 97) / 97


def run_trl(name: str, setting: Setting, folder: Path, checkpointing: bool) -> dict[str, Any]:
    """Time TRL's trainer."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(THREADS)
    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            ends.append(time.perf_counter())

    steps = setting.steps + 2
    with tempfile.TemporaryDirectory() as out:
        config = GRPOConfig(
            output_dir=out, use_cpu=True, bf16=False, report_to=[], max_steps=steps, save_strategy="no",
            per_device_train_batch_size=setting.rollouts, num_generations=GROUP, max_completion_length=setting.tokens,
            generation_kwargs={"min_new_tokens": setting.tokens}, learning_rate=1e-5, beta=0.0, temperature=1.0,
            gradient_checkpointing=checkpointing, logging_steps=1000, disable_tqdm=True, shuffle_dataset=False,
            max_grad_norm=1.0, adam_beta2=0.999, lr_scheduler_type="constant",
        )  # fmt: skip
        trainer = GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
            processing_class=AutoTokenizer.from_pretrained(folder, padding_side="left"),
            reward_funcs=lambda completions, **_: [value_of(text) for text in completions],
            args=config,
            train_dataset=Dataset.from_list([{"prompt": p} for p in prompts_of(setting, name)] * (steps + 1)),
            callbacks=[Clock()],
        )
        trainer.train()
    return _figures(setting, ends)


def run_scorecraft(name: str, setting: Setting, folder: Path) -> dict[str, Any]:
    """Time the same steps here."""
    import torch

    from scorecraft.context import Context
    from scorecraft.credit.outcome import outcome_returns
    from scorecraft.lm.optimizer import AdamW, Optimizer
    from scorecraft.lm.policy import Policy
    from scorecraft.lm.update import UpdateSettings, update
    from scorecraft.objectives.parts import ClippedSurrogate, GroupStandardized
    from scorecraft.problem import Problem
    from scorecraft.sampling.parts import SingleTurn
    from scorecraft.scores import RewardTable
    from scorecraft.tasks.jsonl import JsonLines

    torch.set_num_threads(THREADS)

    class Endless(Policy):
        """Never ends a completion, so that both engines write the full length."""

        @property
        def eos_ids(self) -> frozenset[int]:
            return frozenset()

    loaded = Policy.load(folder)
    policy = Endless(loaded.model, loaded.tokenizer, name)
    problems = [Problem(text, "") for text in prompts_of(setting, name)]
    sampling = SingleTurn(group_size=GROUP, max_new_tokens=setting.tokens, chat="never")
    objective, advantage = ClippedSurrogate(), GroupStandardized(preset="trl")
    optimizer = Optimizer(AdamW(lr=1e-5), policy.model, 100)
    context = Context(JsonLines(path="example"), torch.Generator().manual_seed(0), policy=policy)
    ends = []
    for _ in range(setting.steps + 2):
        rollouts = sampling(policy, problems, context)
        reward = torch.tensor([value_of(text) for text in rollouts.texts])
        table = RewardTable(reward, torch.ones(len(reward), dtype=torch.bool), {})
        returns = outcome_returns(reward, rollouts.mask)
        advantages = advantage(returns, rollouts, table, context)
        update(policy, optimizer, rollouts, advantages, objective, UpdateSettings(), context)
        ends.append(time.perf_counter())
    return _figures(setting, ends)


def _figures(setting: Setting, ends: list[float]) -> dict[str, Any]:
    steps = [b - a for a, b in pairwise(ends[1:])]
    return {"seconds": statistics.median(steps), "peak_bytes": peak_memory_bytes(), "steps": steps}


def compare(name: str, repeats: int) -> dict[str, Any]:
    """Run all engines in turns; return medians and ratios."""
    setting = SETTINGS[name]
    runs: dict[str, list[dict[str, Any]]] = {"scorecraft": [], "trl": [], "trl-checkpointing": []}
    with tempfile.TemporaryDirectory() as scratch:
        folder = str(make_model(name, Path(scratch)))
        for _ in range(repeats):
            for engine, results in runs.items():
                results.append(in_own_process(__file__, "--engine", engine, "--settings", name, "--folder", folder))
                print(
                    f"{name:11} {engine:18} {results[-1]['seconds']:.3f} s, {results[-1]['peak_bytes'] / 2**20:.0f} MiB"
                )
    out: dict[str, Any] = {"rollouts": setting.rollouts, "completion_tokens": setting.tokens, "goal": setting.goal}
    for engine, results in runs.items():
        seconds = statistics.median(r["seconds"] for r in results)
        out[engine] = {
            "seconds_per_step": seconds,
            "samples_per_second": setting.rollouts / seconds,
            "tokens_per_second": setting.rollouts * setting.tokens / seconds,
            "peak_mebibytes": statistics.median(r["peak_bytes"] for r in results) / 2**20,
            "all_seconds": [r["seconds"] for r in results],
        }
    peers = (out["trl"], out["trl-checkpointing"])
    out["speed_ratio"] = min(p["seconds_per_step"] for p in peers) / out["scorecraft"]["seconds_per_step"]
    out["memory_ratio"] = out["scorecraft"]["peak_mebibytes"] / min(p["peak_mebibytes"] for p in peers)
    print(f"{name}: {out['speed_ratio']:.2f}x (goal {setting.goal}x), {out['memory_ratio']:.2f} of the memory")
    return out


def main() -> None:
    """Compare, or run one engine in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--engine", help="(internal) run one engine in this process")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if given.engine:
        name = given.settings[0]
        if given.engine == "scorecraft":
            figures = run_scorecraft(name, SETTINGS[name], given.folder)
        else:
            figures = run_trl(name, SETTINGS[name], given.folder, given.engine == "trl-checkpointing")
        sys.stdout.write("\n" + json.dumps(figures) + "\n")
        return
    path = RESULTS / "against_trl.json"
    results = json.loads(path.read_text())["settings"] if path.exists() else {}
    for name in given.settings:
        results[name] = compare(name, given.repeats)
        record("against_trl", {"settings": results, "threads": THREADS})


if __name__ == "__main__":
    main()
