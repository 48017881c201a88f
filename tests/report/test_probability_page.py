"""The page on a file of probabilities: all of it is there, a browser shows it, and foreign text is text."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from scorecraft.metrics.file_metrics import Settings, measure_file
from scorecraft.metrics.paired_files import compare_files
from scorecraft.report.probability_page import draw, page


@pytest.fixture
def path(tmp_path):
    random = np.random.default_rng(0)
    truth = random.random(2000)
    site = random.choice(["<script>alert(1)</script>", "south"], 2000)
    y = (random.random(2000) < truth).astype(int)
    table = pd.DataFrame({"y": y, "p": np.where(site == "south", 0.5 + 0.5 * truth, truth), "q": truth, "site": site})
    path = tmp_path / "t.parquet"
    table.to_parquet(path)
    return path


def test_a_browser_shows_all_of_it(path, tmp_path, chromium):
    found = measure_file(path, Settings("y", ["p"], group=["site"]))
    file = tmp_path / "page.html"
    file.write_text(page(found, compare_files((path, ["p"]), (path, ["q"]), "y")), encoding="utf-8")
    complaints = []
    shown = chromium.new_page(viewport={"width": 1100, "height": 800})
    shown.on("console", lambda message: complaints.append(message.text))
    shown.on("request", lambda request: request.url.startswith(("file:", "data:")) or complaints.append(request.url))
    shown.goto(file.as_uri())
    text = shown.inner_text("body")
    for words in ("are the probabilities right?", "2,000 rows", "Worst-calibrated slices", "site: south", "too high",
                  "Against another model", "Groups", "<script>alert(1)</script>"):  # fmt: skip
        assert words in text
    assert shown.evaluate("document.querySelector('img').naturalWidth") > 300
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shown.close()
    assert complaints == []


def test_the_pictures_have_four_parts_and_repeat(path):
    found = measure_file(path, Settings("y", ["p"]))
    drawn = draw(found)
    text = "".join(ElementTree.fromstring(drawn).itertext())
    for title in ("reliability", "distribution of probabilities", "decision curve", "ROC curve"):
        assert title in text
    assert drawn == draw(found)


@pytest.mark.parametrize("y", [[1], [0, 0, 0]])
def test_one_class_has_a_page_as_well(tmp_path, y):
    path = tmp_path / "t.csv"
    pd.DataFrame({"y": y, "p": [0.25] * len(y)}).to_csv(path, index=False)
    text = page(measure_file(path, Settings("y", ["p"])))
    assert "nan" not in text.split("<img")[0] + text.split("</p>", 4)[-1]
    assert "only the label" in text
