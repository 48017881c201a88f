"""The pure model: single events by hand, heartbeats, gossip, the model's quirks, and what is refused."""

from dataclasses import replace
from fractions import Fraction

import pytest

from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.gossip.events import Payload
from scorecraft.gossip.known_parameters import ethereum, two_topics
from scorecraft.gossip.network import run_network
from scorecraft.gossip.parameters import RouterParameters
from scorecraft.gossip.peer_score import GlobalCounters, TopicCounters
from scorecraft.gossip.peer_state import PeerState, connected
from scorecraft.gossip.transition import transition

CONFIG = two_topics()
QUIET = replace(CONFIG, router=RouterParameters(d_lazy=0))


def pair(config=CONFIG):
    """Return two peers that subscribe both topics and are in each other's mesh of the first."""
    found = {}
    for me, other in (("a", "b"), ("b", "a")):
        found[me] = replace(connected(me, [other], config.topics), mesh={"ONE": (other,), "TWO": ()})
    return found


def step(state, event, config=CONFIG, **options):
    return transition(event[0], state, event, config, 0, **options)


def test_a_message_goes_to_the_mesh_and_not_back():
    trace = run_network(pair(), [("a", "APP", Payload(1, "ONE", "a"))], 100, CONFIG, 0, keep_trace=True)
    message = ("PAYLOAD", Payload(1, "ONE", "a"))
    assert trace.events == (
        ("a", "APP", Payload(1, "ONE", "a")),
        ("a", "SND", "b", message),
        ("b", "RCV", "a", message),
    )
    assert trace.states["b"].counted("a", "ONE") == TopicCounters(0, 1, 1)
    assert trace.states["a"].counters == {}
    assert not trace.truncated


def test_receipts_first_duplicate_late_invalid():
    state = replace(connected("a", ["b", "c"], CONFIG.topics), mesh={"ONE": ("b", "c"), "TWO": ()})
    message = ("PAYLOAD", Payload(1, "ONE", "c"))
    state, sent = step(state, ("a", "RCV", "b", message))
    # Neither back to whom it came from, nor to its origin.
    assert sent == []
    state, _ = step(state, ("a", "RCV", "c", message))
    assert state.counted("b", "ONE") == TopicCounters(0, 1, 1)
    assert state.counted("c", "ONE") == TopicCounters(0, 0, 1)
    again, _ = step(state, ("a", "RCV", "c", message))
    assert again.counted("c", "ONE").mesh_message_deliveries == 1
    # After a heartbeat the window of 10 ms is over.
    late = replace(state, seen={1: 1}, duplicates={})
    late, _ = step(late, ("a", "RCV", "b", message))
    assert late.counted("b", "ONE") == TopicCounters(0, 1, 1)
    bad = ("PAYLOAD", Payload(2, "ONE", "b", valid=False))
    worse, sent = step(state, ("a", "RCV", "b", bad))
    assert worse.counted("b", "ONE").invalid_message_deliveries == 1
    assert sent == []
    assert 2 not in worse.seen


def test_a_prune_adds_the_squared_deficit():
    topic = replace(CONFIG.topics["ONE"], mesh_message_deliveries_cap=3, mesh_message_deliveries_activation=1)
    config = replace(CONFIG, topics={"ONE": topic, "TWO": topic})
    state = replace(pair(config)["a"], counters={("b", "ONE"): TopicCounters(20, 0, 1)})
    state, _ = step(state, ("a", "RCV", "b", ("PRUNE", "ONE")), config)
    assert state.counted("b", "ONE") == TopicCounters(0, 0, 1, 0, 1)
    assert state.mesh["ONE"] == ()
    assert state.backoff["b", "ONE"] == 60


@pytest.mark.parametrize(("semantics", "kept", "pruned"), [("spec", {"y", "z"}, {"x"}), ("acl2s", {"x"}, {"y", "z"})])
def test_who_stays_in_the_mesh(semantics, kept, pruned):
    # Scores -1, 0 and 3 come from the application.
    config = replace(QUIET, app_specific_weight=1)
    state = replace(
        connected("a", ["x", "y", "z"], config.topics), mesh={"ONE": ("x", "y", "z"), "TWO": ()},
        over_all={"x": GlobalCounters(-1), "z": GlobalCounters(3)},
    )  # fmt: skip
    state, sent = step(state, ("a", "HBM", 1), config, semantics=semantics)
    assert state.scores == {"x": -1, "y": 0, "z": 3}
    assert {event[2] for event in sent if event[3] == ("PRUNE", "ONE")} == pruned
    assert kept <= set(state.mesh["ONE"])
    assert not pruned & (set(state.mesh["ONE"]))


def test_too_many_and_too_few():
    names = [f"p{i}" for i in range(14)]
    state = connected("a", names, QUIET.topics)
    state, sent = step(state, ("a", "HBM", 1), QUIET)
    # Both meshes were empty: D of each are grafted.
    assert len(state.mesh["ONE"]) == len(state.mesh["TWO"]) == 6
    assert [event[3] for event in sent] == [("GRAFT", "ONE")] * 6 + [("GRAFT", "TWO")] * 6
    config = replace(QUIET, app_specific_weight=1)
    full = replace(state, mesh={"ONE": tuple(sorted(names)), "TWO": ()}, over_all={
        name: GlobalCounters(at) for at, name in enumerate(names)})  # fmt: skip
    full, sent = step(full, ("a", "HBM", 1), config)
    # 14 are more than 12: D stay, with the four best among them.
    assert len(full.mesh["ONE"]) == 6
    assert {"p10", "p11", "p12", "p13"} <= set(full.mesh["ONE"])
    assert sum(event[3] == ("PRUNE", "ONE") for event in sent) == 8


def test_grafts_are_refused_in_backoff_and_below_zero():
    state = pair()["a"]
    asked = ("a", "RCV", "b", ("GRAFT", "TWO"))
    taken, sent = step(state, asked)
    assert (taken.mesh["TWO"], sent) == (("b",), [])
    early = replace(state, backoff={("b", "TWO"): 5})
    refused, sent = step(early, asked)
    assert sent == [("a", "SND", "b", ("PRUNE", "TWO"))]
    assert refused.over_all["b"].behaviour_penalty == 1
    poor, sent = step(replace(state, scores={"b": -1}), asked)
    assert sent == [("a", "SND", "b", ("PRUNE", "TWO"))]
    assert "b" not in poor.over_all
    # The published model takes those without a positive score, and refuses the others.
    assert step(replace(state, scores={"b": -1}), asked, semantics="acl2s")[1] == []
    assert step(replace(state, scores={"b": 1}), asked, semantics="acl2s")[1] != []
    stranger = connected("a", ["b"], CONFIG.topics, subscribed=False)
    assert step(stranger, asked)[1] == [("a", "SND", "b", ("PRUNE", "TWO"))]


def test_the_graylisted_are_not_heard():
    state = replace(pair()["a"], scores={"b": -100})
    after, sent = step(state, ("a", "RCV", "b", ("PAYLOAD", Payload(1, "ONE", "b"))))
    assert (after.counters, sent) == ({}, [])


def test_time_in_mesh_and_decay():
    state = replace(pair()["a"], counters={("b", "ONE"): TopicCounters(0, 8, 8)})
    state, _ = step(state, ("a", "HBM", 1), QUIET)
    half = Fraction(1, 2)
    assert state.counted("b", "ONE") == TopicCounters(1, 4, 4)
    assert state.clock == 1
    # A heartbeat of 700 ms ends no decay interval, and the next one does.
    state, _ = step(state, ("a", "HBM", Fraction(7, 10)), QUIET)
    assert state.counted("b", "ONE").first_message_deliveries == 4
    state, _ = step(state, ("a", "HBM", Fraction(7, 10)), QUIET)
    assert state.counted("b", "ONE").first_message_deliveries == 4 * half


def test_gossip_is_offered_asked_for_and_served_three_times():
    state = connected("a", ["b", "c"], CONFIG.topics)
    state = replace(state, mesh={"ONE": ("c",), "TWO": ()})
    state, _ = step(state, ("a", "RCV", "c", ("PAYLOAD", Payload(7, "ONE", "c"))))
    _, sent = step(state, ("a", "HBM", 1))
    assert ("a", "SND", "b", ("IHAVE", (7,))) in sent
    assert not any(event[2] == "c" and event[3][0] == "IHAVE" for event in sent)
    other = connected("b", ["a"], CONFIG.topics)
    other, asked = step(other, ("b", "RCV", "a", ("IHAVE", (7,))))
    assert asked == [("b", "SND", "a", ("IWANT", (7,)))]
    assert step(other, ("b", "RCV", "a", ("IHAVE", (7,))))[1] == []
    for times in range(4):
        state, sent = step(state, ("a", "RCV", "b", ("IWANT", (7,))))
        assert len(sent) == (times < 3)
    # A promise that is not kept within three seconds counts against whom it was given by.
    other, _ = step(other, ("b", "HBM", 4))
    assert other.over_all["a"].behaviour_penalty > 0
    assert other.waiting == {}


def test_only_so_many_offers_are_heard():
    config = replace(CONFIG, router=RouterParameters(max_ihave_messages=2))
    state = connected("a", ["b"], config.topics)
    answers = []
    for key in range(4):
        state, sent = step(state, ("a", "RCV", "b", ("IHAVE", (key,))), config)
        answers.append(len(sent))
    assert answers == [1, 1, 0, 0]


def test_join_publish_without_a_mesh_and_leave():
    state = connected("a", ["b", "c"], CONFIG.topics, subscribed=False)
    state, sent = step(state, ("a", "APP", Payload(1, "ONE", "a")))
    assert {event[2] for event in sent} == {"b", "c"}
    assert set(state.fanout["ONE"]) == {"b", "c"}
    old, _ = step(state, ("a", "HBM", 61), QUIET)
    assert old.fanout == {}
    state, sent = step(state, ("a", "JOIN", "ONE"))
    assert set(state.mesh["ONE"]) == {"b", "c"}
    assert "ONE" not in state.fanout
    assert [event[3] for event in sent] == [("GRAFT", "ONE")] * 2 + [("SUB", "ONE")] * 2
    state.check("a")
    state, sent = step(state, ("a", "LEAVE", "ONE"))
    assert "ONE" not in state.mesh
    assert state.backoff["b", "ONE"] == 10
    assert [event[3] for event in sent] == [("PRUNE", "ONE")] * 2 + [("UNSUB", "ONE")] * 2


def test_greetings_and_subscriptions():
    state = connected("a", [], CONFIG.topics)
    state, sent = step(state, ("a", "RCV", "d", ("CONNECT1", ("ONE",))))
    assert state.subscriptions["ONE"] == tuple(sorted(("a", "d"), key=state.subscriptions["ONE"].index))
    assert sent == [("a", "SND", "d", ("CONNECT2", ("ONE", "TWO")))]
    state, _ = step(state, ("a", "RCV", "d", ("SUB", "TWO")))
    state, _ = step(state, ("a", "RCV", "d", ("GRAFT", "TWO")))
    state, _ = step(state, ("a", "RCV", "d", ("UNSUB", "TWO")))
    assert state.mesh["TWO"] == ()
    assert "d" not in state.subscriptions["TWO"]


def test_the_model_counts_every_receipt():
    state = connected("a", ["b"], ethereum(3).topics)
    for _ in range(3):
        state, _ = step(state, ("a", "RCV", "b", ("PAYLOAD", Payload(1, "AGG", "b", valid=False))), ethereum(3),
                        semantics="acl2s")  # fmt: skip
    assert state.counted("b", "AGG") == TopicCounters(0, 3, 3)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (("b", "HBM", 1), "no event of a"),
        (("a", "HBM", 0), "expected seconds > 0"),
        (("a", "SLEEP", 1), "expected SND, RCV"),
        (("a", "RCV", "b", ("HELLO", 1)), "is no message"),
        (("a", "JOIN", "THREE"), "topic 'THREE' has no parameters"),
        (("a", "APP", Payload(1, "THREE", "a")), "topic 'THREE' has no parameters"),
        (("a", "RCV", "b", ("PAYLOAD", Payload(1, "THREE", "b"))), "topic 'THREE' has no parameters"),
    ],
)
def test_events_that_are_none(event, said):
    with pytest.raises(ScorecraftError, match=said):
        transition("a", connected("a", ["b"], CONFIG.topics), event, CONFIG, 0)


def test_states_that_cannot_be():
    with pytest.raises(ScorecraftError, match="its own neighbour"):
        connected("a", ["a"], ["ONE"])
    with pytest.raises(ScorecraftError, match="do not subscribe"):
        replace(connected("a", ["b"], ["ONE"]), mesh={"ONE": ("z",)}).check("a")
    with pytest.raises(ScorecraftError, match="a mesh and a fanout"):
        replace(connected("a", ["b"], ["ONE"]), fanout={"ONE": ("b",)}).check("a")


def test_networks_say_when_they_are_cut_and_who_is_new():
    trace = run_network(pair(), [("a", "APP", Payload(1, "ONE", "a"))], 2, CONFIG, 0)
    assert trace.truncated
    assert trace.steps == 2
    with pytest.warns(ScorecraftWarning, match="'z' is not known"):
        trace = run_network({}, [("z", "JOIN", "ONE")], 5, CONFIG, 0)
    assert isinstance(trace.states["z"], PeerState)
    with pytest.raises(ScorecraftError, match="max_steps"):
        run_network({}, [], 0, CONFIG, 0)


def test_the_published_attack_violates_from_the_second_heartbeat_on():
    # Two peers, three subnets, one of which is throttled to one message a beat.
    from scorecraft.gossip.attack import replayed, synthesise_attack

    config = ethereum(3)
    config = replace(config, router=replace(config.router, d_lazy=0))
    plan = synthesise_attack(config, ["SUB1"], sent=1, beats=4, victim="v", attacker="x")
    victim = replace(connected("v", ["x"], config.topics), mesh=dict.fromkeys(config.topics, ("x",)))
    trace = run_network({"v": victim, "x": connected("x", ["v"], config.topics)}, plan.events, 10**5, config, 0)
    assert [beat for beat, who, of in trace.violations if (who, of) == ("v", "x")] == [1, 2, 3]
    scores = [found["x"] for who, found in trace.scores if who == "v"]
    assert scores == [beat.score for beat in replayed(config, plan.events)]
