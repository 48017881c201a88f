"""What `Z3Prover` and `Cvc5Prover` share: guards, vacuity, the goal, and the second look at every counterexample."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from scorecraft.errors import require
from scorecraft.rewards.formal_steps.claim import Claim, ClaimError, Sort
from scorecraft.rewards.formal_steps.evaluate import Evaluator, TooLargeError, UndefinedError, Value
from scorecraft.rewards.formal_steps.exact_prover import ground_fault
from scorecraft.rewards.formal_steps.line_process import LineProcess, ProcessEndedError, TooSlowError
from scorecraft.rewards.formal_steps.numerals import write_number
from scorecraft.rewards.formal_steps.printer import print_formula
from scorecraft.rewards.formal_steps.results import AnyClaim, CheckResult, ProofResult
from scorecraft.rewards.formal_steps.smt import goal_script, guard_scripts, hypotheses_script
from scorecraft.rewards.formal_steps.sorts import Sorted, check_sorts

_SCRIPT = Path(__file__).with_name("solver_worker.py")
_START_SECONDS = 60.0
_GRACE_SECONDS = 0.5
Answer = dict[str, Any]


class SolverProver:
    """A satisfiability solver in a process of its own, with a hard limit on time and memory.

    default_timeout_s: for each question, where none is given. memory_mb: of the process.
    """

    fragments = frozenset({"F0", "F1", "F2", "F3"})
    name = ""
    module = ""

    def __init__(self, default_timeout_s: float = 2.0, memory_mb: int = 1024) -> None:
        require(self.module, "formal", f"the prover '{self.name}'")
        self.default_timeout_s = default_timeout_s
        keep = ("PATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "SYSTEMROOT")
        self._process = LineProcess(
            [sys.executable, str(_SCRIPT), self.module, str(memory_mb)],
            lambda read: read.endswith(b"\n"),
            environment={name: os.environ[name] for name in keep if name in os.environ},
        )

    def check(self, claim: AnyClaim, timeout_s: float | None = None) -> CheckResult:  # noqa: PLR0911 - one for each outcome
        """Return whether the claim means something; a guard that is not proved in time is not proved."""
        if not isinstance(claim, Claim):
            return CheckResult("unsupported", "a statement in Lean")
        try:
            held = check_sorts(claim)
            undefined = ground_fault(held.guards)
        except ClaimError as error:
            return CheckResult("unsupported" if error.fault == "unsupported" else "error", str(error))
        except TooLargeError:
            return CheckResult("unsupported", "the numbers are too large")
        if undefined is not None:
            return CheckResult("ill-defined", undefined.text)
        if not claim.hypotheses and not held.names:
            return CheckResult("well-formed")
        scripts = [*guard_scripts(claim, held), hypotheses_script(claim)]
        answers = self._ask(scripts, held, timeout_s, stop=True)
        for guard, answer in zip(held.guards, answers, strict=False):
            if answer["status"] == "error":
                return CheckResult("error", str(answer.get("reason")))
            if answer["status"] != "unsat":
                return CheckResult("ill-defined", guard.text)
        last = answers[-1]["status"]
        if last == "unsat":
            return CheckResult("vacuous", "the hypotheses contradict each other")
        return CheckResult("error", str(answers[-1].get("reason"))) if last == "error" else CheckResult("well-formed")

    def prove(self, claim: AnyClaim, timeout_s: float | None = None, attempts: int = 1) -> ProofResult:
        """Return the verdict on a well-formed claim: by unsatisfiability, or by a counterexample looked at again."""
        del attempts
        began = time.perf_counter()

        def result(status: Any, evidence: dict[str, Any], model: dict[str, str] | None = None) -> ProofResult:
            return ProofResult(status, evidence, model, time.perf_counter() - began)

        if not isinstance(claim, Claim):
            return result("unsupported", {"reason": "a statement in Lean"})
        try:
            held = check_sorts(claim)
            script = goal_script(claim)
        except ClaimError as error:
            return result("unsupported" if error.fault == "unsupported" else "error", {"reason": str(error)})
        (answer,) = self._ask([script], held, timeout_s, stop=False)
        if answer["status"] == "unsat":
            return result("proved", {"method": self.name, "core": _core(claim, answer["core"])})
        if answer["status"] == "sat":
            status, evidence, model = judged(claim, answer)
            return result(status, {"method": self.name, **evidence}, model)
        return result(answer["status"], {"reason": str(answer.get("reason", ""))})

    def _ask(self, scripts: Sequence[str], held: Sorted, timeout_s: float | None, stop: bool) -> list[Answer]:
        seconds = self.default_timeout_s if timeout_s is None else timeout_s
        asked = {"scripts": list(scripts), "milliseconds": int(1000 * seconds), "stop": stop}
        text = json.dumps({**asked, "real": held.fragment == "F2"}) + "\n"
        process = self._process
        with process.lock:
            try:
                if not process.running:
                    process.start()
                    process.exchange(b"", _START_SECONDS)
                return json.loads(process.ask(text, seconds * len(scripts) + _GRACE_SECONDS))
            except TooSlowError:
                return [{"status": "unknown", "reason": "timeout"}]
            except ProcessEndedError as error:
                return [{"status": "unknown", "reason": f"{self.name} broke down: {error}"}]

    def close(self) -> None:
        """End the solver's process; the next claim starts it again."""
        self._process.stop()


def _core(claim: Claim, places: Sequence[int]) -> list[str]:
    """Return the hypotheses that a refutation of the goal's opposite used, as text."""
    natural = sum(sort == Sort.NAT for _, sort in claim.variables)
    used = [place - natural for place in places]
    return [print_formula(claim.hypotheses[place]) for place in used if 0 <= place < len(claim.hypotheses)]


def judged(claim: Claim, answer: Answer) -> tuple[str, dict[str, Any], dict[str, str] | None]:
    """Return the verdict that a solver's counterexample deserves, after evaluating it exactly.

    Values that are not rational are believed where the solver's own exact arithmetic confirms the model, and never for
    a variable of sort Rat.
    """
    sorts = dict(claim.variables)
    shown: dict[str, str] = {}
    exact: dict[str, Value] = dict.fromkeys(sorts, 0)
    irrational = False
    for name, value in answer["model"].items():
        if name not in sorts:
            continue
        if isinstance(value, str):
            irrational = True
            shown[name] = value
            if sorts[name] == Sort.RAT:
                return "unknown", {"reason": f"only an irrational {name} was found"}, None
            continue
        fraction = Fraction(int(value[0], 16), int(value[1], 16))
        exact[name] = fraction.numerator if fraction.denominator == 1 else fraction
        shown[name] = write_number(fraction)
    shown |= {name: "0" for name in sorts if name not in shown}
    if irrational:
        if answer["agrees"]:
            return "refuted", {"checked": "by the solver's algebraic numbers"}, shown
        return "unknown", {"reason": "the counterexample could not be confirmed"}, None
    return ("refuted", {"checked": "exactly"}, shown) if refutes(claim, exact) else (
        "unknown", {"reason": "the solver's counterexample is none"}, None
    )  # fmt: skip


def refutes(claim: Claim, values: dict[str, Value]) -> bool:
    """Return whether values of the right sorts make all hypotheses true and the goal false, by exact evaluation."""
    for name, sort in claim.variables:
        value = values[name]
        if (sort <= Sort.INT and value.denominator != 1) or (sort == Sort.NAT and value < 0):
            return False
    evaluator = Evaluator(values)
    try:
        return all(map(evaluator.formula, claim.hypotheses)) and not evaluator.formula(claim.goal)
    except (UndefinedError, TooLargeError):
        return False
