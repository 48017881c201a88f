"""Every recipe that the site shows can be read."""

import re
from pathlib import Path

import pytest

from scorecraft.recipes.recipe import Recipe

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "choosing-a-reward.md", *sorted((DOCS / "methods").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{place}")
    for page in PAGES
    for place, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_shown_recipe_can_be_read(block):
    Recipe.from_yaml(block)


@pytest.mark.parametrize("page", [pytest.param(page, id=page.stem) for page in PAGES])
def test_every_page_shows_how_it_is_used(page):
    blocks = re.findall(r"```(?:yaml|python)\b(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert any("method_markdown" not in block for block in blocks)
