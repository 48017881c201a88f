"""How much does sharing beginnings save when completions are continued from each of their steps?

Against re-prefilling: every continuation computes its own prompt and beginning. Counted are the tokens that go through
the model, and the wall time, each a median of several, in one run. "forced answers" are short answers after long
thoughts, as the stepwise reward probes them; "whole continuations" go on to the end. The policy is `tunnel-tiny`'s
architecture with untrained weights that never end by themselves, so that lengths are the same for both.

    python benchmarks/continuation_rollouts.py
"""

from __future__ import annotations

import torch
from measuring import median_seconds, record

from scorecraft.lm.compiling import compile_loops
from scorecraft.lm.continuations import continuations
from scorecraft.lm.generate import SamplingSettings, generate
from scorecraft.lm.policy import Policy
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer

CASES = {
    # rollouts, prompt, completion, cuts, samples, new tokens
    "forced answers": (16, 16, 240, 8, 5, 8),
    "whole continuations": (64, 16, 48, 3, 4, 32),
}
GOAL = 3.0


class Endless(Policy):
    """A policy whose completions end at the length limit only."""

    @property
    def eos_ids(self) -> frozenset[int]:
        """Return that no token ends a completion."""
        return frozenset()


def measure(name: str) -> dict[str, float]:
    """Return tokens and seconds of both ways, and their ratios."""
    rollouts, prompt_length, length, cuts, samples, new = CASES[name]
    model = Endless(tunnel_model(4, 128, 4, seed=0), tunnel_tokenizer(), "untrained")
    draw = torch.Generator().manual_seed(0)
    prompts = torch.randint(3, 40, (rollouts, prompt_length), generator=draw).tolist()
    completions = torch.randint(3, 40, (rollouts, length), generator=draw).tolist()
    places = [round((number + 1) * length / cuts) for number in range(cuts)]
    settings, tokens = SamplingSettings(new), {}

    def shared() -> None:
        found = continuations(
            model, prompts, completions, [places] * rollouts, settings, samples=samples, seeds=range(rollouts)
        )
        tokens["shared"] = found.forward_tokens

    def naive() -> None:
        rows = [
            [*prompt, *completion[:place]]
            for prompt, completion in zip(prompts, completions, strict=True)
            for place in places
            for _ in range(samples)
        ]
        uniforms = torch.rand(len(rows), new, dtype=torch.float64, generator=draw)
        tokens["naive"] = generate(model, rows, torch.arange(len(rows)), uniforms, settings).forward_tokens

    seconds = {"shared": median_seconds(shared, 5), "naive": median_seconds(naive, 5)}
    return {
        **{f"{way}_tokens": float(count) for way, count in tokens.items()},
        **{f"{way}_seconds": round(value, 4) for way, value in seconds.items()},
        "times_fewer_tokens": round(tokens["naive"] / tokens["shared"], 2),
        "times_as_fast": round(seconds["naive"] / seconds["shared"], 2),
    }


def main() -> None:
    """Measure all cases and write the result."""
    compile_loops("cpu", "float32")
    found = {name: measure(name) for name in CASES}
    for name, case in found.items():
        print(f"{name}: {case['times_fewer_tokens']} times fewer tokens, {case['times_as_fast']} times as fast")
    record("continuation_rollouts", {"goal_times_fewer_tokens": GOAL, "cases": found})


if __name__ == "__main__":
    main()
