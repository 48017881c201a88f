"""The geometry of a sample by hand, its sizes, and what it refuses."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.distill.trilateral_features import (
    BLOCKS,
    class_average_teacher,
    feature_name,
    feature_size,
    trilateral_features,
)
from scorecraft.errors import ScorecraftError, ScorecraftWarning

S, T, G, A = (torch.tensor([row]) for row in ([0.2, 0.5, 0.3], [0.1, 0.7, 0.2], [0.0, 1.0, 0.0], [0.15, 0.6, 0.25]))


def test_vertices_and_edges_by_hand():
    found = trilateral_features(S, T, G, A)[0]
    assert found.shape == (27,)
    assert found[:12].tolist() == pytest.approx([0.2, 0.5, 0.3, 0.1, 0.7, 0.2, 0, 1, 0, 0.15, 0.6, 0.25])
    edges = [
        [0.0025, 0.01, 0.0025], [0.04, 0.25, 0.09], [0.01, 0.04, 0.01], [0.01, 0.09, 0.04], [0.0225, 0.16, 0.0625],
    ]  # fmt: skip
    for place, edge in enumerate(edges):
        assert found[12 + 3 * place : 15 + 3 * place].tolist() == pytest.approx(edge, abs=1e-6)


def test_angles_by_hand():
    # A-S = (-.05, .1, -.05), T-S = (-.1, .2, -.1), G-S = (-.2, .5, -.3).
    found = trilateral_features(S, T, G, A, "angles")[0]
    assert found.tolist() == pytest.approx([0.01, 0.05, 0.015, 0.02, 0.1, 0.03], abs=1e-6)


def test_scalars_by_hand():
    found = trilateral_features(S, T, G, A, "scalar")[0].tolist()
    assert found[:5] == pytest.approx([0.616441, 0.374166, 0.244949, 0.122474, 0.494975], abs=1e-6)
    # (T-S).(G-S) = .15, and A-S is half of T-S, so both angles are one.
    assert found[5] == pytest.approx(0.15 / (math.sqrt(0.06) * math.sqrt(0.38)), abs=1e-6)
    assert found[6] == pytest.approx(found[5], abs=1e-6)
    assert found[7:] == pytest.approx([0.5, 0.7, 0.6])


def test_what_is_taken_away_piece_by_piece():
    label, intra, edges = (
        trilateral_features(S, T, G, A, kind)[0] for kind in ("label-edges", "intra-edges", "all-edges")
    )
    assert label.tolist() == pytest.approx([0.04, 0.25, 0.09, 0.01, 0.09, 0.04], abs=1e-6)
    assert intra[:6].tolist() == label.tolist()
    assert intra[6:].tolist() == pytest.approx([0.01, 0.04, 0.01], abs=1e-6)
    assert len(edges) == 15


@pytest.mark.parametrize("kind", [*BLOCKS, "scalar"])
def test_sizes_and_names_agree_with_the_features(kind):
    found = trilateral_features(S, T, G, A, kind)
    assert found.shape == (1, feature_size(3, kind))
    names = [feature_name(column, 3, kind) for column in range(found.shape[1])]
    assert len(set(names)) == len(names)


def test_published_sizes():
    # For three classes, as the published code lists them.
    kinds = ("vertices", "edges", "vertices+edges", "vertices+angles", "edges+angles", "all", "angles")
    assert [feature_size(3, kind) for kind in kinds] == [12, 9, 27, 18, 15, 27, 6]


def test_a_name_says_which_class():
    assert feature_name(7, 3, "edges") == "(T-S)^2 of class 1"
    assert feature_name(2, 3, "scalar") == "|S-T|"


@given(st.integers(0, 10_000), st.sampled_from([*BLOCKS, "scalar"]))
def test_samples_do_not_meet_and_classes_have_no_order(seed, kind):
    random = torch.Generator().manual_seed(seed)
    corners = [torch.rand(5, 4, generator=random) + 0.01 for _ in range(3)]
    corners = [rows / rows.sum(1, keepdim=True) for rows in corners]
    label = torch.eye(4)[torch.randint(4, (5,), generator=random)]
    student, teacher, average = corners
    found = trilateral_features(student, teacher, label, average, kind)
    order = torch.randperm(5, generator=random)
    torch.testing.assert_close(
        trilateral_features(student[order], teacher[order], label[order], average[order], kind), found[order]
    )
    swap = torch.randperm(4, generator=random)
    swapped = trilateral_features(student[:, swap], teacher[:, swap], label[:, swap], average[:, swap], kind)
    expected = found if kind == "scalar" else found.view(5, -1, 4)[:, :, swap].reshape(5, -1)
    torch.testing.assert_close(swapped, expected)
    assert torch.isfinite(found).all()


def test_no_gradient_reaches_the_student():
    logits = torch.zeros(1, 3, requires_grad=True)
    assert not trilateral_features(logits.softmax(1), T, G, A, "all").requires_grad
    assert not trilateral_features(logits.softmax(1), T, G, A, "scalar").requires_grad


def test_class_averages_by_hand():
    teacher = torch.tensor([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.0, 0.0, 1.0]])
    found = class_average_teacher(teacher, torch.tensor([0, 0, 1]), 3)
    # Class 2 has no sample.
    assert found.flatten().tolist() == pytest.approx([0.7, 0.2, 0.1, 0, 0, 1, 1 / 3, 1 / 3, 1 / 3])
    assert found.dtype == torch.float32
    none = class_average_teacher(torch.empty(0, 2), torch.empty(0, dtype=torch.int64), 2)
    assert none.tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_many_classes_are_advised_of_scalars():
    with pytest.warns(ScorecraftWarning, match="kind 'scalar' has 10"):
        assert feature_size(2001) == 18009
    assert feature_size(100_000, "scalar") == 10


def test_an_unknown_kind_names_the_known_ones():
    # Where shapes are checked the type of the argument is refused first, with the same names.
    with pytest.raises(Exception, match="edges"):
        trilateral_features(S, T, G, A, "edge")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: trilateral_features(S, 2 * T, G, A), "row 0 of T sums to 2"),
        (lambda: trilateral_features(S, T[:, :2], G, A[:, :2]), "T has shape"),
        (lambda: trilateral_features(torch.tensor([[0.2, 0.5, 0.298]]), T, G, A), "row 0 of S"),
        (lambda: class_average_teacher(T, torch.tensor([3]), 3), "label 0 is 3"),
        (lambda: class_average_teacher(T, torch.tensor([-1]), 3), "label 0 is -1"),
        (lambda: class_average_teacher(T, torch.tensor([0]), 4), "teacher has 3 classes"),
        (lambda: feature_size(1), "at least 2 classes"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()
