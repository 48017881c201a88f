"""The file: where it goes, what it holds, and that nothing in it can break out."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.report import write_report
from scorecraft.report.page import embedded, run_names


class Elements(HTMLParser):
    """Collects the start tags and the text of script and style elements, as a browser cuts them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self._inside = [], [], None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside in ("script", "style"):
            self.texts.append((self._inside, data))


def data_of(page, name="report-data"):
    return json.loads(re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.S)[1])


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5))
def test_embedded_values_come_back_and_hold_no_markup(value):
    text = embedded(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")
    text.encode()


def test_embedded_halves_of_surrogate_pairs_and_odd_numbers():
    assert json.loads(embedded(["\ud83d", float("nan"), "</script>"])) == ["\ud83d", None, "</script>"]


def test_the_policy_allows_exactly_the_script_and_style_of_the_page(filled):
    page = write_report([filled(steps=3).directory]).read_text()
    elements = Elements(page)
    policy = next(attributes["content"] for _, attributes in elements.tags if "http-equiv" in attributes)
    script = elements.texts[-1]
    style = next(text for text in elements.texts if text[0] == "style")
    assert script[0] == "script"
    for tag, text in (script, style):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    loaded = [attributes for _, attributes in elements.tags if "src" in attributes or "srcset" in attributes]
    links = [attributes["href"] for tag, attributes in elements.tags if tag in ("link", "a")]
    assert loaded == []
    assert all(link.startswith(("#", "data:")) for link in links)


def test_where_the_file_goes(filled, tmp_path):
    one, two = filled("one", steps=2).directory, filled("two", steps=2).directory
    assert write_report([one]) == one / "report.html"
    assert write_report([one, two]) == tmp_path / "comparison.html"
    assert write_report([str(one)], tmp_path / "new" / "page.html") == tmp_path / "new" / "page.html"
    assert (tmp_path / "new" / "page.html").read_text().startswith("<!doctype html>")


def test_what_is_not_a_run_is_refused(tmp_path):
    with pytest.raises(ScorecraftError, match="at least one run"):
        write_report([])
    with pytest.raises(ScorecraftError, match="not a run"):
        write_report([tmp_path])


def test_runs_of_the_same_name_are_told_apart(tmp_path):
    paths = [tmp_path / "a" / "run", tmp_path / "b" / "run"]
    assert run_names(paths) == ["a/run", "b/run"]
    assert run_names([paths[0]]) == ["run"]
    assert run_names([paths[0], paths[0]]) == ["run", "run"]


def test_facts_come_from_recipe_and_metrics(make_run):
    store = make_run()
    store.append_metrics({"step": 1, "seconds": 61.4, "reward": 0.5})
    store.append_metrics({"step": 2, "seconds": 3600, "reward": None})
    data = data_of(write_report([store.directory]).read_text())
    (run,) = data["series"]
    facts = dict(run["facts"])
    assert facts["Steps"] == "2 of 150"
    assert facts["Time"] == "1 h 1 min"
    assert facts["Reward"] == "correct, brevity"
    assert facts["Seed"] == "0"
    assert run["metrics"]["reward"] == [0.5, None]
    assert data["runs"][0]["versions"]["packages"]["torch"] == "2.13.0"


@pytest.mark.parametrize("recipe", ["", "- a\n- b\n", "a: [1,\n"])
def test_an_odd_recipe_is_shown_as_it_is(make_run, recipe):
    data = data_of(write_report([make_run(recipe=recipe).directory]).read_text())
    assert data["runs"][0]["recipe"] == recipe
    assert data["series"][0]["facts"] == [["Steps", "0"]]


def test_a_run_in_progress_can_be_reported(filled):
    store = filled(steps=2)
    with store.lock():
        store.append_metrics({"step": 3, "reward": 1.0})
        with (store.directory / "metrics.jsonl").open("ab") as file:
            file.write(b'{"step": 4, "rew')
        (run,) = data_of(write_report([store.directory]).read_text())["series"]
    assert run["metrics"]["step"] == [1, 2, 3]
