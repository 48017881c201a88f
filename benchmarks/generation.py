"""How does generation compare with `model.generate` on the same prompts, and how does its cost grow?

Both write the full length. Cost against the number of rollouts, the completion length and the vocabulary.

    python benchmarks/generation.py
"""

from __future__ import annotations

from typing import Any

from measuring import median_seconds, record

THREADS = 2
BASE = {"rollouts": 128, "tokens": 48, "vocabulary": 100}
SWEEPS = {"rollouts": (16, 32, 64, 128, 256), "tokens": (24, 48, 96, 192), "vocabulary": (100, 1000, 8000, 49152)}
PROMPT, GROUP = 16, 8


def measure(rollouts: int, tokens: int, vocabulary: int) -> dict[str, Any]:
    """Time both on a `tunnel-tiny` of that vocabulary."""
    import torch

    from scorecraft.lm.generate import SamplingSettings, generate
    from scorecraft.lm.policy import Policy
    from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer

    class Endless(Policy):
        """Never ends a completion."""

        @property
        def eos_ids(self) -> frozenset[int]:
            return frozenset()

    torch.set_num_threads(THREADS)
    model = tunnel_model()
    if vocabulary != model.config.vocab_size:
        model.resize_token_embeddings(vocabulary)
    policy = Endless(model, tunnel_tokenizer(), "tunnel-tiny")
    generator = torch.Generator().manual_seed(0)
    prompts = torch.randint(4, 90, (rollouts // GROUP, PROMPT), generator=generator)
    group = torch.arange(rollouts // GROUP).repeat_interleave(GROUP)
    uniforms = torch.rand(rollouts, tokens, dtype=torch.float64, generator=generator)
    settings = SamplingSettings(max_new_tokens=tokens)
    repeated = prompts.repeat_interleave(GROUP, 0)

    def theirs() -> None:
        with torch.no_grad():
            model.generate(
                repeated, attention_mask=torch.ones_like(repeated), max_new_tokens=tokens, min_new_tokens=tokens,
                do_sample=True, top_k=0, top_p=1.0, temperature=1.0, pad_token_id=0,
            )  # fmt: skip

    ours = median_seconds(lambda: generate(policy, prompts.tolist(), group, uniforms, settings), repeats=5, warm_up=1)
    other = median_seconds(theirs, repeats=3, warm_up=1)
    return {"seconds": ours, "model_generate_seconds": other, "ratio": other / ours}


def main() -> None:
    """Sweep and record."""
    results = []
    for name, values in SWEEPS.items():
        for value in values:
            sizes = {**BASE, name: value}
            figures = measure(**sizes)
            results.append({"varied": name, **sizes, **figures})
            print(f"{name}={value}: {figures['seconds']:.3f} s, {figures['ratio']:.1f}x model.generate")
    record("generation", {"results": results, "threads": THREADS})


if __name__ == "__main__":
    main()
