from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from scorecraft.errors import ScorecraftError
from scorecraft.recipes.mistakes import RecipeError
from scorecraft.recipes.recipe import Recipe
from scorecraft.recipes.yaml_source import dump, parse, parse_value, read

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from(["3e-4", "no", "on", "null", "~", "1_000", "0x1F", "1:30", "2026-01-01", "010", ".inf", "-", ""]),
)
KEYS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=9)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@example({"a": "\x85"})
@example({"a": ["x\u2028y", "\r"], "b": "\x85\n"})
@given(st.dictionaries(st.sampled_from(["a", "b", "no", "3e-4", "c d"]), VALUES, min_size=1))
def test_what_is_written_reads_back_equal_and_of_the_same_types(data):
    again = parse(dump(data)).data
    assert again == data
    assert repr(again) == repr(data)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 3e-4), ("1E5", 1e5), ("5", 5), ("-2.5", -2.5), ("010", 10), ("true", True), ("no", "no"), ("on", "on"),
        ("1:30", "1:30"), ("2026-01-01", "2026-01-01"), ("null", None), ("", None), ("none", "none"),
        ("[2,3]", [2, 3]), ("{a: 1e3}", {"a": 1000.0}), ("'5'", "5"), ("-.inf", float("-inf")), ("1e", "1e"),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_schema(text, value):
    read_value = parse_value(text)
    assert read_value == value
    assert type(read_value) is type(value)


def test_numbers_that_yaml_1_1_reads_as_text_are_numbers_here():
    assert isinstance(yaml.safe_load("lr: 3e-4")["lr"], str)
    assert Recipe.from_yaml("optimizer: {adamw: {lr: 1e-3}}").resolved()["optimizer"]["adamw"]["lr"] == 0.001


def failure(text, name="mine.yaml"):
    with pytest.raises(RecipeError) as caught:
        Recipe.from_source(parse(text, name))
    return [(mistake.where, ".".join(map(str, mistake.path)), mistake.message) for mistake in caught.value.mistakes]


def test_every_mistake_has_its_file_and_line_in_the_order_of_the_file():
    text = """\
# a comment
stepz: 5
optimizer:
  adamw:
    lr: fast
    betas: [0.9, x]
reward:
  correct:
    weight: 1
  brevity:
    taget: 3
evaluate: {every: 0}
"""
    found = failure(text)
    assert [(where, key) for where, key, _ in found] == [
        ("mine.yaml:2", "stepz"),
        ("mine.yaml:5", "optimizer.adamw.lr"),
        ("mine.yaml:6", "optimizer.adamw.betas.1"),
        ("mine.yaml:11", "reward.brevity.taget"),
        ("mine.yaml:12", "evaluate.every"),
    ]
    assert "did you mean 'target'?" in found[3][2]


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("", "mine.yaml", "is empty"),
        ("# only a comment\n", "mine.yaml", "is empty"),
        ("null", "mine.yaml", "is empty"),
        ("- a\n- b", "mine.yaml:1", "got a list"),
        ("just words", "mine.yaml:1", "got the text 'just words'"),
        ("steps: 3\n\tseed: 1", "mine.yaml:2", "tab"),
        ("steps: 3\ntask: [", "mine.yaml:2", "not valid YAML"),
        ("steps: 3\n---\nsteps: 4", "mine.yaml:2", "more than one YAML document"),
        ("seed: &a 3\nsteps: *a", "mine.yaml:2", "aliases"),
        ("seed: 1\nsteps: !!python/name:os.system x", "mine.yaml:2", "python/name"),
        ("? [a, b]\n: 3", "mine.yaml:1", "key that is text"),
        ("seed: 1\nsteps: 3\nsteps: 4", "mine.yaml:3", "given twice (first at mine.yaml:2)"),
        ("seed: " + "9" * 5000, "mine.yaml:1", "cannot be read as a number"),
        ("steps: 3\x07", "mine.yaml:1", "character that YAML does not allow"),
        ("[" * 5000, "mine.yaml", "nested too deeply"),
    ],
)
def test_text_that_is_no_recipe_is_refused_with_its_place(text, where, said):
    found = failure(text)
    assert found[0][0] == where
    assert said in found[0][2]


def test_duplicate_keys_are_told_together_with_other_mistakes():
    found = failure("steps: 1\nsteps: 2\nseed: x")
    assert [where for where, _, _ in found] == ["mine.yaml:2", "mine.yaml:3"]


def test_a_file_is_read_by_path_or_name_and_text_as_text(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("\ufeffsteps: 7\n", encoding="utf-8")
    assert Recipe.from_yaml(file).steps == 7
    assert Recipe.from_yaml(str(file)).steps == 7
    assert Recipe.from_yaml("steps: 8").steps == 8


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ScorecraftError, match="no such recipe file"):
        read(tmp_path / "absent.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"steps: \xff\xfe")
    with pytest.raises(ScorecraftError, match="not UTF-8"):
        read(binary)
    with pytest.raises(ScorecraftError, match="cannot be read"):
        read(tmp_path)


@given(st.text(max_size=80))
def test_any_text_gives_a_recipe_or_a_clear_error(text):
    try:
        outcome = parse(text, "mine.yaml").name
    except ScorecraftError as error:
        outcome = str(error)
    assert "mine.yaml" in outcome
