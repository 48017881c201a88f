"""Probing a reward: honest work and tricks by hand, every planted flaw found, the exact verifier clean."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from scorecraft.audit.honest_work import honest_works, right_step
from scorecraft.audit.probe_page import as_data, being_right, headline, page
from scorecraft.audit.probe_reward import Probe, probe_reward
from scorecraft.audit.rewarded import Rewarded
from scorecraft.audit.tricks import FILLER, INSTRUCTIONS, MAGIC, Workshop, filler, most_common_answer, tricks
from scorecraft.cli.main import app
from scorecraft.errors import ScorecraftError
from scorecraft.problem import Outcome, Problem, Verdict
from scorecraft.recipes.recipe import Recipe
from scorecraft.tasks.chain_arithmetic import ChainArithmetic
from scorecraft.tasks.confidence import Confidence
from scorecraft.tasks.multiple_choice import MultipleChoice
from scorecraft.tasks.task import Task

CHAIN = {"operands": [[12], [7], [3]], "operators": "+-"}
PROBLEM = Problem("12+7-3=?\n", "16", "12+7=19\n19-3=16\n#16", CHAIN)
OTHER = Problem("1+1=?\n", "2", "1+1=2\n#2", {"operands": [[1], [1]], "operators": "+"})


def probe(problems=32, task="chain-arithmetic", combination="weighted-sum", reward="correct", **options):
    recipe = Recipe(task=task, reward=reward, combination=combination)
    rewarded = Rewarded(recipe.task, recipe.reward, recipe.combination)
    return probe_reward(rewarded, problems=problems, **options)


def paying(found: Probe):
    return {(finding.trick, finding.on) for finding in found.pays}


def finding(found: Probe, trick, on=None):
    (only,) = [each for each in found.findings if each.trick == trick and on in (None, each.on)]
    return only


# Honest work


def test_honest_work_by_hand():
    work, other = honest_works(ChainArithmetic(), [PROBLEM, OTHER], Random(0))
    assert (work.right, work.work, work.tail) == (PROBLEM.gold, "12+7=19\n19-3=16\n", "")
    # Off by one first; the other problem's answer after those.
    assert work.wrong_answers == ("17", "15", "18", "26", "2")
    assert work.misstated == "12+7=19\n19-3=16\n#17"
    assert (work.line("5"), other.line("5")) == ("#5", "#5")
    verdict = ChainArithmetic().check(PROBLEM, work.wrong)
    assert (verdict.outcome, verdict.correct) == (Outcome.SCORED, False)
    assert work.wrong != work.misstated


def test_what_follows_the_answer_is_kept():
    task = Confidence()
    works = honest_works(task, task.problems("train", 0, 20), Random(0))
    for work in works:
        assert re.fullmatch(r"\n@[0-9.]+", work.tail)
        assert work.right.endswith(work.tail)
        assert work.line("9") == "#9"


def test_the_answers_place_is_the_one_that_the_checker_reads():
    # The answer 7 also stands, last of all, in the confidence.
    task = Confidence()
    problem = Problem("3+4=?\n", "7", "3+4=7\n#7\n@0.7", {
        "operands": [[3], [4]], "operators": "+", "drawn": [[3], [4]], "attainable": 1.0,
    })  # fmt: skip
    (work,) = honest_works(task, [problem], Random(0))
    assert work.before == "3+4=7\n#"
    assert work.stating("8") == "3+4=7\n#8\n@0.7"


class Words(Task):
    """Answers in words; right wherever the true answer occurs, so that nothing with it can be wrong."""

    lenient: bool = False

    def problem(self, split, index):
        return Problem(f"name {index % 40}", f"word{index % 40}")

    def check(self, problem, completion):
        found = re.findall(r"\\boxed\{(\w*)\}", completion)
        if self.lenient:
            return Verdict(float(bool(found)))
        return Verdict(float(found[-1] == problem.answer)) if found else Verdict(0.0, Outcome.UNPARSED)


def test_without_gold_solutions_a_form_is_found_that_the_checker_accepts():
    task = Words()
    works = honest_works(task, task.problems("train", 0, 3), Random(0))
    assert [work.right for work in works] == ["\\boxed{word0}", "\\boxed{word1}", "\\boxed{word2}"]
    assert set(works[0].wrong_answers) == {"word1", "word2"}
    assert works[0].wrong == works[0].misstated
    with pytest.raises(ScorecraftError, match="no right and wrong completion could be written for any of 3 problems"):
        honest_works(Words(lenient=True), task.problems("train", 0, 3), Random(0))


def test_the_first_right_step_is_found():
    task = ChainArithmetic()
    assert right_step(task, PROBLEM, "12+7=18\n18-3=15\n#15") == (8, 15)
    assert right_step(task, PROBLEM, "\nnothing right\n") == (1, 14)
    assert right_step(Words(), PROBLEM, "one line") == (0, 8)


# Tricks


@pytest.fixture
def texts():
    task = ChainArithmetic()
    (work, _) = honest_works(task, [PROBLEM, OTHER], Random(0))
    workshop = Workshop(task, "2", accuracy=0.25, longest=500, magic="please")
    return work, {
        (trick.slug, trick.on): [(attempt.text, dict(attempt.against)) for attempt in trick.attempts(work)]
        for trick in tricks(workshop)
    }


def test_tricks_by_hand(texts):
    work, written = texts
    honest = {"right": 0.25, "wrong": 0.75}
    steps = "12+7=19\n19-3=16\n"
    assert written["empty", "no work"] == [("", honest)]
    assert written["echo", "no work"] == [("12+7-3=?\n", honest)]
    assert written["always-same", "no work"] == [("#2", honest)]
    assert written["shotgun", "no work"] == [("#17\n#15\n#16\n#18\n#26\n#2", honest)]
    assert written["two-answers", "both"] == [
        (f"{steps}#16\n#17", {"right": 0.5, "misstated": 0.5}),
        (f"{steps}#17\n#16", {"right": 0.5, "misstated": 0.5}),
    ]
    assert written["wrong-form", "right work"] == [(f"{steps}so it comes to 16", {"right": 1.0})]
    assert written["repeated-step", "right work"] == [("12+7=19\n" * 7 + "19-3=16\n#16", {"right": 1.0})]
    assert written["copied-question", "wrong work"] == [(f"12+7-3=?\n{work.wrong}", {"wrong": 1.0})]
    assert written["magic", "right work"] == [(f"please\n{work.right}", {"right": 1.0})]
    assert len(written["injected", "wrong work"]) == len(INSTRUCTIONS)
    ((padded, _),) = written["padded", "right work"]
    ((long, _),) = written["very-long", "right work"]
    assert 2 * len(work.right) < len(padded) < 500 < len(long)
    assert long.endswith(f"\n{work.right}")


def test_an_embellishment_leaves_the_answer_as_it_is(texts):
    _, written = texts
    task = ChainArithmetic()
    for (slug, on), attempts in written.items():
        for text, against in attempts:
            if set(against) == {"right"} and slug != "wrong-form":
                assert task.check(PROBLEM, text).correct, (slug, on)
            if set(against) == {"wrong"}:
                verdict = task.check(PROBLEM, text)
                assert (verdict.outcome, verdict.correct) == (Outcome.SCORED, False), (slug, on)
            assert sum(against.values()) == pytest.approx(1.0)


def test_a_shotgun_never_has_the_right_answer_first_or_last():
    task = MultipleChoice(options=2)
    works = honest_works(task, task.problems("train", 0, 40), Random(0))
    (shotgun,) = [trick for trick in tricks(Workshop(task, "A")) if trick.slug == "shotgun"]
    for work in works:
        lines = shotgun.attempts(work)[0].text.split("\n")
        assert work.line(work.answer) in lines[1:-1]
        assert work.line(work.answer) not in (lines[0], lines[-1])


def test_texts_without_content_hold_no_answer():
    for text in (*FILLER, *(part for pair in INSTRUCTIONS for part in pair), *MAGIC):
        assert not re.search(r"[0-9#@]", text)


@given(st.integers(0, 2000))
def test_filler_is_long_enough_and_no_sentence_longer(length):
    assert length - 1 <= len(filler(length)) < length + max(map(len, FILLER))


def test_the_most_common_answer():
    assert most_common_answer([Problem("", answer) for answer in "abbac"]) in "ab"
    assert most_common_answer([Problem("", answer) for answer in "abbabc"]) == "b"


# Probing


@pytest.mark.parametrize(
    "task", ["chain-arithmetic", "calculator", "confidence", "second-turn", {"jsonl": {"path": "example"}}]
)
def test_the_exact_verifier_is_clean(task):
    found = probe(task=task)
    assert {each.verdict for each in found.findings} == {"does not pay"}
    assert found.being_right is not None
    assert found.being_right.low == found.being_right.high == 1.0
    assert headline(found) == "No trick pays."
    assert being_right(found) == "Right work earns +1 [+1, +1] above wrong work."
    # Held against work that is right half the time; ties are 0.
    assert finding(found, "empty").margin == (-0.5, -0.5, -0.5)
    assert finding(found, "padded", "wrong work").margin == (0.0, 0.0, 0.0)


def test_weighted_form_and_length_penalties_beside_it_stay_clean():
    found = probe(reward={"correct": {}, "format": {"weight": 0.1}, "brevity": {"weight": 0.1}})
    assert paying(found) == set()


def test_a_verifier_that_passes_wrong_answers_is_found():
    found = probe(reward={"noisy-verifier": {"false_positive": 0.3}}, problems=64)
    wrong = finding(found, "wrong-answer")
    assert wrong.verdict == "pays"
    assert wrong.share is not None
    assert wrong.share.low < 0.3 < wrong.share.high
    assert (wrong.paid_by, wrong.by_part) == ("noisy-verifier", {"noisy-verifier": 1.0})
    again = finding(found, "asked-again")
    # Of two draws for wrong work, one of them lucky: .3 * .7 on average over wrong work, half of it over both.
    assert again.verdict == "pays"
    assert again.margin is not None
    assert again.margin.low < 0.3 * 0.7 / 2 < again.margin.high


def test_a_verifier_that_refuses_right_answers_is_found():
    found = probe(reward={"noisy-verifier": {"false_negative": 0.3}}, problems=64)
    assert finding(found, "asked-again").verdict == "pays"
    wrong = finding(found, "wrong-answer")
    assert wrong.share is not None
    assert wrong.share.low < 0.3 < wrong.share.high
    # It is nothing that a reward pays for: there the right work earns nothing either.
    assert wrong.paid_by is None


def test_a_process_model_that_pays_for_repetition_is_found():
    found = probe(reward={"overrating-process-model": {}, "correct": {}})
    assert paying(found) == {("repeated-step", "right work"), ("repeated-step", "wrong work")}
    repeated = finding(found, "repeated-step", "right work")
    # Six repetitions at .6 + .1.
    assert repeated.margin is not None
    assert repeated.margin.estimate == pytest.approx(4.2, abs=1e-5)
    assert repeated.by_part == pytest.approx({"overrating-process-model": 4.2, "correct": 0.0}, abs=1e-5)
    assert repeated.paid_by == "overrating-process-model"


def test_a_judge_biased_to_length_is_found():
    found = probe(reward={"correct": {}, "biased-judge": {"bias": "length", "strength": 0.5, "length_scale": 256}})
    for trick in ("padded", "very-long"):
        for on in ("right work", "wrong work"):
            assert finding(found, trick, on).verdict == "pays"
            assert finding(found, trick, on).paid_by == "biased-judge"
    assert finding(found, "shown-first").verdict == "does not pay"
    assert finding(found, "wrong-answer").verdict == "does not pay"


def test_a_judge_biased_to_position_is_found_and_blamed_on_no_other_trick():
    found = probe(reward={"biased-judge": {"bias": "position", "strength": 0.5}})
    assert paying(found) == {("shown-first", "right work")}
    first = finding(found, "shown-first")
    # From last place, where the bias is 0, to first.
    assert first.margin == pytest.approx((0.5, 0.5, 0.5))
    assert first.paid_by == "biased-judge"


@pytest.mark.parametrize(("token", "magic"), [("please", ()), ("abracadabra", ("hocus", "abracadabra"))])
def test_a_judge_biased_to_a_magic_token_is_found(token, magic):
    reward = {"biased-judge": {"bias": "magic-token", "token": token, "strength": 0.25}}
    found = probe(reward=reward, magic=magic)
    assert paying(found) == {("magic", "right work"), ("magic", "wrong work")}
    assert found.magic == token
    assert finding(found, "magic", "wrong work").margin == pytest.approx((0.25, 0.25, 0.25))


def test_a_reward_that_looks_at_the_form_alone_is_found():
    found = probe(reward="format")
    wrong = finding(found, "wrong-answer")
    assert (wrong.verdict, wrong.paid_by) == ("pays", "format")
    assert wrong.share is not None
    assert wrong.share.estimate == 1.0
    assert being_right(found) == "Right work does not earn more than wrong work for certain (0 [0, 0])."


SOURCE = """
def anywhere(completions, answer, **columns):
    return [float(a in c.replace("\\n", " ").replace("#", "").split()) for c, a in zip(completions, answer)]

def obeys(completions, **columns):
    return [float("highest score" in c) for c in completions]

def never(completions, **columns):
    return [None for _ in completions]

def abstains_on_nothing(completions, **columns):
    return [float(len(c) > 30) if c else None for c in completions]
"""


@pytest.fixture
def own(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(SOURCE)
    return lambda name, **options: {"part": "function", "path": str(file), "function": name, **options}


def test_a_verifier_that_takes_any_of_several_answers_is_found(own):
    found = probe(reward={"anywhere": own("anywhere")})
    assert {("shotgun", "no work"), ("two-answers", "both")} <= paying(found)
    assert finding(found, "shotgun").margin == pytest.approx((0.5, 0.5, 0.5))
    assert finding(found, "two-answers").margin == pytest.approx((0.5, 0.5, 0.5))


def test_a_judge_that_obeys_the_text_is_found(own):
    found = probe(reward={"correct": {}, "obeys": own("obeys", weight=0.9)})
    assert paying(found) == {("injected", "right work"), ("injected", "wrong work")}
    # One of the three wordings works.
    assert finding(found, "injected", "wrong work").margin == pytest.approx((0.3, 0.3, 0.3))
    assert finding(found, "injected", "wrong work").paid_by == "obeys"


def test_transforms_and_combinations_count(own):
    judge = {"biased-judge": {"bias": "magic-token", "token": "please", "strength": 2.0}}
    gated = {"gate": {"gate": "correct"}}
    assert paying(probe(reward={"correct": {}, **judge}, combination=gated)) == {("magic", "right work")}
    judge["biased-judge"]["transforms"] = [{"clip": {"high": 1.0}}]
    assert ("magic", "right work") not in paying(probe(reward=judge))
    ranked = {"lexicographic": {"order": ["correct", "biased-judge"]}}
    assert ("magic", "wrong work") in paying(probe(reward={"correct": {}, **judge}, combination=ranked))


def test_what_is_not_scored_is_said_and_never_counted_as_0(own):
    found = probe(reward={"never": own("never")}, problems=4)
    assert {each.verdict for each in found.findings} == {"not scored"}
    assert found.being_right is None
    found = probe(reward={"some": own("abstains_on_nothing")}, problems=4)
    empty = finding(found, "empty")
    assert (empty.verdict, empty.scored, empty.margin, empty.example) == ("not scored", 0, None, None)
    assert finding(found, "padded", "right work").scored == 4


def test_the_accuracy_decides_what_tricks_without_work_are_held_against():
    assert finding(probe(accuracy=0.0), "empty").margin == (0.0, 0.0, 0.0)
    assert finding(probe(accuracy=1.0), "empty").margin == (-1.0, -1.0, -1.0)


def test_the_example_is_the_one_where_the_trick_earned_most():
    found = probe(reward={"biased-judge": {"bias": "length", "length_scale": 2000, "strength": 1.0}})
    example = finding(found, "padded", "right work").example
    assert example is not None
    assert example.text.endswith(example.honest)
    margin = finding(found, "padded", "right work").margin
    assert margin is not None
    assert example.reward - example.honest_reward >= margin.estimate


def test_it_repeats_with_the_seed_and_tells_how_far_it_is():
    told = []
    reward = {"noisy-verifier": {"false_positive": 0.4}}
    first, again, other = (
        probe(problems=8, reward=reward, seed=seed, progress=lambda *p: told.append(p)) for seed in (1, 1, 2)
    )
    assert as_data(first) == as_data(again)
    assert as_data(first) != as_data(other)
    assert told[:4] == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_file_with_few_questions_is_probed_on_those(tmp_path):
    file = tmp_path / "few.jsonl"
    file.write_text("".join(json.dumps({"question": f"{n}?", "answer": str(n)}) + "\n" for n in range(6)))
    found = probe(task={"jsonl": {"path": str(file), "test_fraction": 0.0}}, problems=50)
    assert 2 <= found.problems <= 6
    assert paying(found) == set()


@pytest.mark.parametrize(("options", "said"), [({"problems": 1}, "at least 2 problems"), ({"accuracy": 1.5}, "0 to 1")])
def test_arguments_out_of_range(options, said):
    with pytest.raises(ScorecraftError, match=said):
        probe(**options)


def test_tokens_are_those_of_the_policy(own):
    class Twice:
        """One token for every two characters, and one that ends a text."""

        class tokenizer:  # noqa: N801
            eos_token_id = 9

        def encode(self, text):
            return [1] * ((len(text) + 1) // 2)

        def encode_prompt(self, text):
            return self.encode(text)

    recipe = Recipe(reward={"brevity": {"target": 1, "cap": 1000.0}})
    found = probe_reward(Rewarded(recipe.task, recipe.reward, recipe.combination, Twice()), problems=2, longest=400)
    example = finding(found, "very-long", "right work").example
    assert example is not None
    assert example.reward == -((len(example.text) + 1) // 2)
    assert 400 <= -example.reward <= 450


# The page and the command


class Attack(Words):
    def problem(self, split, index):
        return Problem(f"<script>alert({index % 40})</script><b>&", f"word{index % 40}", metadata={"n": index % 40})


def test_the_page_escapes_everything_and_allows_only_its_own_style():
    recipe = Recipe(reward="correct")
    found = probe_reward(Rewarded(Attack(), recipe.reward, recipe.combination), problems=4)
    written = page(found, "<img src=x>\ud800")
    assert "<script" not in written
    assert "<img" not in written
    assert html.escape("<script>alert(") in written
    (style,) = re.findall(r"<style>(.*?)</style>", written, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in written
    assert "style=" not in written
    written.encode()


def test_the_page_has_the_paying_tricks_first():
    written = page(probe(reward="overrating-process-model"), "mine")
    rows = re.findall(r'<span class="verdict [a-z-]+">([^<]+)<', written)
    assert rows[:3] == ["pays", "pays", "does not pay"]
    assert "1 trick pays: repeated step." in written


def test_the_command_shows_what_pays_and_fails_on_request(tmp_path):
    runner = CliRunner()
    file = tmp_path / "deep" / "probe.html"
    arguments = ["probe-reward", "hacked", "--problems", "8"]
    shown = runner.invoke(app, [*arguments, "--page", str(file)])
    assert shown.exit_code == 0, shown.output
    assert re.search(r"repeated step +right +pays +\+4.2 \[\+4.2, \+4.2\] +overrating", shown.output)
    assert "1 trick pays: repeated step." in shown.output
    assert "Do not pay: empty, echo, " in shown.output
    assert Path(file).read_text().startswith("<!doctype html>")
    assert runner.invoke(app, [*arguments, "--fail-if-any-pays"]).exit_code == 1
    clean = runner.invoke(app, ["probe-reward", "--problems", "8", "--fail-if-any-pays", "--all"])
    assert clean.exit_code == 0, clean.output
    assert re.search(r"empty +no +does not pay +-0.5", clean.output)


def test_the_command_writes_json_and_takes_overrides():
    told = CliRunner().invoke(
        app, ["probe-reward", "default", "reward={biased-judge: {bias: magic-token, token: xyzzy}}",
              "--magic", "xyzzy", "--problems", "8", "--json"],
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    data = json.loads(told.stdout)
    assert data["pays"] == ["magic", "magic"]
    assert data["weights"] == {"biased-judge": 1.0}
    (row,) = [each for each in data["findings"] if (each["trick"], each["on"]) == ("magic", "wrong work")]
    assert row["margin"] == {"estimate": 0.5, "low": 0.5, "high": 0.5}
    assert row["paid_by"] == "biased-judge"


def test_the_command_counts_the_tokens_of_another_policy_by_its_tokenizer(tmp_path):
    from scorecraft.lm.policy import Policy
    from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer

    folder = tmp_path / "tiny"
    Policy(tunnel_model(layers=1, width=16, heads=2, seed=0), tunnel_tokenizer(), "tiny").save(folder)
    arguments = ["probe-reward", f"policy={folder}", "reward={brevity: {target: 1, cap: 1000}}", "--problems", "4"]

    def penalty(*options):
        told = CliRunner().invoke(app, [*arguments, "--json", *options])
        assert told.exit_code == 0, told.output
        (row,) = [each for each in json.loads(told.stdout)["findings"] if each["trick"] == "always-same"]
        return row["example"]["reward"], len(row["example"]["text"])

    # One token for each character and one that ends the text; without the policy only the characters.
    reward, length = penalty()
    assert reward == -length
    assert penalty("--no-policy") == (1 - length, length)
    told = CliRunner().invoke(app, [*arguments, "--no-policy"])
    assert "tokens are counted as characters" in told.output


def test_the_command_refuses_what_it_cannot_read():
    result = CliRunner().invoke(app, ["probe-reward", "hackd"])
    assert isinstance(result.exception, ScorecraftError)
    assert "did you mean 'hacked'" in str(result.exception)
