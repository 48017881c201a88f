from collections import Counter
from random import Random

import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.tasks.seeding import draw_for_split, split_of, stable_hash, stable_random


def test_the_hash_is_sha256_of_the_address_as_json():
    # printf '["a", 1]' | sha256sum, first 16 hex digits
    assert stable_hash("a", 1) == 0x2657442BB4A48D62


def test_addresses_are_told_apart():
    numbers = [stable_random(*address).random() for address in (("a", 1), ("a", 2), ("b", 1), ("a", "1"), ("a", 1, 0))]
    assert len(set(numbers)) == len(numbers)
    assert stable_random("a", 1).random() == numbers[0]


def test_one_content_in_eight_is_test():
    shares = Counter(split_of(str(number)) for number in range(8000))
    assert abs(shares["test"] - 1000) < 5 * (8000 / 8 * 7 / 8) ** 0.5


def test_draws_fall_in_their_split():
    random = Random(0)
    for split in ("train", "test"):
        drawn = [draw_for_split(split, lambda: random.randint(0, 10**6), str) for _ in range(50)]
        assert {split_of(str(number)) for number in drawn} == {split}


def test_too_few_problems_for_a_split():
    other = {"train": "test", "test": "train"}[split_of("only one")]
    with pytest.raises(ScorecraftError, match="too few different problems"):
        draw_for_split(other, lambda: "only one", str)
