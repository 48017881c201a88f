"""Scores of proximity in [0, 1]: how near a click, a filled grid or a path came to the right one."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError

Blocks = Literal["grid", "rows", "cell", "sudoku"] | Tensor


@implements("sweet-spot")
def gaussian_box_score(
    click: Float[Tensor, "answer 2"],
    box: Float[Tensor, "answer 4"],
    *,
    sigma_scale: float = 0.5,
    found: Bool[Tensor, " answer"] | None = None,
    min_side: float | None = None,
) -> Float32[Tensor, " answer"]:
    """Return ``exp(-d^2 / 2)`` with d the Mahalanobis distance of a click to the centre of its box.

    ``d^2 = ((x - cx) / sx)^2 + ((y - cy) / sy)^2``, ``sx = sigma_scale * width``, ``sy = sigma_scale * height``.

    Args:
        click: x and y.
        box: x1, y1, x2, y2 of the target, with x1 < x2 and y1 < y2, in the click's unit.
        sigma_scale: deviation as a share of the side; 1/2 puts the edge of the box at d = 1. The paper's is not known.
        found: False where no click could be read, which scores 0; None for all True.
        min_side: what shorter sides (also 0) are taken for; None refuses sides of 0.

    Raises `ScorecraftError` for a click that is not finite, or a box without a positive size.

    Source: SSL: Sweet Spot Learning, 2026, arXiv 2601.22491.
    """
    if not 0 < sigma_scale < math.inf:
        raise ScorecraftError(f"gaussian_box_score: expected a positive sigma_scale, got {sigma_scale}")
    if found is None:
        found = torch.ones(len(click), dtype=torch.bool, device=click.device)
    _name_bad_row(found & ~torch.isfinite(click).all(1), "the click", click, "two finite numbers")
    low, high = box[:, :2], box[:, 2:]
    sides = high - low
    if min_side is not None:
        # Sides the wrong way round stay an error: that is no small box.
        sides = torch.where(sides >= 0, sides.clamp(min=min_side), sides)
    _name_bad_row(~(sides > 0).all(1), "the box", box, "x1 < x2 and y1 < y2")
    distance = (((click - (low + high) / 2) / (sigma_scale * sides)) ** 2).sum(1)
    return torch.where(found, (-distance / 2).exp(), torch.zeros_like(distance)).float()


def _name_bad_row(bad: Tensor, what: str, values: Tensor, expected: str) -> None:
    if bool(bad.any()):
        row = int(bad.nonzero()[0, 0])
        raise ScorecraftError(f"{what} of answer {row} is {values[row].tolist()}; expected {expected}")


@implements("sweet-spot")
def block_progress(
    predicted: Int64[Tensor, "row column"],
    target: Int64[Tensor, "target_row target_column"],
    *,
    blocks: Blocks = "grid",
    tile: tuple[int, int] = (2, 2),
    given: Bool[Tensor, "target_row target_column"] | None = None,
    strict: bool = False,
) -> Float32[Tensor, ""]:
    """Return the share of blocks of a grid that are right in every cell.

    Args:
        predicted: the grid that was written.
        target: the solution.
        blocks: "grid" for tiles of ``tile`` cells, the last ones of a row or column smaller where they do not fit;
            "rows"; "sudoku" for the square boxes of a grid whose side is a square; "cell" for single cells; or a
            number for each cell that says which block it is in.
        tile: rows and columns of a tile.
        given: True in cells that the problem shows, which count in no block; a block of such cells alone is no block.
        strict: whether a grid of another shape is an error; else it scores 0.

    Raises `ScorecraftError` for blocks that do not fit the grid, or a problem without a cell to fill.

    Source: SSL: Sweet Spot Learning, 2026, arXiv 2601.22491.
    """
    _, block = block_labels(target, blocks, tile).flatten().unique(return_inverse=True)
    if given is not None and given.shape != target.shape:
        raise ScorecraftError(
            f"block_progress: expected whether it is given for each of {tuple(target.shape)} cells, got a table of "
            f"{tuple(given.shape)}"
        )
    unknown = torch.ones_like(target, dtype=torch.bool) if given is None else ~given
    if not bool(unknown.any()):
        raise ScorecraftError("block_progress: every cell is given, so there is nothing to fill")
    if predicted.shape != target.shape:
        if strict:
            raise ScorecraftError(
                f"block_progress: expected a grid of {tuple(target.shape)} cells, got {tuple(predicted.shape)}"
            )
        return torch.tensor(0.0)
    zeros = torch.zeros(int(block.max()) + 1, dtype=torch.int64, device=target.device)
    open_cells = zeros.index_add(0, block, unknown.flatten().long())
    wrong = zeros.index_add(0, block, ((predicted != target) & unknown).flatten().long())
    counted = open_cells > 0
    return ((wrong == 0) & counted).sum() / counted.sum()


def block_labels(
    target: Int64[Tensor, "row column"], blocks: Blocks = "grid", tile: tuple[int, int] = (2, 2)
) -> Int64[Tensor, "row column"]:
    """Return the number of the block that each cell of a grid is in.

    Args:
        target: the grid.
        blocks: see `block_progress`.
        tile: rows and columns of a tile.

    Raises `ScorecraftError` for blocks that do not fit the grid.
    """
    rows, columns = target.shape
    if isinstance(blocks, Tensor):
        if blocks.shape != target.shape:
            raise ScorecraftError(
                f"block_progress: expected a block for each of {tuple(target.shape)} cells, got {tuple(blocks.shape)}"
            )
        return blocks
    if blocks == "sudoku":
        side = math.isqrt(rows)
        if rows != columns or side * side != rows:
            raise ScorecraftError(f"block_progress: a grid of {rows} x {columns} cells has no Sudoku boxes")
        tile = (side, side)
    elif blocks in ("rows", "cell"):
        tile = (1, columns if blocks == "rows" else 1)
    elif blocks != "grid":
        raise ScorecraftError(
            f"block_progress: unknown blocks '{blocks}'; expected 'grid', 'rows', 'cell', 'sudoku' or labels"
        )
    height, width = tile
    if height < 1 or width < 1:
        raise ScorecraftError(f"block_progress: expected tiles of at least 1 x 1 cells, got {height} x {width}")
    down = torch.arange(rows, device=target.device) // height
    across = torch.arange(columns, device=target.device) // width
    return down[:, None] * (columns + 1) + across


@implements("sweet-spot")
def path_progress(predicted: Int64[Tensor, "cell 2"], optimal: Int64[Tensor, "optimal_cell 2"]) -> Float32[Tensor, ""]:
    """Return the share of an optimal path's moves that a path makes before it first leaves it.

    Args:
        predicted: row and column of every cell of the path that was written, from the start on.
        optimal: the same of the optimal path, of two cells or more.

    Raises `ScorecraftError` for an optimal path without a move.
    """
    moves = len(optimal) - 1
    if moves < 1:
        raise ScorecraftError("path_progress: expected an optimal path of two cells or more")
    shared = min(len(predicted), len(optimal))
    same = (predicted[:shared] == optimal[:shared]).all(1)
    kept = int(same.long().cumprod(0).sum())
    return torch.tensor(max(kept - 1, 0) / moves)


@implements("sweet-spot")
def distance_progress(
    predicted: Int64[Tensor, "cell 2"],
    distance: Float[Tensor, "row column"],
    start: tuple[int, int],
) -> Float32[Tensor, ""]:
    """Return ``1 - distance(last cell) / distance(start)``, at least 0: how much of the way to the goal a path went.

    The last cell is that before the first illegal move: one into a wall, out of the maze or to no neighbour. A path
    that does not begin at the start makes no progress. Where several optimal paths exist, this favours none of them.

    Args:
        predicted: row and column of every cell of the path that was written.
        distance: moves to the goal from every cell, infinite in walls.
        start: row and column of the start.

    Raises `ScorecraftError` for a start outside the maze, in a wall, or at the goal.
    """
    rows, columns = distance.shape
    inside = 0 <= start[0] < rows and 0 <= start[1] < columns
    whole = float(distance[start]) if inside else math.nan
    if not 0 < whole < math.inf:
        raise ScorecraftError(f"distance_progress: no way from {start} to the goal; its distance is {whole}")
    cells = [(int(row), int(column)) for row, column in predicted.tolist()]
    if not cells or cells[0] != tuple(start):
        return torch.tensor(0.0)
    here = cells[0]
    for row, column in cells[1:]:
        neighbour = abs(row - here[0]) + abs(column - here[1]) == 1
        if not (
            neighbour and 0 <= row < rows and 0 <= column < columns and math.isfinite(float(distance[row, column]))
        ):
            break
        here = (row, column)
    return torch.tensor(max(0.0, 1 - float(distance[here]) / whole))
