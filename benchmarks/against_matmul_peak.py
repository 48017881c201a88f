"""How much of this machine's matrix-product rate do generation and the training pass reach?

FLOP are counted from the shapes: two for every weight and token in a forward pass, plus the attention products;
three times that for forward and backward. The peak is a 2048 x 2048 float32 product in the same run.

What bounds the rest is measured too: ``products_seconds`` is the time of the pass's own matrix products, in their own
narrow shapes and nothing else; what is left of the pass is attention, norms, sampling, and the calls between them.

    python benchmarks/against_matmul_peak.py
"""

from __future__ import annotations

from typing import Any

from measuring import matmul_rate, median_seconds, record

THREADS = 2
ROLLOUTS, PROMPTS, TOKENS = 128, 16, 48


def forward_flop(model: Any, tokens: int, attended: int) -> float:
    """Return the FLOP of a forward pass over ``tokens`` tokens that attend to ``attended`` keys in all."""
    config = model.config
    embedding = config.vocab_size * config.hidden_size
    weights = sum(p.numel() for p in model.model.layers.parameters()) + embedding
    return 2.0 * weights * tokens + 4.0 * config.num_hidden_layers * config.hidden_size * attended


def products_seconds(model: Any, rows: int, repeats: int, *, backward: bool) -> float:
    """Return the seconds that the matrix products of a pass over ``rows`` tokens take by themselves, times repeats."""
    import torch

    config = model.config
    width, hidden = config.hidden_size, config.intermediate_size
    layer = ((width, 3 * width), (width, width), (width, 2 * hidden), (hidden, width))
    total = 0.0
    for (inner, outer), count in [
        *((shape, config.num_hidden_layers) for shape in layer),
        ((width, config.vocab_size), 1),
    ]:
        x, weight, y = torch.randn(rows, inner), torch.randn(outer, inner), torch.empty(rows, outer)
        seconds = median_seconds(lambda: torch.mm(x, weight.T, out=y), repeats=25)  # noqa: B023 - called at once
        if backward:
            grad_x, grad_weight = torch.empty_like(x), torch.empty_like(weight)
            seconds += median_seconds(lambda: torch.mm(y, weight, out=grad_x), repeats=25)  # noqa: B023
            seconds += median_seconds(lambda: torch.mm(y.T, x, out=grad_weight), repeats=25)  # noqa: B023
        total += seconds * count
    return total * repeats


def main() -> None:
    """Measure generation and training of `tunnel-tiny` and record both shares."""
    import torch

    torch.set_num_threads(THREADS)
    from scorecraft.context import Context
    from scorecraft.lm.logprobs import token_logprobs
    from scorecraft.lm.policy import Policy
    from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
    from scorecraft.problem import Problem
    from scorecraft.sampling.parts import SingleTurn
    from scorecraft.tasks.jsonl import JsonLines

    class Endless(Policy):
        """Never ends a completion, so that the count of tokens is known."""

        @property
        def eos_ids(self) -> frozenset[int]:
            return frozenset()

    policy = Endless(tunnel_model(), tunnel_tokenizer(), "tunnel-tiny")
    problems = [Problem(f"{a}+{a + 7}-{a // 2}+3=?\n", "") for a in range(10, 10 + PROMPTS)]
    sampling = SingleTurn(group_size=ROLLOUTS // PROMPTS, max_new_tokens=TOKENS)
    context = Context(JsonLines(path="example"), torch.Generator().manual_seed(0), policy=policy)
    rollouts = sampling(policy, problems, context)
    prompt = int(rollouts.prompt_lengths[0])
    completion_keys = sum(prompt + t for t in range(TOKENS))
    prompt_keys = PROMPTS * prompt * (prompt + 1) // 2
    needed = forward_flop(policy.model, PROMPTS * prompt + ROLLOUTS * TOKENS, prompt_keys + ROLLOUTS * completion_keys)

    def train() -> None:
        logprobs, _ = token_logprobs(policy, rollouts)
        logprobs.sum().backward()

    peak = matmul_rate()
    generation = median_seconds(lambda: sampling(policy, problems, context), repeats=15)
    training = median_seconds(train, repeats=15)
    peak = (peak + matmul_rate()) / 2
    tokens = PROMPTS * prompt + ROLLOUTS * TOKENS
    in_products = {
        "generation": products_seconds(policy.model, ROLLOUTS, TOKENS, backward=False),
        "training": products_seconds(policy.model, tokens, 1, backward=True),
    }
    figures = {
        "peak_gflops": peak / 1e9,
        "generation": {"seconds": generation, "share": needed / generation / peak, "goal": 0.15},
        "training": {"seconds": training, "share": 3 * needed / training / peak, "goal": 0.35},
    }
    for name in ("generation", "training"):
        part = figures[name]
        part |= {"products_seconds": in_products[name], "products_of_time": in_products[name] / part["seconds"]}
        print(
            f"{name}: {part['seconds']:.3f} s, {part['share']:.0%} of {peak / 1e9:.0f} GFLOP/s; "
            f"its products alone take {part['products_of_time']:.0%} of the time"
        )
    record("against_matmul_peak", {**figures, "rollouts": ROLLOUTS, "tokens": TOKENS, "threads": THREADS})


if __name__ == "__main__":
    main()
