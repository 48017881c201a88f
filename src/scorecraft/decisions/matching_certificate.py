"""What a run's gains, shared between both sides, certify of its ratio to the configuration programme."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from scorecraft.catalog.implements import implements
from scorecraft.decisions.online_matching import StochasticBalance, check_chances, check_weights
from scorecraft.errors import ScorecraftError


class Certificate(NamedTuple):
    """Mean shares of gains, and the least ratio that they certify.

    alpha, beta: of offline vertices and of arrivals. least: over all that was looked at, ``(alpha_u + sum_{v in S}
    beta_v) / (w_u min(1, sum_{v in S} p_uv))``; u, S: where.
    """

    alpha: Float64[np.ndarray, " u"]
    beta: Float64[np.ndarray, " v"]
    least: float
    u: int
    S: tuple[int, ...]


@implements("online-matching")
def dual_certificate(
    P: Any,  # noqa: N803 - the matrix of the paper
    n_runs: int = 200,
    seed: int = 0,
    *,
    weights: Any = None,
    family: Iterable[tuple[int, tuple[int, ...]]] | None = None,
) -> Certificate:
    """Return the ratio that Stochastic Balance's own runs certify against the configuration programme of an instance.

    An arrival given to u at load l brings ``w_u p_uv``; of it u keeps ``g(l) = 1 - e^-l`` and the arrival the rest.
    Mean shares ``alpha, beta`` divided by ``Gamma`` are feasible duals if ``alpha_u + sum_{v in S} beta_v >= Gamma w_u
    min(1, p_u(S))`` for all S, so the least such ratio is certified, but for the error of the means. It says nothing of
    other instances.

    Args:
        P: chance of each offline vertex with each arrival, small: an offline vertex succeeds once its load reaches an
            exponential threshold.
        n_runs: runs that are averaged.
        seed: of thresholds and ties.
        weights: worth of each offline vertex's success.
        family: pairs of u and S to look at. If not given, for each u the sets that are worst for each total chance: the
            arrivals with the least ``beta_v / p_uv`` first, until chances add up to one.

    Raises `ScorecraftError` as `scorecraft.decisions.online_matching.simulate` does, and where there is nothing to look
    at.

    Source: arXiv 2309.10289, whose analysis has duals of this kind; as an experiment, this project's.
    """
    chances = check_chances(P, vanishing=True)
    worth = check_weights(weights, len(chances))
    if n_runs < 1:
        raise ScorecraftError(f"n_runs: expected at least 1, got {n_runs}")
    random = np.random.default_rng(seed)
    alpha, beta = np.zeros(len(chances)), np.zeros(chances.shape[1])
    for run in range(n_runs):
        matcher = StochasticBalance(seed=seed + run)
        matcher.reset(len(chances), worth)
        threshold = random.exponential(size=len(chances))
        for v, p in enumerate(chances.T):
            u = matcher.assign(p, p > 0)
            if u < 0:
                continue
            gain, kept = worth[u] * p[u], 1 - np.exp(-matcher.load[u] + p[u])
            alpha[u] += gain * kept
            beta[v] += gain * (1 - kept)
            matcher.report(u, success=bool(matcher.load[u] >= threshold[u]))
    alpha, beta = alpha / n_runs, beta / n_runs
    pairs = _worst(chances, beta) if family is None else family
    ratios = [
        ((alpha[u] + beta[list(s)].sum()) / (worth[u] * min(1.0, float(chances[u, list(s)].sum()))), u, s)
        for u, s in pairs
        if worth[u] * chances[u, list(s)].sum() > 0
    ]
    if not ratios:
        raise ScorecraftError("no pair of an offline vertex and its arrivals has a chance: there is nothing to certify")
    least, u, s = min(ratios, key=lambda entry: entry[0])
    return Certificate(alpha, beta, float(least), int(u), tuple(int(v) for v in s))


def _worst(
    chances: Float64[np.ndarray, "u v"], beta: Float64[np.ndarray, " v"]
) -> Iterable[tuple[int, tuple[int, ...]]]:
    for u, p in enumerate(chances):
        neighbours = np.flatnonzero(p)
        order = neighbours[np.argsort(beta[neighbours] / p[neighbours], kind="stable")]
        total = np.cumsum(p[order])
        last = min(int(np.searchsorted(total, 1.0)) + 1, len(order))
        # Every beginning of this order is the cheapest set of its chance.
        for size in range(1, last + 1):
            yield u, tuple(order[:size].tolist())
