"""Who is connected to whom: rings, random graphs of given size, and files of edges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Int32
from numpy.typing import NDArray

from scorecraft.errors import ScorecraftError, nearest

# Nodes and edges of Ethereum's test networks, as the paper gives them; the graphs themselves are not published with it.
SIZES = {"goerli": (1355, 19146), "rinkeby": (446, 15380), "ropsten": (588, 7496)}


def ring(nodes: int, degree: int) -> Int32[np.ndarray, "edge 2"]:
    """Return a ring in which each node is connected to the nearest on both sides.

    Args:
        nodes: more than the degree.
        degree: of each node; even.

    Raises `ScorecraftError` for a degree that is odd or too large.
    """
    if degree < 2 or degree % 2 or nodes <= degree:
        raise ScorecraftError(f"a ring of {nodes} nodes of degree {degree}; expected an even degree below the nodes")
    at = np.arange(nodes, dtype=np.int64)
    steps = np.arange(1, degree // 2 + 1)
    return checked(np.stack([np.repeat(at, len(steps)), (at[:, None] + steps).ravel() % nodes], 1))


def random_graph(nodes: int, edges: int, seed: int = 0) -> Int32[np.ndarray, "edge 2"]:
    """Return a connected random graph with exactly so many edges: a random tree first, then others uniformly at random.

    Args:
        nodes: at least 2.
        edges: from ``nodes - 1`` to all there can be.
        seed: of both.

    Raises `ScorecraftError` for a number of edges that cannot be.
    """
    if nodes < 2 or not nodes - 1 <= edges <= nodes * (nodes - 1) // 2:
        raise ScorecraftError(
            f"a graph of {nodes} nodes and {edges} edges; expected {nodes - 1} to {nodes * (nodes - 1) // 2} edges, so "
            "that all are connected"
        )
    random = np.random.default_rng(seed)
    order = random.permutation(nodes)
    parents = order[(random.random(nodes - 1) * np.arange(1, nodes)).astype(np.int64)]
    keys = _keys(np.stack([parents, order[1:]], 1), nodes)
    while len(keys) < edges:
        more = random.integers(nodes, size=(2 * (edges - len(keys)) + 16, 2))
        fresh = np.setdiff1d(_keys(more[more[:, 0] != more[:, 1]], nodes), keys)
        keys = np.concatenate([keys, random.permutation(fresh)[: edges - len(keys)]])
    return checked(np.stack([keys // nodes, keys % nodes], 1))


def like(network: str, seed: int = 0) -> Int32[np.ndarray, "edge 2"]:
    """Return a random graph with as many nodes and edges as one of Ethereum's test networks had.

    Args:
        network: "goerli", "rinkeby" or "ropsten".
        seed: of the graph.

    Raises `ScorecraftError` for another name.

    Source: sizes from arXiv 2212.05197, section V; the edges are drawn.
    """
    if network not in SIZES:
        raise ScorecraftError(f"no network '{network}': {nearest(network, SIZES)}")
    return random_graph(*SIZES[network], seed)


def read_edges(path: Path) -> Int32[np.ndarray, "edge 2"]:
    """Return the edges of a file: two node numbers a line, parted by a comma, a semicolon or white space.

    A first line of names is left out, as are empty lines and those that start with a hash.

    Args:
        path: the file.

    Raises `ScorecraftError` with the line for what is no edge, and as `checked` does.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ScorecraftError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    found: list[tuple[int, int]] = []
    first = True
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        cells = line.replace(",", " ").replace(";", " ").split()
        if len(cells) != 2 or not all(cell.isdigit() for cell in cells):
            if first and not any(cell.isdigit() for cell in cells):
                first = False
                continue
            raise ScorecraftError(f"{path}, line {number}: {line.strip()!r} is no edge; expected two node numbers")
        first = False
        found.append((int(cells[0]), int(cells[1])))
    if not found:
        raise ScorecraftError(f"{path}: no edges; expected two node numbers a line")
    try:
        return checked(np.array(found, dtype=np.int64))
    except ScorecraftError as error:
        raise ScorecraftError(f"{path}: {error}") from error


def checked(edges: NDArray[np.int64]) -> Int32[np.ndarray, "edge 2"]:
    """Return edges as the simulator takes them, each once with the smaller number first, in order.

    Args:
        edges: pairs of node numbers from 0 on.

    Raises `ScorecraftError` for another shape, negative numbers, an edge from a node to itself, and one that occurs
    twice.
    """
    pairs = np.asarray(edges)
    if pairs.ndim != 2 or pairs.shape[1:] != (2,) or not len(pairs):
        raise ScorecraftError(f"edges: expected pairs of node numbers, got shape {list(pairs.shape)}")
    if pairs.min() < 0:
        raise ScorecraftError(f"edges: {pairs.min()} is no node number; expected 0 and up")
    loops = np.flatnonzero(pairs[:, 0] == pairs[:, 1])
    if len(loops):
        raise ScorecraftError(f"edges: node {pairs[loops[0], 0]} is connected to itself")
    keys, counts = np.unique(_all_keys(pairs), return_counts=True)
    nodes = int(pairs.max()) + 1
    if (counts > 1).any():
        key = int(keys[counts > 1][0])
        raise ScorecraftError(f"edges: {key // nodes} and {key % nodes} are connected twice")
    return np.stack([keys // nodes, keys % nodes], 1).astype(np.int32)


def _all_keys(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    nodes = int(pairs.max()) + 1
    return pairs.min(1).astype(np.int64) * nodes + pairs.max(1)


def _keys(pairs: NDArray[np.int64], nodes: int) -> NDArray[np.int64]:
    return np.unique(pairs.min(1) * nodes + pairs.max(1))
