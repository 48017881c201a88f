"""Parameter files: JSON there and back, Go and Rust literals, clients' formulas, and every mistake by name and line."""

import json
from fractions import Fraction

import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.gossip.client_formulas import aggregators, decay, lighthouse, prysm
from scorecraft.gossip.parameter_files import KNOWN, as_values, known_config, load_params

GO = """package lp2p

const hour = time.Hour
const zero = 0.01

func params() *pubsub.PeerScoreParams {
	return nil
}

func options(nn string) []pubsub.Option {
	return []pubsub.Option{
		pubsub.WithPeerScore(
			&pubsub.PeerScoreParams{
				AppSpecificScore: func(p peer.ID) float64 { return 0 }, // a comment { with a brace
				AppSpecificWeight: 1,
				IPColocationFactorThreshold: 5,
				IPColocationFactorWeight: -100,
				DecayInterval: time.Second,
				DecayToZero: zero,
				RetainScore: 6 * time.Hour,
				BehaviourPenaltyWeight: -10,
				BehaviourPenaltyThreshold: 6,
				BehaviourPenaltyDecay: pubsub.ScoreParameterDecay(hour),
				Topics: map[string]*pubsub.TopicScoreParams{
					build.BlocksTopic(nn): {
						TopicWeight: 0.1,
						TimeInMeshWeight: 0.00027, // of an hour
						TimeInMeshQuantum: time.Second,
						TimeInMeshCap: 1,
						FirstMessageDeliveriesWeight: 5,
						FirstMessageDeliveriesDecay: pubsub.ScoreParameterDecay(time.Hour),
						FirstMessageDeliveriesCap: 100,
						MeshMessageDeliveriesWindow: 10 * time.Millisecond,
						InvalidMessageDeliveriesWeight: -1_000,
						InvalidMessageDeliveriesDecay: pubsub.ScoreParameterDecay(time.Hour),
					},
					"/fil/msgs/": &pubsub.TopicScoreParams{
						TopicWeight: 1e-1,
						InvalidMessageDeliveriesWeight: -1000,
						InvalidMessageDeliveriesDecay: 0.5,
					},
				},
			},
			&pubsub.PeerScoreThresholds{
				GossipThreshold: -500, PublishThreshold: -1000, GraylistThreshold: -2500,
				AcceptPXThreshold: 1000, OpportunisticGraftThreshold: 3.5,
			},
		),
	}
}
"""
# Topics in variables, as Lotus has them, and a function with branches.
VARIABLES = """
func start(in Given) error {
	drandTopicParams := &pubsub.TopicScoreParams{
		// a comment with a brace {
		TopicWeight: 0.5,
		FirstMessageDeliveriesWeight: 5,
		FirstMessageDeliveriesDecay: pubsub.ScoreParameterDecay(time.Hour),
		FirstMessageDeliveriesCap: 25,
		InvalidMessageDeliveriesWeight: -1000,
		InvalidMessageDeliveriesDecay: pubsub.ScoreParameterDecay(time.Hour),
	}
	topicParams := map[string]*pubsub.TopicScoreParams{
		build.BlocksTopic(in.Nn): {
			TopicWeight: 0.1,
			// MeshMessageDeliveriesWeight: -576,
			InvalidMessageDeliveriesWeight: -1000,
			InvalidMessageDeliveriesDecay: pubsub.ScoreParameterDecay(time.Hour),
		},
	}
	topicParams[topic] = drandTopicParams
	options := &pubsub.PeerScoreParams{
		AppSpecificScore: func(p peer.ID) float64 {
			if trusted[p] { return 7 }
			return 0
		},
		AppSpecificWeight: 1,
		DecayInterval: pubsub.DefaultDecayInterval,
		DecayToZero: pubsub.DefaultDecayToZero,
		Topics: topicParams,
	}
}
"""
RUST = """
const GREYLIST: f64 = -16000.0;
pub fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds { gossip_threshold: -4000.0, publish_threshold: -8000.0, graylist_threshold: GREYLIST,
        accept_px_threshold: 100.0, opportunistic_graft_threshold: 5.0 }
}
fn params() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 0.5,
        time_in_mesh_quantum: Duration::from_secs(12),
        mesh_message_deliveries_window: std::time::Duration::from_millis(2_000),
        invalid_message_deliveries_weight: -214.99_f64,
        invalid_message_deliveries_decay: score_parameter_decay(Duration::from_secs(600)),
    }
}
"""


def write(tmp_path, text, name):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", KNOWN)
def test_json_there_and_back_loses_nothing(tmp_path, name):
    config = known_config(name, subnets=3)
    assert load_params(write(tmp_path, json.dumps(as_values(config)), "p.json")) == config


def test_go_literals(tmp_path):
    for form in ("auto", "lotus", "go-libp2p"):
        found = load_params(write(tmp_path, GO, "pubsub.go"), form)
    assert list(found.topics) == ["BlocksTopic", "/fil/msgs/"]
    blocks = found.topics["BlocksTopic"]
    assert blocks.topic_weight == Fraction(1, 10)
    assert blocks.time_in_mesh_weight == Fraction(27, 100_000)
    assert blocks.invalid_message_deliveries_weight == -1000
    assert blocks.mesh_message_deliveries_window == Fraction(1, 100)
    # 0.01^(1 / 3600)
    assert float(blocks.first_message_deliveries_decay) == pytest.approx(0.9987216, abs=1e-7)
    assert float(found.behaviour_penalty_decay) == pytest.approx(0.9987216, abs=1e-7)
    assert found.retain_score == 6 * 3600
    assert found.decay_to_zero == Fraction(1, 100)
    assert found.ip_colocation_factor_weight == -100
    assert found.opportunistic_graft_threshold == Fraction(7, 2)
    assert found.accept_px_threshold == 1000


def test_go_literals_in_variables(tmp_path):
    found = load_params(write(tmp_path, VARIABLES, "pubsub.go"))
    assert set(found.topics) == {"drandTopicParams", "BlocksTopic"}
    assert found.topics["drandTopicParams"].first_message_deliveries_cap == 25
    # What is left out, or commented out, is zero in Go.
    assert found.topics["BlocksTopic"].mesh_message_deliveries_weight == 0
    assert found.topics["BlocksTopic"].first_message_deliveries_weight == 0
    assert (found.decay_interval, found.decay_to_zero) == (1, Fraction(1, 100))
    assert found.app_specific_weight == 1


def test_defaults_of_a_client_are_not_guessed(tmp_path):
    text = RUST.replace("topic_weight: 0.5,", "topic_weight: 0.5, ..Default::default()")
    with pytest.raises(ScorecraftError, match="leaves parameters to the client's defaults"):
        load_params(write(tmp_path, text, "scores.rs"))


def test_rust_literals(tmp_path):
    found = load_params(write(tmp_path, RUST, "scores.rs"))
    topic = next(iter(found.topics.values()))
    assert topic.time_in_mesh_quantum == 12
    assert topic.mesh_message_deliveries_window == 2
    assert topic.invalid_message_deliveries_weight == Fraction("-214.99")
    assert float(topic.invalid_message_deliveries_decay) == pytest.approx(0.9923541, abs=1e-7)
    assert found.graylist_threshold == -16000


@pytest.mark.parametrize(
    ("expression", "line"),
    [
        ("maxInMeshScore / inMeshCap()", 27), ("2 * 3", 27), ("__import__('os').system('x')", 27), ("a.b", 27),
        ("6 * time.Hour * 2", 27), ("pubsub.ScoreParameterDecay(lifetime())", 27),
    ],
)  # fmt: skip
def test_an_expression_is_refused_with_its_line_and_never_evaluated(tmp_path, expression, line):
    text = GO.replace("TimeInMeshWeight: 0.00027", f"TimeInMeshWeight: {expression}")
    with pytest.raises(ScorecraftError, match=f"line {line}: .*not evaluated") as caught:
        load_params(write(tmp_path, text, "pubsub.go"))
    assert expression in str(caught.value)


def test_other_mistakes_in_sources(tmp_path):
    for text, said in (
        (GO.replace("TimeInMeshCap: 1", "TimeInMeshCapp: 1"), "no parameter 'TimeInMeshCapp'; did you mean"),
        (GO.replace("TopicWeight: 0.1", "TopicWeight: -0.1"), "topic 'BlocksTopic': topic_weight is -1/10"),
        ("package main\n", "no literal of TopicScoreParams"),
        (GO[: GO.index("FirstMessageDeliveriesCap")], "never closed"),
        ("", "the file is empty"),
    ):
        with pytest.raises(ScorecraftError, match=said):
            load_params(write(tmp_path, text, "pubsub.go"))
    with pytest.raises(ScorecraftError, match="cannot be read"):
        load_params(tmp_path / "absent.go")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "expected an object"),
        ({}, "'topics' is missing"),
        ({"topics": {}}, "no topic"),
        ({"topics": {"T": 3}}, "expected an object"),
        ({"topics": {"T": {"topic_wieght": 1}}}, "did you mean 'topic_weight'"),
        ({"topics": {"T": {"topic_weight": "one"}}}, "topic 'T': topic_weight is 'one'"),
        ({"topics": {"T": {"topic_weight": True}}}, "expected a number"),
        ({"topics": {"T": {"topic_weight": -1}}}, "expected a number >= 0"),
        ({"topics": {"T": {}}, "router": {"d": 20}}, "d_high"),
        ({"topics": {"T": {}}, "decay": 1}, "no parameter 'decay'"),
        ({"validators": 5, "client": "prysm"}, "validators is 5"),
        ({"validators": 5000, "client": "teku"}, "expected 'lighthouse' or 'prysm'"),
        ({"validators": 500_000, "client": "prysm", "slot": 4}, "no value 'slot'"),
    ],
)
def test_mistakes_in_json(tmp_path, value, said):
    with pytest.raises(ScorecraftError, match=said):
        load_params(write(tmp_path, json.dumps(value), "p.json"))


def test_json_that_is_none(tmp_path):
    with pytest.raises(ScorecraftError, match="line 1"):
        load_params(write(tmp_path, "{oops", "p.json"))
    with pytest.raises(ScorecraftError, match="NaN"):
        load_params(write(tmp_path, '{"topics": {"T": {"topic_weight": NaN}}}', "p.json"))
    with pytest.raises(ScorecraftError, match="no format 'yaml'"):
        load_params({}, "yaml")
    with pytest.raises(ScorecraftError, match="no configuration"):
        known_config("ethereum")


def test_lifetimes():
    # Mainnet: an epoch has 32 slots of 12 s.
    epoch = 384.0
    assert [decay(n * epoch) for n in (1, 5, 20, 50)] == pytest.approx(
        [0.8659643, 0.9716280, 0.9928302, 0.9971259], abs=1e-7
    )
    assert decay(3600, 1) == pytest.approx(0.9987216, abs=1e-7)


def test_lighthouse():
    found = lighthouse(500_000)
    block, subnet = found.topics["beacon_block"], found.topics["beacon_attestation_0"]
    assert found.topic_score_cap == Fraction("53.75")
    assert float(found.behaviour_penalty_weight) == pytest.approx(-15.879335, abs=1e-6)
    assert aggregators(500_000) == pytest.approx(1041.6667, abs=1e-4)
    assert float(block.mesh_message_deliveries_threshold) == pytest.approx(0.684919, abs=1e-6)
    effect = [
        float(t.topic_weight * t.mesh_message_deliveries_weight * t.mesh_message_deliveries_threshold**2)
        for t in (block, subnet)
    ]
    assert effect == pytest.approx([-0.1173, -4.3375], abs=1e-4)
    assert float(subnet.mesh_message_deliveries_threshold) == pytest.approx(133.29026, abs=1e-5)
    assert float(subnet.first_message_deliveries_cap) == pytest.approx(455.365003, abs=1e-6)
    young = lighthouse(500_000, current_slot=10).topics["beacon_block"]
    assert young.mesh_message_deliveries_weight == 0
    assert load_params({"validators": 500_000}, "lighthouse") == found


def test_prysm():
    released, scored = prysm(500_000), prysm(500_000, mesh_scored=True)
    assert all(topic.mesh_message_deliveries_weight == 0 for topic in released.topics.values())
    blocks = scored.topics["beacon_block"]
    # 5 epochs of 32 blocks, a tenth of which is expected.
    assert (blocks.mesh_message_deliveries_cap, blocks.mesh_message_deliveries_threshold) == (160, 16)
    assert float(blocks.mesh_message_deliveries_weight) == -0.717
    subnet = scored.topics["beacon_attestation_0"]
    # A full deficit costs the highest score: 50 times the sum of weights, 3.1.
    cost = subnet.topic_weight * subnet.mesh_message_deliveries_weight * subnet.mesh_message_deliveries_threshold**2
    assert float(cost) == pytest.approx(-50 * 3.1)
    assert load_params({"client": "prysm", "validators": 500_000, "mesh_scored": True}) == scored
