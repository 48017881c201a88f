"""Credit parts as a command line names them: by their name, their paper, or with options."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from scorecraft import parts
from scorecraft.credit.credit import Credit
from scorecraft.errors import ScorecraftError, nearest


def credit_of(text: str) -> tuple[str, Credit]:
    """Return a label and the credit part that a text names.

    Args:
        text: a part's name ("min-form"), the slug of its paper ("min-form-credit"), or YAML with options
            ("{min-form: {form: sum}}", also without the outer braces).

    Raises `ScorecraftError` for a name or an option that is unknown.
    """
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ScorecraftError(f"credit '{text}': neither a name nor YAML ({error})") from None
    if isinstance(read, str):
        read = {read: {}}
    if not isinstance(read, dict) or len(read) != 1:
        raise ScorecraftError(
            f"credit '{text}': expected a name, or one name with options, as in min-form: {{form: sum}}"
        )
    (name, options), *_ = read.items()
    found = _by_name(str(name))
    try:
        part = found(**(options or {}))
    except ValueError as error:
        raise ScorecraftError(f"credit '{name}': {error}") from None
    assert isinstance(part, Credit)
    label = found.name if not options else f"{found.name} ({', '.join(f'{k} {v}' for k, v in options.items())})"
    return label, part


def credits_of(texts: Sequence[str]) -> dict[str, Credit]:
    """Return the credit parts by their labels; raises `ScorecraftError` where the same is named twice."""
    found: dict[str, Credit] = {}
    for text in texts:
        label, part = credit_of(text)
        if label in found:
            raise ScorecraftError(f"credit '{text}' is named twice")
        found[label] = part
    return found


def _by_name(name: str) -> type[parts.Part]:
    known = parts.names("credit")
    if name in known:
        return parts.find("credit", name)
    for each in known:
        part = parts.find("credit", each)
        if name in vars(part).get("__implements__", ()):
            return part
    raise ScorecraftError(f"unknown credit '{name}'; {nearest(name, known)}")
