"""Do the pure model of GossipSub and its compiled network agree, and do random search and proof find what is there?

Random networks played by both, event for event; the published attack in the pure model; counterexamples searched at
random where there are some and where there are none, and the same by z3. Nothing is tuned.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scorecraft.catalog.papers import find
from scorecraft.gossip.attack import synthesise_attack
from scorecraft.gossip.events import Event, Payload
from scorecraft.gossip.known_parameters import ethereum, filecoin, two_topics
from scorecraft.gossip.network import run_network
from scorecraft.gossip.parameters import PeerScoreConfig
from scorecraft.gossip.peer_state import connected
from scorecraft.gossip.properties import check_property
from scorecraft.gossip.simulator import EVERYBODY, Sim, publishes
from scorecraft.gossip.topologies import random_graph
from scorecraft.studies.study import Arm, Check, Experiment, Metric, Results, Scale, Study, Trial

SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(10))}
NETWORKS: dict[Scale, int] = {"smoke": 2, "full": 20}
EXAMPLES: dict[Scale, int] = {"smoke": 300, "full": 10_000}


def quiet(config: PeerScoreConfig) -> PeerScoreConfig:
    """Return a configuration without gossip by IHAVE, which the compiled network leaves out."""
    return replace(config, router=replace(config.router, d_lazy=0))


def agreement(trial: Trial) -> Results:
    """Return how far the two networks are apart: events, integer counters, and scores."""
    random, events, apart, scores = np.random.default_rng(trial.seed), 0, 0, 0.0
    config = quiet({"ethereum": ethereum(3), "two-topics": two_topics(-40), "filecoin": filecoin(drand=True)}[
        trial.settings["config"]])  # fmt: skip
    for network in range(NETWORKS[trial.scale]):
        nodes = int(random.integers(2, 31))
        edges = int(random.integers(nodes - 1, min(nodes * (nodes - 1) // 2, 4 * nodes) + 1))
        seed = 1000 * trial.seed + network
        sim = Sim(random_graph(nodes, edges, seed), config, seed)
        plan = _schedule(sim, random)
        fast = sim.run(plan, keep_trace=True)
        pure = run_network(sim.states(), sim.expanded(plan), 10**7, config.floats(), seed, keep_trace=True)
        events += fast.steps
        apart += abs(fast.steps - pure.steps) + sum(
            event[0] != row[1] or event[1] != _NAMES[row[0]]
            for event, row in zip(pure.events, fast.trace.tolist(), strict=False)
        )
        topics = list(config.topics)
        counters = [[list(pure.states[a].counted(b, topic)) for topic in topics] for a, b in sim.edges.tolist()]
        difference = np.abs(np.array(counters, dtype=float) - fast.counters)
        apart += int((difference > 1e-9).sum())
        for node in range(sim.nodes):
            state = pure.states[node]
            own = np.array([float(state.scores[b]) for b in state.neighbours])
            last = fast.scores[state.heartbeats - 1, node, : len(own)]
            scores = max(scores, float((np.abs(own - last) / (1 + np.abs(own))).max()))
        trial.progress(network + 1, NETWORKS[trial.scale])
    return {"events": float(events), "apart": float(apart), "scores": scores}


_NAMES = ("SND", "RCV", "SND", "RCV", "SND", "RCV", "APP", "HBM")


def _schedule(sim: Sim, random: np.random.Generator) -> list[Event]:
    plan: list[Event] = []
    number, topics = 1, list(sim.cfg.topics)
    for _ in range(6):
        plan += publishes(sim.nodes, topics, 10, int(random.integers(2**31)), first=number)
        number += 10
        for _ in range(4):
            node, other = (int(one) for one in sim.edges[random.integers(len(sim.edges))])
            payload = Payload(number, topics[random.integers(len(topics))], other, bool(random.random() < 0.5))
            number += 1
            plan.append((node, "RCV", other, ("PAYLOAD", payload)))
        plan.append((EVERYBODY, "HBM", float(random.choice([1, 3, 18]))))
    return plan


def throttled(trial: Trial) -> Results:
    """Return at which heartbeats the published attack on one or two subnets breaks the property, in the pure model."""
    config = quiet(ethereum(trial.settings["subnets"]))
    names = [f"SUB{i + 1}" for i in range(trial.settings["attacked"])]
    beats = 20 if trial.scale == "full" else 4
    plan = synthesise_attack(config, names, sent=trial.settings["sent"], beats=beats, victim="v", attacker="x",
                             semantics="acl2s")  # fmt: skip
    victim = replace(connected("v", ["x"], config.topics), mesh=dict.fromkeys(config.topics, ("x",)))
    # The latest published model keeps neighbours with negative scores and prunes the others, so the counters alone are
    # played by the specification's network.
    trace = run_network(
        {"v": victim, "x": connected("x", ["v"], config.topics)}, plan.events, 10**6, config, trial.seed
    )
    broken = {beat for beat, who, of in trace.violations if (who, of) == ("v", "x")}
    model = sum(beat.score > 0 and any(beat.topics[name] < 0 for name in names) for beat in plan.predicted_scores[1:])
    return {"network": len(broken - {0}) / (beats - 1), "model": model / (beats - 1)}


def search(trial: Trial) -> Results:
    """Return whether a way to check finds a counterexample to P1, and how long it takes."""
    config = ethereum(3) if trial.settings["config"] == "ethereum" else two_topics(trial.settings["penalty"])
    found = check_property(
        config, "P1", trial.settings["backend"], semantics="acl2s", examples=EXAMPLES[trial.scale], seed=trial.seed
    )
    return {"found": float(found.holds is False), "seconds": found.seconds}


AGREEMENT = Experiment(
    name="agreement",
    title="Random networks of 2 to 30 peers, played twice",
    question="Do the pure model and the compiled network make the same events?",
    run=agreement,
    arms=(
        Arm("ethereum", "Ethereum, 3 subnets", {"config": "ethereum"}),
        Arm("two-topics", "two topics", {"config": "two-topics"}),
        Arm("filecoin", "Filecoin, three topics", {"config": "filecoin"}),
    ),
    metrics=(
        Metric("events", "events"),
        Metric("apart", "events and counters that differ", higher_is_better=False),
        Metric("scores", "largest relative difference of scores", higher_is_better=False),
    ),
    checks=tuple(
        check
        for arm in ("ethereum", "two-topics", "filecoin")
        for check in (
            Check(f"{arm}: nothing differs", "apart", arm, "below", margin=0.5),
            Check(f"{arm}: scores to 1e-12", "scores", arm, "below", margin=1e-12),
        )
    ),
    seeds=SEEDS,
)
THROTTLED = Experiment(
    name="throttled",
    title="One or two subnets throttled",
    question="Is the property broken at every heartbeat from the second on?",
    run=throttled,
    arms=(
        Arm("one", "1 of 3 subnets, one message a beat", {"subnets": 3, "attacked": 1, "sent": 1}),
        Arm("two", "2 of 6 subnets, no message", {"subnets": 6, "attacked": 2, "sent": 0}),
    ),
    metrics=(
        Metric("network", "heartbeats, specification's network", higher_is_better=False),
        Metric("model", "heartbeats, published model's counters", higher_is_better=False),
    ),
    checks=(
        Check("one subnet, model", "model", "one", "above", margin=0.999),
        Check("one subnet, specification", "network", "one", "above", margin=0.999),
        Check("two subnets, model", "model", "two", "above", margin=0.999),
    ),
    seeds={"smoke": (0,), "full": tuple(range(5))},
    limits="Exact: seeds repeat it.",
)
SEARCH = Experiment(
    name="search",
    title="Counterexamples to P1",
    question="Does a search at random find what z3 finds, and does z3 prove what cannot be found?",
    run=search,
    arms=(
        Arm("ethereum-random", "Ethereum, at random", {"config": "ethereum", "backend": "hypothesis"}),
        Arm("ethereum-smt", "Ethereum, z3", {"config": "ethereum", "backend": "smt"}),
        Arm("safe-random", "safe pair, at random", {"config": "pair", "penalty": -1001, "backend": "hypothesis"}),
        Arm("safe-smt", "safe pair, z3", {"config": "pair", "penalty": -1001, "backend": "smt"}),
        Arm("thin-random", "a point less, at random", {"config": "pair", "penalty": -1000, "backend": "hypothesis"}),
        Arm("thin-smt", "a point less, z3", {"config": "pair", "penalty": -1000, "backend": "smt"}),
    ),
    metrics=(
        Metric("found", "runs that find a counterexample"),
        Metric("seconds", "seconds", higher_is_better=False),
    ),
    checks=(
        Check("Ethereum: found at random", "found", "ethereum-random", "above", margin=0.999),
        Check("Ethereum: within 10 s", "seconds", "ethereum-random", "below", margin=10),
        Check("safe pair: none at random", "found", "safe-random", "below", margin=0.001),
        Check("safe pair: none by z3", "found", "safe-smt", "below", margin=0.001),
        Check("safe pair: z3 within a tenth of a second", "seconds", "safe-smt", "below", margin=0.1),
        Check("a point less: found by z3", "found", "thin-smt", "above", margin=0.999),
    ),
    seeds={"smoke": (0,), "full": tuple(range(5))},
)
STUDY = Study(
    "gossipsub-verification",
    find("gossipsub-verification").claim,
    (AGREEMENT, THROTTLED, SEARCH),
    limits="Liveness under real delays, churn at scale, and gossip by IHAVE in the compiled network.",
)
