"""How fast are traces scored, and in how much memory, against a plain loop over the same Hugging Face model?

SmolLM2-135M scores synthetic traces of 100 to 700 tokens, of which eight share a prompt of some 200, as those of eight
teachers do. "sorting" is what one would write first: a trace at a time, whole logits, log-softmax, and the rank from
the sorted vocabulary. "loop" is the same with a comparison in place of the sort. "batched" does as the published script
does: padded batches of eight, whole logits, top 100. "scorecraft" is `TraceScorer`. Each runs in a process of its own;
the memory is what it takes beyond the model's weights. Goals: 3 times as fast as "sorting" in half its memory, no
slower than any, and the same ranks and surprisals. How near all of it is to this machine's rate of matrix products says
what is left to be gained.

    python benchmarks/rank_surprisal.py [--traces 24] [--repeats 3] [--no-record]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from measuring import in_own_process, matmul_rate, record

from scorecraft.distill.rank_surprisal import TokenScores
from scorecraft.distill.trace_encoding import EncodedTrace
from scorecraft.distill.trace_scoring import TraceScorer
from scorecraft.lm.policy import Policy
from scorecraft.lm.smollm2 import smollm2_135m

WORDS = ("we", "add", "take", "the", "sum", "of", "and", "then", "it", "is", "so", "three", "four", "apples", "left")
CLIP, BATCH, TEACHERS = 100, 8, 8
BODY, HEAD = 106_200_000, 49_152 * 576  # weights of SmolLM2-135M's layers, and of its vocabulary


def make_traces(policy: Policy, count: int) -> list[EncodedTrace]:
    """Return traces of many lengths, with a prompt that is not scored."""
    chance, traces = Random(0), []
    for place in range(count):
        text = " ".join(chance.choices(WORDS, k=100 + 600 * place // max(count - 1, 1)))
        asked = " ".join(Random(place // TEACHERS).choices(WORDS, k=200))
        prompt, response = policy.encode(f"{asked}: how many are left?\n"), policy.encode(text)
        wanted = (False,) * len(prompt) + (True,) * len(response)
        traces.append(EncodedTrace((*prompt, *response), wanted))
    chance.shuffle(traces)
    return traces


@torch.inference_mode()
def loop(policy: Policy, traces: Sequence[EncodedTrace]) -> list[TokenScores]:
    """Score a trace at a time."""
    out = []
    for trace in traces:
        tokens = torch.tensor(trace.tokens)
        wanted, targets = torch.tensor(trace.response)[1:], tokens[1:]
        logprobs = policy.model(input_ids=tokens[None]).logits[0, :-1].float().log_softmax(-1)
        chosen = logprobs.gather(1, targets[:, None])
        rank = 1 + (logprobs > chosen).sum(1)
        out.append(TokenScores(rank[wanted].int(), -chosen[wanted, 0]))
    return out


@torch.inference_mode()
def sorting(policy: Policy, traces: Sequence[EncodedTrace]) -> list[TokenScores]:
    """Score a trace at a time, with the place of every token in the sorted vocabulary."""
    out = []
    for trace in traces:
        tokens = torch.tensor(trace.tokens)
        wanted, targets = torch.tensor(trace.response)[1:], tokens[1:]
        logprobs = policy.model(input_ids=tokens[None]).logits[0, :-1].log_softmax(-1)[wanted]
        chosen = targets[wanted][:, None]
        places = logprobs.argsort(dim=-1, descending=True)
        rank = 1 + (places == chosen).int().argmax(1)
        out.append(TokenScores(rank.int(), -logprobs.gather(1, chosen)[:, 0]))
    return out


@torch.inference_mode()
def batched(policy: Policy, traces: Sequence[EncodedTrace]) -> list[TokenScores]:
    """Score padded batches, with the largest logits of every response token."""
    out = []
    for start in range(0, len(traces), BATCH):
        rows = traces[start : start + BATCH]
        width = max(len(row.tokens) for row in rows)
        tokens, attention = (torch.zeros(len(rows), width, dtype=torch.int64) for _ in range(2))
        for place, row in enumerate(rows):
            tokens[place, : len(row.tokens)], attention[place, : len(row.tokens)] = torch.tensor(row.tokens), 1
        logits = policy.model(input_ids=tokens, attention_mask=attention, use_cache=False).logits
        for place, row in enumerate(rows):
            at = torch.tensor(row.response).nonzero()[:, 0]
            own = logits[place, at - 1].float()
            chosen = own.gather(1, tokens[place, at][:, None])[:, 0]
            top = own.topk(CLIP, dim=1).values
            rank = (1 + (top > chosen[:, None]).sum(1)).clamp(max=CLIP)
            out.append(TokenScores(rank.int(), own.logsumexp(1) - chosen))
    return out


def scorecraft(policy: Policy, traces: Sequence[EncodedTrace]) -> list[TokenScores]:
    """Score with `TraceScorer`."""
    return TraceScorer(policy.model, policy.tokenizer).token_scores(traces)


WAYS: dict[str, Callable[[Policy, Sequence[EncodedTrace]], list[TokenScores]]] = {
    "sorting": sorting,
    "loop": loop,
    "batched": batched,
    "scorecraft": scorecraft,
}


def memory(what: str) -> int:
    """Return the bytes that this process has resident (VmRSS), or has had at most (VmHWM) since it was reset."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def measure(way: str, count: int, repeats: int, values: Path) -> dict[str, Any]:
    """Return seconds and memory of one way, and write what it found."""
    policy = Policy.load(smollm2_135m())
    traces = make_traces(policy, count)
    WAYS[way](policy, [EncodedTrace(trace.tokens[:16], trace.response[:16]) for trace in traces[:2]])
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    times, found = [], []
    for _ in range(repeats):
        began = time.perf_counter()
        found = WAYS[way](policy, traces)
        times.append(time.perf_counter() - began)
    torch.save([(own.rank.clamp(max=CLIP), own.surprisal) for own in found], values)
    tokens = sum(len(trace.tokens) for trace in traces)
    return {"seconds": min(times), "tokens": tokens, "bytes": memory("VmHWM") - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--way", choices=list(WAYS))
    parser.add_argument("--values", type=Path)
    parser.add_argument("--no-record", action="store_true", help="print only")
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way, options.traces, options.repeats, options.values)))
        return
    arguments = ["--traces", str(options.traces), "--repeats", str(options.repeats)]
    with tempfile.TemporaryDirectory() as folder:
        found, values = {}, {}
        for way in WAYS:
            path = Path(folder) / way
            found[way] = in_own_process(__file__, *arguments, "--way", way, "--values", str(path))
            values[way] = torch.load(path)
    for way, own in found.items():
        pace, mebibytes = own["tokens"] / own["seconds"], own["bytes"] / 2**20
        print(f"{way:10} {own['seconds']:6.2f} s  {pace:6.0f} tokens/s  {mebibytes:6.0f} MiB beyond the weights")
    result: dict[str, Any] = {"ways": found, "against": {}}
    for way in WAYS:
        if way == "scorecraft":
            continue
        pairs = list(zip(values[way], values["scorecraft"], strict=True))
        ranks = torch.cat([one[0] - other[0] for one, other in pairs])
        surprisals = torch.cat([one[1] - other[1] for one, other in pairs])
        against = {
            "memory": found["scorecraft"]["bytes"] / found[way]["bytes"],
            "times_as_fast": found[way]["seconds"] / found["scorecraft"]["seconds"],
            "ranks_that_differ": int((ranks != 0).sum()) / len(ranks),
            "largest_difference_nats": float(surprisals.abs().max()),
        }
        result["against"][way] = against
        print(
            f"against {way}: {against['memory']:.2f} of the memory, {against['times_as_fast']:.2f} times as fast; "
            f"ranks that differ: {against['ranks_that_differ']:.2%}; surprisals by at most "
            f"{against['largest_difference_nats']:.1e} nats"
        )
    # Twice the weights for every token, those of the vocabulary for tokens that are scored.
    scored = sum(len(own[0]) for own in values["scorecraft"])
    operations = 2 * (BODY * found["scorecraft"]["tokens"] + HEAD * scored)
    result["share_of_matmul_rate"] = operations / found["scorecraft"]["seconds"] / matmul_rate()
    print(f"scorecraft reaches {result['share_of_matmul_rate']:.0%} of this machine's matrix-product rate")
    if not options.no_record:
        record("rank_surprisal", result)


if __name__ == "__main__":
    main()
