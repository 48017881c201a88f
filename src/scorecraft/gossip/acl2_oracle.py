"""ACL2 as a second opinion: the peer score in its logic, evaluated and proved about, where it is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from fractions import Fraction
from importlib import resources
from pathlib import Path

from scorecraft.catalog.implements import implements
from scorecraft.errors import ScorecraftError
from scorecraft.gossip.parameters import Number, PeerScoreConfig, TopicParameters, exact
from scorecraft.gossip.peer_score import GlobalCounters, Semantics, TopicCounters

ENVIRONMENT = "SCORECRAFT_ACL2"
IMAGES = ("/usr/lib/acl2-8.5dfsg/saved_acl2", "build/acl2/unpacked/usr/lib/acl2-8.5dfsg/saved_acl2")
PROMPT, RAW = "ACL2 !>", "ACL2>>"
TIMEOUT_SECONDS = 600.0
_WHOLE = (
    "topic_score_cap", "app_specific_weight", "ip_colocation_factor_weight", "behaviour_penalty_weight",
    "behaviour_penalty_threshold",
)  # fmt: skip


def acl2_image() -> Path | None:
    """Return ACL2's image, or None where there is none.

    Looked for are the path in SCORECRAFT_ACL2, Debian's package, and the same unpacked by ``make acl2``.
    """
    named = os.environ.get(ENVIRONMENT)
    for place in ([named] if named else []) + list(IMAGES):
        if Path(place).is_file() and os.access(place, os.X_OK):
            return Path(place).resolve()
    return None


@implements("gossipsub-verification")
def acl2_oracle(exprs: Sequence[str], *, definitions: str | None = None) -> list[Fraction]:
    """Return what ACL2 makes of expressions, as exact numbers.

    ACL2 is started without its books. Its raw Lisp, into which it falls when something goes wrong, would answer too,
    and is not accepted.

    Args:
        exprs: each one line, with a rational value.
        definitions: events before them; those of the peer score, if not given.

    Raises `ScorecraftError` where ACL2 is absent or refuses a definition, and for an answer that is no number.

    Source: arXiv 2311.08859, for the score as functions of ACL2's logic; these definitions are this project's.
    """
    ready = definitions_of_score() if definitions is None else definitions
    lines = [f'(prog2$ (cw "~%VALUE ~x0~%" {one}) :invisible)' for one in exprs]
    said = _run(f"{ready}\n" + "\n".join(lines))
    found = re.findall(r"^VALUE (\S+)$", said, flags=re.MULTILINE)
    if len(found) != len(exprs) or any(not re.fullmatch(r"-?\d+(/\d+)?", value) for value in found):
        raise ScorecraftError(f"ACL2 answered {len(found)} of {len(exprs)} expressions with a value: {said[-600:]}")
    return [Fraction(value) for value in found]


def acl2_proves(theorem: str, *, definitions: str | None = None) -> bool:
    """Return whether ACL2 proves a theorem by itself.

    Args:
        theorem: the formula, with hints where wanted, as ``thm`` takes it.
        definitions: see `acl2_oracle`.

    Raises `ScorecraftError` where ACL2 is absent or refuses a definition.
    """
    ready = definitions_of_score() if definitions is None else definitions
    said = _run(f"{ready}\n(thm {theorem})\n", refused_is_fine=True)
    return "Proof succeeded." in said.rsplit(PROMPT, 2)[-2] or "Proof succeeded." in said[-1500:]


def definitions_of_score() -> str:
    """Return the definitions of the peer score in ACL2."""
    return (resources.files("scorecraft.gossip") / "data" / "peer_score.lisp").read_text(encoding="utf-8")


def score_expression(
    config: PeerScoreConfig, topics: Mapping[str, TopicCounters], counters: GlobalCounters,
    semantics: Semantics = "spec",
) -> str:  # fmt: skip
    """Return the peer score of a neighbour as an expression of ACL2.

    Args:
        config: the parameters.
        topics: counters by topic.
        counters: over all topics.
        semantics: see `scorecraft.gossip.peer_score.topic_score`.
    """
    rows = [[getattr(config.topics[name], field.name) for field in fields(TopicParameters)] for name in topics]
    whole = [getattr(config, name) for name in _WHOLE]
    lists = (_list([_list(_atoms(row)) for row in rows]), _list([_list(_atoms(own)) for own in topics.values()]),
             _list(_atoms(counters)), _list(_atoms(whole)))  # fmt: skip
    return f"(peer-score '{lists[0]} '{lists[1]} '{lists[2]} '{lists[3]} {'t' if semantics == 'acl2s' else 'nil'})"


def topic_expression(topic: TopicParameters, counters: TopicCounters, semantics: Semantics = "spec") -> str:
    """Return a topic's part of the score as an expression of ACL2.

    Args:
        topic: its parameters.
        counters: of the neighbour in it.
        semantics: see `scorecraft.gossip.peer_score.topic_score`.
    """
    row = [getattr(topic, field.name) for field in fields(TopicParameters)]
    model = "t" if semantics == "acl2s" else "nil"
    return f"(topic-score '{_list(_atoms(row))} '{_list(_atoms(counters))} {model})"


def _atoms(values: Sequence[Number]) -> list[str]:
    return [str(exact(value) if isinstance(value, float) else Fraction(value)) for value in values]


def _list(parts: Sequence[str]) -> str:
    return f"({' '.join(parts)})"


def _run(text: str, *, refused_is_fine: bool = False) -> str:
    image = acl2_image()
    if image is None:
        raise ScorecraftError(
            f"ACL2 is not here: install Debian's package 'acl2', or run 'make acl2', or name its image in {ENVIRONMENT}"
        )
    with tempfile.TemporaryDirectory() as books:
        # Without an existing directory of books it falls into raw Lisp at once; it needs none of them.
        environment = os.environ | {"ACL2_SYSTEM_BOOKS": books}
        try:
            done = subprocess.run(
                [str(image)], input=f"{text}\n(good-bye)\n", capture_output=True, text=True, check=False,
                timeout=TIMEOUT_SECONDS, env=environment, cwd=books,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ScorecraftError(f"{image}: ACL2 could not be run: {error}") from error
    said = done.stdout
    if RAW in said or PROMPT not in said:
        raise ScorecraftError(f"{image}: ACL2 did not start in its logic: {(said + done.stderr)[-600:]}")
    failed = said.find("******** FAILED ********")
    if failed >= 0 and not refused_is_fine:
        raise ScorecraftError(f"ACL2 refused a definition: {said[max(0, failed - 800) : failed]}")
    return said


def why_absent() -> str:
    """Return why ACL2 cannot be asked, or nothing where it can."""
    if acl2_image() is not None:
        return ""
    unpacking = "" if shutil.which("apt-get") else ", for which apt-get would be needed"
    return f"ACL2 is not installed: 'make acl2' unpacks Debian's package{unpacking}"
