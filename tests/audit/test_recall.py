"""The recall probe: what is asked at each cut, and that a policy's forced answers are what is counted."""

import pytest

from scorecraft.audit.recall import direct_answers, recall_probe
from scorecraft.errors import ScorecraftError
from scorecraft.lm.policy import Policy
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.problem import Problem

QUESTIONS = [Problem("12345678=?\n", "1"), Problem("abcdefgh=?\n", "2")]


def test_each_share_is_cut_off_before_the_suffix():
    asked = []

    def answers(prompts):
        asked.append(list(prompts))
        # It knows the first question by its first four letters, the second by all of them.
        return ["1" if prompt.startswith("1234") else "2" if "abcdefgh" in prompt else "0" for prompt in prompts]

    found = recall_probe(answers, QUESTIONS, lambda problem, text: text == problem.answer, suffix="=?\n")
    assert asked[1] == ["123456=?\n", "abcdef=?\n"]
    assert asked[3] == ["12=?\n", "ab=?\n"]
    assert found == {"recalled@0": 1.0, "recalled@0.25": 0.5, "recalled@0.5": 0.5, "recalled@0.75": 0.0}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: recall_probe(list, [], lambda *_: True), "at least one question"),
        (lambda: recall_probe(list, QUESTIONS, lambda *_: True, truncate=(1.0,)), "share to cut is 1"),
        (lambda: recall_probe(lambda prompts: [], QUESTIONS, lambda *_: True), "2 questions, but 0 answers"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(ScorecraftError, match=said):
        call()


def test_a_policy_is_made_to_answer_at_once():
    policy = Policy(tunnel_model(layers=1, width=16, heads=2), tunnel_tokenizer(), "small")
    given = direct_answers(policy, mark="#", max_new_tokens=4)(["1+2=?\n", "3+44=?\n"])
    assert all(text.startswith("#") and len(text) <= 4 for text in given)
    assert direct_answers(policy, max_new_tokens=4)(["1+2=?\n"]) == given[:1]
