"""How many ground arithmetic claims does `ExactProver` decide in a second, and does it rule as z3 does?

10,000 claims as steps of solutions make them, half of them true. `ExactProver` gets the text and is timed from there to
the verdict. z3 gets each claim as a ready SMT-LIB script and is timed alone, in this process, without ours around it.
`Z3Prover`, which keeps z3 in a process that can be killed and looks at every claim's guards, is timed on a tenth.

    python benchmarks/formal_steps.py
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from measuring import record

from scorecraft.rewards.formal_steps import ExactProver, Prover, Z3Prover, parse_claim, to_smt

COUNT, REPEATS = 10_000, 5
GOALS = {"claims_per_second": 2000.0, "agreement": 1.0}


def make_claims(count: int = COUNT, seed: int = 0) -> list[tuple[str, bool]]:
    """Return claims as text, each with whether it is true."""
    chance = random.Random(seed)
    return [_claim(chance, number) for number in range(count)]


def _claim(chance: random.Random, number: int) -> tuple[str, bool]:
    text, value = _expression(chance, chance.choice((1, 1, 2, 2, 3, 4)))
    said = value if chance.random() < 0.5 else value + chance.choice((-10, -1, Fraction(1, 10), 1, 2))
    if number % 10 == 0:
        modulus = chance.randint(2, 20)
        total, rest = chance.randint(100, 999), chance.randint(0, 19)
        return f"show {total} == {rest} mod {modulus}", (total - rest) % modulus == 0
    if number % 10 == 1:
        relation = chance.choice(("<", "<=", ">", ">="))
        true = {"<": value < said, "<=": value <= said, ">": value > said, ">=": value >= said}[relation]
        return f"show {text} {relation} {_written(said)}", true
    return f"show {text} = {_written(said)}", value == said


def _expression(chance: random.Random, operations: int) -> tuple[str, Fraction]:
    if operations == 0:
        number = Fraction(chance.randint(1, 999))
        return (str(number), number) if chance.random() < 0.8 else (f"{number.numerator / 10}", number / 10)
    left, a = _expression(chance, (operations - 1) // 2)
    right, b = _expression(chance, operations - 1 - (operations - 1) // 2)
    match chance.choice("+-*/+-*/^"):
        case "+":
            return f"({left} + {right})", a + b
        case "-":
            return f"({left} - {right})", a - b
        case "*":
            return f"{left}*{right}", a * b
        case "/" if b != 0:
            return f"({left})/({right})", a / b
    return f"({left})^2", a**2


def _written(value: Fraction) -> str:
    text = str(abs(value.numerator)) if value.denominator == 1 else f"{abs(value.numerator)}/{value.denominator}"
    return f"(-{text})" if value < 0 else text


def seconds_of(run: Callable[[], list[bool]], repeats: int = REPEATS) -> tuple[float, list[bool]]:
    """Return the median time of a run, and what it found."""
    times, found = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        found = run()
        times.append(time.perf_counter() - start)
    return statistics.median(times), found


def by(prover: Prover, texts: list[str]) -> list[bool]:
    """Return what a prover says of claims, from text to verdict."""
    found = []
    for text in texts:
        claim = parse_claim(text)
        assert prover.check(claim).status == "well-formed"
        found.append(prover.prove(claim).status == "proved")
    return found


def with_z3(scripts: list[str]) -> list[bool]:
    """Return what z3 says of ready scripts, called directly."""
    import z3

    found = []
    for script in scripts:
        solver = z3.Solver()
        solver.from_string(script)
        found.append(solver.check() == z3.unsat)
    return found


def main() -> None:
    """Measure and record."""
    claims = make_claims()
    texts, truth = [text for text, _ in claims], [true for _, true in claims]
    scripts = [to_smt(parse_claim(text)) for text in texts]
    with_z3(scripts[:10])
    exact_seconds, exact = seconds_of(lambda: by(ExactProver(), texts))
    z3_seconds, plain = seconds_of(lambda: with_z3(scripts), repeats=1)
    guarded = Z3Prover()
    by(guarded, texts[:1])
    guarded_seconds, kept = seconds_of(lambda: by(guarded, texts[: COUNT // 10]), repeats=1)
    guarded.close()
    result: dict[str, Any] = {
        "claims": COUNT,
        "claims_per_second": COUNT / exact_seconds,
        "z3_claims_per_second": COUNT / z3_seconds,
        "z3_prover_claims_per_second": COUNT / 10 / guarded_seconds,
        "speedup": z3_seconds / exact_seconds,
        "agreement": sum(one == other for one, other in zip(exact, plain, strict=True)) / COUNT,
        "right": sum(one == other for one, other in zip(exact, truth, strict=True)) / COUNT,
        "z3_prover_right": sum(one == other for one, other in zip(kept, truth, strict=False)) / len(kept),
        "true_claims": sum(truth) / COUNT,
        "goals": GOALS,
    }
    print(f"exact: {result['claims_per_second']:,.0f} claims a second; z3 alone: {result['z3_claims_per_second']:,.0f}")
    print(f"z3 in its own process, with guards: {result['z3_prover_claims_per_second']:,.0f}")
    print(f"same verdict: {result['agreement']:.4%}; right: {result['right']:.4%}, of {COUNT:,} claims")
    record("formal_steps", result)


if __name__ == "__main__":
    main()
