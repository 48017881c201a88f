"""`LeanReplProver`: theorems whose proof Lean 4 has checked."""

from __future__ import annotations

import re
import shutil
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError
from scorecraft.rewards.formal_steps.claim import Claim, ClaimError, LeanStatement, Truth
from scorecraft.rewards.formal_steps.exact_prover import ground_fault
from scorecraft.rewards.formal_steps.lean import to_lean
from scorecraft.rewards.formal_steps.lean_repl import (
    LeanRepl,
    errors_of,
    forbidden_word,
    foreign_axioms,
    is_complete,
    passes,
)
from scorecraft.rewards.formal_steps.line_process import ProcessEndedError
from scorecraft.rewards.formal_steps.results import AnyClaim, CheckResult, ProofResult
from scorecraft.rewards.formal_steps.sorts import check_sorts

TACTICS = (
    "norm_num", "ring", "linarith", "omega", "nlinarith", "simp_all", "field_simp\nring", "subst_vars\nnorm_num",
    "norm_num at *\nlinarith", "positivity", "decide", "constructor <;> linarith", "aesop",
)  # fmt: skip
_STATEMENT = re.compile(r"(?:theorem|lemma)\s+([A-Za-z_][A-Za-z_0-9'.]*)")
Proofs = Callable[[str, int], Sequence[str]]


@implements("formal-steps")
class LeanReplProver:
    """Lean 4 with Mathlib, through the REPL of leanprover-community in a process of its own.

    A proof counts if Lean reports no error and no ``sorry``, if it holds none of the words that get round a proof
    (``sorry``, ``admit``, ``axiom``, ``native_decide``, commands that run code), and if ``#print axioms`` names none
    but Lean's own three.

    command: how the REPL is started; None for ``lake exe repl`` in ``folder``.
    folder: a Lean project that has the REPL and Mathlib.
    proofs: given a theorem that ends in ``by`` and a number, returns as many proofs to try, from a model; None tries a
        list of tactics.
    compat: "safe" counts any proof without an error, as the published code does, one that says ``sorry`` too, and looks
        at neither divisors nor contradictory hypotheses.
    disabled: why nothing can be proved here, "" where it can. A prover that is disabled calls every claim unsupported.

    Source: Safe, 2025, arXiv 2506.04592.
    """

    name = "lean"
    fragments = frozenset({"F0", "F1", "F2", "F3", "lean"})

    def __init__(
        self,
        command: Sequence[str] | None = None,
        folder: str | None = None,
        *,
        proofs: Proofs | None = None,
        header: str = "import Mathlib",
        compat: Literal["safe"] | None = None,
        default_timeout_s: float = 60.0,
    ) -> None:
        if compat not in (None, "safe"):
            raise ScorecraftError(f"LeanReplProver: unknown compat '{compat}'; expected None or 'safe'")
        self.disabled = "" if command is not None else _missing(folder)
        self.compat = compat
        self.proofs = proofs
        self.default_timeout_s = default_timeout_s
        self._repl = LeanRepl(command or ("lake", "exe", "repl"), folder, header)

    def check(self, claim: AnyClaim, timeout_s: float | None = None) -> CheckResult:
        """Return whether Lean takes the statement with one ``sorry``, and whether its guards can be proved."""
        try:
            statement = _statement(claim)
        except ClaimError as error:
            return CheckResult("unsupported" if error.fault == "unsupported" else "error", str(error))
        if reason := self._refused(statement):
            return CheckResult("error", reason)
        answer = self._ask(statement, timeout_s)
        if isinstance(answer, str):
            return CheckResult("unsupported" if self.disabled else "error", answer)
        if not passes(answer) or len(answer.get("sorries", [])) != 1:
            return CheckResult("error", (errors_of(answer) or ["it has not exactly one sorry"])[0][:500])
        if self.compat == "safe" or not isinstance(claim, Claim):
            return CheckResult("well-formed")
        return self._meaning(claim, timeout_s)

    def _meaning(self, claim: Claim, timeout_s: float | None) -> CheckResult:
        held = check_sorts(claim)
        if fault := ground_fault(held.guards):
            return CheckResult("ill-defined", fault.text)
        for guard in held.guards:
            if self._try(to_lean(replace(claim, goal=guard.condition)), TACTICS, timeout_s) is None:
                return CheckResult("ill-defined", guard.text)
        if claim.hypotheses and self._try(to_lean(replace(claim, goal=Truth(False))), TACTICS, timeout_s) is not None:
            return CheckResult("vacuous", "the hypotheses contradict each other")
        return CheckResult("well-formed")

    def prove(self, claim: AnyClaim, timeout_s: float | None = None, attempts: int = 16) -> ProofResult:
        """Return "proved" with the whole proof as evidence, else "unknown": Lean refutes nothing here."""
        began = time.perf_counter()
        try:
            statement = _statement(claim)
        except ClaimError as error:
            status = "unsupported" if error.fault == "unsupported" else "error"
            return ProofResult(status, {"reason": str(error)}, None, time.perf_counter() - began)
        if reason := self._refused(statement) or self.disabled:
            status = "unsupported" if reason == self.disabled else "error"
            return ProofResult(status, {"reason": reason}, None, time.perf_counter() - began)
        opened = statement.rstrip()[: -len("sorry")]
        tried = TACTICS if self.proofs is None else list(self.proofs(opened, attempts))[:attempts]
        proof = self._try(statement, tried, timeout_s)
        seconds = time.perf_counter() - began
        if proof is not None:
            return ProofResult("proved", {"method": self.name, "proof": proof}, None, seconds)
        if self.disabled:
            return ProofResult("unsupported", {"reason": self.disabled}, None, seconds)
        return ProofResult("unknown", {"reason": f"none of {len(tried)} proofs passes"}, None, seconds)

    def _try(self, statement: str, proofs: Sequence[str], timeout_s: float | None) -> str | None:
        """Return the first whole proof that counts; a repeated one is tried once."""
        opened = statement.rstrip()[: -len("sorry")].rstrip()
        for proof in dict.fromkeys(proofs):
            if self.disabled:
                return None
            whole = f"{opened}\n{textwrap.indent(textwrap.dedent(proof).strip(), '  ')}"
            if self._counts(whole, proof, timeout_s):
                return whole
        return None

    def _counts(self, whole: str, proof: str, timeout_s: float | None) -> bool:
        if self.compat == "safe":
            answer = self._ask(whole, timeout_s)
            return not isinstance(answer, str) and passes(answer)
        if forbidden_word(proof):
            return False
        answer = self._ask(whole, timeout_s)
        if isinstance(answer, str) or not is_complete(answer):
            return False
        named = _STATEMENT.search(whole)
        assert named is not None
        listed = self._ask(f"#print axioms {named[1]}", timeout_s, answer.get("env"))
        return not isinstance(listed, str) and foreign_axioms(listed) == set()

    def _ask(self, code: str, timeout_s: float | None, environment: int | None = None) -> dict[str, Any] | str:
        """Return Lean's answer, or why there is none; what keeps the REPL from starting disables the prover."""
        if self.disabled:
            return self.disabled
        seconds = self.default_timeout_s if timeout_s is None else timeout_s
        for last in (False, True):
            try:
                answer = self._repl.ask(code, seconds, environment)
                return "timeout" if answer is None else answer
            except ProcessEndedError as error:
                if last:
                    self.disabled = f"the REPL breaks down: {error}"
        return self.disabled

    def _refused(self, statement: str) -> str:
        if not _STATEMENT.match(statement):
            return "expected a statement that begins with 'theorem' and a name"
        if not statement.rstrip().endswith("sorry"):
            return "expected a statement that ends in sorry"
        if self.compat == "safe":
            return ""
        word = forbidden_word(statement.rstrip()[: -len("sorry")])
        return f"'{word}' has no place in a statement" if word else ""

    def close(self) -> None:
        """End the REPL."""
        self._repl.close()


def _statement(claim: AnyClaim) -> str:
    return claim.text.strip() if isinstance(claim, LeanStatement) else to_lean(claim)


def _missing(folder: str | None) -> str:
    for program in ("lean", "lake"):
        if shutil.which(program) is None:
            return f"'{program}' is not on the path; install Lean 4 with elan"
    return "" if folder is not None else "no folder of a Lean project with the REPL and Mathlib was given"
