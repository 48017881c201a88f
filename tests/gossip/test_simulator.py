"""The compiled network makes the same events as the pure one; topologies; what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.gossip.choices import chosen, mixed
from scorecraft.gossip.events import Payload
from scorecraft.gossip.known_parameters import ethereum, filecoin, two_topics
from scorecraft.gossip.network import run_network
from scorecraft.gossip.simulator import NAMES, Sim, publishes
from scorecraft.gossip.topologies import SIZES, checked, like, random_graph, read_edges, ring


def quiet(config):
    return replace(config, router=replace(config.router, d_lazy=0))


# Meshes that overflow, poor ones, short windows: what seldom happens happens here.
NARROW = replace(
    quiet(two_topics(-40)), opportunistic_graft_threshold=5, behaviour_penalty_weight=-1,
    router=replace(two_topics().router, d=2, d_low=1, d_high=3, d_score=1, d_out=0, d_lazy=0, prune_backoff=3,
                   opportunistic_graft_ticks=2, seen_ttl=4),
)  # fmt: skip
CONFIGS = (quiet(ethereum(3)), quiet(two_topics()), quiet(filecoin(drand=True)), NARROW)


def schedule(sim, seed, beats=5, messages=10):
    """Return messages, others that attackers send, some of them twice or invalid, and everybody's heartbeats."""
    random, topics, found, number = np.random.default_rng(seed), list(sim.cfg.topics), [], 1
    for beat in range(beats):
        found += publishes(sim.nodes, topics, messages, 100 * seed + beat, first=number)
        number += messages
        for _ in range(4):
            node, other = (int(one) for one in sim.edges[random.integers(len(sim.edges))])
            payload = Payload(number, topics[random.integers(len(topics))], other, bool(random.random() < 0.5))
            number += 1
            found += [(node, "RCV", other, ("PAYLOAD", payload))] * int(random.integers(1, 3))
        found.append(("*", "HBM", float(random.choice([1, 3, 18]))))
        found.append((int(random.integers(sim.nodes)), "HBM", 0.5))
    return found


@pytest.mark.parametrize("part", range(8))
def test_two_hundred_networks_event_for_event(part):
    for seed in range(25 * part, 25 * part + 25):
        random = np.random.default_rng(seed)
        nodes = int(random.integers(2, 31))
        edges = int(random.integers(nodes - 1, min(nodes * (nodes - 1) // 2, 4 * nodes) + 1))
        sim = Sim(random_graph(nodes, edges, seed), CONFIGS[seed % len(CONFIGS)], seed)
        agree(sim, schedule(sim, seed), seed)


def agree(sim, plan, seed):
    topics = list(sim.cfg.topics)
    fast = sim.run(plan, keep_trace=True)
    pure = run_network(sim.states(), sim.expanded(plan), 10**7, sim.cfg.floats(), seed, keep_trace=True)
    assert fast.steps == pure.steps
    assert [row_of(event, topics) for event in pure.events] == fast.trace.tolist()
    counters = [[list(pure.states[a].counted(b, topic)) for topic in topics] for a, b in sim.edges.tolist()]
    assert np.abs(np.array(counters, dtype=float) - fast.counters).max() <= 1e-12 * (1 + fast.counters.max())
    mesh = [[b in pure.states[a].mesh[topic] for topic in topics] for a, b in sim.edges.tolist()]
    assert (np.array(mesh) == fast.mesh).all()
    assert len(pure.violations) == fast.violations.sum()
    for node, state in pure.states.items():
        state.check(node)
        own = np.array([float(state.scores[b]) for b in state.neighbours])
        last = fast.scores[state.heartbeats - 1, node, : len(own)]
        assert np.abs(own - last).max() <= 1e-12 * (1 + np.abs(own).max())


def row_of(event, topics):
    """Return an event of the pure model as the compiled one writes it."""
    node, kind = event[0], event[1]
    if kind == "HBM":
        return [NAMES.index("HBM"), node, -1, -1]
    if kind == "APP":
        return [NAMES.index("APP"), node, -1, event[2].identifier]
    message, content = event[3]
    item = content.identifier if message == "PAYLOAD" else topics.index(content)
    return [NAMES.index(f"{kind} {message}"), node, event[2], item]


def test_rare_things_do_happen_in_these_networks():
    kinds, violations, behaviour = set(), 0, 0.0
    for seed in range(3, 43, 4):
        sim = Sim(random_graph(20, 80, seed), NARROW, seed)
        found = sim.run(schedule(sim, seed, beats=8), keep_trace=True)
        kinds |= set(found.trace[:, 0].tolist())
        violations += int(found.violations.sum())
        behaviour += float(found.behaviour.sum())
    assert kinds == set(range(8))
    assert behaviour > 0


def test_a_run_is_the_same_again_and_another_with_another_seed():
    graph = ring(30, 20)
    runs = [Sim(graph, CONFIGS[2], seed).run(schedule(Sim(graph, CONFIGS[2]), 1)) for seed in (0, 0, 1)]
    assert (runs[0].counters == runs[1].counters).all()
    assert (runs[0].mesh != runs[2].mesh).any()


def test_a_cut_run_is_the_beginning_of_the_whole():
    sim = Sim(ring(20, 4), CONFIGS[0])
    plan = schedule(sim, 0)
    whole = sim.run(plan, keep_trace=True)
    for steps in (1, 2, 500, 501, whole.steps - 1):
        cut = sim.run(plan, keep_trace=True, max_steps=steps)
        assert cut.truncated
        assert cut.trace.tolist() == whole.trace[:steps].tolist()
    assert not sim.run(plan, max_steps=whole.steps).truncated


def test_silent_attackers_are_pruned_under_a_safe_score_and_stay_under_the_other():
    # A star of one victim: its neighbours send it messages in all topics but one.
    for config, stays in ((quiet(ethereum(12)), True), (quiet(two_topics()), False)):
        silent = list(config.topics)[-1]
        edges = np.array([[0, k] for k in range(1, 8)])
        plan, number = [(0, "HBM", 1.0)], 0
        for _ in range(6):
            for other in range(1, 8):
                for topic in config.topics:
                    for _ in range(20 if topic != silent else 0):
                        number += 1
                        plan.append((0, "RCV", other, ("PAYLOAD", Payload(number, topic, other))))
            plan.append((0, "HBM", 18.0))
        found = Sim(edges, config).run(plan)
        assert (np.nanmin(found.scores[:, 0]) >= 0) == stays
        assert (found.mesh[:7].sum() == 0) == (not stays)
        # Where they stay, all seven are negative in the silent topic and positive overall, from the third heartbeat on.
        if stays:
            assert found.violations.tolist()[2:] == [7] * 5


def test_an_attack_in_a_network():
    from scorecraft.gossip.attack_simulation import simulate_attack
    from scorecraft.gossip.repair import repair

    graph = random_graph(30, 200, 0)
    found = simulate_attack(ethereum(12), graph, ["SUB1", "SUB2", "SUB3"], beats=5)
    assert found.scores.shape == (5, int((graph == 0).sum()))
    assert found.positive == 1
    assert found.below == 0
    mended = simulate_attack(repair(ethereum(12), "silence").config, graph, ["SUB1", "SUB2", "SUB3"], beats=5)
    assert mended.below > 0.7
    # A message in a silent topic does not come through to the one that is eclipsed.
    assert found.reached == 0
    with pytest.raises(ScorecraftError, match="silent is"):
        simulate_attack(ethereum(12), graph, ["SUB99"])
    with pytest.raises(ScorecraftError, match="beats and msgs"):
        simulate_attack(ethereum(12), graph, ["SUB1"], beats=0)


def test_a_cut_set_parts_the_network():
    from scorecraft.gossip.attack_simulation import simulate_attack

    # Two rings of ten, joined by nodes 20 and 21 alone.
    left = ring(10, 4)
    edges = [*left.tolist(), *(left + 10).tolist(), *([20 + k, v] for k in range(2) for v in (0, 1, 2, 10, 11, 12))]
    found = simulate_attack(ethereum(12), np.array(edges), ["SUB1"], attackers=[20, 21], beats=4)
    # Three victims on each side, two attackers each.
    assert found.scores.shape == (4, 12)
    assert found.positive == 1
    # What node 19 publishes reaches the victims of its own side.
    assert found.reached == 0.5
    for bad, said in (([], "some of the nodes"), ([99], "some of the nodes"), (list(range(22)), "not all")):
        with pytest.raises(ScorecraftError, match=said):
            simulate_attack(ethereum(12), np.array(edges), ["SUB1"], attackers=bad)
    with pytest.raises(ScorecraftError, match="mute"):
        Sim(left, quiet(ethereum(3))).run([], mute=np.zeros((2, 2), dtype=bool))


def test_topologies():
    assert ring(6, 2).tolist() == [[0, 1], [0, 5], [1, 2], [2, 3], [3, 4], [4, 5]]
    assert (np.bincount(ring(50, 8).ravel()) == 8).all()
    for name, (nodes, edges) in SIZES.items():
        graph = like(name)
        assert (len(graph), int(graph.max()) + 1) == (edges, nodes)
    assert len(random_graph(5, 10)) == 10
    import networkx

    for seed in range(5):
        assert networkx.is_connected(networkx.Graph(random_graph(40, 45, seed).tolist()))
    for bad, said in (
        (lambda: ring(8, 3), "even degree"),
        (lambda: ring(4, 4), "even degree"),
        (lambda: random_graph(5, 3), "expected 4 to 10 edges"),
        (lambda: random_graph(5, 11), "expected 4 to 10 edges"),
        (lambda: like("mainnet"), "no network 'mainnet'"),
        (lambda: checked(np.array([[1, 1]])), "node 1 is connected to itself"),
        (lambda: checked(np.array([[0, 1], [1, 0]])), "0 and 1 are connected twice"),
        (lambda: checked(np.array([[0, -1]])), "no node number"),
        (lambda: checked(np.zeros((0, 2))), "expected pairs"),
    ):
        with pytest.raises(ScorecraftError, match=said):
            bad()


def test_files_of_edges(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("source,target\n# two of them\n0,1\n\n2 1\n")
    assert read_edges(path).tolist() == [[0, 1], [1, 2]]
    for text, said in (
        ("", "no edges"),
        ("0,1\n1,x\n", "line 2: '1,x' is no edge"),
        ("0,1,2\n", "line 1"),
        ("0,0\n", "connected to itself"),
    ):
        path.write_text(text)
        with pytest.raises(ScorecraftError, match=said):
            read_edges(path)
    with pytest.raises(ScorecraftError, match="cannot be read"):
        read_edges(tmp_path / "no.csv")


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ((0, "HBM", 0), "seconds > 0"),
        ((9, "HBM", 1), "no node 9"),
        (("a", "HBM", 1), "no node 'a'"),
        ((0, "JOIN", "ONE"), "run_network plays all events"),
        ((0, "APP", Payload(1, "THREE", 0)), "topic 'THREE'"),
        ((0, "RCV", 3, ("PAYLOAD", Payload(1, "ONE", 1))), "no neighbour 3"),
    ],
)
def test_schedules_that_cannot_be(event, said):
    with pytest.raises(ScorecraftError, match=said):
        Sim(ring(6, 2), quiet(two_topics())).run([event])


def test_choices_are_fair_and_depend_on_all_that_is_named():
    counts = np.zeros(5)
    for seed in range(4000):
        for one in chosen(range(5), 2, seed, 7):
            counts[one] += 1
    # Each has two chances in five: 1600, give or take four times sqrt(4000 * .24) = 31.
    assert np.abs(counts - 1600).max() < 125
    assert chosen(range(5), 9, 0) == (0, 1, 2, 3, 4)
    assert chosen(range(5), 0, 0) == ()
    assert len({mixed(0), mixed(1), mixed(0, 0), mixed(0, 1), mixed(0, 0, 0)}) == 5
