"""Attacks on a linear classifier, whose gradient is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from torch import nn

from scorecraft.detect.attacks import attack
from scorecraft.errors import ScorecraftError

pytest.importorskip("foolbox")
pytest.importorskip("art")


@pytest.fixture
def model():
    """Return a classifier whose loss at class 0 rises along (-1, 2, 2)."""
    net = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 2, bias=False))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[0.0, 0.0, 0.0], [-1.0, 2.0, 2.0]]))
    return net.train()


ZERO, CLASS = torch.zeros(1, 3), torch.tensor([0])


def test_one_step_by_hand(model):
    found = attack(model, ZERO, CLASS, 0.1, name="fgsm")
    torch.testing.assert_close(found, torch.tensor([[-0.1, 0.1, 0.1]]))
    found = attack(model, ZERO, CLASS, 0.3, name="fgsm", norm="l2")
    torch.testing.assert_close(found, torch.tensor([[-0.1, 0.2, 0.2]]))


@pytest.mark.parametrize("name", ["bim", "mim"])
def test_steps_of_a_constant_direction_reach_the_bound(model, name):
    torch.testing.assert_close(attack(model, ZERO, CLASS, 0.1, name=name, steps=4), torch.tensor([[-0.1, 0.1, 0.1]]))
    # Half of the steps' length: half of the way.
    torch.testing.assert_close(
        attack(model, ZERO, CLASS, 0.1, name=name, steps=4, step_size=0.0125), torch.tensor([[-0.05, 0.05, 0.05]])
    )
    torch.testing.assert_close(
        attack(model, ZERO, CLASS, 0.3, name=name, norm="l2", steps=3), torch.tensor([[-0.1, 0.2, 0.2]])
    )


def test_autoattack_reaches_the_bound_and_leaves_what_is_wrong_already(model):
    torch.testing.assert_close(
        attack(model, ZERO, CLASS, 0.1, name="autoattack", steps=20), torch.tensor([[-0.1, 0.1, 0.1]])
    )
    torch.testing.assert_close(
        attack(model, ZERO, CLASS, 0.3, name="autoattack", norm="l2", steps=20),
        torch.tensor([[-0.1, 0.2, 0.2]]), atol=1e-3, rtol=0,
    )  # fmt: skip
    # Logits (0, -0.5) and (0, 1): class 0 wins at the first, class 1 at the second already.
    both = torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]])
    found = attack(model, both, torch.zeros(2, dtype=torch.long), 0.1, name="autoattack")
    assert not found[0].equal(both[0])
    assert found[1].equal(both[1])


def test_the_second_loss_fools_where_the_first_has_no_gradient():
    # Logits so far apart that float32 knows no gradient of the cross entropy; at most 0.2 away the order turns.
    net = nn.Linear(2, 3, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[1000.0, 0.0], [0.0, 1000.0], [0.0, -1000.0]]))
    x, y = torch.tensor([[0.5, 0.2]]), torch.tensor([0])
    fooled = attack(net, x, y, 0.2, name="autoattack", steps=20)
    assert net(fooled).argmax() == 1
    assert (fooled - x).abs().max() <= 0.2 + 1e-6
    stuck = attack(net, x, y, 0.2, name="pgd", steps=20)
    assert net(stuck).argmax() == 0


@pytest.mark.parametrize("name", ["pgd", "autoattack"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_changes_stay_within_strength_and_bounds(model, norm, name):
    x = torch.rand(50, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = attack(model, x, torch.zeros(50, dtype=torch.long), 0.2, name=name, norm=norm, steps=10, step_size=0.1)
    change = found - x
    size = change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
    assert (size <= 0.2 + 1e-5).all()
    assert (found.abs() <= 1).all()
    loss = nn.functional.cross_entropy
    model.eval()
    assert loss(model(found), torch.zeros(50, dtype=torch.long)) > loss(model(x), torch.zeros(50, dtype=torch.long))


def test_random_starts_are_repeatable_and_the_random_state_is_kept(model):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    first, second, other = (attack(model, ZERO, CLASS, 0.1, steps=1, step_size=0.01, seed=seed) for seed in (1, 1, 2))
    np.random.seed(0)
    attack(model, ZERO, CLASS, 0.1, name="autoattack")
    assert torch.rand(3).equal(expected)
    assert np.random.random() == pytest.approx(0.5488135)
    assert first.equal(second)
    assert not first.equal(other)


def test_the_model_is_left_as_it_was(model):
    frozen = nn.Linear(2, 2).requires_grad_(False)
    whole = nn.Sequential(model, frozen)
    attack(whole, ZERO, CLASS, 0.1)
    attack(whole, ZERO, CLASS, 0.1, name="autoattack")
    assert model.training
    assert model[0].training
    assert model[1].weight.grad is None
    assert model[1].weight.requires_grad
    assert not frozen.weight.requires_grad


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"x": torch.full((1, 3), 1.5)}, "within the bounds -1 to 1"),
        ({"x": torch.full((1, 3), float("nan"))}, "within the bounds"),
        ({"epsilon": -0.1}, "epsilon of at least 0"),
        ({"steps": 0}, "1 step or more"),
    ],
)
def test_bad_input_is_named(model, changed, said):
    given = {"x": ZERO, "y": CLASS, "epsilon": 0.1} | changed
    with pytest.raises(ScorecraftError, match=said):
        attack(model, given.pop("x"), given.pop("y"), given.pop("epsilon"), **given)


@pytest.mark.parametrize("changed", [{"name": "pdg"}, {"norm": "l1"}])
def test_an_unknown_attack_is_refused(model, changed):
    with pytest.raises((ScorecraftError, TypeCheckError)):
        attack(model, ZERO, CLASS, 0.1, **changed)
