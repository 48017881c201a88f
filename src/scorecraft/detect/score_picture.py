"""A picture of a detector's scores: those held out, those of a file, and the threshold."""

from __future__ import annotations

from io import StringIO
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from scorecraft.errors import require

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"
BINS = 60


def draw_scores(
    held_out: Float64[np.ndarray, " held_out"],
    scores: Float64[np.ndarray, " row"],
    threshold: float,
    outside: Bool[np.ndarray, " row"] | None = None,
) -> str:
    """Return the distributions of the scores as SVG text; the farthest 0.5 % at either end are put into the last bin.

    Args:
        held_out: scores of inputs in the distribution.
        scores: of the file.
        threshold: beyond which an input counts as outside.
        outside: which rows of the file are outside in truth, if that is known.

    Raises `ScorecraftError` where matplotlib is absent.
    """
    require("matplotlib", "metrics", "drawing the scores")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    low, high = np.quantile(np.concatenate((held_out, scores, [threshold])), (0.005, 0.995))
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    kinds = [("held out, inside", held_out, GREY)]
    if outside is None:
        kinds.append(("this file", scores, BLUE))
    else:
        kinds += [("inside", scores[~outside], BLUE), ("outside", scores[outside], ORANGE)]
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": "scorecraft", "font.size": 8, "font.family": "sans-serif"}
    with mpl.rc_context(style):
        figure = Figure(figsize=(6.4, 3.0), layout="constrained")
        axis = figure.subplots()
        for name, values, colour in kinds:
            if len(values):
                share = np.full(len(values), 1 / len(values))
                axis.hist(
                    values.clip(edges[0], edges[-1]), edges, weights=share, histtype="stepfilled", alpha=0.45,
                    color=colour, label=f"{name}: {len(values):,}",
                )  # fmt: skip
        axis.axvline(threshold, color="#000000", linewidth=1, linestyle="--", label="threshold")
        axis.set(xlabel="score, higher is further out", ylabel="share of rows")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=7)
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()
