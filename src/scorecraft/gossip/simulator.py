"""Many peers at once, compiled: the same network as `scorecraft.gossip.network`, event for event, in arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int32
from numpy.typing import NDArray

from scorecraft.catalog.implements import implements
from scorecraft.compiling import compiling_told
from scorecraft.errors import ScorecraftError
from scorecraft.gossip.batch_scores import config_arrays
from scorecraft.gossip.events import Event, Payload
from scorecraft.gossip.parameters import PeerScoreConfig, TopicParameters
from scorecraft.gossip.peer_state import PeerState, connected
from scorecraft.gossip.topologies import checked

# All peers, one after the other: ("*", "HBM", seconds).
EVERYBODY = "*"
APP, RCV, HBM = 6, 1, 7
NAMES = ("SND PAYLOAD", "RCV PAYLOAD", "SND GRAFT", "RCV GRAFT", "SND PRUNE", "RCV PRUNE", "APP", "HBM")
MOST_STEPS = 2**62


@dataclass(frozen=True)
class SimResult:
    """What became of a network.

    scores: ``[heartbeat, node, neighbour]`` in the order of each node's neighbours, NaN where there is none; empty if
    not kept. mesh, counters: of each directed edge, see `Sim.edges`, and topic. behaviour: H of each directed edge.
    violations: pairs that were negative in a topic and positive overall, at each heartbeat. steps: how many events.
    trace: kind, node, neighbour and message or topic of each event; empty if not kept.
    """

    scores: Float64[np.ndarray, "heartbeat node neighbour"]
    mesh: Bool[np.ndarray, "edge topic"]
    counters: Float64[np.ndarray, "edge topic 5"]
    behaviour: Float64[np.ndarray, " edge"]
    violations: NDArray[np.int64]
    steps: int
    truncated: bool
    trace: Int32[np.ndarray, "event 4"]


@dataclass(frozen=True)
class _Schedule:
    kind: NDArray[np.int8]
    node: NDArray[np.int32]
    edge: NDArray[np.int64]
    item: NDArray[np.int32]
    seconds: NDArray[np.float64]
    topic: NDArray[np.int32]
    origin: NDArray[np.int32]
    valid: NDArray[np.bool_]
    identifiers: list[int]


@implements("gossipsub-verification")
class Sim:
    """A network of peers that all subscribe all topics, under the specification's semantics.

    Left out is gossip by IHAVE and IWANT, as with ``d_lazy = 0``, and with it broken promises. Choices are those of
    `scorecraft.gossip.network.run_network` with the same seed: both make the same events.

    Args:
        adj: edges between nodes 0 to N - 1, each once.
        cfg: the parameters.
        seed: of all random choices.

    Raises `ScorecraftError` for edges from a node to itself or that occur twice, and parameters that make no sense.

    Source: arXiv 2311.08859; GossipSub v1.1.
    """

    def __init__(self, adj: Any, cfg: PeerScoreConfig, seed: int = 0) -> None:
        self.adj = checked(np.asarray(adj, dtype=np.int64))
        self.cfg, self.seed = cfg.check(), seed
        self.nodes = int(self.adj.max()) + 1
        both = np.concatenate([self.adj, self.adj[:, ::-1]]).astype(np.int64)
        order = np.lexsort((both[:, 1], both[:, 0]))
        self.owner, self.neighbour = both[order, 0].astype(np.int32), both[order, 1].astype(np.int32)
        self.start = np.searchsorted(self.owner, np.arange(self.nodes + 1)).astype(np.int64)
        # The other direction of an edge stands where the pair, turned, stands in the order.
        self.reverse = np.lexsort((self.owner, self.neighbour)).astype(np.int64)
        self.reverse = np.argsort(self.reverse).astype(np.int64)

    @property
    def edges(self) -> Int32[np.ndarray, "edge 2"]:
        """Directed edges, of a node and its neighbour, as `SimResult` has them."""
        return np.stack([self.owner, self.neighbour], 1)

    def neighbours(self, node: int) -> list[int]:
        """Return a node's neighbours, in order."""
        return self.neighbour[self.start[node] : self.start[node + 1]].tolist()

    def place(self, node: int, neighbour: int) -> int:
        """Return where a neighbour stands among a node's own; raises `ScorecraftError` where it is none."""
        return self._edge(node, neighbour) - int(self.start[node])

    def states(self) -> dict[int, PeerState]:
        """Return the same network at its start as states of the pure model."""
        return {node: connected(node, self.neighbours(node), self.cfg.topics) for node in range(self.nodes)}

    def expanded(self, schedule: Iterable[Event]) -> Iterator[Event]:
        """Yield a schedule with everybody's heartbeats as one event each.

        Args:
            schedule: see `run`.
        """
        for event in schedule:
            if event[0] == EVERYBODY:
                yield from ((node, *event[1:]) for node in range(self.nodes))
            else:
                yield event

    def run(
        self, schedule: Sequence[Event], *, keep_scores: bool = True, keep_trace: bool = False,
        max_steps: int = MOST_STEPS, mute: Bool[np.ndarray, "node topic"] | None = None,
    ) -> SimResult:  # fmt: skip
        """Return what becomes of the network, each event played to its end before the next one.

        Args:
            schedule: ``(node, "APP", payload)``, ``(node, "RCV", neighbour, ("PAYLOAD", payload))`` as attackers send
                it, ``(node, "HBM", seconds)``, and ``("*", "HBM", seconds)`` for everybody in order.
            keep_scores: whether the scores of all heartbeats are kept.
            keep_trace: whether all events are kept.
            max_steps: after so many events the run is cut, and says so.
            mute: who neither forwards nor publishes in which topic; nobody, if not given.

        Raises `ScorecraftError` for other events, nodes and topics that are not there, and a heartbeat that takes no
        time.
        """
        from scorecraft.gossip.simulator_kernel import simulate

        plan, cfg, router = self._compiled(schedule), self.cfg, self.cfg.router
        arrays, beats = config_arrays(cfg), self._beats(plan)
        limits = (
            cfg.graylist_threshold, cfg.opportunistic_graft_threshold, router.prune_backoff, router.seen_ttl,
            cfg.decay_interval, cfg.decay_to_zero, cfg.behaviour_penalty_decay,
        )  # fmt: skip
        sizes = (
            router.d, router.d_low, router.d_high, router.d_score, router.opportunistic_graft_ticks,
            router.opportunistic_graft_peers,
        )  # fmt: skip
        edges, topics = len(self.owner), len(cfg.topics)
        mesh, counters = np.zeros((topics, edges), dtype=np.uint8), np.zeros((edges, topics, 5))
        behaviour = np.zeros(edges)
        silent = np.zeros((self.nodes, topics), dtype=np.bool_) if mute is None else np.asarray(mute, dtype=np.bool_)
        if silent.shape != (self.nodes, topics):
            raise ScorecraftError(f"mute: expected shape {[self.nodes, topics]}, got {list(silent.shape)}")
        scores = np.full((beats if keep_scores else 0, self.nodes, int(np.diff(self.start).max())), np.nan)
        violations = np.zeros(beats, dtype=np.int64)
        with compiling_told():
            steps, truncated, trace = simulate(
                self.owner, self.neighbour, self.start, self.reverse, arrays.topics, arrays.whole,
                np.array([float(value) for value in limits]), np.array(sizes, dtype=np.int64), mesh, counters,
                behaviour, silent, plan.topic, plan.origin, plan.valid, plan.kind, plan.node, plan.edge, plan.item,
                plan.seconds, np.uint64(self.seed % 2**64), scores, violations, keep_trace, max_steps,
            )  # fmt: skip
        messages = np.isin(trace[:, 0], (0, RCV, APP))
        trace[messages, 3] = np.array([*plan.identifiers, 0], dtype=np.int64)[trace[messages, 3]]
        return SimResult(
            scores, mesh.T.astype(bool), counters, behaviour, violations, int(steps), bool(truncated), trace
        )

    def _beats(self, plan: _Schedule) -> int:
        beats = plan.node[plan.kind == HBM]
        everybody = int((beats < 0).sum())
        own = np.bincount(beats[beats >= 0], minlength=self.nodes)
        return everybody + (int(own.max()) if len(own) else 0)

    def _compiled(self, schedule: Sequence[Event]) -> _Schedule:
        at_topic = {name: at for at, name in enumerate(self.cfg.topics)}
        messages: dict[int, int] = {}
        about: list[tuple[int, int, bool]] = []
        rows = []
        for event in schedule:
            kind = event[1]
            if kind == "HBM":
                if not event[2] > 0:
                    raise ScorecraftError(f"{event!r}: expected seconds > 0")
                rows.append((HBM, -1 if event[0] == EVERYBODY else self._node(event[0]), -1, -1, float(event[2])))
                continue
            if kind == "APP":
                payload, edge = event[2], -1
            elif kind == "RCV" and event[3][0] == "PAYLOAD":
                payload, edge = event[3][1], self._edge(event[0], event[2])
            else:
                raise ScorecraftError(
                    f"{event!r}: expected APP, HBM, or RCV of a PAYLOAD; run_network plays all events"
                )
            if payload.topic not in at_topic:
                raise ScorecraftError(
                    f"topic '{payload.topic}' has no parameters; expected one of {', '.join(at_topic)}"
                )
            if payload.identifier not in messages:
                messages[payload.identifier] = len(about)
                about.append((at_topic[payload.topic], self._node(payload.origin), payload.valid))
            rows.append((APP if kind == "APP" else RCV, self._node(event[0]), edge, messages[payload.identifier], 0.0))
        table = list(zip(*rows, strict=True)) if rows else [[], [], [], [], []]
        whole = list(zip(*about, strict=True)) if about else [[0], [0], [True]]
        return _Schedule(
            np.array(table[0], dtype=np.int8), np.array(table[1], dtype=np.int32), np.array(table[2], dtype=np.int64),
            np.array(table[3], dtype=np.int32), np.array(table[4], dtype=np.float64),
            np.array(whole[0], dtype=np.int32), np.array(whole[1], dtype=np.int32), np.array(whole[2], dtype=np.bool_),
            list(messages),
        )  # fmt: skip

    def _node(self, peer: Any) -> int:
        if not (isinstance(peer, int | np.integer) and 0 <= peer < self.nodes):
            raise ScorecraftError(f"no node {peer!r}; expected a number from 0 to {self.nodes - 1}")
        return int(peer)

    def _edge(self, node: Any, neighbour: Any) -> int:
        own = self.neighbour[self.start[self._node(node)] : self.start[node + 1]]
        at = int(np.searchsorted(own, neighbour))
        if at == len(own) or own[at] != neighbour:
            raise ScorecraftError(f"node {node} has no neighbour {neighbour!r}")
        return int(self.start[node]) + at


def columns() -> tuple[int, ...]:
    """Return where compiled code finds what it needs of a topic's parameters."""
    names = list(TopicParameters.__dataclass_fields__)
    wanted = (
        "first_message_deliveries_cap", "mesh_message_deliveries_cap", "mesh_message_deliveries_threshold",
        "mesh_message_deliveries_activation", "mesh_message_deliveries_window", "first_message_deliveries_decay",
        "mesh_message_deliveries_decay", "invalid_message_deliveries_decay", "mesh_failure_penalty_decay",
    )  # fmt: skip
    return tuple(names.index(name) for name in wanted)


def publishes(nodes: int, topics: Sequence[str], count: int, seed: int = 0, *, first: int = 1) -> list[Event]:
    """Return messages that random nodes publish in random topics.

    Args:
        nodes: of the network.
        topics: of which.
        count: how many.
        seed: of both.
        first: identifier of the first one.
    """
    random = np.random.default_rng(seed)
    who, where = random.integers(nodes, size=count).tolist(), random.integers(len(topics), size=count).tolist()
    return [
        (node, "APP", Payload(first + at, topics[int(topic)], node))
        for at, (node, topic) in enumerate(zip(who, where, strict=True))
    ]
