"""Mixed and turned images: which class is which, and that turning four times is nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.detect.fewshot_incremental import make_pseudo_classes, pseudo_count, pseudo_pairs, rotation_batch
from scorecraft.detect.fewshot_incremental.pseudo_classes import rotated
from scorecraft.errors import ScorecraftError

IMAGE = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])


def test_every_pair_is_a_class():
    table = pseudo_pairs(6)
    assert pseudo_count(6) == 15
    assert table.diagonal().tolist() == [-1] * 6
    assert torch.equal(table, table.T)
    assert sorted(table[torch.triu(torch.ones(6, 6), 1).bool()].tolist()) == list(range(15))
    assert (table[0, 1], table[0, 5], table[1, 2], table[4, 5]) == (0, 4, 5, 14)


def test_many_classes_make_twice_as_many():
    table = pseudo_pairs(201, torch.Generator().manual_seed(0))
    assert pseudo_count(200) == 19_900
    assert pseudo_count(201) == 402
    assert table.unique().tolist() == list(range(-1, 402))


@given(st.integers(0, 10_000))
def test_a_mix_says_what_it_is_made_of(seed):
    random = torch.Generator().manual_seed(seed)
    y = torch.randint(4, (12,), generator=random)
    # Each class is a direction, so that the mix shows its two classes and their weights.
    made, labels = make_pseudo_classes(torch.eye(4)[y], y, 4, generator=random)
    table = pseudo_pairs(4)
    assert made.shape == (len(labels), 4)
    for row, label in zip(made, labels.tolist(), strict=True):
        first, second = (row > 0).nonzero()[:, 0].tolist()
        assert table[first, second] == label - 4
        assert 0.4 <= float(row[first]) <= 0.6
        assert float(row.sum()) == pytest.approx(1.0)


def test_one_class_alone_makes_nothing():
    made, labels = make_pseudo_classes(IMAGE.repeat(3, 1, 1), torch.zeros(3, dtype=torch.int64), 2)
    assert made.shape == (0, 2, 2)
    assert len(labels) == 0


def test_turned_copies_by_hand():
    made, labels = make_pseudo_classes(IMAGE, torch.tensor([1]), 2, "rotate")
    assert pseudo_count(2, "rotate") == 6
    assert labels.tolist() == [5, 6, 7]
    assert made.tolist() == [[[2, 4], [1, 3]], [[4, 3], [2, 1]], [[3, 1], [4, 2]]]


def test_turns_are_those_that_are_named():
    x = torch.rand(40, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    turned, turns = rotation_batch(x, torch.Generator().manual_seed(1))
    assert set(turns.tolist()) == {0, 1, 2, 3}
    for image, found, times in zip(x, turned, turns.tolist(), strict=True):
        assert torch.equal(rotated(found[None], 4 - times)[0], image)


def test_a_constant_image_is_a_copy_of_itself():
    flat = torch.full((2, 1, 3, 3), 0.5)
    made, _ = make_pseudo_classes(flat, torch.tensor([0, 1]), 2, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(made, torch.tensor(0.5))
    assert torch.equal(rotation_batch(flat)[0], flat)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: rotation_batch(torch.zeros(2, 1, 3, 4)), r"square images .* got shape \(2, 1, 3, 4\)"),
        (lambda: rotation_batch(torch.zeros(2, 9)), "square images"),
        (lambda: make_pseudo_classes(torch.zeros(2, 3, 4), torch.tensor([0, 1]), 2, "rotate"), "square images"),
        (lambda: make_pseudo_classes(IMAGE, torch.tensor([2]), 2), "label 0 is 2"),
        (lambda: make_pseudo_classes(IMAGE, torch.tensor([0]), 2, lam=(0.6, 0.4)), "mixing weights"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
