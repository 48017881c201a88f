"""The pieces of the study of the self-aligned reward: kinds of answers, the ranking, and the recipes of its arms."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from random import Random

import pytest

from scorecraft.lm.policy import Policy
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.recipes.lint import lint
from scorecraft.rewards.self_aligned import standalone_prompt
from scorecraft.studies import self_aligned_reward as study
from scorecraft.studies.study import Trial


def trial(**settings):
    return Trial(settings, 3, "smoke", Path("unused"), lambda done, total: None)


def test_answers_of_every_kind_to_a_chain():
    plain = study.TASKS["full"].model_copy(update={"spare_steps": 0.0})
    problems = plain.problems("test", 0, 30)
    for problem, other in itertools.pairwise(problems):
        answers = study.chain_answers(problem, other)
        assert set(answers) == set(study.KINDS)
        right = {kind for kind, text in answers.items() if plain.check(problem, text).correct}
        assert right - {"unrelated"} == {"concise", "redundant", "duplicated", "answer-only", "query-echo"}
        labels = [step.label.value for step in plain.check_steps(problem, answers["redundant"])]
        assert labels == ["correct", "redundant"] * (len(labels) // 2) + ["correct"]
        assert len(answers["duplicated"].split("\n")) == 2 * len(problem.gold.split("\n")) - 1
        assert answers["query-echo"].startswith(problem.prompt)


def test_word_problems_add_up():
    for seed in range(40):
        question, answers = study.word_problem(Random(seed))
        start, *numbers = map(int, re.findall(r"\d+", question))
        signs = [1 if verb in ("buys", "finds") else -1 for verb in re.findall(r"buys|finds|gives|loses", question)]
        total = start + sum(sign * number for sign, number in zip(signs, numbers, strict=True))
        assert answers["bare-number"] == str(total)
        assert answers["answer-only"] == f"The answer is {total}."
        assert answers["concise"].endswith(answers["answer-only"])
        assert answers["wrong-end"].endswith(f"The answer is {total + 7}.")
        for kind in ("redundant", "duplicated", "query-echo", "entity-spam", "rare-words"):
            assert len(answers[kind]) > len(answers["concise"])
            assert f"The answer is {total}." in answers[kind]


def test_the_answer_to_another_question_is_that_questions_own():
    asked = study.questions("words", 0, "full")
    assert len(asked) == study.WORD_PROBLEMS["full"]
    assert asked[0][1]["unrelated"] == asked[1][1]["concise"]
    chains = study.questions("chains", 1, "full")
    assert chains[3][1]["unrelated"] == chains[4][1]["concise"]
    assert chains[0] != study.questions("chains", 2, "full")[0]


@pytest.fixture
def small():
    return Policy(tunnel_model(1, 16, 2, initializer_range=0.5), tunnel_tokenizer(), "small")


def test_each_reward_of_an_answer(small):
    asked = [("1+2=?\n", {"kind": "1+2=3\n#3"}), ("2+2=?\n", {"kind": "#4"})]
    # Tokens are characters, and the end token counts.
    assert study.score(small, asked, "kind", "length")["value"].tolist() == [-9.0, -3.0]
    rows = [[*small.encode(answers["kind"]), 2] for _, answers in asked]
    given = small.score_tokens([small.encode_prompt(question) for question, _ in asked], rows)
    mean = [given[0].mean().item(), given[1, :3].mean().item()]
    assert study.score(small, asked, "kind", "confidence")["value"].tolist() == pytest.approx(mean, abs=1e-5)
    alone = small.score_tokens([standalone_prompt(small)] * 2, rows)
    gain = [(alone[0] - given[0]).mean().exp().item(), (alone[1] - given[1])[:3].mean().exp().item()]
    assert study.score(small, asked, "kind")["value"].tolist() == pytest.approx(
        [max(-1.0, 1 - value) for value in gain], abs=1e-5
    )


def test_ranking_counts_and_measures(monkeypatch):
    values = {kind: 1.0 - 0.1 * place for place, kind in enumerate(study.KINDS)}
    values["query-echo"] = 2.0

    def score(policy, asked, kind, reward="sar"):
        return {"value": study.torch.tensor([values[kind], values[kind] - (kind == "concise")])}

    monkeypatch.setattr(study, "score", score)
    monkeypatch.setattr(study, "policy_of", lambda name, scale: None)
    found = study.rank(trial(policy="tunnel-tiny", world="chains", reward="sar"))
    # The concise answers have 1 and 0: one win of two, none over the echo; the gap is (0.1 - 0.9) / 2.
    assert found == {
        "beats_redundant": 0.5, "beats_duplicated": 0.5, "beats_wrong_end": 0.5, "beats_unrelated": 0.5,
        "beats_answer_only": 0.5, "beats_query_echo": 0.0, "partial": 1.0, "gap": pytest.approx(-0.4),
    }  # fmt: skip


def test_arms_differ_in_the_weights_of_their_rewards_alone():
    weights = {}
    recipes = []
    for arm in study.TRAINING.arms:
        recipe = study.recipe_of(trial(**arm.settings))
        assert lint(recipe) is not None
        weights[arm.name] = {name: part.weight for name, part in recipe.reward.items()}
        recipes.append(recipe.model_copy(update={"reward": {}}))
    assert weights == {
        "correctness": {"correct": 1.0, "self-aligned": 0.0},
        "sar": {"correct": 1.0, "self-aligned": 0.2},
        "sar-1": {"correct": 1.0, "self-aligned": 1.0},
        "o1-pruner": {"correct": 1.0, "self-aligned": 0.0, "o1-pruner": 0.2},
        "alone": {"correct": 0.0, "self-aligned": 1.0},
    }
    assert all(recipe == recipes[0] for recipe in recipes)
    assert recipes[0].seed == 3


def test_points_of_a_curve_are_means_of_blocks():
    assert study._blocks([1.0, 2.0, 3.0, 4.0, 5.0, 10.0]) == [3.0, 10.0]
