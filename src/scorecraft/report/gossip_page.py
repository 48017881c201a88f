"""One page about an attack on a peer score: what the victim holds of the attacker, heartbeat after heartbeat."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from scorecraft.gossip.attack import AttackPlan
from scorecraft.report.static_page import BLUE, GREEN, GREY, ORANGE, image, picture, static_page, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Small multiples: attacked topics first, then others, no more than can be told apart.
MOST_PANELS, ROWS_SHOWN = 11, 12


def page(plan: AttackPlan, name: str, beat: float) -> str:
    """Return the page as HTML that needs nothing else and runs nothing.

    Args:
        plan: the attack and the scores that follow.
        name: of the parameters.
        beat: seconds between heartbeats.

    Raises `ScorecraftError` where matplotlib is absent.
    """
    body = (
        f"<p>{escape(verdict(plan))}</p>"
        + image(draw(plan), "Score and topic scores of the attacker at each heartbeat of the victim")
        + '<p class="dim">Orange: attacked topics; green: topics that pay for them; blue: the score, which has to fall '
        f"below zero for the peer to be pruned. One heartbeat is {beat:g} s.</p>"
        + "<h2>Heartbeat by heartbeat</h2>"
        + table(*rows(plan))
    )
    return static_page(
        f"{name}: silence in {', '.join(plan.attacked[:4])}{' …' if len(plan.attacked) > 4 else ''}", body
    )


def verdict(plan: AttackPlan) -> str:
    """Return in a sentence or two what came of the attack.

    Args:
        plan: the attack.
    """
    beats = len(plan.predicted_scores)
    worst = min(plan.predicted_scores, key=lambda beat: beat.score)
    said = "It is never pruned." if plan.sustained else "Its score falls below zero, and it is pruned."
    return (
        f"The attacker is negative in an attacked topic and positive overall at {plan.violations} of {beats} "
        f"heartbeats. {said} Its lowest score is {float(worst.score):.2f}, after {float(worst.seconds):g} s."
    )


def rows(plan: AttackPlan) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return titles and rows: seconds, the score, and the scores in attacked topics, for the first heartbeats.

    Args:
        plan: the attack.
    """
    names = plan.attacked[:4]
    found = [
        (f"{float(beat.seconds):g}", f"{float(beat.score):.3f}", *(f"{float(beat.topics[name]):.4f}" for name in names))
        for beat in plan.predicted_scores[:ROWS_SHOWN]
    ]
    return ("seconds", "score", *names), found


def draw(plan: AttackPlan) -> str:
    """Return small multiples as SVG: the score, and each topic's part of it.

    Args:
        plan: the attack.
    """
    seconds = [float(beat.seconds) for beat in plan.predicted_scores]
    others = [name for name in plan.predicted_scores[0].topics if name not in plan.attacked]
    names: Sequence[str] = (*plan.attacked, *others)[:MOST_PANELS]

    def panels(figure: Figure) -> None:
        columns = 4
        axes = figure.subplots(-(-(len(names) + 1) // columns), columns, sharex=True, squeeze=False).ravel()
        score = [float(beat.score) for beat in plan.predicted_scores]
        for axis, title, values, colour in [
            (axes[0], "score", score, BLUE),
            *(
                (axis, name, [float(beat.topics[name]) for beat in plan.predicted_scores],
                 ORANGE if name in plan.attacked else GREEN)
                for axis, name in zip(axes[1:], names, strict=False)
            ),
        ]:  # fmt: skip
            axis.axhline(0, color=GREY, linewidth=0.8)
            axis.plot(seconds, values, color=colour, linewidth=1.3)
            below = np.minimum(values, 0)
            axis.fill_between(seconds, below, 0, color=colour, alpha=0.2, linewidth=0)
            axis.set_title(title.replace("$", r"\$"))
        for axis in axes[len(names) + 1 :]:
            axis.set_visible(False)
        figure.supxlabel("seconds", fontsize=8)

    return picture(panels, (10.4, 1.9 * (-(-(len(names) + 1) // 4))))
