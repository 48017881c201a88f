"""The simulation's expected means, the machine and its styles by hand, and the choosers of the study."""

import re
from itertools import pairwise

import numpy as np
import pytest
import torch

from scorecraft.distill.rank_surprisal import TokenScores
from scorecraft.studies import rank_surprisal as study
from scorecraft.studies.check import check_study
from scorecraft.studies.study import Trial

STEPS = [(3, "a", 7), (7, "f", 1)]


def trial(folder, **settings):
    return Trial(settings, 0, "smoke", folder, lambda done, total: None)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("major", (0.412, 1.387, 2.530, 1.699)),
        ("minor", (0.104, 2.729, 4.317, 1.301)),
        ("student", (0.351, 1.656, 2.887, 1.619)),
        ("alien", (0.012, 5.075, 11.64, 2.160)),
    ],
)
def test_the_sources_have_the_means_they_must(source, wanted):
    laws = study.sources()
    student, law = laws["student"], laws[source]
    rank = 1 + (student[None, :] > student[:, None]).sum(1)
    found = (law @ student, law @ -np.log(student), law @ rank, law @ (rank / -np.log(student)))
    assert found == pytest.approx(wanted, rel=2e-3, abs=6e-4)


def test_the_ratio_of_a_source_is_that_of_its_means(tmp_path):
    found = study.simulate(trial(tmp_path, source="major"))
    assert found["ratio"] == pytest.approx(found["rank"] / found["surprisal"])
    assert found["rank"] == pytest.approx(2.53, abs=0.5)


def test_commands_permute_the_states_and_chains_follow_them():
    machine = study.Machine(3)
    assert all(sorted(table) == list(range(10)) for table in machine.tables.values())
    for steps in machine.new("train", 200):
        assert 2 <= len(steps) <= 4
        for state, command, after in steps:
            assert machine.tables[command][state] == after
        assert all(before[2] == after[0] for before, after in pairwise(steps))
    known = {command for steps in machine.known(0, 200) for _, command, _ in steps}
    assert known == set("abcd")
    assert {command for steps in machine.new("train", 200) for _, command, _ in steps} == set("abcdefgh")


@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("plain", "3a=7\n7f=1\n#1"),
        ("words", "3 by a is 7\n7 by f is 1\n#1"),
        ("prose", "From 3, a leads to 7. From 7, f leads to 1. #1"),
        ("running", "a7f1#1"),
        ("values", "7,1,#1"),
        ("result-first", "7=3a\n1=7f\n#1"),
        ("capitals", "Da=H\nHf=B\n#1"),
        ("twice", "3a=7;3a=7\n7f=1;7f=1\n#1"),
        ("answer-only", "#1"),
        ("restated", "=7f=1\n#1"),
    ],
)
def test_styles_by_hand(style, text):
    assert study.question(STEPS) == "3af=?\n"
    assert study.STYLES[style](STEPS) == text


def test_the_alien_style_has_the_characters_of_the_plain_one():
    text = study.STYLES["shuffled"](STEPS)
    assert text.endswith("\n#1")
    for line, plain in zip(text.split("\n"), ("3a=7", "7f=1", "#1"), strict=True):
        assert sorted(line) == sorted(plain)
    assert all(re.search(r"#\d$", write(STEPS)) for write in study.STYLES.values())


def test_students_have_seen_styles_in_their_own_order():
    _, one = study.make_student(0, 1)
    _, other = study.make_student(1, 1)
    assert sorted(one) == sorted(other) == sorted(study.SEEN)
    assert one != other
    assert "shuffled" not in one


def test_each_chooser_takes_the_trace_that_is_lowest_by_it():
    def own(rank, surprisal):
        return TokenScores(torch.tensor([rank], dtype=torch.int32), torch.tensor([surprisal]))

    # Ratios 2/4, 1/1; then 9/2, 3/1.
    scores = {"one": [own(2, 4.0), own(9, 2.0)], "two": [own(1, 1.0), own(3, 1.0)]}
    chosen = study.trace_choices(scores, 0)
    assert chosen["rsr"] == ["one", "two"]
    assert chosen["surprisal"] == chosen["rank"] == ["two", "two"]


def test_agreement_is_that_of_low_scores_with_high_accuracy():
    assert study.agreement([1.0, 2.0, 3.0], [0.9, 0.5, 0.1]) == pytest.approx(1.0)
    assert study.agreement([1.0, 2.0, 3.0], [0.1, 0.5, 0.9]) == pytest.approx(-1.0)
    assert study.agreement([1.0, 1.0, 1.0], [0.1, 0.5, 0.9]) == 0.0


def test_a_student_is_taught_by_each_teacher_once_for_all_choosers(tmp_path):
    folder = tmp_path / "experiment" / "trial"
    found = study.choose_teacher(trial(folder, chooser="rsr"))
    assert 1 <= found["place"] <= 12
    kept = list((tmp_path / "shared").iterdir())
    assert len(kept) == 1
    before = kept[0].stat().st_mtime_ns
    for chooser in study.CHOOSERS:
        study.choose_teacher(trial(folder, chooser=chooser))
    taken = study.choose_traces(trial(folder, chooser="rsr"))
    assert 1 / 12 <= taken["share"] <= 1
    assert kept[0].stat().st_mtime_ns == before


def test_the_study_is_fair():
    check_study(study.STUDY)
