"""Studies: fair before they run, resumable while they run, and judged by intervals worked out by hand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from scorecraft.catalog.papers import papers
from scorecraft.errors import ScorecraftError
from scorecraft.stats.intervals import Interval
from scorecraft.studies import results
from scorecraft.studies.check import check_study
from scorecraft.studies.find import find_study, study_slugs
from scorecraft.studies.page import page
from scorecraft.studies.run import run_study
from scorecraft.studies.study import Arm, Check, Metric, Study, Tuning
from scorecraft.studies.verdict import check_result, check_verdict, overall

# Workers import the module that holds a trial's function, so it is one that they can find.
sys.path.insert(0, str(Path(__file__).parent))
from toy_study import EXPERIMENT

STUDY = Study("rlcr", "More gives more.", (EXPERIMENT,), limits="Everything else.")


def with_experiment(**changes):
    return replace(STUDY, experiments=(replace(EXPERIMENT, **changes),))


def marks(folder):
    return len(list(Path(folder).rglob("ran-*")))


def test_a_study_runs_every_arm_on_every_seed_and_says_what_came_out(tmp_path):
    told = []
    found = run_study(STUDY, "full", tmp_path, workers=2, progress=lambda *news: told.append(news))
    (experiment,) = found["experiments"]
    plain, more = experiment["arms"]
    assert plain["values"]["score"] == {"0": 0.0, "1": 1.0, "2": 2.0, "3": 3.0, "4": 4.0}
    assert more["values"]["score"]["4"] == 5.0
    # Paired by seed the difference is 1 for every seed, although the seeds differ by much more.
    (check,) = experiment["checks"]
    assert (check["estimate"], check["low"], check["high"], check["verdict"]) == (1.0, 1.0, 1.0, "holds")
    assert found["verdict"] == "holds"
    assert experiment["curves"][0]["arms"]["more"]["mean"] == [1.0, 2.0]
    assert told[-1][1:] == (10, 10)
    assert marks(tmp_path) == 10


def test_finished_trials_are_kept_and_changed_settings_are_run_again(tmp_path):
    run_study(STUDY, "full", tmp_path)
    run_study(STUDY, "full", tmp_path)
    assert marks(tmp_path) == 10
    changed = with_experiment(arms=(EXPERIMENT.arms[0], Arm("more", "more", {"base": 2.0})))
    found = run_study(changed, "full", tmp_path)
    assert marks(tmp_path) == 15
    assert found["experiments"][0]["checks"][0]["estimate"] == 2.0
    # A result that was torn is run again.
    torn = next(tmp_path.rglob("result.json"))
    torn.write_text('{"values": {"sco')
    run_study(STUDY, "full", tmp_path)
    assert json.loads(torn.read_text())["values"]


def test_a_failed_trial_is_named_and_the_others_are_kept(tmp_path):
    broken = with_experiment(arms=(EXPERIMENT.arms[0], Arm("more", "more", {"base": 1.0, "fail": 3})))
    with pytest.raises(ScorecraftError, match=r"(?s)1 of 10 trials failed.*toy, more, seed 3.*broken on purpose"):
        run_study(broken, "full", tmp_path)
    assert len(list(tmp_path.rglob("result.json"))) == 9


def test_a_value_that_is_no_number_is_refused(tmp_path):
    arms = (EXPERIMENT.arms[0], Arm("more", "more", {"nan": True}))
    with pytest.raises(ScorecraftError, match="not finite numbers: score"):
        run_study(with_experiment(arms=arms), "smoke", tmp_path)


def test_smoke_claims_nothing(tmp_path):
    found = run_study(STUDY, "smoke", tmp_path)
    assert found["verdict"] == "smoke, claims nothing"
    assert found["experiments"][0]["seeds"] == [0]


def test_every_arm_is_tuned_with_one_budget_on_seeds_of_its_own(tmp_path):
    tuning = Tuning(
        {"plain": [{"bonus": 0.0}, {"bonus": 0.25}], "more": [{"bonus": -0.5}, {"bonus": -0.75}]}, "score", (90, 91)
    )
    found = run_study(with_experiment(tuning=tuning), "full", tmp_path)
    plain, more = found["experiments"][0]["arms"]
    assert plain["settings"] == {"base": 0.0, "bonus": 0.25}
    assert more["settings"] == {"base": 1.0, "bonus": -0.5}
    assert plain["tuning"][1] == {"settings": {"bonus": 0.25}, "scores": [90.25, 91.25], "mean": 90.75}
    # 1 - 0.5 - 0.25 is not above 0.5.
    assert found["verdict"] == "does not hold"
    lower = replace(tuning, metric="score")
    metrics = (Metric("score", "score", higher_is_better=False),)
    found = run_study(with_experiment(tuning=lower, metrics=metrics), "full", tmp_path)
    assert found["experiments"][0]["arms"][0]["settings"]["bonus"] == 0.0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"checks": (Check("c", "score", "mor", "above"),)}, "names the arm 'mor'"),
        ({"checks": (Check("c", "scor", "more", "above"),)}, "names the metric 'scor'"),
        ({"checks": (Check("c", "score", "more", "within", "plain"),)}, "margin above 0"),
        ({"seeds": {"smoke": (0,), "full": (0, 1, 2, 3)}}, "at least 5 different seeds"),
        ({"seeds": {"smoke": (0,), "full": (0, 1, 2, 3, 3)}}, "at least 5 different seeds"),
        ({"arms": (EXPERIMENT.arms[1], EXPERIMENT.arms[1])}, "two arms have one name"),
        ({"tuning": Tuning({"plain": [{}]}, "score", (9,))}, "candidates for every arm"),
        ({"tuning": Tuning({"plain": [{}], "more": [{}, {}]}, "score", (9,))}, "same tuning budget"),
        ({"tuning": Tuning({"plain": [{}], "more": [{}]}, "score", (4,))}, "seeds that are not reported"),
        ({"tuning": Tuning({"plain": [{}], "more": [{}]}, "s", (9,))}, "which is no metric"),
        ({"decides": False}, "no experiment with a check decides"),
    ],
)
def test_an_unfair_study_is_refused(changes, said):
    with pytest.raises(ScorecraftError, match=said):
        check_study(with_experiment(**changes))


@pytest.mark.parametrize(
    ("low", "high", "relation", "margin", "difference", "verdict"),
    [
        (0.6, 0.9, "above", 0.5, True, "holds"),
        (0.4, 0.9, "above", 0.5, True, "inconclusive"),
        (0.1, 0.4, "above", 0.5, True, "does not hold"),
        (-0.9, -0.6, "below", 0.5, True, "holds"),
        (-0.4, -0.1, "below", 0.5, True, "does not hold"),
        (0.01, 0.08, "below", 0.10, False, "holds"),
        (0.05, 0.20, "below", 0.10, False, "inconclusive"),
        (0.86, 0.99, "above", 0.85, False, "holds"),
        (-0.02, 0.03, "within", 0.05, True, "holds"),
        (-0.02, 0.06, "within", 0.05, True, "inconclusive"),
        (0.06, 0.09, "within", 0.05, True, "does not hold"),
    ],
)
def test_verdicts_by_hand(low, high, relation, margin, difference, verdict):
    interval = Interval((low + high) / 2, low, high)
    assert check_verdict(interval, relation, margin, difference=difference) == verdict


def test_a_check_without_a_baseline_is_of_the_arm_alone():
    check = Check("c", "score", "more", "below", margin=0.5)
    assert check_result(check, {"more": {0: 0.2, 1: 0.2}})["verdict"] == "holds"


def test_one_check_that_does_not_hold_decides():
    assert overall(["holds", "does not hold"], "full") == "does not hold"
    assert overall(["holds", "inconclusive"], "full") == "inconclusive"
    assert overall(["holds", "holds"], "full") == "holds"


def test_what_is_kept_is_read_back_drawn_the_same_twice_and_never_markup(tmp_path):
    evil = "<script>alert(1)</script>"
    study = replace(with_experiment(title=evil, question=evil), claim=evil)
    found = run_study(study, "full", tmp_path / "runs")
    folder = tmp_path / "studies"
    path = results.keep(found, folder)
    first = path.with_suffix(".svg").read_bytes()
    results.keep(found, folder)
    assert path.with_suffix(".svg").read_bytes() == first
    assert results.read("rlcr", folder=folder)["verdict"] == found["verdict"]
    text = (folder / "index.html").read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "<script" not in first.decode()
    assert page([], folder).count("none yet") == 1


def test_missing_and_unreadable_results_are_named(tmp_path):
    with pytest.raises(ScorecraftError, match="study run rlcr --scale full"):
        results.read("rlcr", folder=tmp_path)
    (tmp_path / "rlcr").mkdir()
    (tmp_path / "rlcr" / "full.json").write_text("{")
    with pytest.raises(ScorecraftError, match="not readable"):
        results.read("rlcr", folder=tmp_path)


def test_unknown_studies_are_named():
    with pytest.raises(ScorecraftError, match="no paper 'rlcx'"):
        find_study("rlcx")
    for slug in set(papers()) - set(study_slugs()):
        with pytest.raises(ScorecraftError, match="no study yet"):
            find_study(slug)


SLOW = """\
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import slow_study
if __name__ == "__main__":
    from scorecraft.studies.run import run_study
    run_study(slow_study.STUDY, "full", Path(sys.argv[2]), workers=1)
"""
SLOW_STUDY = """\
import time
from scorecraft.studies.study import *

def run(trial):
    (trial.folder / f"ran-{time.time_ns()}").touch()
    time.sleep(0.4)
    return {"score": 1.0}

STUDY = Study("rlcr", "c", (Experiment("slow", "Slow", "?", run, (Arm("a", "a", {}),), (Metric("score", "score"),),
    (Check("c", "score", "a", "above", margin=0.5),), {"smoke": (0,), "full": tuple(range(8))}),))
"""


def test_a_study_that_was_killed_goes_on_where_it_was(tmp_path):
    (tmp_path / "slow_study.py").write_text(SLOW_STUDY)
    (tmp_path / "main.py").write_text(SLOW)
    kept = tmp_path / "kept"
    command = [sys.executable, str(tmp_path / "main.py"), str(tmp_path), str(kept)]
    process = subprocess.Popen(command, start_new_session=True)
    while process.poll() is None and len(list(kept.rglob("result.json"))) < 3:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in kept.rglob("result.json")}
    assert 3 <= len(done) < 8
    subprocess.run(command, check=True)
    assert len(list(kept.rglob("result.json"))) == 8
    assert all(path.stat().st_mtime_ns == when for path, when in done.items())
