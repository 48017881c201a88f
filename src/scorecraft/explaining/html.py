"""One rollout coloured by every credit method, as a table that stands in any page."""

from __future__ import annotations

from html import escape

from scorecraft.explaining.explain import Explanation

# Blue for what is reinforced, orange for what is not, as in the report; opacity says how much.
_MORE, _LESS = "35, 121, 196", "200, 80, 30"


def coloured(found: Explanation, row: int = 0) -> str:
    """Return a table with a row for each method: its name, and the completion with every token coloured by its return.

    Colours are full at the largest return of that method.

    Args:
        found: what `explain` returned.
        row: which rollout.
    """
    length = int(found.rollouts.lengths[row])
    tokens = [found.token_texts.get(token, "?") for token in found.rollouts.tokens[row, :length].tolist()]
    lines = []
    for name, table in found.returns.items():
        values = table[row, :length].tolist()
        full = max((abs(value) for value in values), default=0.0) or 1.0
        cells = "".join(_token(text, value / full) for text, value in zip(tokens, values, strict=True))
        scale = f"{full:.2g}"
        lines.append(
            f"<tr><td><code>{escape(name)}</code><br><small>full at {scale}</small></td>"
            f'<td style="white-space: pre-wrap; font-family: monospace">{cells}</td></tr>'
        )
    return f'<table class="coloured"><tbody>{"".join(lines)}</tbody></table>'


def _token(text: str, share: float) -> str:
    shown = escape(text).replace("\n", "↵\n")
    if abs(share) < 0.02:
        return shown
    colour = _MORE if share > 0 else _LESS
    return f'<span style="background: rgba({colour}, {0.15 + 0.55 * min(1.0, abs(share)):.2f})">{shown}</span>'
