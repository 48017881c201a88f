"""A process that asks math-verify, or matches a regular expression, one answer at a time.

It runs as a script and imports nothing of this package. Its client is `scorecraft.rewards.verify.pool`. The two speak
JSON, a line a message: the request has a "job" and its two texts; the replies are ``{"ready": true}`` when the job's
library is loaded (which does not count against the time limit), then ``{"same": true}`` or ``{"trouble": "..."}``,
which is ``{"memory": ...}`` where memory ran out. Memory is limited when the process starts. An alarm ends
the process where an answer takes too long and nobody is there to end it.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any, TextIO

_GRACE = 2.0


def compare_mathematics(request: dict[str, Any]) -> dict[str, Any]:
    """Return whether math-verify takes the two texts, each in a box of its own, for the same."""
    from math_verify import LatexExtractionConfig, parse, verify

    texts = request["truth"], request["given"]
    read = [
        parse(
            f"\\boxed{{{text}}}",
            [LatexExtractionConfig(boxed_match_priority=0)],
            fallback_mode="no_fallback",
            parsing_timeout=None,  # pyright: ignore[reportArgumentType]
            raise_on_error=True,
        )
        for text in texts
    ]
    for side, values in zip(("truth", "given"), read, strict=True):
        if not values:
            return {"unreadable": side}
    found = verify(read[0], read[1], timeout_seconds=None, raise_on_error=True)
    return {"same": bool(found), "values": [str(values[0])[:200] for values in reversed(read)]}


def match_pattern(request: dict[str, Any]) -> dict[str, Any]:
    """Return whether the whole of a text matches a regular expression."""
    return {"same": re.fullmatch(request["truth"], request["given"], re.DOTALL) is not None}


def load_mathematics() -> None:
    """Import math-verify and compile its tables."""
    import logging

    logging.disable(logging.CRITICAL)
    compare_mathematics({"truth": "\\frac{\\sqrt{3}}{2}", "given": "x^2 + 1"})


JOBS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "mathematics": compare_mathematics,
    "pattern": match_pattern,
}
LOADERS = {"mathematics": load_mathematics}


def serve(requests: TextIO, replies: TextIO) -> None:
    """Answer requests until there are no more."""

    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    loaded: set[str] = set()
    for line in requests:
        request = json.loads(line)
        job = request["job"]
        try:
            if job not in loaded:
                LOADERS.get(job, lambda: None)()
                loaded.add(job)
            reply({"ready": True})
            signal.setitimer(signal.ITIMER_REAL, request["seconds"] + _GRACE)
            answer = JOBS[job](request)
        except MemoryError:
            answer = {"memory": True}
        except RecursionError:
            answer = {"trouble": "nested too deeply"}
        except Exception as error:  # the libraries may raise anything; the client counts it
            answer = {"trouble": f"{type(error).__name__}: {str(error)[:200]}"}
        signal.setitimer(signal.ITIMER_REAL, 0)
        reply(answer)


if __name__ == "__main__":
    limit = int(sys.argv[1]) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Libraries may print; the replies keep the real standard output to themselves.
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, private)
