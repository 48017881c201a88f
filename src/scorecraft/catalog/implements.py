"""`implements`: the mark that ties a function or a part to the paper it is from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Marked = TypeVar("Marked", bound=Callable[..., Any])


def implements(slug: str) -> Callable[[Marked], Marked]:
    """Mark a function or class as an implementation of the paper ``slug``.

    The thing itself is returned; its slugs are under ``__implements__``.
    """

    def mark(thing: Marked) -> Marked:
        setattr(thing, "__implements__", (*vars(thing).get("__implements__", ()), slug))  # noqa: B010
        return thing

    return mark
