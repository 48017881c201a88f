"""Pairs cut at the pit, on a game whose values are known; what is skipped, and what is refused."""

from __future__ import annotations

import inspect
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.credit.step_preference_pairs import StepPairs, step_preference_pairs
from scorecraft.errors import ScorecraftError

LENGTH = 4
RIGHT = ("g ", "h ", "g ", "g ")
WRONG = ("g ", "h ", "b ", "g ")


class Game:
    """Responses of four steps, wrong once any step is "b"; from clean prefixes half of the continuations are right."""

    def __init__(self, hopeless=()):
        self.asked, self.seeds, self.hopeless = [], [], set(hopeless)

    def roll_out(self, prompt, prefix, count, seed):
        self.asked.append(prefix)
        self.seeds.append(seed)
        left = LENGTH - len(prefix)
        good, bad = ("g ",) * left, ("b ",) * left
        return [good if number % 2 == 0 and prefix not in self.hopeless else bad for number in range(count)]

    def verify(self, prompt, steps):
        return len(steps) == LENGTH and "b " not in steps


def pairs_of(game=None, positives=(RIGHT,), negatives=(WRONG,), **options):
    game = game or Game()
    return step_preference_pairs("2+2=", positives, negatives, game.roll_out, game.verify, **options)


def test_the_papers_pairs():
    game = Game()
    found = pairs_of(game)
    (pair,) = found.pairs
    assert pair.pit == 3
    # Best of 5 from 5 right of 10: 1 - 1 / 252. The whole response is wrong and needs no rolling out.
    assert pair.q == pytest.approx((251 / 252, 251 / 252, 251 / 252, 0, 0), abs=1e-6)
    assert (pair.prefix, pair.chosen, pair.rejected) == ((), RIGHT, ("g ", "h ", "b "))
    assert pair.texts() == {"prompt": "2+2=", "chosen": "g h g g ", "rejected": "g h b "}
    assert (found.skipped, found.generations) == ({}, 40)
    assert game.asked == [(), WRONG[:1], WRONG[:2], WRONG[:3]]
    assert len(set(game.seeds)) == 4


def test_pairs_that_share_their_prefix_need_no_right_response():
    (pair,) = pairs_of(positives=(), mode="shared_prefix").pairs
    assert (pair.prefix, pair.chosen, pair.rejected) == (("g ", "h "), ("g ", "g "), ("b ",))
    assert pair.texts() == {"prompt": "2+2=g h ", "chosen": "g g ", "rejected": "b "}


def test_shared_prefixes_are_rolled_out_once():
    game = Game()
    found = pairs_of(game, negatives=(WRONG, ("g ", "h ", "b ", "b "), ("b ", "g ", "g ", "g ")))
    assert len(found.pairs) == 3
    assert len(game.asked) == len(set(game.asked)) == 7
    assert found.generations == 70


def test_binary_search_asks_for_fewer_prefixes():
    game = Game()
    (pair,) = pairs_of(game, binary_search=True).pairs
    # The prompt, then the middle of 1..4 (step 2, above 0), then step 3 (0).
    assert game.asked == [(), WRONG[:2], WRONG[:3]]
    assert pair.pit == 3
    assert pair.q[1] is None
    assert (pair.q[3], pair.q[4]) == (0, 0)
    # All steps have value 0, but the prompt has not: the first step was the mistake.
    assert [pair.pit for pair in pairs_of(negatives=(("b ",) * 4,), binary_search=True).pairs] == [1]
    (shared,) = pairs_of(binary_search=True, mode="shared_prefix").pairs
    assert (shared.prefix, shared.rejected) == (("g ", "h "), ("b ",))


def test_what_is_skipped_is_counted():
    assert pairs_of(positives=()).skipped == {"the prompt has no right response": 1}
    hopeless = [WRONG[:count] for count in range(4)]
    for search in (False, True):
        assert pairs_of(Game(hopeless), binary_search=search).skipped == {"all values are equal": 1}
    (kept,) = pairs_of(Game(hopeless), keep_uninformative=True).pairs
    assert (kept.pit, kept.rejected) == (1, ("g ",))
    found = pairs_of(Game(hopeless), keep_uninformative=True, mode="shared_prefix")
    assert found.skipped == {"no continuation from before the pit was right": 1}
    assert pairs_of(negatives=((), ("  ", "\n"))).skipped == {"the response is empty up to its pit": 2}
    # An empty step is the pit of the pair that shares its prefix.
    empty = ("g ", "h ", " ", "b ")
    lost = Game([empty[:3]])
    assert pairs_of(lost, negatives=(empty,), mode="shared_prefix").skipped == {
        "the response is empty up to its pit": 1
    }
    found = pairs_of(negatives=(WRONG, WRONG, WRONG), max_pairs=1)
    assert (len(found.pairs), found.skipped) == (1, {"max_pairs was reached": 2})
    found = pairs_of(rule="threshold", threshold=-1.0)
    assert found.skipped == {"no value is as low as the threshold": 1}


def test_a_single_step_is_its_own_pit():
    game = Game()
    game.verify = lambda _, steps: steps == ("g ",) * LENGTH
    assert [pair.pit for pair in pairs_of(game, (("g ",) * 4,), (("no",),)).pairs] == [1]


def test_pairs_of_prompts_add_up():
    both = pairs_of(positives=()) + pairs_of() + pairs_of(positives=())
    assert (len(both.pairs), both.generations) == (1, 40)
    assert both.skipped == {"the prompt has no right response": 2}
    assert StepPairs((), {}, 0) + both == both


@given(st.lists(st.sampled_from(["g ", "h ", "b "]), min_size=LENGTH, max_size=LENGTH), st.integers(0, 9))
def test_the_loser_ends_at_the_first_wrong_step(steps, seed):
    if "b " not in steps:
        steps[seed % LENGTH] = "b "
    first = steps.index("b ")
    for mode in ("algorithm1", "shared_prefix"):
        found = pairs_of(negatives=(steps,), mode=mode, seed=seed)
        (pair,) = found.pairs
        assert pair.prefix + pair.rejected == tuple(steps[: first + 1])
        assert Game().verify("", pair.prefix + pair.chosen)
        assert found == pairs_of(negatives=(steps,), mode=mode, seed=seed)
        assert all(later <= before for before, later in pairwise(pair.q))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: pairs_of(negatives=(WRONG, RIGHT)), r"negative 1 of prompt '2\+2=' verifies as right"),
        (lambda: pairs_of(positives=(WRONG,)), "positive 0 .* verifies as wrong"),
        (lambda: inspect.unwrap(step_preference_pairs)("", (), (), None, None, mode="dpo"), "unknown mode 'dpo'"),
        (lambda: pairs_of(binary_search=True, rule="drop"), "binary_search"),
        (lambda: pairs_of(n_rollouts=4), "estimator 'plugin'"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


def test_a_sampler_that_returns_too_few_is_named():
    game = Game()
    full = game.roll_out
    game.roll_out = lambda *asked: full(*asked)[:-1]
    with pytest.raises(ScorecraftError, match="9 continuations, expected 10"):
        pairs_of(game)
