"""Entropy-regularised optimal transport between even distributions, for many small problems at once."""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from scorecraft.errors import ScorecraftError, ScorecraftWarning

_BETWEEN_CHECKS = 10


def transport_plans(
    similarity: Float64[Tensor, "trace call gold"],
    calls: Int64[Tensor, " trace"],
    golds: Int64[Tensor, " trace"],
    *,
    reg: float = 0.1,
    max_iter: int = 1000,
    tol: float = 1e-9,
) -> Float64[Tensor, "trace call gold"]:
    """Return the plans Z that minimise ``-<Z, S> + reg sum Z ln Z`` with row sums 1/P and column sums 1/G.

    Sinkhorn's iteration on logarithms, ``Z = exp(u + S / reg + v)``, so that no ``reg`` underflows, with steps of
    Newton's method in between. Rows are exact; a problem is done when its columns are within ``tol``, and then no
    longer depends on the others. 0 in the padding, and all 0 where P or G is 0.

    Args:
        similarity: S, padded.
        calls: P, the number of rows of every problem.
        golds: G, the number of its columns.
        reg: weight of the entropy, above 0.
        max_iter: most iterations.
        tol: largest error of a column sum.

    Raises `ScorecraftError` for a ``reg`` that is not positive and finite, or fewer than one iteration; warns of
    problems that are not done.

    Source: Cuturi, 2013, Sinkhorn Distances, arXiv 1306.0895.
    """
    if not 0 < reg < math.inf:
        raise ScorecraftError(f"soft matching: expected a reg above 0, got {reg}; for no regularisation match hard")
    if max_iter < 1:
        raise ScorecraftError(f"soft matching: expected a max_iter of at least 1, got {max_iter}")
    rows = torch.arange(similarity.shape[1]) < calls[:, None]
    columns = torch.arange(similarity.shape[2]) < golds[:, None]
    there = rows[:, :, None] & columns[:, None, :]
    plans = torch.zeros_like(similarity)
    open_ = ((calls > 0) & (golds > 0)).nonzero()[:, 0]
    held = _Problems(
        torch.where(there, similarity / reg, torch.full_like(similarity, -math.inf)),
        rows, columns, 1 / calls[:, None].double(), 1 / golds[:, None].double(),
    ).of(open_)  # fmt: skip
    v = held.scores.new_zeros(len(open_), similarity.shape[2])
    error = torch.zeros(len(open_), dtype=torch.float64)
    iteration = 0
    while len(open_) and iteration < max_iter:
        for _ in range(min(_BETWEEN_CHECKS, max_iter - iteration)):
            v = held.fit_columns(held.fit_rows(v))
            iteration += 1
        found, error = held.plan(v)
        # Near a permutation the iteration crawls, and a step of Newton's method ends it; it is kept where it helps.
        tried = v + held.newton_step(found)
        closer, smaller = held.plan(tried)
        better = smaller < error
        v = torch.where(better[:, None], tried, v)
        error = torch.where(better, smaller, error)
        plans[open_] = torch.where(better[:, None, None], closer, found)
        left = ~(error <= tol)
        open_, v, error, held = open_[left], v[left], error[left], held.of(left)
    if len(open_):
        warnings.warn(
            f"soft matching: {len(open_)} of {len(similarity)} problems are not within {tol:g} after {max_iter} "
            f"iterations (largest error {float(error.max()):.1e}); raise reg or max_iter",
            ScorecraftWarning,
            stacklevel=3,
        )
    return plans


class _Problems(NamedTuple):
    """Problems that are not done: ``S / reg`` (minus infinity in the padding), what is there, and its masses."""

    scores: Tensor
    rows: Tensor
    columns: Tensor
    row_mass: Tensor
    column_mass: Tensor

    def of(self, kept: Tensor) -> _Problems:
        """Return some of the problems."""
        return _Problems(*(each[kept] for each in self))

    def fit_rows(self, v: Tensor) -> Tensor:
        """Return u for which rows have their mass; in the padding, where the sum is over nothing, 0."""
        u = self.row_mass.log() - torch.logsumexp(self.scores + v[:, None, :], 2)
        return torch.where(self.rows, u, 0.0)

    def fit_columns(self, u: Tensor) -> Tensor:
        """Return v for which columns have their mass."""
        v = self.column_mass.log() - torch.logsumexp(self.scores + u[:, :, None], 1)
        return torch.where(self.columns, v, 0.0)

    def plan(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the plan with exact rows, and the largest error of its columns."""
        found = (self.fit_rows(v)[:, :, None] + self.scores + v[:, None, :]).exp()
        return found, self._missing(found).abs().amax(1)

    def newton_step(self, plan: Tensor) -> Tensor:
        """Return the change of v that brings the columns of a plan with exact rows to their mass, to first order.

        The derivative of the column sums is the Laplacian ``diag(c) - Z' diag(1 / r) Z``. Its diagonal is summed up
        from the rest, which keeps small entries exact; what all v have in common is held by a term in all entries.
        """
        rest = -torch.einsum("nij,nik->njk", plan, plan / self.row_mass[:, :, None])
        rest = rest * ~torch.eye(rest.shape[1], dtype=torch.bool)
        diagonal = -rest.sum(2)
        size = diagonal.mean(1)[:, None, None]
        both = self.columns[:, :, None] & self.columns[:, None, :]
        matrix = rest + torch.diag_embed(torch.where(self.columns, diagonal, 1.0)) + size * both
        return torch.linalg.solve_ex(matrix, self._missing(plan)[:, :, None])[0][:, :, 0]

    def _missing(self, plan: Tensor) -> Tensor:
        return (self.column_mass - plan.sum(1)) * self.columns
