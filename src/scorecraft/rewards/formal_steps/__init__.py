"""Retrospective, step-aware formal verification: every reasoning step as a claim that a prover decides.

`parse_claim` reads claims, `EquationFormalizer` and `LanguageModelFormalizer` make them from steps, provers decide them
(`ExactProver` depends on nothing; `Z3Prover`, `Cvc5Prover` and `LeanReplProver` need their solvers), `verify_trace`
gives every step one of four states, and `retrospective_score` and `combine` turn states into scores.
"""

from scorecraft.rewards.formal_steps.claim import Claim, ClaimError, LeanStatement, Sort
from scorecraft.rewards.formal_steps.cvc5_prover import Cvc5Prover
from scorecraft.rewards.formal_steps.equation_formalizer import EquationFormalizer
from scorecraft.rewards.formal_steps.exact_prover import ExactProver
from scorecraft.rewards.formal_steps.formalizer import Formalizer, LanguageModelFormalizer
from scorecraft.rewards.formal_steps.lean import to_lean
from scorecraft.rewards.formal_steps.lean_prover import LeanReplProver
from scorecraft.rewards.formal_steps.normal_form import contentless
from scorecraft.rewards.formal_steps.parser import parse_claim
from scorecraft.rewards.formal_steps.portfolio import PortfolioProver, default_prover
from scorecraft.rewards.formal_steps.printer import print_claim
from scorecraft.rewards.formal_steps.records import FormalizeError, NoClaim, StepRecord, StepState, step_state
from scorecraft.rewards.formal_steps.results import CheckResult, ProofResult, Prover
from scorecraft.rewards.formal_steps.scoring import best_of_n, combine, prospective_score, rule_score, scan_alpha
from scorecraft.rewards.formal_steps.smt import to_smt
from scorecraft.rewards.formal_steps.splitting import split_steps
from scorecraft.rewards.formal_steps.verification import verify_step, verify_trace
from scorecraft.rewards.formal_steps.z3_prover import Z3Prover

__all__ = [
    "CheckResult",
    "Claim",
    "ClaimError",
    "Cvc5Prover",
    "EquationFormalizer",
    "ExactProver",
    "FormalizeError",
    "Formalizer",
    "LanguageModelFormalizer",
    "LeanReplProver",
    "LeanStatement",
    "NoClaim",
    "PortfolioProver",
    "ProofResult",
    "Prover",
    "Sort",
    "StepRecord",
    "StepState",
    "Z3Prover",
    "best_of_n",
    "combine",
    "contentless",
    "default_prover",
    "parse_claim",
    "print_claim",
    "prospective_score",
    "rule_score",
    "scan_alpha",
    "split_steps",
    "step_state",
    "to_lean",
    "to_smt",
    "verify_step",
    "verify_trace",
]
