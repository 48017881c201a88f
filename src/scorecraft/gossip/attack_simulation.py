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
    """What victims held of attackers.

    scores: ``[heartbeat, pair]`` of every victim and attacker next to it, from the first heartbeat under attack on.
    events: in the whole network. reached: share of victims that get a message which an honest peer publishes in a
    silent topic at the end; NaN where none was published.
    """

    scores: Float64[np.ndarray, "heartbeat pair"]
    events: int
    reached: float

    @property
    def positive(self) -> float:
        """Share of scores above zero, from the third heartbeat on, when silence has had time to be noticed."""
        late = self.scores[2:]
        return float((late > 0).mean()) if late.size else float("nan")

    @property
    def below(self) -> float:
        """Share of pairs that were below zero at some heartbeat, so that the attacker was pruned."""
        return float((self.scores < 0).any(0).mean())


@implements("gossipsub-resilience")
def simulate_attack(
    cfg: PeerScoreConfig,
    adj: Any,
    silent: Sequence[str],
    *,
    attackers: Sequence[int] | None = None,
    beat_s: float = 18.0,
    msgs: int = 12,
    beats: int = 6,
    seed: int = 0,
    probe: bool = True,
) -> NetworkAttack:
    """Return what becomes of victims whose attackers serve them in some topics and are silent in others.

    What attackers send is new and valid, so victims forward it, and the whole network carries it. In the silent topics
    attackers neither send nor forward: if they are all neighbours of a peer, it is eclipsed; if they are a cut set, the
    network falls apart.

    Args:
        cfg: the parameters; gossip by IHAVE is left out.
        adj: edges.
        silent: topics in which nothing is sent.
        attackers: who; their other neighbours are the victims. All neighbours of node 0, and it alone the victim, if
            not given.
        beat_s: seconds between the victims' heartbeats.
        msgs: messages a beat of each attacker in every other topic.
        beats: heartbeats of the victims.
        seed: of all random choices.
        probe: whether the honest peer with the largest number publishes in the silent topics at the end.

    Raises `ScorecraftError` for topics and nodes that are not there, and numbers that cannot be.

    Source: arXiv 2212.05197, section V, "eclipse" and "partition".
    """
    strange = [name for name in silent if name not in cfg.topics]
    if strange or not silent:
        raise ScorecraftError(f"silent is {list(silent)}; expected topics of {', '.join(cfg.topics)}")
    if beats < 1 or msgs < 0:
        raise ScorecraftError(f"beats and msgs are {beats} and {msgs}; expected at least 1 and 0")
    sim = Sim(adj, replace(cfg, router=replace(cfg.router, d_lazy=0)), seed)
    chosen, pairs = _pairs(sim, attackers)
    schedule: list[Event] = [(EVERYBODY, "HBM", 1.0)]
    number = 0
    for _ in range(beats):
        for victim, others in pairs.items():
            for other in others:
                for topic in cfg.topics:
                    for _ in range(0 if topic in silent else msgs):
                        number += 1
                        schedule.append((victim, "RCV", other, ("PAYLOAD", Payload(number, topic, other))))
            schedule.append((victim, "HBM", beat_s))
    honest = [node for node in range(sim.nodes) if node not in chosen]
    told = bool(probe) and honest[-1] not in pairs
    if told:
        schedule += [
            (honest[-1], "APP", Payload(number + 1 + at, topic, honest[-1])) for at, topic in enumerate(silent)
        ]
    mute = np.zeros((sim.nodes, len(cfg.topics)), dtype=np.bool_)
    columns = [list(cfg.topics).index(name) for name in silent]
    mute[np.ix_(sorted(chosen), columns)] = True
    found = sim.run(schedule, mute=mute)
    scores = np.stack(
        [found.scores[1 : beats + 1, v, sim.place(v, a)] for v, others in pairs.items() for a in others], 1
    )
    got = [bool(found.counters[sim.start[v] : sim.start[v + 1], columns[0], 1].any()) for v in pairs]
    return NetworkAttack(scores, found.steps, float(np.mean(got)) if told else float("nan"))


def _pairs(sim: Sim, attackers: Sequence[int] | None) -> tuple[set[int], dict[int, list[int]]]:
    """Return the attackers, and for each victim those next to it."""
    if attackers is None:
        mine = sim.neighbours(VICTIM)
        return set(mine), {VICTIM: mine}
    chosen = {int(node) for node in attackers}
    if not chosen or not all(0 <= node < sim.nodes for node in chosen) or len(chosen) == sim.nodes:
        raise ScorecraftError(
            f"attackers are {sorted(chosen)}; expected some of the nodes 0 to {sim.nodes - 1}, not all"
        )
    victims = sorted({other for node in chosen for other in sim.neighbours(node)} - chosen)
    if not victims:
        raise ScorecraftError("the attackers have no other neighbours: there is nobody to attack")
    return chosen, {victim: [other for other in sim.neighbours(victim) if other in chosen] for victim in victims}
