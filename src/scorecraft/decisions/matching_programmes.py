"""What any policy can earn at most: linear programmes over matchings and configurations, and the best policy itself."""

from __future__ import annotations

from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from scorecraft.catalog.implements import implements
from scorecraft.decisions.online_matching import check_chances, check_weights
from scorecraft.errors import ScorecraftError

MOST_NEIGHBOURS, MOST_OFFLINE = 16, 14
IMPROVES = 1e-9


class Matching(NamedTuple):
    """Value and how much of each arrival goes to each offline vertex."""

    value: float
    x: Float64[np.ndarray, "u v"]


class Configurations(NamedTuple):
    """Value, the configurations used with their weight, and how far the value can be from the optimum."""

    value: float
    used: list[tuple[int, tuple[int, ...], float]]
    gap: float


@implements("online-matching")
def matching_lp(P: Any, w: Any = None) -> Matching:  # noqa: N803 - the matrix of the paper
    """Return the matching programme: ``max sum w_u p_uv x_uv``, with ``sum_v p_uv x_uv <= 1`` and ``sum_u x_uv <= 1``.

    Args:
        P: chance of each offline vertex with each arrival.
        w: worth of each offline vertex's success.

    Raises `ScorecraftError` for numbers that are no chances and bad weights.

    Source: Mehta and Panigrahi, 2012; arXiv 2309.10289.
    """
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    chances = check_chances(P)
    worth = check_weights(w, len(chances))
    us, vs = np.nonzero(chances)
    p = chances[us, vs]
    if not len(us):
        return Matching(0.0, np.zeros(chances.shape))
    places = np.arange(len(us))
    rows = coo_array(
        (np.concatenate((p, np.ones(len(us)))), (np.concatenate((us, len(chances) + vs)), np.tile(places, 2))),
        shape=(sum(chances.shape), len(us)),
    )
    found = linprog(-worth[us] * p, A_ub=rows.tocsr(), b_ub=np.ones(sum(chances.shape)), bounds=(0, 1), method="highs")
    x = np.zeros(chances.shape)
    x[us, vs] = found.x
    return Matching(-float(found.fun), x)


@implements("online-matching")
def config_lp(P: Any, w: Any = None) -> Configurations:  # noqa: N803 - the matrix of the paper
    """Return the configuration programme, ``max sum w_u min(1, sum_{v in S} p_uv) x_uS``, by enumeration.

    With ``sum_S x_uS <= 1`` for each offline vertex and ``sum_u sum_{S with v} x_uS <= 1`` for each arrival.

    Args:
        P: as of `matching_lp`, with at most 16 neighbours of each offline vertex.
        w: as of `matching_lp`.

    Raises `ScorecraftError` as `matching_lp` does, and for more neighbours.

    Source: Huang and Zhang, 2020, arXiv 2002.01802.
    """
    chances = check_chances(P)
    worth = check_weights(w, len(chances))
    columns = []
    for u, p in enumerate(chances):
        for chosen in _subsets(p):
            cover = dict.fromkeys(chosen, 1.0)
            columns.append((u, chosen, worth[u] * min(1.0, float(p[list(chosen)].sum())), cover))
    value, used, _ = _master(columns, chances.shape)
    return Configurations(value, used, 0.0)


@implements("online-matching")
def stoch_config_lp(
    P: Any,  # noqa: N803 - the matrix of the paper
    w: Any = None,
    method: Literal["compact", "enumerate", "column_generation"] = "compact",
) -> Configurations:
    """Return the stochastic configuration programme, an upper bound of every policy that does not know the coins.

    ``max sum_u w_u sum_S x_uS (1 - prod_{v in S} (1 - p_uv))``, with ``sum_S x_uS <= 1`` and, for each arrival, ``sum_u
    sum_{S with v} x_uS prod_{v' in S, v' < v} (1 - p_uv') <= 1``: it is used up only if what came before failed.

    The lists S of one u are the policies of a chain that goes on while attempts fail, so in how likely it attempts v,
    ``y_uv``, the programme is small: ``max sum w_u p_uv y_uv`` with ``y_uv <= 1 - sum_{v' < v} p_uv' y_uv'`` and
    ``sum_u y_uv <= 1``. Its solution is parted into lists again, at most one a neighbour. The gap is that of the dual
    bound from pricing all lists, ``max_S sum_{v in S} q_S(v) (w_u p_uv - b_v)``, backwards over the neighbours: ``R_t =
    max(R_{t+1}, w_u p - b + (1 - p) R_{t+1})``, exactly and in linear time. Column generation adds lists by these
    prices.

    Args:
        P: as of `matching_lp`.
        w: as of `matching_lp`.
        method: "compact"; "enumerate", for at most 16 neighbours of each offline vertex; or "column_generation".

    Raises `ScorecraftError` as `matching_lp` does, for another method, and for too many neighbours to enumerate.

    Source: arXiv 2309.10289, the stochastic configuration programme; reconstructed from its description.
    """
    chances = check_chances(P)
    worth = check_weights(w, len(chances))
    if method == "enumerate":
        columns = [_column(u, chosen, p, worth[u]) for u, p in enumerate(chances) for chosen in _subsets(p)]
        value, used, _ = _master(columns, chances.shape)
        return Configurations(value, used, 0.0)
    if method == "compact":
        return _compact(chances, worth)
    if method != "column_generation":
        raise ScorecraftError(f"method: expected 'compact', 'enumerate' or 'column_generation', got '{method}'")
    columns = [_column(u, (int(v),), p, worth[u]) for u, p in enumerate(chances) for v in np.flatnonzero(p)]
    known = {(u, chosen) for u, chosen, *_ in columns}
    while True:
        value, used, (a, b) = _master(columns, chances.shape)
        gap = 0.0
        fresh = []
        for u, p in enumerate(chances):
            price, chosen = _priced(p, worth[u], b)
            gap += max(0.0, price - a[u])
            if price - a[u] > IMPROVES and (u, chosen) not in known:
                fresh.append(_column(u, chosen, p, worth[u]))
                known.add((u, chosen))
        if not fresh:
            return Configurations(value, used, gap)
        columns += fresh


@implements("online-matching")
def opt_adaptive_dp(P: Any, w: Any = None) -> float:  # noqa: N803 - the matrix of the paper
    """Return what the best policy earns that knows the instance and its order, and sees outcomes as they come.

    Over arrivals backwards and sets of offline vertices that have not succeeded: ``V_t(A) = max(V_{t+1}(A), max_u p_ut
    (w_u + V_{t+1}(A - u)) + (1 - p_ut) V_{t+1}(A))``.

    Args:
        P: as of `matching_lp`, of at most 14 offline vertices.
        w: as of `matching_lp`.

    Raises `ScorecraftError` as `matching_lp` does, and for more offline vertices.

    Source: arXiv 2309.10289, the stochastic benchmark.
    """
    chances = check_chances(P)
    worth = check_weights(w, len(chances))
    if len(chances) > MOST_OFFLINE:
        raise ScorecraftError(
            f"opt_adaptive_dp: {len(chances)} offline vertices have 2^{len(chances)} sets; expected at most "
            f"{MOST_OFFLINE}; stoch_config_lp bounds more"
        )
    sets = np.arange(2 ** len(chances))
    value = np.zeros(len(sets))
    for p in chances.T[::-1]:
        best = value.copy()
        for u in np.flatnonzero(p):
            holds = sets >> u & 1 == 1
            tried = p[u] * (worth[u] + value[sets[holds] ^ (1 << int(u))]) + (1 - p[u]) * value[holds]
            best[holds] = np.maximum(best[holds], tried)
        value = best
    return float(value[-1])


_Column = tuple[int, tuple[int, ...], float, dict[int, float]]


def _compact(chances: Float64[np.ndarray, "u v"], worth: Float64[np.ndarray, " u"]) -> Configurations:
    """Solve the programme in attempts ``y_uv`` and in ``m_uv``, how likely u is still there when v comes."""
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    u_of, v_of = np.nonzero(chances)
    if not len(u_of):
        return Configurations(0.0, [], 0.0)
    count, p = len(u_of), chances[u_of, v_of]
    edge = np.arange(count)
    later = np.flatnonzero(u_of[1:] == u_of[:-1]) + 1
    first = np.setdiff1d(edge, later)
    # Columns: y, then m. Rows of equations: m is 1 at first, and then what was there before less what succeeded.
    rows = np.concatenate([edge, later, later])
    places = np.concatenate([count + edge, count + later - 1, later - 1])
    values = np.concatenate([np.ones(count), -np.ones(len(later)), p[later - 1]])
    chain = coo_array((values, (rows, places)), shape=(count, 2 * count)).tocsr()
    start = np.zeros(count)
    start[first] = 1
    # Rows of limits: y <= m, and each arrival is used at most once.
    rows = np.concatenate([edge, edge, count + v_of])
    places = np.concatenate([edge, count + edge, edge])
    values = np.concatenate([np.ones(count), -np.ones(count), np.ones(count)])
    limits = coo_array((values, (rows, places)), shape=(count + chances.shape[1], 2 * count)).tocsr()
    most = np.concatenate([np.zeros(count), np.ones(chances.shape[1])])
    gain = np.concatenate([-worth[u_of] * p, np.zeros(count)])
    found = linprog(gain, A_ub=limits, b_ub=most, A_eq=chain, b_eq=start, bounds=(0, None), method="highs-ipm")
    if found.status != 0:
        raise ScorecraftError(f"the linear programme was not solved: {found.message}")
    b = np.maximum(-np.asarray(found.ineqlin.marginals)[count:], 0)
    bound = float(b.sum()) + sum(_priced(row, w, b)[0] for row, w in zip(chances, worth, strict=True))
    value = -float(found.fun)
    used = [
        (int(u), chosen, share)
        for u in np.unique(u_of)
        for chosen, share in _lists(v_of[u_of == u], p[u_of == u], found.x[:count][u_of == u])
    ]
    return Configurations(value, used, max(0.0, bound - value))


def _lists(
    v: Int64[np.ndarray, " k"], p: Float64[np.ndarray, " k"], y: Float64[np.ndarray, " k"]
) -> list[tuple[tuple[int, ...], float]]:
    """Part attempts of one offline vertex into lists with their probabilities.

    The list of all that are still attempted is taken as often as the scarcest of them allows; then that one is done.
    """
    left, found, rest = y.copy(), [], 1.0
    while rest > IMPROVES:
        there = np.flatnonzero(left > IMPROVES)
        if not len(there):
            break
        reach = np.concatenate(([1.0], np.cumprod(1 - p[there])[:-1]))
        # Where success is certain, nothing after it is reached.
        reached = reach > IMPROVES
        there, reach = there[reached], reach[reached]
        share = min(rest, float((left[there] / reach).min()))
        found.append((tuple(int(one) for one in v[there]), share))
        left[there] -= share * reach
        left[np.abs(left) <= IMPROVES] = 0
        rest -= share
    return found


def _subsets(p: Float64[np.ndarray, " v"]) -> list[tuple[int, ...]]:
    neighbours = np.flatnonzero(p).tolist()
    if len(neighbours) > MOST_NEIGHBOURS:
        raise ScorecraftError(
            f"an offline vertex has {len(neighbours)} neighbours, more than the {MOST_NEIGHBOURS} whose subsets are "
            "listed; take column generation"
        )
    return [chosen for size in range(1, len(neighbours) + 1) for chosen in combinations(neighbours, size)]


def _column(u: int, chosen: tuple[int, ...], p: Float64[np.ndarray, " v"], worth: float) -> _Column:
    reach, cover = 1.0, {}
    for v in chosen:
        cover[v] = reach
        reach *= 1 - float(p[v])
    return u, chosen, float(worth) * (1 - reach), cover


def _priced(p: Float64[np.ndarray, " v"], worth: float, b: Float64[np.ndarray, " v"]) -> tuple[float, tuple[int, ...]]:
    """Return the largest ``sum_{v in S} q_S(v) (w p_v - b_v)`` and its S."""
    best, chosen = 0.0, []
    for v in np.flatnonzero(p)[::-1].tolist():
        with_it = worth * p[v] - b[v] + (1 - p[v]) * best
        if with_it > best + 1e-15:
            best = float(with_it)
            chosen.append(v)
    # What was chosen later in time stands first; a vertex that was passed over is not in the list.
    return best, tuple(reversed(chosen))


def _master(
    columns: list[_Column], shape: tuple[int, int]
) -> tuple[
    float, list[tuple[int, tuple[int, ...], float]], tuple[Float64[np.ndarray, " u"], Float64[np.ndarray, " v"]]
]:
    """Return value, columns used, and the duals of offline vertices and arrivals."""
    from scipy.optimize import linprog
    from scipy.sparse import coo_array

    if not columns:
        return 0.0, [], (np.zeros(shape[0]), np.zeros(shape[1]))
    rows, places, values = [], [], []
    for place, (u, _, _, cover) in enumerate(columns):
        rows += [u, *(shape[0] + v for v in cover)]
        values += [1.0, *cover.values()]
        places += [place] * (1 + len(cover))
    matrix = coo_array((values, (rows, places)), shape=(sum(shape), len(columns))).tocsr()
    worth = np.array([column[2] for column in columns])
    found = linprog(-worth, A_ub=matrix, b_ub=np.ones(sum(shape)), bounds=(0, None), method="highs")
    duals = -np.asarray(found.ineqlin.marginals)
    used = [(u, chosen, float(x)) for (u, chosen, *_), x in zip(columns, found.x, strict=True) if x > IMPROVES]
    return -float(found.fun), used, (duals[: shape[0]], duals[shape[0] :])
