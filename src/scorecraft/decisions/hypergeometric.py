"""How many distinct draws until enough of them are good: the hypergeometric law, inverted, and its approximations."""

from __future__ import annotations

import math
import warnings
from typing import Literal, NamedTuple

import numpy as np

from scorecraft.catalog.implements import implements
from scorecraft.errors import ScorecraftError, ScorecraftWarning

Method = Literal["exact", "binomial", "swap", "midpoint"]
METHODS: tuple[Method, ...] = ("exact", "binomial", "swap", "midpoint")
# Shares up to which the approximations are meant: draws of the population, and good ones in it.
BINOMIAL_SHARE, SWAP_SHARE = 0.05, 0.01


class Tails(NamedTuple):
    """Probability of fewer good draws than asked for, and of as many or more; each to full relative precision."""

    below: float
    at_least: float


class Approximation(NamedTuple):
    """The number of draws by one method.

    relative_error: to the exact number. valid: whether the method's condition holds for it: at most 5 % of the
    population drawn for "binomial", at most 1 % of it good for "swap"; and no more draws than there are things.
    """

    method: Method
    tips: int
    relative_error: float
    valid: bool


@implements("lottery-tips")
def p_at_least(m: int, n: int, K: int, M: int, *, method: Method = "exact") -> float:  # noqa: N803 - the law's letters
    """Return the probability that n distinct draws from M things, of which K are good, hold m good ones or more.

    ``P = 1 - sum_{r<m} C(K,r) C(M-K,n-r) / C(M,n)``. Approximations: "binomial", n draws with ``K/M`` each, for few
    draws; "swap", K draws with ``n/M`` each, for few good ones; "midpoint", for m = 1, ``1 - (1 - n/(M - (K-1)/2))^K``.

    Args:
        m: how many good draws are wanted, at least 0.
        n: number of draws, 0 to M.
        K: number of good things, 0 to M.
        M: number of things, at least 1.
        method: "exact", which takes no factorials and keeps its precision for millions, or an approximation.

    Raises `ScorecraftError` for numbers out of range and an unknown method, or "midpoint" with m above 1.

    Source: Beating the average, 2023, the hypergeometric number of tips; the approximations are derived here.
    """
    _check_population(K, M)
    _check_method(method, m)
    if not 0 <= n <= M:
        raise ScorecraftError(f"n: expected 0 to {M} draws, as many as there are things, got {n}")
    if method == "exact":
        return tails(m, n, K, M).at_least
    if m <= 0:
        return 1.0
    if method == "midpoint":
        share = n / (M - (K - 1) / 2) if K else 0.0
        return 1.0 if share >= 1 else -math.expm1(K * math.log1p(-share))
    from scipy.stats import binom

    trials, share = (n, K / M) if method == "binomial" else (K, n / M)
    return float(binom.sf(m - 1, trials, share))


def tails(m: int, n: int, K: int, M: int) -> Tails:  # noqa: N803 - the law's letters
    """Return both tails of the hypergeometric law, each summed where it is the smaller one.

    The probability of none, ``C(M-K,n) / C(M,n) = prod_{j<min(K,n)} (1 - max(K,n) / (M-j))``, is a sum of
    ``log1p``, because differences of ``lgamma`` lose every digit for millions. Other numbers follow by ratios.

    Args:
        m: how many good draws are wanted.
        n: number of draws, 0 to M.
        K: number of good things, 0 to M.
        M: number of things.
    """
    if m <= max(0, n - (M - K)):  # a pigeonhole: so many are certain
        return Tails(0.0, 1.0)
    if m > min(n, K):
        return Tails(1.0, 0.0)
    if m == 1:
        none = _log_none(n, K, M)
        return Tails(math.exp(none), -math.expm1(none))
    if n * K < m * M:  # the upper tail is the smaller one
        upper = _sum_of_ratios(m, min(n, K), n, K, M)
        return Tails(1 - upper, upper)
    lower = _sum_of_ratios(m - 1, max(0, n - (M - K)), n, K, M)
    return Tails(lower, 1 - lower)


def _log_none(n: int, K: int, M: int) -> float:  # noqa: N803
    if n + K > M:
        return -math.inf
    few, many = min(n, K), max(n, K)
    return float(np.log1p(-many / (M - np.arange(few, dtype=np.float64))).sum())


def _log_exactly(r: int, n: int, K: int, M: int) -> float:  # noqa: N803
    """Return ``ln C(n,r) + sum_{i<r} ln (K-i)/(M-i) + ln P(none | M-r, K-r, n-r)``."""
    place = np.arange(r, dtype=np.float64)
    orders = np.log((n - place) / (r - place)).sum()
    return float(orders + np.log((K - place) / (M - place)).sum()) + _log_none(n - r, K - r, M - r)


def _sum_of_ratios(first: int, last: int, n: int, K: int, M: int) -> float:  # noqa: N803
    """Return the probabilities from the number ``first`` to ``last``, away from the mean, so that they fall."""
    step = 1 if last >= first else -1
    r = np.arange(first, last, step, dtype=np.float64)
    up = (K - r) * (n - r) / ((r + 1) * (M - K - n + r + 1))
    down = r * (M - K - n + r) / ((K - r + 1) * (n - r + 1))
    ratios = np.concatenate(([1.0], up if step > 0 else down))
    start = _log_exactly(first, n, K, M)
    if start == -math.inf:
        return 0.0
    return float(math.exp(start) * np.cumprod(ratios).sum())


@implements("lottery-tips")
def tips_needed(
    alpha: float,
    K: int,  # noqa: N803 - the law's letters
    M: int,  # noqa: N803
    m: int = 1,
    *,
    method: Method = "exact",
    allow_inf: bool = False,
) -> int | float:
    """Return the smallest number of distinct draws that holds m good ones with probability alpha or more.

    "exact": bisection of `p_at_least`. The others, for m = 1, rounded up: "binomial" ``ln(1 - alpha) / ln(1 - K/M)``,
    "swap" ``M (1 - (1 - alpha)^{1/K})``, "midpoint" ``(M - (K-1)/2) (1 - (1 - alpha)^{1/K})``.

    Args:
        alpha: safety level; 0 or less needs no draw, 1 needs ``M - K + m``.
        K: number of good things.
        M: number of things.
        m: how many good draws are wanted.
        method: see `p_at_least`.
        allow_inf: whether to return infinity where fewer than m things are good.

    Raises `ScorecraftError` for alpha above 1 or NaN, numbers out of range, m above 1 with an approximation, and fewer
    good things than wanted unless ``allow_inf``. Warns where "binomial" gives more draws than there are things.

    Source: Beating the average, 2023.
    """
    _check_population(K, M)
    _check_method(method, m)
    if not alpha <= 1:
        raise ScorecraftError(f"alpha: expected a safety level up to 1, such as 0.95, got {alpha}")
    if alpha <= 0 or m <= 0:
        return 0
    if m > K:
        if allow_inf:
            return math.inf
        raise ScorecraftError(f"no number of draws holds {m} good ones: only {K} of {M} are good")
    if method != "exact" and m > 1:
        raise ScorecraftError(f"method '{method}' is for one good draw, got m = {m}; take 'exact'")
    if alpha == 1:
        return M - K + m
    if method == "exact":
        return _bisected(alpha, K, M, m)
    found = _approximated(alpha, K, M, method)
    if found > M:
        warnings.warn(
            f"'{method}': {found:,} draws are more than the {M:,} things there are; it is for few draws. Take 'exact'",
            ScorecraftWarning,
            stacklevel=2,
        )
    return found


def _bisected(alpha: float, K: int, M: int, m: int) -> int:  # noqa: N803
    low, high = 0, M - K + m
    while low < high:
        middle = (low + high) // 2
        found = tails(m, middle, K, M)
        # Compared where the tail has its digits.
        enough = found.at_least >= alpha if alpha <= 0.5 else found.below <= 1 - alpha
        low, high = (low, middle) if enough else (middle + 1, high)
    return low


def _approximated(alpha: float, K: int, M: int, method: Method) -> int:  # noqa: N803
    if method == "binomial":
        return tips_needed_with_repetition(alpha, K / M)
    share = -math.expm1(math.log1p(-alpha) / K)
    return math.ceil((M if method == "swap" else M - (K - 1) / 2) * share)


def tips_needed_with_repetition(alpha: float, p: float) -> int:
    """Return the smallest number of independent draws, good with probability p each, that hold a good one.

    ``n = ln(1 - alpha) / ln(1 - p)``, rounded up.

    Args:
        alpha: safety level, in (0, 1).
        p: in (0, 1].

    Raises `ScorecraftError` for numbers out of range.

    Source: Beating the average, 2023, the binomial approximation.
    """
    if not (0 < alpha < 1 and 0 < p <= 1):
        raise ScorecraftError(f"expected a safety level in (0, 1) and a probability in (0, 1], got {alpha} and {p}")
    return 1 if p == 1 else math.ceil(math.log1p(-alpha) / math.log1p(-p))


@implements("lottery-tips")
def approximations(alpha: float, K: int, M: int) -> list[Approximation]:  # noqa: N803 - the law's letters
    """Return the number of draws for one good one by every method, how far off each is, and whether it is meant for it.

    Args:
        alpha: safety level, in (0, 1).
        K: number of good things, at least 1.
        M: number of things.

    Raises `ScorecraftError` as `tips_needed` does, and for alpha outside (0, 1).

    Source: Beating the average, 2023; the conditions are customary.
    """
    if not 0 < alpha < 1:
        raise ScorecraftError(f"alpha: expected a safety level between 0 and 1, such as 0.95, got {alpha}")
    exact = int(tips_needed(alpha, K, M))
    found = [Approximation("exact", exact, 0.0, valid=True)]
    for method in METHODS[1:]:
        tips = _approximated(alpha, K, M, method)
        share = tips / M if method == "binomial" else K / M
        most = BINOMIAL_SHARE if method == "binomial" else SWAP_SHARE if method == "swap" else 1.0
        found.append(Approximation(method, tips, (tips - exact) / exact, valid=share < most and tips <= M))
    return found


@implements("lottery-tips")
def k_for_pass(alpha: float, n: int, c: int) -> int | float:
    """Return how many of n samples, c of them right, are to be taken so that one is right with probability alpha.

    The inverse of `scorecraft.stats.pass_at_k`. It is about these n samples; for new ones see
    `scorecraft.decisions.sample_budget`.

    Args:
        alpha: probability wanted, up to 1.
        n: number of samples, at least 1.
        c: how many of them are right; infinity is returned for 0.

    Raises `ScorecraftError` as `tips_needed` does.

    Source: Beating the average, 2023; Chen et al., 2021, Evaluating Large Language Models Trained on Code.
    """
    return tips_needed(alpha, c, n, allow_inf=True)


def _check_population(K: int, M: int) -> None:  # noqa: N803
    if M < 1:
        raise ScorecraftError(f"M: expected one thing or more to draw from, got {M}")
    if not 0 <= K <= M:
        raise ScorecraftError(f"K: expected 0 to {M} good things, of as many as there are, got {K}")


def _check_method(method: str, m: int) -> None:
    if method not in METHODS:
        raise ScorecraftError(f"method: expected one of {', '.join(METHODS)}, got '{method}'")
    if method == "midpoint" and m > 1:
        raise ScorecraftError(f"method 'midpoint' is for one good draw, got m = {m}; take 'exact'")
