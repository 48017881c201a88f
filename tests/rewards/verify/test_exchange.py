"""Values that go to another process and back: the same by value, and nobody's word taken but for values."""

from __future__ import annotations

import os
import threading
from collections import Counter, OrderedDict, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.rewards.verify.exchange import EndedError, Peer, Remote, permitted, plain


class Liar:
    """Says yes to everything."""

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0

    def __lt__(self, other):
        return True

    def __sub__(self, other):
        return 0

    def __add__(self, other):
        return other


class Number(int):
    """A number that says it is any."""

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


@pytest.fixture(scope="module")
def tests():
    """The side of the tests; the other one is a thread, which has the operations "same", "change" and "make"."""
    there, here = os.pipe(), os.pipe()
    program, strict = Peer(there[0], here[1]), Peer(here[0], there[1], strict=True)
    program.operations = {
        "same": lambda value: value,
        "change": lambda value: value.append("more"),
        "make": lambda name: {"liar": Liar, "number": lambda: Number(3)}[name](),
        "apply": lambda function, *args: function(*args),
        "reach": getattr,
    }
    thread = threading.Thread(target=program.serve)
    thread.start()
    yield strict
    os.close(there[1])
    thread.join()
    os.close(here[1])
    with pytest.raises(EndedError):
        strict.ask("same", None, 1)


scalars = (
    st.none() | st.booleans() | st.integers() | st.integers(-(10**400), 10**400) | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False) | st.text() | st.binary() | st.fractions() | st.dates()
    | st.times().map(lambda time: time.replace(fold=0)) | st.datetimes().map(lambda time: time.replace(fold=0))
    | st.decimals(allow_nan=False) | st.sampled_from([range(2, 9, 3), int, str, sorted, KeyError])
)  # fmt: skip
hashable = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=5)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(deque) | st.lists(inner, max_size=3).map(tuple)
        | st.sets(hashable, max_size=3) | st.frozensets(hashable, max_size=3)
        | st.lists(hashable, max_size=3).map(Counter)
        | st.dictionaries(hashable, inner, max_size=3).flatmap(lambda made: st.sampled_from([made, OrderedDict(made)]))
    ),
    max_leaves=12,
)  # fmt: skip


@given(scalars)
def test_plain_values_come_back_as_they_went(tests, value):
    back = tests.ask("same", None, value)
    assert (type(back), repr(back), back) == (type(value), repr(value), value)


@given(values)
def test_containers_come_back_with_all_that_is_in_them(tests, value):
    (back,) = tests.ask("same", None, (value,))
    assert back == value
    assert type(back) is type(value)


def test_containers_stay_the_ones_they_are(tests):
    inner = [1]
    outer = [inner, (inner, {"a": inner})]
    outer.append(outer)
    back = tests.ask("same", None, outer)
    assert back is outer
    assert back[0] is inner is back[1][0] is back[1][1]["a"]
    assert tests.ask("change", None, inner) is None
    assert inner == [1, "more"]
    assert outer[0] is inner


def test_objects_are_believed_in_their_values_alone(tests):
    liar, number = tests.ask("make", None, "liar"), tests.ask("make", None, "number")
    assert type(liar) is type(number) is Remote
    assert liar != 3
    assert 3 not in [liar]
    assert (number == 3, number == 4, number != 4, number < 4, number - 1, 4 - number) == (
        True,
        False,
        True,
        True,
        2,
        1,
    )
    assert {number: "a"} == {3: "a"}
    for refused in (lambda: liar - 3, lambda: liar < 3, lambda: 3 / liar, lambda: float(liar), lambda: liar**2):
        with pytest.raises(TypeError):
            refused()
    # What the other side may see is no answer.
    assert liar + 3 == 3
    # Two of its own objects it may compare.
    assert liar == tests.ask("make", None, "liar")


def test_functions_can_be_called_back_and_nothing_else_be_done_to_them(tests):
    assert tests.ask("apply", None, lambda *args: sum(args), 1, 2) == 3
    with pytest.raises(ZeroDivisionError):
        tests.ask("apply", None, lambda: 1 / 0)
    for name in ("__globals__", "__code__", "__defaults__", "anything"):
        with pytest.raises(TypeError, match="not for the program"):
            tests.ask("reach", None, lambda: 0, name)
    with pytest.raises(TypeError, match="'eval' cannot be passed on"):
        tests.ask("same", None, eval)


def test_what_the_program_may_do():
    assert permitted("call", len, ())
    assert not permitted("get", len, ("__self__",))
    assert not permitted("get", os, ("system",))
    assert not permitted("call", type, ("x", (), {}))
    assert not permitted("delete", Liar(), ("x",))


def test_the_plain_value_of_an_object():
    assert plain(Number(3)) == (3,)
    assert type(plain(Number(3))[0]) is int
    assert plain(True) == (True,)
    assert plain(Liar()) == ()
