"""Every paper is there with what is known of it, and what a recipe uses is what is cited."""

from __future__ import annotations

import re

import pytest

from scorecraft.catalog import areas, bibtex, find, implements, papers, references
from scorecraft.catalog.functions import implementations
from scorecraft.catalog.papers import Paper
from scorecraft.catalog.verdicts import verdicts, with_verdict
from scorecraft.errors import ScorecraftError
from scorecraft.recipes.cite import citations
from scorecraft.recipes.ready import load_recipe
from scorecraft.recipes.recipe import Recipe


def test_all_57_papers_are_whole():
    assert len(papers()) == 57
    for slug, paper in papers().items():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug)
        assert re.fullmatch(r"20(1|2)\d-(0[1-9]|1[0-2])", paper.month), slug
        assert not paper.arxiv or re.fullmatch(r"\d{4}\.\d{4,5}", paper.arxiv), slug
        assert paper.claim.endswith("."), slug
        assert paper.title, slug
    assert [slug for slug, paper in papers().items() if not paper.arxiv] == ["lottery-tips"]
    identifiers = [paper.arxiv for paper in (papers() | references()).values() if paper.arxiv]
    assert len(identifiers) == len(set(identifiers))
    assert not set(papers()) & set(references())


def test_what_is_marked_is_a_paper_of_the_catalog():
    assert set(implementations()) <= set(papers())
    assert set(verdicts()) <= set(papers())


def test_an_unknown_slug_gets_the_nearest():
    with pytest.raises(ScorecraftError, match="did you mean 'min-form-credit'"):
        find("min-form-credits")
    assert "credit" in areas()


def test_the_mark_returns_the_thing_itself():
    def returns():
        return 1

    assert implements("rlcr")(returns) is returns
    assert implements("min-form-credit")(returns).__implements__ == ("rlcr", "min-form-credit")


def test_bibtex_by_hand():
    paper = Paper("x-y", "50% of A & B", "2024-02", "Ahmadian et al.", "2402.14740")
    assert bibtex(paper) == (
        "@misc{x-y,\n"
        "  title = {{50\\% of A \\& B}},\n"
        "  author = {Ahmadian and others},\n"
        "  year = {2024},\n"
        "  month = feb,\n"
        "  eprint = {2402.14740},\n"
        "  archivePrefix = {arXiv},\n"
        "  url = {https://arxiv.org/abs/2402.14740},\n"
        "}"
    )
    assert "author" not in bibtex(Paper("x", "T", "2023-03"))


def cited(**values):
    return [paper.slug for paper in citations(Recipe(**values))]


def test_a_recipe_cites_what_it_uses_and_nothing_else():
    assert cited() == ["grpo", "ppo", "adamw"]
    assert cited(advantage="leave-one-out", objective="reinforce", optimizer="sgd") == ["rloo", "reinforce"]
    assert cited(objective={"clipped-surrogate": {"high": 0.28}}) == ["grpo", "ppo", "dapo", "adamw"]
    assert cited(objective={"clipped-surrogate": {"level": "sequence"}}) == ["grpo", "ppo", "gspo", "adamw"]
    assert cited(evaluate={"samples": 4, "k": [1, 4]})[-1] == "pass-at-k"
    assert [p.slug for p in citations(load_recipe("smollm2-reasoning-gym"))][:2] == ["smollm2", "reasoning-gym"]


def test_verdicts_are_kept_in_order():
    assert with_verdict({"b": "holds"}, "a", "inconclusive") == '{\n "a": "inconclusive",\n "b": "holds"\n}\n'
