"""The geometry that a fusion ratio is read from: student, teacher, label, and the teacher's average of a class."""

from __future__ import annotations

import warnings
from typing import Literal, get_args

import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn import functional as F

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, ScorecraftWarning, nearest

Kind = Literal[
    "vertices",
    "edges",
    "angles",
    "vertices+edges",
    "vertices+angles",
    "edges+angles",
    "all",
    "label-edges",
    "intra-edges",
    "all-edges",
    "scalar",
]

VERTICES = ("S", "T", "G", "A")
EDGES = ("(A-S)^2", "(G-S)^2", "(T-S)^2")
FAR_EDGES = ("(T-G)^2", "(A-G)^2")
ANGLES = ("(A-S)(G-S)", "(T-S)(G-S)")
SCALARS = (
    "|S-G|", "|T-G|", "|S-T|", "|A-S|", "|A-G|", "cos TSG", "cos ASG", "S of the label", "T of the label",
    "A of the label",
)  # fmt: skip
BLOCKS: dict[str, tuple[str, ...]] = {
    "vertices": VERTICES,
    "edges": EDGES,
    "angles": ANGLES,
    "vertices+edges": VERTICES + EDGES + FAR_EDGES,
    "vertices+angles": VERTICES + ANGLES,
    "edges+angles": EDGES + ANGLES,
    "all": VERTICES + EDGES + ANGLES,
    "label-edges": ("(G-S)^2", "(T-G)^2"),
    "intra-edges": ("(G-S)^2", "(T-G)^2", "(T-S)^2"),
    "all-edges": EDGES + FAR_EDGES,
}
# From here on a row of features by class is longer than the logits of many a student.
MANY_CLASSES = 2000
SUM_TOLERANCE = 1e-3


def feature_size(classes: int, kind: Kind = "vertices+edges") -> int:
    """Return how many features a sample has: 10 where ``kind`` is "scalar", else its blocks times the classes.

    Args:
        classes: number of classes, at least 2.
        kind: see `trilateral_features`.

    Warns above 2000 classes unless the kind is "scalar". Raises `ScorecraftError` for an unknown kind or fewer
    than 2 classes.
    """
    _check_kind(kind)
    if classes < 2:
        raise ScorecraftError(f"features: expected at least 2 classes, got {classes}")
    if kind == "scalar":
        return len(SCALARS)
    size = len(BLOCKS[kind]) * classes
    if classes > MANY_CLASSES:
        warnings.warn(
            f"kind '{kind}' has {size} features a sample for {classes} classes; kind 'scalar' has {len(SCALARS)}",
            ScorecraftWarning,
            stacklevel=2,
        )
    return size


def feature_name(column: int, classes: int, kind: Kind) -> str:
    """Return what a column of `trilateral_features` is, such as ``(T-S)^2 of class 3``.

    Args:
        column: from 0.
        classes: number of classes.
        kind: of the features.
    """
    if kind == "scalar":
        return SCALARS[column]
    return f"{BLOCKS[kind][column // classes]} of class {column % classes}"


@implements("trilateral-distillation")
def trilateral_features(
    student: Float32[Tensor, "sample class"],
    teacher: Float32[Tensor, "sample teacher_class"],
    label: Float32[Tensor, "sample class"],
    average: Float32[Tensor, "sample teacher_class"],
    kind: Kind = "vertices+edges",
) -> Float32[Tensor, "sample feature"]:
    """Return the geometry of each sample, without a gradient to the student.

    With S, T, G, A for student, teacher, label and the teacher's average of the label's class, concatenated along
    classes, squares and products element by element:

    - "vertices" ``[S, T, G, A]``; "edges" ``[(A-S)^2, (G-S)^2, (T-S)^2]``; "angles" ``[(A-S)(G-S), (T-S)(G-S)]``;
    - "vertices+edges" (the one that the published code uses) ``[vertices, edges, (T-G)^2, (A-G)^2]``;
    - "vertices+angles", "edges+angles", "all": their unions;
    - "label-edges" ``[(G-S)^2, (T-G)^2]``, "intra-edges" (and ``(T-S)^2``), "all-edges" (and those of A): what the
      paper takes away piece by piece;
    - "scalar": the lengths ``|S-G|, |T-G|, |S-T|, |A-S|, |A-G|``, the cosines of the angles TSG and ASG, and S, T and
      A of the label: ten numbers for any number of classes, for many classes or tokens. Not from the paper.

    Args:
        student: probabilities S at temperature 1.
        teacher: probabilities T at temperature 1.
        label: one-hot G.
        average: rows of `class_average_teacher` for the labels.
        kind: which features.

    Raises `ScorecraftError` for tensors of different shapes, an unknown kind, or rows that do not sum to 1.

    Source: Less or More From Teacher: Exploiting Trilateral Geometry For Knowledge Distillation, 2023,
    arXiv 2312.15112, section 3, and its published code.
    """
    _check_kind(kind)
    corners = {"S": student.detach(), "T": teacher, "G": label, "A": average}
    for name, rows in corners.items():
        _check_probabilities(name, rows, student)
    if kind == "scalar":
        return _scalars(*corners.values())
    return torch.cat([_block(name, corners) for name in BLOCKS[kind]], dim=1).detach()


@implements("trilateral-distillation")
def class_average_teacher(
    teacher: Float32[Tensor, "sample class"], y: Int64[Tensor, " sample"], classes: int
) -> Float32[Tensor, "classes classes"]:
    """Return the teacher's mean distribution over the training samples of every class, a class a row.

    ``A[c] = mean over i with y_i = c of T_i``; a class without a sample gets ``1 / classes`` everywhere.

    Args:
        teacher: probabilities T of the training samples at temperature 1.
        y: their labels.
        classes: number of classes.

    Raises `ScorecraftError` for labels outside the classes, or rows that do not sum to 1.

    Source: arXiv 2312.15112, section 3 (inter-sample geometry).
    """
    if teacher.shape[1] != classes:
        raise ScorecraftError(f"class_average_teacher: the teacher has {teacher.shape[1]} classes, expected {classes}")
    check_labels(y, classes)
    _check_probabilities("T", teacher, teacher)
    sums = torch.zeros(classes, classes, dtype=torch.float64).index_add_(0, y, teacher.detach().double())
    counts = torch.bincount(y, minlength=classes)[:, None]
    means = torch.where(counts > 0, sums / counts.clamp(min=1), torch.full_like(sums, 1 / classes))
    return means.float()


def check_labels(y: Tensor, classes: int) -> None:
    """Raise `ScorecraftError` where a label is none of ``0 ... classes - 1``."""
    outside = (y < 0) | (y >= classes)
    if outside.any():
        place = int(outside.nonzero()[0, 0])
        raise ScorecraftError(f"label {place} is {int(y[place])}; expected a class from 0 to {classes - 1}")


def _block(name: str, corners: dict[str, Tensor]) -> Tensor:
    if name in corners:
        return corners[name]
    parts = [corners[part[0]] - corners[part[2]] for part in name.replace("^2", "").strip("()").split(")(")]
    return parts[0] * parts[-1]


def _scalars(student: Tensor, teacher: Tensor, label: Tensor, average: Tensor) -> Tensor:
    to_label, to_teacher, to_average = label - student, teacher - student, average - student
    lengths = [to_label, teacher - label, to_teacher, to_average, average - label]
    return torch.stack(
        [
            *(length.norm(dim=1) for length in lengths),
            F.cosine_similarity(to_teacher, to_label, dim=1),
            F.cosine_similarity(to_average, to_label, dim=1),
            *((corner * label).sum(1) for corner in (student, teacher, average)),
        ],
        dim=1,
    ).detach()


def _check_kind(kind: str) -> None:
    if kind not in get_args(Kind):
        raise ScorecraftError(f"no kind of features '{kind}': {nearest(kind, get_args(Kind))}")


def _check_probabilities(name: str, rows: Tensor, like: Tensor) -> None:
    if rows.shape != like.shape:
        raise ScorecraftError(
            f"features: {name} has shape {tuple(rows.shape)}, the student {tuple(like.shape)}; "
            "expected the same samples and classes"
        )
    # What is not finite is named later, where it makes a ratio that is not finite either.
    wrong = (rows.sum(1) - 1).abs() > SUM_TOLERANCE
    if wrong.any():
        row = int(wrong.nonzero()[0, 0])
        raise ScorecraftError(
            f"features: row {row} of {name} sums to {float(rows[row].sum()):g}; expected probabilities, which sum to 1 "
            "(take the softmax of logits)"
        )
