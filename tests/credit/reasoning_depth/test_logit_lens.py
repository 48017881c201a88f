"""The logit lens: which layers, and the distributions by hand, whatever the chunk."""

from __future__ import annotations

import pytest
import torch

from scorecraft.credit.reasoning_depth import late_layers, logit_lens
from scorecraft.credit.reasoning_depth.logit_lens import checked_layers
from scorecraft.errors import ScorecraftError


def test_every_second_layer_of_the_upper_half_without_the_last():
    assert late_layers(30) == (15, 17, 19, 21, 23, 25, 27, 29)
    assert late_layers(6) == (3, 5)
    assert late_layers(5) == (3,)
    assert late_layers(4) == (2,)
    assert late_layers(2) == (1,)
    with pytest.raises(ScorecraftError, match="a model of 1 layers has none before its last"):
        late_layers(1)


def test_layers_that_are_not_there_or_the_last_are_refused():
    assert checked_layers([3, 1, 3], 4) == (1, 3)
    for layers, count in (([4], 4), ([0], 4), ([-1, 2], 4)):
        with pytest.raises(ScorecraftError, match="expected numbers from 1 to 3"):
            checked_layers(layers, count)
    with pytest.raises(ScorecraftError, match="no layers are given"):
        checked_layers([], 4)


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_states_are_normed_and_unembedded(chunk):
    hidden = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    matrix = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))
    found = torch.cat(list(logit_lens(hidden, lambda h: 2 * h, lambda h: h @ matrix.T, chunk)), dim=1)
    expected = torch.einsum("jtd,vd->jtv", 2 * hidden, matrix)
    expected = expected - expected.exp().sum(-1, keepdim=True).log()
    torch.testing.assert_close(found, expected)


def test_a_chunk_of_nothing_is_refused():
    with pytest.raises(ScorecraftError, match="chunk of at least 1"):
        next(logit_lens(torch.zeros(1, 1, 1), torch.abs, torch.abs, 0))
