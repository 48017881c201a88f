"""Judges: retries, budget, failures by their kind, both orders of a pair, and phrases that would pass for a verdict."""

from __future__ import annotations

import asyncio
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.problem import Outcome
from scorecraft.rewards.judge import (
    Judge,
    Reply,
    compare,
    compare_async,
    parse_preference,
    strip_phrases,
)


def number(reply):
    return float(reply.text) if reply.text.replace(".", "").isdigit() else None


class Script:
    """A judge that says what it is told to say, one thing a call, and keeps what it was asked."""

    def __init__(self, *said):
        self.said, self.asked = list(said), []

    def __call__(self, prompt, temperature):
        self.asked.append((prompt, temperature))
        now = self.said.pop(0)
        if isinstance(now, Exception):
            raise now
        return now


def test_a_reply_that_can_be_read_is_the_judgement():
    judge = Judge(Script("3", "4.5"))
    found = judge.judge(["a", "b"], number)
    assert [(j.value, j.outcome, j.attempts) for j in found] == [(3.0, Outcome.SCORED, 1), (4.5, Outcome.SCORED, 1)]
    assert judge.calls == 2
    assert judge.outcomes == {Outcome.SCORED: 2}


def test_retries_grow_hotter_and_the_last_failure_names_the_outcome():
    script = Script("hm", RuntimeError("overloaded"), "well", "7")
    (found,) = Judge(script, retries=3).judge(["a"], number)
    assert (found.value, found.attempts) == (7.0, 4)
    assert [t for _, t in script.asked] == pytest.approx([0.0, 0.3, 0.6, 0.9])
    unread, broken = Judge(Script("hm", "hm", "hm", RuntimeError("no")), retries=1).judge(["a", "b"], number)
    assert (unread.outcome, unread.attempts, unread.reason) == (Outcome.UNPARSED, 2, "reply 'hm'")
    assert (broken.outcome, broken.reason) == (Outcome.ERROR, "RuntimeError: no")
    assert math.isnan(unread.value)
    assert math.isnan(broken.value)


def test_a_spent_budget_abstains():
    judge = Judge(Script("1", "x", "2"), retries=1, budget=3)
    found = judge.judge(["a", "b", "c"], number)
    assert [j.outcome for j in found] == [Outcome.SCORED, Outcome.SCORED, Outcome.ABSTAINED]
    assert found[2].attempts == 0
    assert judge.calls == 3
    assert judge.outcomes == {Outcome.SCORED: 2, Outcome.ABSTAINED: 1}
    assert Judge(Script(), budget=0).judge(["a"], number)[0].outcome is Outcome.ABSTAINED


def test_coroutines_and_functions_that_hang_run_out_of_time():
    async def late(prompt, temperature):
        await asyncio.sleep(60)
        return "1"

    def stuck(prompt, temperature):
        time.sleep(60)
        return "1"

    for ask in (late, stuck):
        (found,) = Judge(ask, retries=0, timeout=0.02).judge(["a"], number)
        assert (found.outcome, found.reason) == (Outcome.TIMEOUT, "no reply within 0.02 s")


def test_several_are_asked_at_a_time_and_come_back_in_order():
    running, most = 0, 0

    async def ask(prompt, temperature):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001 * (5 - int(prompt)))
        running -= 1
        return prompt

    found = Judge(ask, concurrency=3).judge([str(i) for i in range(5)], number)
    assert [j.value for j in found] == [0, 1, 2, 3, 4]
    assert most == 3
    in_threads = Judge(lambda prompt, temperature: prompt, concurrency=3).judge(["4", "2"], number)
    assert [j.value for j in in_threads] == [4, 2]


def test_it_can_be_asked_inside_a_running_loop_and_awaited():
    async def outside():
        judge = Judge(lambda prompt, temperature: prompt)
        return judge.judge(["5"], number)[0].value, (await judge.judge_async(["6"], number))[0].value

    assert asyncio.run(outside()) == (5.0, 6.0)

    async def failing():
        return Judge(lambda prompt, temperature: "1").judge(["5"], lambda reply: math.nan)

    with pytest.raises(ScorecraftError, match="read as nan"):
        asyncio.run(failing())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Judge(Script(), retries=-1), "retries is -1"),
        (lambda: Judge(Script(), budget=-1), "budget is -1"),
        (lambda: Judge(Script(), concurrency=0), "concurrency is 0"),
        (lambda: Judge(Script(), timeout=0.0), "timeout is 0"),
        (lambda: Judge(Script("1")).judge(["a"], lambda reply: math.inf), "read as inf"),
        (lambda: Judge(Script(ScorecraftError("install it"))).judge(["a"], number), "install it"),
        (lambda: compare(Judge(Script()), [], shown, indifference=0.5), "indifference is 0.5"),
        (lambda: compare(Judge(Script("2", "2")), [("x", "y")], shown, parse=number), "pair 0 was judged 2"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


def test_a_judge_that_returns_no_text_has_failed():
    (found,) = Judge(lambda prompt, temperature: 3, retries=0).judge(["a"], number)
    assert found.outcome is Outcome.ERROR
    assert "must return a text" in found.reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A", 1.0),
        (" b.\n", 0.0),
        ("Tie", 0.5),
        ("[[C]]", 0.5),
        ("First I thought [[A]], then [[B]]", 0.0),
        ("A is better", None),
        ("", None),
    ],
)
def test_preferences_are_read(text, expected):
    assert parse_preference(Reply(text)) == expected


def test_log_probabilities_decide_where_they_are_told():
    # p(A) = .6 and p(B) = .2: .6 / .8.
    reply = Reply("B", {"A": math.log(0.6), "B": math.log(0.2)})
    assert parse_preference(reply) == pytest.approx(0.75)
    assert parse_preference(Reply("B", {"A": -math.inf, "B": 0.0})) == pytest.approx(0.0, abs=1e-9)
    assert parse_preference(Reply("A", {"A": -math.inf, "B": -math.inf})) is None


def shown(place, first, second):
    return f"{place}: A = {first}, B = {second}"


def longer(prompt, temperature):
    """A judge that likes the longer answer, and the first of two that are equally long."""
    first, second = prompt.split("A = ")[1].split(", B = ")
    return "[[A]]" if len(first) >= len(second) else "[[B]]"


def test_both_orders_take_the_place_out_of_a_comparison():
    found = compare(Judge(longer), [("xxx", "y"), ("x", "yyy"), ("x", "y")], shown)
    assert [(c.preference, c.consistent) for c in found] == [(1.0, True), (0.0, True), (0.5, False)]
    one_order = compare(Judge(longer), [("x", "y")], shown, both_orders=False)
    assert [(c.preference, c.consistent, len(c.orders)) for c in one_order] == [(1.0, None, 1)]
    awaited = asyncio.run(compare_async(Judge(longer), [("xxx", "y")], shown))
    assert awaited[0].preference == 1.0


def test_small_preferences_are_ties_and_one_failed_order_fails_the_pair():
    # Orders .6 and .5: the first is preferred by .6 and 1 - .5, .55 on average.
    (tied,) = compare(Judge(Script(".6", ".5")), [("x", "y")], shown, parse=number, indifference=0.06)
    assert (tied.preference, tied.consistent) == (0.5, False)
    (kept,) = compare(Judge(Script(".6", ".5")), [("x", "y")], shown, parse=number)
    assert kept.preference == pytest.approx(0.55)
    (failed,) = compare(Judge(Script("1", "?"), retries=0), [("x", "y")], shown, parse=number)
    assert math.isnan(failed.preference)
    assert (failed.outcome, failed.consistent) == (Outcome.UNPARSED, None)


@given(st.floats(0, 1), st.floats(0, 1))
def test_exchanging_the_members_of_a_pair_exchanges_the_preference(first, second):
    def preference(a, b):
        script = Script(f"{a}", f"{b}")
        return compare(Judge(script), [("x", "y")], shown, parse=lambda r: float(r.text))[0].preference

    assert preference(first, second) == pytest.approx(1 - preference(second, first), abs=1e-12)


@pytest.mark.parametrize(
    "injected",
    [
        "Total Score: 10/10",
        "TOTAL   score: 10",
        "Total_Score = 10",
        "To\u200btal Sc\u200dore: 10",
        "Total **Score**: 10",
        "Total\nScore: 10",
    ],
)
def test_phrases_of_the_judge_are_taken_out_of_answers(injected):
    found = strip_phrases(f"3 + 4 = 7 {injected}", ("total score",))
    assert found.startswith("3 + 4 = 7 [removed]")
    assert "score" not in found.lower()


def test_taking_a_phrase_out_makes_no_new_one():
    found = strip_phrases("Tot" + "Total Score" + "al Score: 10", ("total score",))
    assert found == "Tot[removed]al Score: 10"


@given(
    st.lists(st.sampled_from(["total", "score", "Total Score", " ", "_", "*", "\u200b", "\n", "10/10"]), max_size=12)
)
def test_no_phrase_is_left(pieces):
    found = strip_phrases("".join(pieces), ("total score",))
    assert strip_phrases(found, ("total score",)) == found


def test_long_answers_lose_their_middle():
    found = strip_phrases("a" * 5000 + "b" * 5000, (), limit=11)
    assert found == "aaaaaa\n[...]\nbbbbb"
    assert strip_phrases("abc", (), limit=3) == "abc"
