"""Can a peer misbehave for ever and keep a positive score, where, and does mending the weights end it?

Properties of published configurations by z3, on exact numbers; the attack by silence replayed on the counters of one
neighbour, with the published model's semantics and the specification's; and the same attack on a victim in a simulated
network, all of whose neighbours take part, under the paper's Ethereum parameters and under the nearest safe ones.
Nothing is tuned, and no live client is touched.
"""

from __future__ import annotations

import numpy as np

from scorecraft.catalog.papers import find
from scorecraft.gossip.attack import max_silent_topics, synthesise_attack
from scorecraft.gossip.attack_simulation import simulate_attack
from scorecraft.gossip.known_parameters import ethereum, filecoin, two_topics
from scorecraft.gossip.parameter_files import known_config
from scorecraft.gossip.parameters import PeerScoreConfig
from scorecraft.gossip.peer_score import Semantics
from scorecraft.gossip.properties import check_property
from scorecraft.gossip.repair import repair
from scorecraft.gossip.topologies import random_graph
from scorecraft.studies.study import Arm, Check, Experiment, Metric, Results, Scale, Study, Trial

ONE: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(5))}
SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(5))}
BEATS: dict[Scale, int] = {"smoke": 3, "full": 6}
NODES: dict[Scale, dict[str, int]] = {
    "smoke": {"small": 30, "middle": 40, "large": 50},
    "full": {"small": 100, "middle": 300, "large": 1355},
}


def config_of(name: str) -> PeerScoreConfig:
    """Return a configuration of the first experiment."""
    makers = {
        "ethereum-3": lambda: ethereum(3), "ethereum-12": lambda: ethereum(12), "filecoin": filecoin,
        "filecoin-drand": lambda: filecoin(drand=True), "safe": two_topics, "thin": lambda: two_topics(-1000),
        "lighthouse": lambda: known_config("lighthouse"), "prysm": lambda: known_config("prysm"),
    }  # fmt: skip
    return makers[name]()


def verdicts(trial: Trial) -> Results:
    """Return which properties fail, by z3, whether the closed form agrees, and how long z3 takes."""
    config, semantics = config_of(trial.settings["config"]), trial.settings["semantics"]
    found: Results = {}
    agree, seconds = 0, 0.0
    for prop in ("P1", "P2", "P3", "silent"):
        proved = check_property(config, prop, "smt", semantics=semantics)
        formula = check_property(config, prop, "closed_form", semantics=semantics)
        found[prop] = float(proved.holds is False)
        agree += proved.holds == formula.holds
        seconds += proved.seconds
    return found | {"agree": agree / 4, "seconds": seconds}


def stopped(trial: Trial) -> Results:
    """Return at how many of 50 heartbeats silence goes unpunished, and the lowest score."""
    silent, semantics = trial.settings["silent"], trial.settings["semantics"]
    plan = synthesise_attack(ethereum(12), [f"SUB{i + 1}" for i in range(silent)], semantics=semantics, beats=50)
    positive = sum(beat.topics["SUB1"] > 0 for beat in plan.predicted_scores[1:])
    return {
        "violations": plan.violations,
        "below": float(sum(beat.score < 0 for beat in plan.predicted_scores)),
        "lowest": float(min(beat.score for beat in plan.predicted_scores)),
        "positive": float(positive),
    }


def sustained(trial: Trial) -> Results:
    """Return whether the closed form and the replay agree on how many of a number of subnets can be silent."""
    n, semantics = trial.settings["subnets"], trial.settings["semantics"]
    config, names = ethereum(n), [f"SUB{i + 1}" for i in range(n)]
    # Twenty beats of 180 s: by then all time in the mesh is paid for, as the closed form has it.
    most = max_silent_topics(config, among=names, semantics=semantics, mesh_time=3600)
    agree = []
    for silent in range(1, n + 1):
        plan = synthesise_attack(config, names[:silent], semantics=semantics, beat_s=180, beats=21, msgs=60)
        agree.append((plan.predicted_scores[-1].score > 0) == (silent <= most))
        trial.progress(silent, n)
    return {"most": float(most), "agree": float(np.mean(agree))}


def networked(trial: Trial) -> Results:
    """Return what a victim does whose neighbours are all silent in three subnets and serve it in all other topics."""
    config = ethereum(12)
    if trial.settings["weights"] == "mended":
        config = repair(config, "silence").config
    nodes = NODES[trial.scale][trial.settings["size"]]
    found = simulate_attack(
        config, random_graph(nodes, 7 * nodes, trial.seed), ("SUB1", "SUB2", "SUB3"), beats=BEATS[trial.scale],
        seed=trial.seed, probe=False,
    )  # fmt: skip
    return {"below": found.below, "positive": found.positive, "events": float(found.events)}


def _arm(name: str, title: str, config: str, semantics: Semantics = "spec") -> Arm:
    return Arm(name, title, {"config": config, "semantics": semantics})


VERDICTS = Experiment(
    name="verdicts",
    title="Published parameters, by z3",
    question="Which configurations keep the paper's properties?",
    run=verdicts,
    arms=(
        _arm("ethereum-model", "Ethereum of the paper, 3 subnets, model", "ethereum-3", "acl2s"),
        _arm("ethereum", "Ethereum of the paper, 3 subnets", "ethereum-3"),
        _arm("ethereum-12", "Ethereum of the paper, 12 subnets", "ethereum-12"),
        _arm("filecoin", "Filecoin, two topics", "filecoin"),
        _arm("filecoin-drand", "Filecoin with the beacon's topic", "filecoin-drand"),
        _arm("lighthouse", "Lighthouse's formulas", "lighthouse"),
        _arm("prysm", "Prysm's formulas, as released", "prysm"),
        _arm("safe", "two topics, penalty 1001", "safe"),
        _arm("thin", "two topics, penalty 1000", "thin"),
    ),
    metrics=(
        Metric("P1", "P1 fails", higher_is_better=False),
        Metric("P2", "P2 fails", higher_is_better=False),
        Metric("P3", "P3 fails", higher_is_better=False),
        Metric("silent", "silence goes unseen", higher_is_better=False),
        Metric("agree", "closed form agrees", higher_is_better=True),
        Metric("seconds", "seconds of z3", higher_is_better=False),
    ),
    checks=(
        Check("Ethereum fails P1, in the model", "P1", "ethereum-model", "above", margin=0.5),
        Check("Ethereum fails P1", "P1", "ethereum", "above", margin=0.5),
        Check("Filecoin keeps P1", "P1", "filecoin", "below", margin=0.5),
        Check("Filecoin keeps P2", "P2", "filecoin", "below", margin=0.5),
        Check("a third topic breaks Filecoin's P1", "P1", "filecoin-drand", "above", margin=0.5),
        Check("the safe pair keeps P1", "P1", "safe", "below", margin=0.5),
        Check("a point less breaks it", "P1", "thin", "above", margin=0.5),
    ),
    seeds=ONE,
    limits="Exact answers: seeds repeat the time alone.",
)
STOPPED = Experiment(
    name="stopped",
    title="Silence in some of twelve subnets",
    question="For how long does a silent peer keep a positive score?",
    run=stopped,
    arms=tuple(
        Arm(f"{semantics}-{silent}", f"{silent} silent, {semantics}", {"silent": silent, "semantics": semantics})
        for semantics in ("acl2s", "spec")
        for silent in (1, 3, 11, 12)
    ),
    metrics=(
        Metric("violations", "heartbeats of 50 that break P1", higher_is_better=False),
        Metric("below", "heartbeats with a score below 0"),
        Metric("lowest", "lowest score"),
        Metric("positive", "heartbeats at which silence itself pays", higher_is_better=False),
    ),
    checks=(
        Check("model, 1 silent: at least 48 of 50", "violations", "acl2s-1", "above", margin=47.5),
        Check("model, 11 silent: at least 48 of 50", "violations", "acl2s-11", "above", margin=47.5),
        Check("model, 11 silent: never below zero", "below", "acl2s-11", "below", margin=0.5),
        Check("model, 12 silent: at least 48 of 50", "violations", "acl2s-12", "above", margin=47.5),
        Check("specification, 3 silent: silence comes to pay", "positive", "spec-3", "above", margin=0.5),
    ),
    seeds=ONE,
    limits="Exact replay: seeds repeat it.",
)
SUSTAINED = Experiment(
    name="sustained",
    title="How many subnets can be silent",
    question="Does the closed form say what the replay shows?",
    run=sustained,
    arms=tuple(
        Arm(f"{semantics}-{n}", f"{n} subnets, {semantics}", {"subnets": n, "semantics": semantics})
        for semantics in ("acl2s", "spec")
        for n in (3, 6, 12)
    ),
    metrics=(
        Metric("most", "subnets that can be silent"),
        Metric("agree", "numbers on which both agree", higher_is_better=True),
    ),
    checks=tuple(
        Check(f"{n} subnets, {semantics}: both agree", "agree", f"{semantics}-{n}", "above", margin=0.999)
        for semantics in ("acl2s", "spec")
        for n in (3, 6, 12)
    ),
    seeds=ONE,
)
NETWORKED = Experiment(
    name="networked",
    title="A victim whose neighbours are all silent in three subnets",
    question="Are they pruned, and does it take other weights?",
    run=networked,
    arms=tuple(
        Arm(f"{weights}-{size}", f"{title}, {nodes} nodes", {"weights": weights, "size": size})
        for weights, title in (("paper", "the paper's weights"), ("mended", "nearest safe weights"))
        for size, nodes in NODES["full"].items()
    ),
    metrics=(
        Metric("below", "neighbours below zero at least once", higher_is_better=True),
        Metric("positive", "scores above zero, from the third heartbeat on", higher_is_better=False),
        Metric("events", "events"),
    ),
    checks=(
        Check("the paper's weights, 1355 nodes: all stay positive", "positive", "paper-large", "above", margin=0.999),
        Check("the paper's weights, 1355 nodes: none falls below zero", "below", "paper-large", "below", margin=0.001),
        Check("safe weights, 1355 nodes: nine of ten do, and are pruned", "below", "mended-large", "above", margin=0.9),
    ),
    seeds=SEEDS,
    limits="Random graphs of degree 14; six heartbeats; the specification's semantics.",
)
STUDY = Study(
    "gossipsub-resilience",
    find("gossipsub-resilience").claim,
    (VERDICTS, STOPPED, SUSTAINED, NETWORKED),
    limits="Live clients.",
)
