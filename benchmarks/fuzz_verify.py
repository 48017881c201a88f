r"""Does any completion make `verify` raise, hang, eat memory, or call a number right that it cannot know?

Coverage-guided fuzzing: libFuzzer changes completions and hostile seeds so that they reach new lines of
`scorecraft.rewards.verify`. The true answer of an item is drawn from the SHA-256 of its completion, nine digits in one
of several forms, so no completion can hold it: whatever scores as right does so by accident. Every fourth item is
the other way round, a hostile true answer with a number drawn from it as the completion. Half of the items go on to
the worker processes where the fast path leaves them; with the others that is where they end, for speed.

An item may take the seconds of its worker and a second more, and the process 2 GB of memory. Every verdict must be
one of the five, with the score and the reason that belong to it. Items that break any of it are printed, and the tenth
ends the run.

    pip install "atheris>=3.0"    (wheels for Python 3.11 to 3.13 on Linux)
    python benchmarks/fuzz_verify.py [--seconds 180] [--runs 0]
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from verify_answers import make_answers, make_rough_edges

ITEM_SECONDS, WORKER_SECONDS, MEMORY_MB = 1.0, 0.5, 512
RSS_MB, MOST_BROKEN = 2048, 10
FIVE = ("correct", "wrong", "unparsed", "timeout", "error")

# How the number that nobody can know becomes a true answer, and the kind it is asked with.
TRUTHS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("{0}", {}),
    ("{0}", {"kind": "numeric"}),
    ("{0}", {"relative": 1e-6}),
    ("{1}.{0}", {}),
    (r"\frac{{{0}}}{{{1}}}", {}),
    (r"{0}\%", {}),
    (r"{0} \text{{ cm}}", {}),
    (r"\sqrt{{{0}}}", {}),
    (r"\sin({0})", {}),
    ("x = {0}", {"kind": "equation"}),
    ("{0}x^2 + {1}", {}),
    ("({0}, {1})", {}),
    ("({0}, {1})", {"kind": "tuple"}),
    (r"\{{{0}, {1}\}}", {"kind": "set"}),
    (r"[{0}, \infty)", {"kind": "interval"}),
    (r"(-\infty, {0}) \cup ({1}, \infty)", {}),
    (r"\begin{{pmatrix}} {0} \\ {1} \end{{pmatrix}}", {}),
    ("{0}:{1}", {}),
    ("{0}_{{7}}", {}),
    ('{{"a": [{0}, 1]}}', {}),
    ("number {0} it is", {}),
    ("{0}", {"kind": "exact"}),
    ("(a+)+{0}", {"kind": "regex"}),
)
WRAPPERS = ("{}", r"\boxed{{{}}}", "The answer is {}.", "#### {}", "<answer>{}</answer>", r"$\boxed{{{}}}$", "so ${}$")

SEEDS = (
    "9^{9^{9^{9}}}", "9**9**9", "((9!)!)!", r"\binom{10^9}{10^8}", "1e999999999", "10^{10^{10}}", "9" * 1900,
    "(" * 900 + "41" + ")" * 900, r"\frac{1}{1+" * 60 + "1" + "}" * 60, r"1+\frac{1}{1+\ldots}", "-" * 500 + "41",
    r"\sin " * 50 + "41", "1/" * 100 + "41", "1," * 300 + "41", "[0, 10^{12}]", r"(-\infty,\infty)", r"\infty-\infty",
    r"\text{between } 1 \text{ and } 999999999", r"\frac{0}{0}", "nan", "41=42", r"\pm 5", "x+-x", r"\boxed{",
    r"\boxed{1} or \boxed{2}", "####\n####", "<!-- -->", "<think></think>", r"\iffalse\fi", "\\", "$" * 20,
    "\u0664\u0662", "4\u200b2", "\u202e24", "\ud835", "\U0001d7d2", "\u221a\u221a2", "__import__('os').getpid()",
    "(lambda: 42)()", r"\begin{pmatrix}1 & 2 \\ 3 & 4\end{pmatrix}", r"\begin{cases} x \\ y \end{cases}",
    r"\def\x{\x\x}\x", '{"a": [1, 1e999, NaN]}', '{"a": {"a": ' * 40, r"x^{x^{x^{x}}}",
    r"\int_0^1 x\,dx", r"\sum_{n=1}^{\infty} n^{-2}", "1<x<2", "x>y>z=3", r"x \in [1,2)", "3:4", "11:30 pm", "12_5",
    r"50\%", "5 million", r"5 \text{ m}^2", "-0.0", "C", "yes", "A or B", r"\sqrt[3]{8}", r"\sqrt{-4}", "2i+3",
    r"e^{i\pi}", "x_1", "f(x)=2x", "5!", "1,234", "0x2A",
)  # fmt: skip
WORDS = (
    r"\\frac{", r"\\sqrt{", r"\\boxed{", r"\\text{", r"\\pm", r"\\cup", r"\\infty", r"\\begin{pmatrix}",
    r"\\end{pmatrix}", r"\\\\", r"\\left", r"\\right", r"\\cdot", r"\\times", r"\\binom", r"\\log_", r"\\ln", r"\\pi",
    r"\\lbrace", r"\\%", r"\\in", "####", "<!--", "-->", "<think>", "</think>", "<answer>", "</answer>", "answer is",
    "million", "and", "or", "not", "e99", "9^9", "!", "=", ">=", "**", "}{", "cm", "degrees", "percent",
)  # fmt: skip


class BrokenError(Exception):
    """An item did what none may."""


class Fuzzer:
    """Asks for verdicts, checks them, and keeps count in a file, since libFuzzer ends the process itself."""

    def __init__(self, summary: Path, verify: Any, fast: Any) -> None:
        self.summary, self.verify, self.fast = summary, verify, fast
        self.verdicts: Counter[str] = Counter()
        self.executions, self.slowest, self.slowest_item = 0, 0.0, ""
        self.saved, self.broken = 0.0, []

    def one(self, data: bytes) -> None:
        """Ask for one verdict and check it."""
        if len(data) < 2:
            return
        text = data[2:].decode("utf-8", "surrogateescape")
        wrapped = WRAPPERS[data[0] % len(WRAPPERS)].format(text)
        digest = hashlib.sha256(wrapped.encode("utf-8", "surrogateescape")).digest()
        unknown = sorted(int.from_bytes(digest[place : place + 8], "big") % (9 * 10**8) + 10**8 for place in (0, 8))
        if data[1] >= 192:
            completion, truth, more = rf"\boxed{{{unknown[0]}}}", text, {}
        else:
            form, more = TRUTHS[data[1] % len(TRUTHS)]
            completion, truth = wrapped, form.format(*unknown)
        try:
            found = self._verdict(completion, truth, more, fast_only=data[0] < 128)
            if found is None:
                self._count("left to a worker", 0.0, completion)
                return
            self._check(found)
        except Exception as error:  # whatever it is, it is a finding
            self.broken.append(f"{type(error).__name__}: {error} ({completion[:300]!r} for {truth[:300]!r})")
            self.save()
            if len(self.broken) >= MOST_BROKEN:
                raise
        else:
            self._count(f"{found.verdict} ({found.path})", found.seconds if found.path == "fast" else 0.0, completion)

    def _verdict(self, completion: str, truth: str, more: dict[str, Any], *, fast_only: bool) -> Any:
        """Return the verdict; None where it takes a worker and none is to be asked."""
        if not fast_only or more.get("kind") == "regex":
            limits = {"seconds": WORKER_SECONDS, "memory_mb": MEMORY_MB}
            return self.verify.verify(completion, truth, **limits, **more)
        start = time.perf_counter()
        try:
            found = self.fast.decide(completion, truth, self.verify.Options(**more))
        except self.fast.Pending:
            return None
        found.seconds = time.perf_counter() - start
        return found

    def _check(self, found: Any) -> None:
        shown = str(found)
        if str(found.verdict) not in FIVE:
            raise BrokenError(f"no verdict: {shown}")
        if found.score != float(found.verdict == "correct"):
            raise BrokenError(f"a score that does not belong to its verdict: {shown}")
        if found.verdict in ("unparsed", "timeout", "error") and not found.reason:
            raise BrokenError(f"no reason: {shown}")
        if found.correct:
            raise BrokenError(f"right by accident: {shown}")
        # A worker's time is counted apart from its start, which may take long on a slow machine.
        limit = ITEM_SECONDS if found.path == "fast" else ITEM_SECONDS + 2 * WORKER_SECONDS
        if found.seconds > limit and found.verdict != "timeout":
            raise BrokenError(f"{found.seconds:.2f} s: {shown}")

    def _count(self, verdict: str, seconds: float, completion: str) -> None:
        self.executions += 1
        self.verdicts[verdict] += 1
        if seconds > self.slowest:
            self.slowest, self.slowest_item = seconds, completion[:200]
        if time.monotonic() > self.saved + 1:
            self.saved = time.monotonic()
            self.save()

    def save(self) -> None:
        """Write the counts."""
        counts = {"executions": self.executions, "verdicts": self.verdicts, "slowest_fast_seconds": self.slowest}
        self.summary.write_text(
            json.dumps({**counts, "slowest_fast_item": self.slowest_item, "broken": self.broken}), encoding="utf-8"
        )


def fuzz(summary: Path, arguments: list[str]) -> None:
    """Fuzz in this process, which does not come back from it."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["scorecraft.rewards.verify"]):
        from scorecraft.rewards import verify
        from scorecraft.rewards.verify import fast

    fuzzer = Fuzzer(summary, verify, fast)
    atheris.Setup([sys.argv[0], *arguments], fuzzer.one)
    atheris.Fuzz()


def write_seeds(folder: Path) -> None:
    """Write the hostile seeds, and ordinary answers, each with a wrapper and a form of truth."""
    ordinary = [item.completion[-120:] for item in (*make_answers(150, seed=3), *make_rough_edges(150, seed=3))]
    truths = range(len(TRUTHS))
    for place, text in enumerate((*SEEDS, *ordinary)):
        encoded = text.encode("utf-8", "surrogatepass")
        for form in (*truths, 192) if place < len(SEEDS) else (truths[place % len(TRUTHS)],):
            choice = bytes((place % len(WRAPPERS) + 140 * (place % 2), form))
            (folder / f"{place}-{form}").write_bytes(choice + encoded)


def main() -> None:
    """Fuzz in a process of its own, and print what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--runs", type=int, default=0, help="end after so many items as well; 0 for no such end")
    arguments = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        sys.exit("atheris is not installed: pip install 'atheris>=3.0'")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus, summary, words = folder / "corpus", folder / "summary.json", folder / "words.txt"
        corpus.mkdir()
        write_seeds(corpus)
        words.write_text("".join(f'"{word}"\n' for word in WORDS), encoding="utf-8")
        options = [
            f"-max_total_time={arguments.seconds}", f"-rss_limit_mb={RSS_MB}", f"-dict={words}", "-max_len=4096",
            "-timeout=60", f"-artifact_prefix={folder}/", "-print_final_stats=1", "-use_value_profile=1",
            *([f"-runs={arguments.runs}"] if arguments.runs else []), str(corpus),
        ]  # fmt: skip
        command = [sys.executable, __file__, "--child", str(summary), *options]
        done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
        found = json.loads(summary.read_text(encoding="utf-8")) if summary.exists() else {"broken": []}
        print(json.dumps(found, indent=1))
        print(f"corpus: {len(list(corpus.iterdir()))} items")
        if done.returncode or found["broken"]:
            print(done.stdout[-6000:], done.stderr[-2000:])
            sys.exit(f"{len(found['broken'])} items broke a promise; the fuzzer ended with {done.returncode}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        fuzz(Path(sys.argv[2]), sys.argv[3:])
    else:
        main()
