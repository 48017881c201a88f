"""A network of three under any sequence of events: what always holds of its states."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from scorecraft.gossip.events import Payload
from scorecraft.gossip.known_parameters import ethereum, filecoin, two_topics
from scorecraft.gossip.network import run_network
from scorecraft.gossip.peer_score import GlobalCounters, peer_score
from scorecraft.gossip.peer_state import connected

PEERS = ("a", "b", "c")


class GossipMachine(RuleBasedStateMachine):
    """Three peers that all know one another: messages valid and not, heartbeats, joins, leaves, grafts and prunes."""

    @initialize(config=st.sampled_from([ethereum(3), two_topics(), filecoin(drand=True)]))
    def start(self, config):
        self.config, self.number, self.seed = config, 0, 0
        self.states = {me: connected(me, set(PEERS) - {me}, config.topics) for me in PEERS}
        self.beaten = None

    def play(self, *events):
        trace = run_network(self.states, events, 10_000, self.config, self.seed)
        assert not trace.truncated
        self.states, self.seed = dict(trace.states), self.seed + trace.steps

    def topic(self, at):
        return list(self.config.topics)[at % len(self.config.topics)]

    @rule(me=st.sampled_from(PEERS), at=st.integers(0, 4))
    def publish(self, me, at):
        self.number += 1
        self.beaten = None
        self.play((me, "APP", Payload(self.number, self.topic(at), me)))

    @rule(me=st.sampled_from(PEERS), other=st.sampled_from(PEERS), at=st.integers(0, 4), valid=st.booleans())
    def receive(self, me, other, at, valid):
        if me != other:
            self.number += 1
            self.beaten = None
            self.play((me, "RCV", other, ("PAYLOAD", Payload(self.number, self.topic(at), other, valid))))

    @rule(me=st.sampled_from(PEERS), other=st.sampled_from(PEERS), at=st.integers(0, 4),
          kind=st.sampled_from(["GRAFT", "PRUNE", "SUB"]))  # fmt: skip
    def control(self, me, other, at, kind):
        if me != other:
            self.beaten = None
            self.play((me, "RCV", other, (kind, self.topic(at))))

    @rule(me=st.sampled_from(PEERS), at=st.integers(0, 4), leave=st.booleans())
    def subscribe(self, me, at, leave):
        self.beaten = None
        self.play((me, "LEAVE" if leave else "JOIN", self.topic(at)))

    @rule(me=st.sampled_from(PEERS), seconds=st.sampled_from([1, 5, 18]))
    def beat(self, me, seconds):
        before = self.states[me]
        self.play((me, "HBM", seconds))
        self.beaten = (me, before)

    @invariant()
    def counters_are_not_negative(self):
        for state in getattr(self, "states", {}).values():
            assert all(value >= 0 for own in state.counters.values() for value in own)
            assert all(own.behaviour_penalty >= 0 for own in state.over_all.values())

    @invariant()
    def meshes_hold_subscribers(self):
        for me, state in getattr(self, "states", {}).items():
            state.check(me)

    @invariant()
    def after_a_heartbeat_nobody_negative_is_in_a_mesh_and_scores_are_what_counters_say(self):
        if getattr(self, "beaten", None) is None:
            return
        me, before = self.beaten
        state = self.states[me]
        for peers in state.mesh.values():
            assert all(state.score(peer) >= 0 for peer in peers)
        for peer in before.neighbours:
            over_all = before.over_all.get(peer, GlobalCounters())
            assert state.scores[peer] == peer_score(self.config, before.topics_of(peer), over_all)

    @invariant()
    def equal_counters_have_equal_scores(self):
        for state in getattr(self, "states", {}).values():
            found = {}
            for peer in state.neighbours:
                key = tuple(sorted(state.topics_of(peer).items())), state.over_all.get(peer)
                score = peer_score(self.config, state.topics_of(peer), state.over_all.get(peer, GlobalCounters()))
                assert found.setdefault(key, score) == score


TestGossipMachine = GossipMachine.TestCase
TestGossipMachine.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_the_machine_has_a_network_that_lives():
    machine = GossipMachine()
    machine.start(replace(two_topics()))
    for me in PEERS:
        machine.beat(me, 1)
    machine.publish("a", 0)
    assert machine.states["b"].counters
    assert all(len(state.mesh["ONE"]) == 2 for state in machine.states.values())
