"""`Z3Prover`: linear and polynomial claims over whole and real numbers, by z3."""

from __future__ import annotations

from scorecraft.catalog import implements
from scorecraft.rewards.formal_steps.solver_prover import SolverProver


@implements("formal-steps")
class Z3Prover(SolverProver):
    """The solver z3 (PyPI ``z3-solver``), with seed 0; see `SolverProver`.

    Raises `ScorecraftError` where z3 is not installed.
    """

    name = "z3"
    module = "z3"
