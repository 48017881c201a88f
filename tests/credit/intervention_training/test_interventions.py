"""Interventions: what is read from a reply, to the letter, and how it is spliced in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.credit.intervention_training import NO_ERROR, Intervention, parse_intervention, splice, split_substeps
from scorecraft.errors import ScorecraftError


def block(inside):
    return f"Log.\n<intervention>{inside}</intervention>\nDone."


def test_the_last_block_counts():
    text = block('{"content": "first", "location": 1}') + block('{"content": "last", "location": 2}')
    assert parse_intervention(text) == Intervention(2, "last")
    # An opened one without an end is none.
    assert parse_intervention(text + "<intervention>{") == Intervention(2, "last")
    # The format, mentioned in the reasoning before.
    mentioned = "I shall write <intervention> now.\n" + block('{"content": "it", "location": 4}')
    assert parse_intervention(mentioned) == Intervention(4, "it")


def test_backslashes_and_a_named_substep_are_taken():
    found = parse_intervention(block(r'{ "content": "use \frac{1}{2}", "location": "Substep 3" }'))
    assert found == Intervention(3, r"use \frac{1}{2}")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"a \\frac{1}{2}", r"a \frac{1}{2}"),
        (r"\times \beta \rho \theta", r"\times \beta \rho \theta"),
        (r"one\nTwo", "one\nTwo"),
        (r"one\n\nuse it", "one\n\nuse it"),
        (r"\nu \neq \nabla x \notin S", r"\nu \neq \nabla x \notin S"),
        ("one\nTwo", "one\nTwo"),
        (r"say \"so\" and/\/or", 'say "so" and//or'),
        ('say "so", and go on', 'say "so", and go on'),
        (r"caf\u00e9 \ud835\udc65 \ud835", "caf\u00e9 \U0001d465 \ufffd"),
        ('the key "location": 9 is quoted', 'the key "location": 9 is quoted'),
        ("{1, 2}", "{1, 2}"),
    ],
)
def test_content_is_what_its_writer_meant(written, meant):
    assert parse_intervention(block(f'{{"content": "{written}", "location": 7}}')) == Intervention(7, meant)


@pytest.mark.parametrize(
    "inside",
    [
        '\n{ "location": 7, "content": "x" }\n',
        '```json\n{"content": "x",\n "location": 7}\n```',
        '```\n{"location": "Substep 7", "content": "x"}\n```',
        "{'content': 'x', 'location': 7}",
        '{"content": """x""", "location": 7,}',
        '{"content" : "x" , "location" : "Substep-7 (the sum)"}',
    ],
)
def test_other_ways_to_write_the_same(inside):
    assert parse_intervention(block(inside)) == Intervention(7, "x")


@pytest.mark.parametrize(
    "inside", ["", " \n", "{}", '{"content": "", "location": null}', '{"content":null,"location":0}']
)
def test_an_empty_block_says_that_no_error_was_found(inside):
    assert parse_intervention(block(inside)) == NO_ERROR


@pytest.mark.parametrize(
    "text",
    [
        "no tags",
        "</intervention><intervention>",
        block("add one"),
        block('{"content": "x"}'),
        block('{"content": 5, "location": 1}'),
        block('{"content": "x", "location": "the end"}'),
        block('{"content": "x", "location": 2.5}'),
        block('{"content": ", "location": 3}'),
        block('{"content": "x", "location": 99999999999999}'),
    ],
)
def test_what_cannot_be_read_is_none(text):
    assert parse_intervention(text) is None


def test_a_negative_location_is_read_and_left_to_the_filter():
    assert parse_intervention(block('{"content": "x", "location": -1}')) == Intervention(-1, "x")


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\")).filter(str.strip))
def test_plain_content_in_correct_json_comes_back(content):
    text = block(json.dumps({"content": content, "location": 5}, ensure_ascii=False))
    assert parse_intervention(text) == Intervention(5, content)


@given(st.text())
def test_no_reply_breaks_it(text):
    parse_intervention(text)
    parse_intervention(block(text))
    parse_intervention(block('{"content": "' + text))


def test_splicing_by_hand():
    steps = ["A", "B", "C"]
    assert splice(steps, Intervention(2, "X\nY")) == "A\n\nX\n\nY"
    assert splice(steps, Intervention(1, "X")) == "X"
    assert splice(steps, Intervention(4, "X")) == "A\n\nB\n\nC\n\nX"
    assert splice(steps, Intervention(2, " X\n\n\nY\n")) == "A\n\nX\n\nY"
    assert splice(steps, Intervention(3, "X\nY"), "\n") == "A\nB\nX\nY"
    assert splice([], Intervention(1, "X")) == "X"


@given(
    st.lists(st.text(alphabet="abc", min_size=1), min_size=1, max_size=5),
    st.lists(st.text(alphabet="xyz", min_size=1), min_size=1, max_size=3),
    st.data(),
)
def test_a_guided_prefix_splits_into_kept_substeps_and_the_lines_of_the_intervention(steps, lines, data):
    location = data.draw(st.integers(1, len(steps) + 1))
    text = splice(steps, Intervention(location, "\n".join(lines)))
    expected = [*steps[: location - 1], *lines]
    if len(expected) > 1:
        assert split_substeps(text) == expected
    else:
        assert text == expected[0]


@pytest.mark.parametrize("location", [0, -1, 5])
def test_a_location_outside_the_attempt_is_refused(location):
    # A slice would drop the last substep for 0 and append for 5.
    with pytest.raises(ScorecraftError, match=r"1 \.\. 4 for 3 substeps"):
        splice(["A", "B", "C"], Intervention(location, "X"))


def test_nothing_to_insert_is_refused():
    with pytest.raises(ScorecraftError, match="no error was found"):
        splice(["A"], NO_ERROR)
