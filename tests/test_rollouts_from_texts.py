"""Rollouts made from texts: what each table holds, by hand, and what cannot be."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from scorecraft.errors import ScorecraftError
from scorecraft.problem import Problem
from scorecraft.rollouts import Rollouts
from scorecraft.rollouts_from_texts import group_rows, rollouts_from_texts

PROBLEMS = [Problem("1+1", "2"), Problem("2+10", "12")]


def two_problems(completions, group, **more):
    return rollouts_from_texts(["ab", "c"], completions, PROBLEMS, group, **more)


def test_without_token_ids_a_token_is_a_character():
    rollouts = two_problems(["é2", "", "\U0001f600ab"], [1, 0, 1])
    assert rollouts.tokens.tolist() == [[0xE9, 50, 0], [0, 0, 0], [0x1F600, 97, 98]]
    assert rollouts.mask.tolist() == [[True, True, False], [False] * 3, [True] * 3]
    assert rollouts.lengths.tolist() == [2, 0, 3]
    assert rollouts.turns.tolist() == [[0, 0, -1], [-1] * 3, [0] * 3]
    assert rollouts.steps.tolist() == [[-1] * 3] * 3
    assert rollouts.texts == ("é2", "", "\U0001f600ab")
    assert rollouts.group.tolist() == [1, 0, 1]
    assert [problem.answer for problem in rollouts.problem_of] == ["12", "2", "12"]
    assert not rollouts.truncated.any()
    assert float(rollouts.logprobs.abs().sum() + rollouts.entropies.abs().sum()) == 0.0


def test_prompts_are_padded_on_the_left():
    rollouts = two_problems(["x"], [0])
    assert rollouts.prompt_tokens.tolist() == [[97, 98], [0, 99]]
    assert rollouts.prompt_lengths.tolist() == [2, 1]
    rollouts = two_problems(["x"], [0], prompt_ids=[[5], [6, 7, 8]])
    assert rollouts.prompt_tokens.tolist() == [[0, 0, 5], [6, 7, 8]]
    assert rollouts.prompt_lengths.tolist() == [1, 3]


def test_token_ids_and_lengths_as_given():
    rollouts = two_problems(["whatever", "x"], torch.tensor([0, 1]), token_ids=[[7], [8, 9]])
    assert rollouts.tokens.tolist() == [[7, 0], [8, 9]]
    assert rollouts.lengths.tolist() == [1, 2]
    rollouts = two_problems(["whatever", "x"], [0, 1], lengths=[3, 0])
    assert rollouts.lengths.tolist() == [3, 0]
    assert rollouts.mask.sum(1).tolist() == [3, 0]


def test_no_rows_and_lone_surrogates():
    empty = rollouts_from_texts([], [], [], [])
    assert (len(empty), empty.problems) == (0, ())
    assert two_problems(["\ud800"], [0]).tokens.tolist() == [[0xD800]]


@given(st.lists(st.tuples(st.text(max_size=6), st.integers(0, 1)), min_size=1, max_size=8))
def test_the_characters_come_back_and_padding_is_not_real(rows):
    texts, group = [text for text, _ in rows], [number for _, number in rows]
    rollouts = two_problems(texts, group)
    assert rollouts.real.equal(rollouts.mask)
    read = ["".join(map(chr, ids[:n])) for ids, n in zip(rollouts.tokens.tolist(), rollouts.lengths, strict=True)]
    assert read == texts
    picked = rollouts.select(torch.tensor([len(rows) - 1]))
    assert picked.texts == (texts[-1],)


def test_they_go_through_a_file_and_are_joined(tmp_path):
    rollouts = two_problems(["ab", "c"], [0, 1])
    rollouts.to_parquet(tmp_path / "rollouts.parquet")
    back = Rollouts.from_parquet(tmp_path / "rollouts.parquet")
    assert back.tokens.equal(rollouts.tokens)
    assert len(Rollouts.concatenate([rollouts, back])) == 4


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: rollouts_from_texts(["a"], ["x"], PROBLEMS, [0]), "'prompts' for each of 2 problems, got 1"),
        (lambda: two_problems(["x"], [0, 1]), "'group' for each of 1 completions, got 2"),
        (lambda: two_problems(["x"], [2]), "expected rows of the 2 prompts"),
        (lambda: two_problems(["x"], [0], token_ids=[]), "'token_ids' for each of 1 completions, got 0"),
        (lambda: two_problems(["x"], [0], prompt_ids=[]), "'prompt_ids' for each of 2 problems, got 0"),
        (lambda: two_problems(["x"], [0], lengths=[1, 2]), "'lengths' for each of 1 completions, got 2"),
        (lambda: two_problems(["x", "y"], [0, 0], lengths=[1, -2]), "length of completion 1 is -2"),
        (lambda: two_problems(["x"], [0], token_ids=[[1]], lengths=[1]), "got both"),
    ],
)
def test_what_cannot_be_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


def test_rows_with_equal_keys_are_a_group():
    group, firsts = group_rows(["b", ("a", 1), "b", "c", ("a", 1)])
    assert group.tolist() == [0, 1, 0, 2, 1]
    assert firsts == [0, 1, 3]
    assert group_rows([])[0].dtype == torch.int64


class Operations(TorchDispatchMode):
    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        return function(*args, **(kwargs or {}))


def test_the_number_of_tensor_operations_does_not_grow_with_the_rows():
    def operations(rows):
        with Operations() as counted:
            two_problems(["12"] * rows, [0] * rows)
        return counted.count

    assert operations(5000) == operations(5) > 0
