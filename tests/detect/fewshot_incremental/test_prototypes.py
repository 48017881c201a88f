"""Prototypes and sub-networks by hand, and against numerical slopes."""

import math

import pytest
import torch
from torch import nn

from scorecraft.detect.fewshot_incremental import PrototypeClassifier, mlp_encoder, select_subnet, tuned_weights
from scorecraft.errors import ScorecraftError


def test_the_nearest_prototype_by_hand():
    classifier = PrototypeClassifier(tau=0.5)
    classifier.add(torch.tensor([[3.0, 0.0], [0.0, 2.0]]), torch.tensor([7, 4]))
    assert classifier.classes == [4, 7]
    z = torch.tensor([[0.6, 0.8]])
    assert classifier.logits(z)[0].tolist() == pytest.approx([1.6, 1.2])
    assert classifier.predict(z).tolist() == [4]
    # A longer feature has the same cosines.
    assert classifier.logits(5 * z)[0].tolist() == pytest.approx([1.6, 1.2])


def test_a_prototype_is_the_mean_of_unit_features_made_unit():
    classifier = PrototypeClassifier()
    classifier.add(torch.tensor([[10.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0]))
    assert classifier.prototypes[0].tolist() == pytest.approx([math.sqrt(0.5)] * 2)


def test_a_new_class_leaves_the_others_alone():
    classifier = PrototypeClassifier()
    classifier.add(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    before = classifier.prototypes.clone()
    classifier.add_direction(9, torch.tensor([0.0, 4.0]))
    assert torch.equal(classifier.prototypes[:1], before)
    assert classifier.prototypes[1].tolist() == [0, 1]
    with pytest.raises(ScorecraftError, match="class 9 is there already"):
        classifier.add(torch.tensor([[1.0, 0.0]]), torch.tensor([9]))


def test_the_last_block_is_the_last_child_with_weights():
    encoder = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2), nn.Flatten())
    assert list(tuned_weights(encoder)) == ["2.weight", "2.bias"]
    assert len(tuned_weights(encoder, "encoder")) == 4
    assert list(tuned_weights(nn.Linear(2, 2))) == ["weight", "bias"]


def linear(weights):
    encoder = nn.Linear(2, 2, bias=False)
    encoder.weight.data = torch.tensor(weights)
    return encoder


def test_the_smallest_weights_by_hand():
    encoder = linear([[1.0, -0.1], [0.2, 3.0]])
    x, y = torch.eye(2), torch.tensor([0, 1])
    for ratio, expected in ((0.25, [[0, 1], [0, 0]]), (0.5, [[0, 1], [1, 0]]), (1e-6, [[0, 1], [0, 0]])):
        found = select_subnet(encoder, x, y, torch.eye(2), ratio, "low_magnitude")
        assert found["weight"].int().tolist() == expected


def test_importance_is_the_weight_times_its_slope():
    x, y = torch.tensor([[1.0, 0.5], [0.2, 1.0], [0.9, -0.4]]), torch.tensor([0, 1, 1])
    start = torch.tensor([[0.8, 0.3], [-0.2, 0.9]])

    def loss(weights):
        z = x.double() @ weights.T
        return -(z / z.norm(dim=1, keepdim=True) / 0.5).log_softmax(1)[torch.arange(3), y].mean()

    scores = torch.zeros(2, 2)
    for row in range(2):
        for column in range(2):
            step = torch.zeros(2, 2, dtype=torch.float64)
            step[row, column] = 1e-5
            slope = (loss(start.double() + step) - loss(start.double() - step)) / 2e-5
            scores[row, column] = (start[row, column] * slope).abs()
    expected = scores.flatten().argsort()[:2].sort().values
    encoder = linear(start.tolist())
    found = select_subnet(encoder, x, y, torch.eye(2), 0.5, tau=0.5)["weight"]
    assert found.flatten().nonzero()[:, 0].tolist() == expected.tolist()
    assert encoder.weight.grad is None


def test_as_many_as_asked_for_and_none_that_is_needed():
    torch.manual_seed(0)
    encoder = mlp_encoder(4, 8, 6)
    # Three hidden units are dead, so the 18 weights after them do nothing; the others are alive.
    encoder[1].bias.data = torch.tensor([-100.0] * 3 + [3.0] * 5)
    x, y = torch.rand(20, 4), torch.randint(2, (20,))
    found = select_subnet(encoder, x, y, torch.eye(2, 6), 18 / 54)
    assert sum(int(mask.sum()) for mask in found.values()) == 18
    assert found["3.weight"][:, :3].all()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: PrototypeClassifier(0.0), "temperature above 0"),
        (lambda: PrototypeClassifier().prototypes, "no classes yet"),
        (lambda: PrototypeClassifier().add(torch.empty(0, 2), torch.empty(0, dtype=torch.int64)), "no rows"),
        (lambda: select_subnet(nn.Linear(2, 2), torch.eye(2), torch.tensor([0, 1]), torch.eye(2), 0.0), "ratio in"),
        (
            lambda: select_subnet(nn.Linear(2, 2), torch.empty(0, 2), torch.empty(0, dtype=torch.int64), torch.eye(2)),
            "no rows of the base",
        ),
        (lambda: tuned_weights(nn.Flatten()), "no weights to tune"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
