"""Files of games: both ways to say what efforts bring, and every mistake by name."""

import copy
import json

import pytest

from scorecraft.decisions.game_file import EXAMPLE, read_game
from scorecraft.decisions.information_game import accuracy_game
from scorecraft.decisions.information_mechanism import solve_correlated
from scorecraft.errors import ScorecraftError

TABLES = {
    "agents": [
        {
            "name": "rater",
            "signals": ["no", "yes"],
            "efforts": [{"name": "skip", "cost": 0}, {"name": "read", "cost": 0.1}],
        }
    ],
    "states": ["bad", "good"],
    "probabilities": {"skip": [[0.25, 0.25], [0.25, 0.25]], "read": [[0.4, 0.1], [0.1, 0.4]]},
}


def write(tmp_path, value):
    path = tmp_path / "game.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def test_the_example_is_the_game_of_common_errors(tmp_path):
    found = read_game(write(tmp_path, EXAMPLE))
    assert found.agents == ("first rater", "second rater")
    assert found.actions == ("reject", "accept")
    assert found.cap == 1
    assert (found.game.P == accuracy_game([[0.5, 0.8]] * 2, [[0, 0.1]] * 2, common_noise=True).P).all()
    assert solve_correlated(found.game).value == pytest.approx(26 / 45)


def test_tables_by_name(tmp_path):
    found = read_game(write(tmp_path, TABLES))
    assert found.game.P[1].tolist() == [[0.4, 0.1], [0.1, 0.4]]
    assert found.signals == (("no", "yes"),)
    assert found.actions == ("bad", "good")
    assert found.cap is None
    assert solve_correlated(found.game).value == pytest.approx(8 / 15)


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        (("agents",), [], "at least one agent"),
        (("agents",), "x", "at least one agent"),
        (("agents", 0, "efforts"), [], "at least one effort"),
        (("agents", 0, "efforts", 1, "name"), "skip", "'skip' occurs twice"),
        (("agents", 0, "efforts", 1, "cost"), -1, "effort 1 is -1"),
        (("agents", 0, "efforts", 1, "cost"), "1", "cost of 'read' of 'rater' is '1'"),
        (("agents", 0, "efforts", 1, "cost"), True, "expected a finite number"),
        (("agents", 0, "effort"), [], "no key 'effort'; did you mean 'efforts'"),
        (("agents", 0, "signals"), ["no"], r"expected shape \[1, 2\]"),
        (("agents", 0, "name"), "a,b", "comma"),
        (("states",), ["bad", "bad"], "'bad' occurs twice"),
        (("states",), [], "list of names"),
        (("probabilities", "skip"), [[0.25, 0.25], [0.25, 0.35]], "'skip' add up to 1.1"),
        (("probabilities", "skip"), [[0.5, 0.5]], "shape"),
        (("probabilities", "skip"), [[0.5], [0.5, 0]], "same length"),
        (("probabilities", "raed"), [[0.5]], "no joint effort 'raed'; did you mean 'read'"),
        (("probabilities",), {"skip": TABLES["probabilities"]["skip"]}, "'read' is missing"),
        (("probabilities",), [], "an object"),
        (("probabilities", "read"), [[0.5, 0.1], [0.1, 0.3]], "efforts do not move the truth"),
        (("utility",), [[1, 0, 0]], "2 numbers"),
        (("utility",), [[1, 0]], "actions"),
        (("cap",), "much", "cap is 'much'"),
    ],
)
def test_every_mistake_is_named(tmp_path, at, value, said):
    changed = copy.deepcopy(TABLES)
    place = changed
    for key in at[:-1]:
        place = place[key]
    place[at[-1]] = value
    with pytest.raises(ScorecraftError, match=said) as caught:
        read_game(write(tmp_path, changed))
    assert "game.json" in str(caught.value)


def test_accuracies_that_are_none(tmp_path):
    value = json.loads(EXAMPLE)
    for change, said in (
        (lambda v: v["agents"][0]["efforts"][0].update(accuracy=1.2), "expected 0 to 1"),
        (lambda v: v["agents"][0]["efforts"][0].pop("accuracy"), "has no accuracy"),
        (lambda v: v.update(errors="some"), "'independent' or 'common'"),
        (lambda v: v.update(states=["a", "b", "c"], utility=[[1, 0, 0]], actions=["x"]), "for 2 states"),
        (lambda v: v.update(prior=[0.5, 0.6]), "add up to 1"),
        (lambda v: v["agents"][0].update(signals=["x", "y"]), "expected both or neither"),
    ):
        changed = copy.deepcopy(value)
        change(changed)
        with pytest.raises(ScorecraftError, match=said):
            read_game(write(tmp_path, changed))


def test_files_that_are_no_games(tmp_path):
    with pytest.raises(ScorecraftError, match="empty"):
        read_game(write(tmp_path, " "))
    with pytest.raises(ScorecraftError, match="line 2"):
        read_game(write(tmp_path, '{"agents": [],\n oops}'))
    with pytest.raises(ScorecraftError, match="cannot be read"):
        read_game(tmp_path / "absent.json")
    with pytest.raises(ScorecraftError, match="expected an object"):
        read_game(write(tmp_path, "[]"))
