"""One reward for a whole trace of tool calls: what turn rewards are compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.credit.tool_similarity import ToolCall, multiset_jaccard, similarity_matrices


@implements("turn-matching")
def tool_trace_rewards(
    preds: Sequence[Sequence[ToolCall]], golds: Sequence[Sequence[ToolCall]]
) -> Float64[Tensor, " trace"]:
    """Return ``6 score / max - 3``, in [-3, 3], with ``max = 1 + sum_g (1 + |A(g)|)``: the reward of ToolRL.

    The score is the Jaccard similarity of the lists of tools, plus, for each golden call in turn, J + C of the best
    call of that tool that is not used yet (J and C as in `scorecraft.credit.tool_similarity.tool_similarity`).

    Args:
        preds: the calls of every trace.
        golds: the golden calls of every trace.

    Raises `ScorecraftError` as `scorecraft.credit.tool_similarity.similarity_matrices`.

    Source: ToolRL: Reward is All Tool Learning Needs, 2025, arXiv 2504.13958; a baseline of MatchTIR.
    """
    found = similarity_matrices(preds, golds)
    values, parameters = found.values.numpy(), found.parameters.numpy()
    scores = np.array(
        [
            multiset_jaccard([call["name"].lower() for call in made], [call["name"].lower() for call in expected])
            for made, expected in zip(preds, golds, strict=True)
        ],
        dtype=np.float64,
    )
    # S = (1 + J + C) / (2 + |A|) for calls of one tool.
    quality = np.where(values > 0, values * (2 + parameters)[:, None, :] - 1, 0.0)
    traces = np.arange(len(quality))
    for gold in range(quality.shape[2] if quality.size else 0):
        best = quality[:, :, gold].argmax(1)
        gained = quality[traces, best, gold]
        scores += gained
        used = gained > 0
        quality[traces[used], best[used], :] = 0
    there = np.arange(parameters.shape[1]) < found.golds.numpy()[:, None]
    most = 1 + np.where(there, 1 + parameters, 0).sum(1)
    return torch.from_numpy(6 * scores / most - 3)
