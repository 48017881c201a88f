"""How fast are peer scores and gossip networks, against the pure model and the times given for the ACL2s model?

Score evaluations a second; 100,000 events on a graph as large as Goerli (1,355 nodes, 19,146 edges); the pure model,
exact as it is by default and on floats, on a ring of 100 nodes, 30 heartbeats and 600 messages; growth of time and
memory with the number of nodes. Medians of wall-clock time, compiled beforehand. Goals: a million scores a second,
100,000 events within 5 s, 500 times as fast as the pure model.

    python benchmarks/gossip_simulation.py [--no-record]
"""

from __future__ import annotations

import argparse
import statistics
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from measuring import record

from scorecraft.gossip.batch_scores import config_arrays, peer_scores
from scorecraft.gossip.events import Event
from scorecraft.gossip.known_parameters import ethereum
from scorecraft.gossip.network import run_network
from scorecraft.gossip.simulator import EVERYBODY, Sim, publishes
from scorecraft.gossip.topologies import like, random_graph, ring

REPEATS = 3
EVENTS = 100_000
# What the authors of the ACL2s model gave, in seconds: 10,000 events among 100 peers; 100,000 on Goerli.
ACL2S = {"events_10000_peers_100": 65.0, "goerli_100000": 9 * 60.0}


def median_time(work: Callable[[], object]) -> float:
    """Return the median of several wall-clock times, in seconds."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def schedule(sim: Sim, messages: int, beats: int) -> list[Event]:
    """Return messages that random nodes publish, parted by everybody's heartbeats."""
    topics, found = list(sim.cfg.topics), [(EVERYBODY, "HBM", 1.0)]
    for beat in range(beats):
        found += publishes(sim.nodes, topics, messages, beat, first=1 + beat * messages)
        found.append((EVERYBODY, "HBM", 1.0))
    return found


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-record", action="store_true", help="print only")
    arguments = parser.parse_args()
    config = ethereum(3)
    config = replace(config, router=replace(config.router, d_lazy=0))
    result: dict[str, float] = {"goal_scores_per_second": 1e6, "goal_seconds": 5.0, "goal_ratio": 500.0}

    random = np.random.default_rng(0)
    counters, over_all = random.random((200_000, 5, 5)) * 20, random.random((200_000, 3))
    arrays = config_arrays(config)
    seconds = median_time(lambda: peer_scores(arrays, counters, over_all))
    result["scores_per_second"] = len(counters) / seconds
    print(f"{result['scores_per_second']:,.0f} scores of five topics a second")

    sim = Sim(like("goerli"), config)
    warm = schedule(sim, 5, 1)
    sim.run(warm)
    plan = schedule(sim, 20, 50)
    at_start = sim.run(plan[:1], keep_scores=False).steps
    cut = EVENTS + at_start
    found = sim.run(plan, keep_scores=False, max_steps=cut)
    seconds = median_time(lambda: sim.run(plan, keep_scores=False, max_steps=cut))
    result |= {
        "goerli_events": found.steps,
        "goerli_seconds": seconds,
        "goerli_events_per_second": found.steps / seconds,
    }
    print(f"Goerli: {found.steps:,} events in {seconds:.3f} s; the ACL2s model took {ACL2S['goerli_100000']:.0f} s")
    result["times_faster_than_acl2s"] = ACL2S["goerli_100000"] / seconds
    whole = sim.run(plan, keep_scores=False)
    seconds = median_time(lambda: sim.run(plan, keep_scores=False))
    result |= {"long_run_events": whole.steps, "long_run_events_per_second": whole.steps / seconds}
    print(f"50 heartbeats and 1,000 messages: {whole.steps:,} events in {seconds:.2f} s")

    small = Sim(ring(100, 8), config)
    plan = schedule(small, 20, 30)
    compiled = median_time(lambda: small.run(plan, keep_scores=False))
    for name, numbers in (("exact", config), ("floats", config.floats())):
        start = time.perf_counter()
        pure = run_network(small.states(), small.expanded(plan), 10**9, numbers, 0)
        seconds = time.perf_counter() - start
        result |= {f"pure_{name}_events_per_second": pure.steps / seconds, f"ratio_{name}": seconds / compiled}
        print(
            f"the pure model, {name}: {pure.steps:,} events in {seconds:.1f} s; {seconds / compiled:,.0f} times as long"
        )

    for nodes in (1000, 10_000, 100_000):
        large = Sim(random_graph(nodes, 8 * nodes), config)
        events = schedule(large, 2, 3)
        tracemalloc.start()
        start = time.perf_counter()
        done = large.run(events, keep_scores=False)
        seconds = time.perf_counter() - start
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        result |= {f"seconds_{nodes}_nodes": seconds, f"events_{nodes}_nodes": done.steps,
                   f"bytes_per_edge_{nodes}_nodes": peak / (8 * nodes)}  # fmt: skip
        print(f"{nodes:,} nodes: {done.steps:,} events in {seconds:.2f} s, {peak / (8 * nodes):,.0f} bytes an edge")
    if not arguments.no_record:
        record("gossip_simulation", result)


if __name__ == "__main__":
    main()
