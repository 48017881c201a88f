import pytest

from scorecraft.errors import ScorecraftError
from scorecraft.lm import warm_start as module
from scorecraft.lm.competence import sampled_accuracy
from scorecraft.lm.warm_start import PACKAGED, WarmStart, adjusted_flaw_rate, read_record, warm_start, warm_start_key
from scorecraft.tasks.chain_arithmetic import ChainArithmetic


def test_adjusted_flaw_rate_by_hand():
    # (1 - f') = .8 * (.2 / .8)^(1/2) = .4
    assert adjusted_flaw_rate(0.2, 0.8, 0.2, 2) == pytest.approx(0.6)
    assert adjusted_flaw_rate(0.2, 0.4, 0.4, 3) == pytest.approx(0.2)
    assert adjusted_flaw_rate(0.0, 0.3, 0.6, 1) == 0.0  # traces cannot be better than flawless


def test_the_packaged_weights_are_those_of_the_default_and_small():
    assert read_record(PACKAGED).key == warm_start_key(ChainArithmetic(), WarmStart())
    assert sum(path.stat().st_size for path in PACKAGED.iterdir()) < 2_000_000


def test_the_default_is_as_able_as_it_was_asked_to_be():
    policy = warm_start(ChainArithmetic())
    # 2,000 samples at .40 have a standard error of 1.1 points; the policy itself is within 1.5.
    assert sampled_accuracy(policy, ChainArithmetic(), 50_000, 2000, max_new_tokens=61) == pytest.approx(0.4, abs=0.05)


def test_a_record_that_is_not_one_is_refused(tmp_path):
    (tmp_path / module.RECORD).write_text("[]")
    with pytest.raises(ScorecraftError, match="not the record"):
        read_record(tmp_path)
