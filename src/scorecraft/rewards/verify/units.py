"""Units of measurement: which of them measure the same thing, and how many of one make another.

A unit that stands in no table here is a mere word, which says nothing about the number before it.
"""

from __future__ import annotations

import re
from fractions import Fraction

# Of each quantity: the size of the units in the first one's.
_TABLES: dict[str, dict[str, str]] = {
    "length": {
        "m meter metre": "1", "km kilometer kilometre": "1000", "cm centimeter centimetre": "1/100",
        "mm millimeter millimetre": "1/1000", "in inch inche": "127/5000", "ft foot feet": "381/1250",
        "yd yard": "1143/1250", "mi mile": "201168/125",
    },
    "mass": {
        "g gram": "1", "kg kilogram": "1000", "mg milligram": "1/1000", "lb pound": "45359237/100000",
        "oz ounce": "45359237/1600000",
    },
    "time": {
        "s sec second": "1", "min minute": "60", "h hr hour": "3600", "day": "86400", "week": "604800",
    },
    "months": {"month": "1", "yr year": "12"},
    "volume": {"L l liter litre": "1", "mL ml milliliter millilitre": "1/1000"},
    "us volume": {"gallon gal": "1", "quart": "1/4", "pint": "1/8", "cup": "1/16"},
    "dollars": {"$ dollar usd": "1", "cent": "1/100"},
    "euros": {"euro eur": "1"},
    "pounds": {"pound sterling": "1", "gbp": "1"},
    "angle": {"degree deg \\degree": "1"},
    "speed": {"mph": "1", "mile per hour": "1"},
}  # fmt: skip


def _known() -> dict[str, tuple[str, Fraction]]:
    units = {}
    for quantity, table in _TABLES.items():
        for names, size in table.items():
            spelled = [names] if quantity in ("pounds", "speed") else names.split()
            units.update({name: (quantity, Fraction(size)) for name in spelled})
    return units


_UNITS = _known()
_POWER = re.compile(r"^(?:(square|sq|cubic|cu) )?(.*?)(?:\^\{?([23])\}?| (squared|cubed))?$")
_POWERS = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cu": 3, "cubed": 3, "2": 2, "3": 3}


def known_unit(unit: str) -> tuple[str, int, Fraction] | None:
    """Return what a unit measures, to which power, and how many base units it is; None for other words."""
    found = _POWER.match(" ".join(unit.replace(".", "").split()))
    if found is None:
        return None
    power = _POWERS.get(found[1] or found[3] or found[4] or "", 1)
    for name in (found[2], found[2].lower(), found[2].lower().removesuffix("s")):
        if name in _UNITS:
            quantity, size = _UNITS[name]
            return quantity, power, size**power
    return None


def unit_ratio(given: str, true: str) -> Fraction | None:
    """Return how many true units one given unit is: 1 where either is no known unit, None where they do not fit."""
    if given == true:
        return Fraction(1)
    first, second = known_unit(given), known_unit(true)
    if first is None or second is None:
        return Fraction(1)
    return first[2] / second[2] if first[:2] == second[:2] else None
