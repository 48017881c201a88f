"""`LeanReplProver`: theorems whose proof Lean 4 has checked, through the REPL or by Lean alone."""

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
from scorecraft.rewards.formal_steps.lean_command import LeanCommand
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
# Of Lean without Mathlib, which has neither its letters for the numbers nor most of its tactics.
CORE_TACTICS = ("decide", "omega", "simp", "simp_all", "grind")
CORE_HEADER = "\n".join(
    f'notation "{letter}" => {kind}'
    for letter, kind in (
        ("\N{DOUBLE-STRUCK CAPITAL N}", "Nat"),
        ("\N{DOUBLE-STRUCK CAPITAL Z}", "Int"),
        ("\N{DOUBLE-STRUCK CAPITAL Q}", "Rat"),
    )
)
_STATEMENT = re.compile(r"(?:theorem|lemma)\s+([A-Za-z_][A-Za-z_0-9'.]*)")
Proofs = Callable[[str, int], Sequence[str]]


@implements("formal-steps")
class LeanReplProver:
    """Lean 4 in a process of its own: with Mathlib, through the REPL of leanprover-community, or by itself.

    A proof counts if Lean reports no error and no ``sorry``, if it holds none of the words that get round a proof
    (``sorry``, ``admit``, ``axiom``, ``native_decide``, commands that run code), and if ``#print axioms`` names none
    but Lean's own three.

    command: how the REPL, or Lean, is started; None for ``lake exe repl`` in ``folder``, or ``lean`` where there is no
        folder.
    folder: a Lean project that has the REPL and Mathlib.
    repl: whether ``command`` is the REPL, or Lean itself, which is started for every question; None for the REPL where
        a command or a folder is given.
    header: what theorems stand under; None for ``import Mathlib``, or for Lean by itself for letters of whole, natural
        and rational numbers, whose arithmetic Lean decides without Mathlib.
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
        repl: bool | None = None,
        proofs: Proofs | None = None,
        header: str | None = None,
        compat: Literal["safe"] | None = None,
        default_timeout_s: float = 60.0,
    ) -> None:
        if compat not in (None, "safe"):
            raise ScorecraftError(f"LeanReplProver: unknown compat '{compat}'; expected None or 'safe'")
        through_repl = repl if repl is not None else command is not None or folder is not None
        self.disabled = "" if command is not None else _missing(through_repl, folder)
        self.tactics = TACTICS if through_repl or header is not None else CORE_TACTICS
        self.compat = compat
        self.proofs = proofs
        self.default_timeout_s = default_timeout_s
        self._lean: LeanRepl | LeanCommand
        if through_repl:
            self._lean = LeanRepl(command or ("lake", "exe", "repl"), folder, header or "import Mathlib")
        else:
            self._lean = LeanCommand(command or ("lean",), folder, CORE_HEADER if header is None else header)

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
            if self._try(to_lean(replace(claim, goal=guard.condition)), self.tactics, timeout_s) is None:
                return CheckResult("ill-defined", guard.text)
        if (
            claim.hypotheses
            and self._try(to_lean(replace(claim, goal=Truth(False))), self.tactics, timeout_s) is not None
        ):
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
        tried = self.tactics if self.proofs is None else list(self.proofs(opened, attempts))[:attempts]
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
        """Return Lean's answer, or why there is none; what keeps Lean from starting disables the prover."""
        if self.disabled:
            return self.disabled
        seconds = self.default_timeout_s if timeout_s is None else timeout_s
        for last in (False, True):
            try:
                answer = self._lean.ask(code, seconds, environment)
                return "timeout" if answer is None else answer
            except ProcessEndedError as error:
                if last:
                    self.disabled = f"Lean breaks down: {error}"
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
        """End what runs."""
        self._lean.close()


def _statement(claim: AnyClaim) -> str:
    return claim.text.strip() if isinstance(claim, LeanStatement) else to_lean(claim)


def _missing(through_repl: bool, folder: str | None) -> str:
    for program in ("lean", "lake") if through_repl else ("lean",):
        if shutil.which(program) is None:
            return f"'{program}' is not on the path; install Lean 4 with elan"
    if through_repl and folder is None:
        return "no folder of a Lean project with the REPL and Mathlib was given"
    return ""
