"""The attack by silence in a simulated network: all neighbours of a victim take part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from scorecraft.catalog.implements import implements
from scorecraft.errors import ScorecraftError
from scorecraft.gossip.events import Event, Payload
from scorecraft.gossip.parameters import PeerScoreConfig
from scorecraft.gossip.simulator import EVERYBODY, Sim

VICTIM = 0


class NetworkAttack(NamedTuple):
    """What the victim, node 0, held of its neighbours.

    scores: ``[heartbeat, neighbour]``, from its first heartbeat under attack on. events: in the whole network.
    """

    scores: Float64[np.ndarray, "heartbeat neighbour"]
    events: int

    @property
    def positive(self) -> float:
        """Share of scores above zero, from the third heartbeat on, when silence has had time to be noticed."""
        late = self.scores[2:]
        return float((late > 0).mean()) if late.size else float("nan")

    @property
    def below(self) -> float:
        """Share of neighbours that were below zero at some heartbeat, and so pruned."""
        return float((self.scores < 0).any(0).mean())


@implements("gossipsub-resilience")
def simulate_attack(
    cfg: PeerScoreConfig,
    adj: Any,
    silent: Sequence[str],
    *,
    beat_s: float = 18.0,
    msgs: int = 12,
    beats: int = 6,
    seed: int = 0,
) -> NetworkAttack:
    """Return what becomes of a victim whose neighbours all serve it in some topics and are silent in others.

    What they send is new and valid, so the victim forwards it, and the whole network carries it.

    Args:
        cfg: the parameters; gossip by IHAVE is left out.
        adj: edges; node 0 is the victim.
        silent: topics in which nothing is sent.
        beat_s: seconds between the victim's heartbeats.
        msgs: messages a beat of each neighbour in every other topic.
        beats: heartbeats of the victim.
        seed: of all random choices.

    Raises `ScorecraftError` for a topic that is not there, and numbers that cannot be.

    Source: arXiv 2212.05197, section V, "eclipse".
    """
    strange = [name for name in silent if name not in cfg.topics]
    if strange or not silent:
        raise ScorecraftError(f"silent is {list(silent)}; expected topics of {', '.join(cfg.topics)}")
    if beats < 1 or msgs < 0:
        raise ScorecraftError(f"beats and msgs are {beats} and {msgs}; expected at least 1 and 0")
    sim = Sim(adj, replace(cfg, router=replace(cfg.router, d_lazy=0)), seed)
    attackers = sim.neighbour[sim.start[VICTIM] : sim.start[VICTIM + 1]].tolist()
    schedule: list[Event] = [(EVERYBODY, "HBM", 1.0)]
    number = 0
    for _ in range(beats):
        for other in attackers:
            for topic in cfg.topics:
                for _ in range(0 if topic in silent else msgs):
                    number += 1
                    schedule.append((VICTIM, "RCV", other, ("PAYLOAD", Payload(number, topic, other))))
        schedule.append((VICTIM, "HBM", beat_s))
    found = sim.run(schedule)
    return NetworkAttack(found.scores[1:, VICTIM, : len(attackers)], found.steps)
