"""Proximity of clicks, grids and paths, by hand."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.rewards.progress import (
    block_labels,
    block_progress,
    distance_progress,
    gaussian_box_score,
    path_progress,
)

BOX = torch.tensor([[80.0, 40.0, 120.0, 60.0]])


def click(x, y):
    return torch.tensor([[float(x), float(y)]])


def test_a_click_by_hand():
    # Centre (100, 50), deviations 20 and 10: (110, 55) has d^2 = .25 + .25.
    assert gaussian_box_score(click(110, 55), BOX).item() == pytest.approx(math.exp(-0.25))
    assert gaussian_box_score(click(110, 55), BOX).item() == pytest.approx(0.778801, abs=1e-6)
    assert gaussian_box_score(click(100, 50), BOX).item() == 1.0
    assert gaussian_box_score(click(140, 50), BOX).item() == pytest.approx(0.135335, abs=1e-6)
    assert gaussian_box_score(click(100, 60), BOX).item() == pytest.approx(0.606531, abs=1e-6)
    assert gaussian_box_score(click(110, 55), BOX, sigma_scale=1.0).item() == pytest.approx(math.exp(-0.0625))


def test_a_click_that_could_not_be_read_scores_nothing():
    clicks = torch.tensor([[100.0, 50.0], [float("nan"), 50.0]])
    score = gaussian_box_score(clicks, BOX.expand(2, 4), found=torch.tensor([True, False]))
    assert score.tolist() == [1.0, 0.0]
    assert gaussian_box_score(torch.zeros(0, 2), torch.zeros(0, 4)).shape == (0,)


@given(
    st.floats(-500, 500),
    st.floats(-500, 500),
    st.floats(-50, 50),
    st.floats(-50, 50),
    st.floats(1, 80),
    st.floats(1, 80),
)
def test_the_score_falls_with_distance_and_moves_with_the_box(x, y, dx, dy, width, height):
    box = torch.tensor([[x, y, x + width, y + height]], dtype=torch.float64)
    centre = (box[:, :2] + box[:, 2:]) / 2
    step = torch.tensor([[dx, dy]], dtype=torch.float64)
    near, far = (gaussian_box_score(centre + step * k, box) for k in (1, 2))
    assert 0 <= far <= near <= 1
    moved = gaussian_box_score(centre + step + 7, box + 7)
    torch.testing.assert_close(moved, near)


def test_a_box_without_a_side_may_be_given_one():
    line = torch.tensor([[80.0, 50.0, 120.0, 50.0]])
    # Height taken for 4: deviation 2, so one pixel below is at d^2 = .25.
    assert gaussian_box_score(click(100, 51), line, min_side=4.0).item() == pytest.approx(math.exp(-0.125))
    with pytest.raises(ScorecraftError, match="the box of answer 0"):
        gaussian_box_score(click(100, 51), line)
    with pytest.raises(ScorecraftError, match="the box of answer 0"):
        gaussian_box_score(click(100, 51), BOX[:, [2, 1, 0, 3]], min_side=4.0)


# Grids.

SUDOKU = torch.tensor([[1, 2, 3, 4], [3, 4, 1, 2], [2, 1, 4, 3], [4, 3, 2, 1]])


def changed(*cells):
    grid = SUDOKU.clone()
    for cell in cells:
        grid[cell] = 9
    return grid


def test_blocks_of_a_sudoku_by_hand():
    assert block_progress(SUDOKU, SUDOKU, blocks="sudoku").item() == 1.0
    assert block_progress(changed((0, 0)), SUDOKU, blocks="sudoku").item() == 0.75
    assert block_progress(changed((0, 0), (1, 1)), SUDOKU, blocks="sudoku").item() == 0.75
    assert block_progress(changed((0, 0), (3, 3)), SUDOKU, blocks="sudoku").item() == 0.5
    assert block_progress(changed((0, 0)), SUDOKU).item() == 0.75


def test_other_blocks_by_hand():
    wrong = changed((0, 0), (0, 3))
    assert block_progress(wrong, SUDOKU, blocks="cell").item() == 14 / 16
    assert block_progress(wrong, SUDOKU, blocks="rows").item() == 0.75
    # Tiles of 3 x 3 in a grid of 4 x 4: four tiles, of which the two upper ones are wrong.
    assert block_progress(wrong, SUDOKU, blocks="grid", tile=(3, 3)).item() == 0.5
    labels = torch.zeros(4, 4, dtype=torch.int64)
    labels[:, 3] = 7
    assert block_progress(changed((0, 0)), SUDOKU, blocks=labels).item() == 0.5
    nine = torch.zeros(9, 9, dtype=torch.int64)
    one_wrong = nine.clone()
    one_wrong[4, 4] = 1
    assert block_progress(one_wrong, nine, blocks="sudoku").item() == pytest.approx(8 / 9)


def test_given_cells_count_in_no_block():
    given_cells = torch.zeros(4, 4, dtype=torch.bool)
    given_cells[:2, :2] = True
    # The upper left box is no block, so one wrong box of three remains; a changed given cell does not matter.
    assert block_progress(changed((3, 3)), SUDOKU, blocks="sudoku", given=given_cells).item() == pytest.approx(2 / 3)
    assert block_progress(changed((0, 0)), SUDOKU, blocks="sudoku", given=given_cells).item() == 1.0


def test_a_grid_of_another_shape_scores_nothing_or_is_an_error():
    assert block_progress(SUDOKU[:3], SUDOKU).item() == 0.0
    with pytest.raises(ScorecraftError, match=r"expected a grid of \(4, 4\) cells, got \(3, 4\)"):
        block_progress(SUDOKU[:3], SUDOKU, strict=True)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=6), st.sampled_from(["grid", "rows", "cell"]))
def test_only_the_solution_scores_1_and_mending_a_cell_never_costs(cells, blocks):
    grid = changed(*cells)
    score = block_progress(grid, SUDOKU, blocks=blocks).item()
    assert (score == 1.0) == (not cells)
    if cells:
        mended = grid.clone()
        mended[cells[0]] = SUDOKU[cells[0]]
        assert block_progress(mended, SUDOKU, blocks=blocks).item() >= score


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: block_progress(SUDOKU[:3], SUDOKU[:3], blocks="sudoku"), "3 x 4 cells has no Sudoku boxes"),
        (lambda: block_progress(SUDOKU[:3, :3], SUDOKU[:3, :3], blocks="sudoku"), "has no Sudoku boxes"),
        (lambda: block_progress(SUDOKU, SUDOKU, blocks=SUDOKU[:2]), "a block for each"),
        (lambda: inspect.unwrap(block_labels)(SUDOKU, blocks="tiles"), "unknown blocks 'tiles'"),
        (lambda: inspect.unwrap(block_progress)(SUDOKU, SUDOKU, given=SUDOKU[:2] > 0), "whether it is given for each"),
        (lambda: block_progress(SUDOKU, SUDOKU, tile=(0, 2)), "tiles of at least 1 x 1"),
        (lambda: block_progress(SUDOKU, SUDOKU, given=SUDOKU > 0), "nothing to fill"),
        (lambda: gaussian_box_score(click(float("inf"), 1), BOX), "the click of answer 0"),
        (lambda: gaussian_box_score(click(1, 1), BOX, sigma_scale=0.0), "positive sigma_scale"),
        (lambda: path_progress(SUDOKU[:, :2], SUDOKU[:1, :2]), "two cells or more"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


# Paths.

OPTIMAL = torch.tensor([[0, 0], [0, 1], [1, 1], [2, 1], [2, 2]])


def test_a_path_counts_until_it_leaves_the_optimal_one():
    assert path_progress(OPTIMAL, OPTIMAL).item() == 1.0
    assert path_progress(OPTIMAL[:3], OPTIMAL).item() == 0.5
    strayed = OPTIMAL.clone()
    strayed[2] = torch.tensor([0, 2])
    assert path_progress(strayed, OPTIMAL).item() == 0.25
    assert path_progress(OPTIMAL[1:], OPTIMAL).item() == 0.0
    assert path_progress(OPTIMAL[:0], OPTIMAL).item() == 0.0
    assert path_progress(torch.cat((OPTIMAL, OPTIMAL[:2])), OPTIMAL).item() == 1.0


INF = float("inf")
# A maze of 3 x 3 with a wall at (1, 0) and (1, 2); the goal is (2, 2).
DISTANCE = torch.tensor([[4.0, 3.0, 4.0], [INF, 2.0, INF], [2.0, 1.0, 0.0]])


def cells(*places):
    return torch.tensor(places, dtype=torch.int64).view(-1, 2)


@pytest.mark.parametrize(
    ("path", "progress"),
    [
        (cells((0, 0), (0, 1), (1, 1), (2, 1), (2, 2)), 1.0),
        (cells((0, 0), (0, 1), (1, 1)), 0.5),
        (cells((0, 0), (0, 1), (0, 2)), 0.0),  # away again
        (cells((0, 0), (0, 1), (1, 1), (1, 2), (2, 2)), 0.5),  # into a wall
        (cells((0, 0), (0, 1), (2, 2)), 0.25),  # a leap
        (cells((0, 0), (-1, 0)), 0.0),  # out of the maze
        (cells((2, 1), (2, 2)), 0.0),  # not from the start
        (cells(), 0.0),
    ],
)
def test_a_path_counts_by_how_much_nearer_it_came(path, progress):
    assert distance_progress(path, DISTANCE, (0, 0)).item() == pytest.approx(progress)


@pytest.mark.parametrize("start", [(1, 0), (2, 2), (3, 0), (-1, 0)])
def test_a_start_without_a_way_is_refused(start):
    with pytest.raises(ScorecraftError, match="no way from"):
        distance_progress(OPTIMAL, DISTANCE, start)
