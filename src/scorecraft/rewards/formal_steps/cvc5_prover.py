"""`Cvc5Prover`: the same claims as `Z3Prover`, by a solver of other origin."""

from __future__ import annotations

from scorecraft.catalog import implements
from scorecraft.rewards.formal_steps.solver_prover import SolverProver


@implements("formal-steps")
class Cvc5Prover(SolverProver):
    """The solver cvc5 (PyPI ``cvc5``), with seed 0; see `SolverProver`. Irrational solutions are mostly beyond it.

    Raises `ScorecraftError` where cvc5 is not installed.
    """

    name = "cvc5"
    module = "cvc5"
