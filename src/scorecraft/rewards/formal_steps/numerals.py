"""Whole numbers from and to decimal digits, also longer than Python converts in one go."""

from __future__ import annotations

from fractions import Fraction

_PIECE = 4000  # below the limit of `sys.set_int_max_str_digits`


def read_digits(digits: str) -> int:
    """Return the number that ASCII digits spell."""
    if len(digits) <= _PIECE:
        return int(digits)
    middle = len(digits) // 2
    return read_digits(digits[:middle]) * 10 ** (len(digits) - middle) + read_digits(digits[middle:])


def read_numeral(text: str) -> int | Fraction:
    """Return the exact value of digits with at most one point: ``0.1`` is 1/10, ``3.0`` is 3."""
    whole, _, places = text.partition(".")
    if not places:
        return read_digits(whole)
    value = Fraction(read_digits(whole + places), 10 ** len(places))
    return value.numerator if value.denominator == 1 else value


def write_digits(value: int) -> str:
    """Return the decimal digits of a number that is not negative."""
    if value.bit_length() < 3 * _PIECE:
        return str(value)
    half = value.bit_length() * 3 // 20  # a little under half of its digits
    high, low = divmod(value, 10**half)
    return write_digits(high) + write_digits(low).zfill(half)


def write_number(value: int | Fraction) -> str:
    """Return a number as ``-7`` or ``7/3``, the sign first."""
    sign = "-" if value < 0 else ""
    numerator = sign + write_digits(abs(value.numerator))
    return numerator if value.denominator == 1 else f"{numerator}/{write_digits(value.denominator)}"
