"""When two numbers agree."""

from __future__ import annotations

from fractions import Fraction

from scorecraft.rewards.verify.options import Options

DECIMALS = 10**6
# Six decimals say little about small numbers, so those must agree relatively as well.
SMALL = Fraction(1, 1000)


def numbers_agree(given: Fraction | int, true: Fraction | int, options: Options, *, decimal: bool) -> bool:
    """Return whether a number is the true one, within the tolerances.

    Args:
        given: the number that was given.
        true: the true one.
        options: holds the tolerances.
        decimal: whether either was written with a decimal point. Without a tolerance such numbers must be equal when
            both are rounded to six decimals, and within a thousandth of the true one.
    """
    if given == true:
        return True
    if options.tolerant:
        allowed = max(Fraction(options.absolute or 0), Fraction(options.relative or 0) * abs(true))
        return abs(given - true) <= allowed
    if not decimal:
        return False
    difference = abs(given - true)
    if difference * DECIMALS > 1 or difference > SMALL * abs(true):
        return False
    return round(given * DECIMALS) == round(true * DECIMALS)
