"""How much faster is `verify` than math-verify on ordinary answers, and does it rule the same?

10,000 ordinary answers as in GSM8K and MATH, with known labels, come from `verify_answers.py`, and apart from them
1,400 on which verifiers are known to part ways: right or wrong by label, but written in ways that not everybody reads.
The speed and the goals are those of the ordinary ones; how many rough edges real answers have depends on the model.
math-verify is called directly, as most do: ``verify(parse("$truth$"), parse(completion))`` with its own defaults, one
process, imported and warm. `verify` runs in one process with its two workers, imported and warm.

Every disagreement is listed with what explains it.
What math-verify says is kept in a file in the directory for temporary files, so that a run that was stopped goes on.

    python benchmarks/verify_against_math_verify.py
"""

from __future__ import annotations

import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

from measuring import in_own_process, record
from verify_answers import ROUGH, Item, make_answers, make_rough_edges

from scorecraft.rewards.verify import Verification, verify_many
from scorecraft.stats.intervals import wilson_interval

COUNT, REPEATS = 10_000, 5
GOALS = {"speedup": 20.0, "agreement": 0.999}
WARM_UP = ("\\boxed{\\ln 8}", "3\\ln 2")


def reference(items: list[Item]) -> list[dict[str, Any]]:
    """Return math-verify's verdict on every item and the seconds it took, as far as possible from the file."""
    content = json.dumps([(item.completion, item.truth) for item in items]) + version("math-verify")
    key = hashlib.sha256(content.encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"scorecraft-math-verify-{key}.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    done = [json.loads(line) for line in lines if line.endswith("\n")]
    if len(done) < len(items):
        path.write_text("".join(lines[: len(done)]), encoding="utf-8")
        with path.open("a", encoding="utf-8") as file:
            for item in items[len(done) :]:
                done.append(ask_math_verify(item))
                file.write(json.dumps(done[-1]) + "\n")
                if len(done) % 500 == 0:
                    print(f"math-verify: {len(done)} of {len(items)}", flush=True)
    return done


def ask_math_verify(item: Item) -> dict[str, Any]:
    """Return what math-verify says of an item, called directly."""
    import logging

    from math_verify import parse, verify

    logging.disable(logging.CRITICAL)
    if not _warm:
        verify(parse(f"${WARM_UP[1]}$"), parse(WARM_UP[0]))
        _warm.append(True)
    start = time.perf_counter()
    truth, given = parse(f"${item.truth}$"), parse(item.completion)
    verdict = verify(truth, given)
    seconds = time.perf_counter() - start
    return {"correct": bool(verdict), "seconds": seconds, "values": [str(value)[:60] for value in given]}


_warm: list[bool] = []


def ours(items: list[Item]) -> tuple[list[Verification], float, float]:
    """Return our verdicts, the seconds they took, and the seconds that starting the workers took before."""
    start = time.perf_counter()
    verify_many(list(WARM_UP[:1]) * 2, [WARM_UP[1], "4\\ln 2"])
    warm = time.perf_counter() - start
    start = time.perf_counter()
    verdicts = verify_many([item.completion for item in items], [item.truth for item in items])
    return verdicts, time.perf_counter() - start, warm


WHY = {family: why for family, _, why in ROUGH}


def disagreements(
    items: list[Item], verdicts: list[Verification], theirs: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return every item that the two rule differently, with both rulings, the label and the explanation."""
    return [
        {
            "truth": item.truth, "completion_end": item.completion[-60:], "label": item.correct, "family": item.family,
            "verify": verdict.correct, "given": verdict.given, "reason": verdict.reason,
            "math_verify": one["correct"], "math_verify_read": one["values"],
            "explanation": WHY.get(item.family, "none"),
        }
        for item, verdict, one in zip(items, verdicts, theirs, strict=True)
        if verdict.correct != one["correct"]
    ]  # fmt: skip


def compared(items: list[Item], theirs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how the two agree with each other and with the labels."""
    verdicts, _, _ = ours(items)
    found = disagreements(items, verdicts, theirs)
    agreement = wilson_interval(len(items) - len(found), len(items))
    return {
        "answers": len(items),
        "agreement": agreement.estimate,
        "agreement_interval": [agreement.low, agreement.high],
        "decided_fast": sum(verdict.path == "fast" for verdict in verdicts) / len(items),
        "verdicts": Counter(str(verdict.verdict) for verdict in verdicts),
        "families": Counter(item.family for item in items),
        "verify_against_labels": rates(items, [verdict.correct for verdict in verdicts]),
        "math_verify_against_labels": rates(items, [one["correct"] for one in theirs]),
        "explanations": Counter(one["explanation"] for one in found),
        "disagreements": found,
    }


def rates(items: list[Item], correct: list[bool]) -> dict[str, Any]:
    """Return the false positive and false negative rates against the labels, with 95 % Wilson intervals."""
    result = {}
    for name, label in (("false_positive", False), ("false_negative", True)):
        wrong = [found != label for item, found in zip(items, correct, strict=True) if item.correct == label]
        result[name] = dict(zip(("rate", "low", "high"), wilson_interval(sum(wrong), len(wrong)), strict=True))
        result[name]["of"] = len(wrong)
    return result


def main() -> None:
    """Measure and record."""
    items = make_answers(COUNT)
    if "--ours" in sys.argv:
        _, seconds, warm = ours(items)
        print(json.dumps({"seconds": seconds, "warm": warm}))
        return
    theirs = reference(items)
    rough = make_rough_edges()
    runs = [in_own_process(str(Path(__file__)), "--ours") for _ in range(REPEATS)]
    our_rate = COUNT / statistics.median(run["seconds"] for run in runs)
    their_rate = COUNT / sum(one["seconds"] for one in theirs)
    result = {
        "verify_per_second": our_rate,
        "math_verify_per_second": their_rate,
        "speedup": our_rate / their_rate,
        "start_of_workers_seconds": statistics.median(run["warm"] for run in runs),
        "goals": GOALS,
        "ordinary": compared(items, theirs),
        "rough_edges": compared(rough, reference(rough)),
    }
    print(f"verify: {our_rate:.0f} a second; math-verify: {their_rate:.0f}; {our_rate / their_rate:.1f} times as fast")
    for name in ("ordinary", "rough_edges"):
        part = result[name]
        print(f"{name}: agreement {part['agreement']:.4f}, decided fast {part['decided_fast']:.4f}")
        for who in ("verify", "math_verify"):
            shown = [f"{kind} {one['rate']:.4f}" for kind, one in part[f"{who}_against_labels"].items()]
            print(f"  {who}: {', '.join(shown)}")
        for why, count in part["explanations"].items():
            print(f"  {count} {why}")
    record("verify_against_math_verify", result)


if __name__ == "__main__":
    main()
