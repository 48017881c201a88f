"""Pages that need nothing else and run nothing: text, tables and pictures in one HTML file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

from scorecraft.errors import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"
_STYLE = """
:root { color-scheme: light dark; --edge: #8883; --dim: #5d6570; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --dim: #a3abb5; --bad: #ff8a80; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 66rem; margin: 0 auto; padding: 1.2rem; }
h1 { font-size: 1.45rem; margin: 0 0 .2rem } h2 { font-size: 1.05rem; margin: 2rem 0 .4rem }
p { max-width: 46rem } .dim { color: var(--dim) } .bad { color: var(--bad); font-weight: 600 }
.wide { overflow-x: auto } table { border-collapse: collapse; min-width: 30rem }
th { text-align: left; font-weight: 600; font-size: .85rem; color: var(--dim) }
td, th { padding: .25rem 1.2rem .25rem 0; border-bottom: 1px solid var(--edge); vertical-align: top }
td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
td:first-child { white-space: pre }
img { width: 100%; background: #fff; border-radius: 6px }
"""


def static_page(title: str, body: str) -> str:
    """Return an HTML page that loads nothing and runs nothing.

    Args:
        title: in plain text.
        body: HTML; what comes from elsewhere is escaped already.
    """
    style = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'"
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )
    # Names in files may hold halves of surrogate pairs, which have no place in UTF-8.
    return text.encode("utf-8", "replace").decode()


def picture(draw: Callable[[Figure], None], size: tuple[float, float]) -> str:
    """Return a drawing as SVG text, the same for the same drawing.

    Args:
        draw: puts axes into a figure.
        size: width and height in inches.

    Raises `ScorecraftError` where matplotlib is absent.
    """
    require("matplotlib", "metrics", "drawing the page")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: Any = {"svg.fonttype": "none", "svg.hashsalt": "scorecraft", "font.size": 8, "font.family": "sans-serif"}
    with mpl.rc_context(style):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        for axis in figure.axes:
            axis.spines[["top", "right"]].set_visible(False)
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def image(svg: str, said: str) -> str:
    """Return a picture as HTML.

    Args:
        svg: its SVG text.
        said: what it shows, for who cannot see it.
    """
    data = base64.b64encode(svg.encode()).decode()
    return f'<p><img alt="{escape(said)}" src="data:image/svg+xml;base64,{data}"></p>'


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], text_columns: Sequence[int] = (0,)) -> str:
    """Return a table as HTML, with all texts escaped.

    Args:
        titles: of the columns.
        rows: of cells.
        text_columns: which columns are text; others are numbers, set to the right.
    """
    top = "".join(f"<th>{escape(title)}</th>" for title in titles)
    lines = "".join(
        "<tr>"
        + "".join(
            f"<td>{escape(cell)}</td>" if at in text_columns else f"<td class='number'>{escape(cell)}</td>"
            for at, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><tr>{top}</tr>{lines}</table></div>'
