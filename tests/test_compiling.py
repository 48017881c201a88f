"""Whoever waits for a compilation is told so, once."""

import logging

from numba import njit

from scorecraft.compiling import compiling_told


def test_a_compilation_is_told_once_and_a_second_call_says_nothing():
    @njit
    def inner(x):
        return x + 1

    @njit
    def outer(x):
        return inner(x) * 2

    said = []
    with compiling_told(said.append), compiling_told(said.append):
        assert outer(3) == 8
    assert said == ["compiling, which takes some seconds, once"]
    with compiling_told(said.append):
        outer(4)
    assert len(said) == 1


def test_without_a_listener_it_goes_to_the_log(caplog):
    @njit
    def fresh(x):
        return x - 1

    with caplog.at_level(logging.WARNING, logger="scorecraft"), compiling_told():
        fresh(1)
    assert "compiling" in caplog.text
