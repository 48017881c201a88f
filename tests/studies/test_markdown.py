"""What the site says of a method comes from the catalog and the committed result."""

import json
from pathlib import Path

from scorecraft.studies.markdown import method_markdown

CHECK = {"text": "a | b", "estimate": 0.12345, "low": -0.5, "high": 1.0, "verdict": "inconclusive"}
RESULT = {
    "slug": "rlcr", "verdict": "inconclusive", "limits": "Large models.", "seconds": 90.0, "scale": "full",
    "experiments": [{
        "title": "First", "question": "Is it?", "decides": False, "checks": [CHECK], "limits": "Small.",
        "seeds": [0, 1],
    }],
}  # fmt: skip


def test_figures_come_from_the_result(tmp_path):
    (tmp_path / "rlcr").mkdir()
    (tmp_path / "rlcr/full.json").write_text(json.dumps(RESULT))
    text = method_markdown("rlcr", tmp_path)
    assert "**What came out here: inconclusive**" in text
    assert "| a \\| b | 0.123 [-0.5, 1] | inconclusive |" in text
    assert "*First.* Is it? (shown, decides nothing)" in text
    assert "1.5 minutes of computing, seeds 0, 1" in text
    assert "`scorecraft.rewards.rlcr.rlcr_reward`" in text
    assert "data:image" not in text


def test_a_method_without_a_study_has_its_claim(tmp_path):
    text = method_markdown("levine-hats", tmp_path)
    assert text.startswith("**Claim.** ")
    assert "What came out" not in text


def test_every_study_has_its_page():
    root = Path(__file__).parents[2]
    studied = {path.parent.name for path in (root / "studies").glob("*/full.json")}
    assert studied <= {path.stem for path in (root / "docs/methods").glob("*.md")}
