"""From failed attempts to examples: the whole way by hand, and a count for everything that is dropped."""

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scorecraft.credit.intervention_training import (
    NO_ERROR,
    Drop,
    Intervention,
    LanguageModelProposer,
    ReferenceDiffProposer,
    intervention_examples,
)
from scorecraft.errors import ScorecraftError, ScorecraftWarning
from scorecraft.lm.supervised import Example, collate
from scorecraft.problem import Problem


class Characters:
    def encode_prompt(self, text):
        return [1, *self.encode(text)]

    def encode(self, text):
        return [ord(character) for character in text]


class Told:
    """Proposes what it was told, by the last step of the attempt."""

    needs_reference = False

    def __init__(self, proposals):
        self.proposals = proposals

    def propose(self, attempts, n):
        return [self.proposals[attempt.steps[-1]][:n] for attempt in attempts]


def verify(problem, completion):
    return completion.endswith(problem.answer)


def rollout(problems, prefixes, n):
    """A model that comes to the answer in one of its continuations, if the completion has step B."""
    pairs = zip(problems, prefixes, strict=True)
    right = ["\n\n" + problem.answer if "B" in prefix else "\n\nno" for problem, prefix in pairs]
    return [[*["\n\nno"] * (n - 1), text] for text in right]


PROBLEMS = [Problem("P", "yes", gold="A\n\nB\n\nyes"), Problem("Q", "yes", gold="A\n\nC\n\nyes")]


def build(attempts, proposer=None, problems=PROBLEMS, **options):
    options = {"rollout": rollout, "verify": verify, "n_rollouts": 4, **options}
    return intervention_examples(problems, attempts, proposer or ReferenceDiffProposer(), Characters(), **options)


def learned(built):
    return [
        "".join(chr(token) for token, known in zip(example.tokens, example.learned, strict=True) if known)
        for example in built.examples
    ]


def dropped(built):
    return {reason: count for reason, count in built.dropped.items() if count}


def test_the_whole_way():
    built = build([["A\n\nx\n\nno", "x\n\nno"], ["A\n\nx\n\nno"]])
    # The second attempt at P gets step A in the place of x, from which the model does not succeed; C does not help Q.
    assert learned(built) == ["A\n\nB"]
    assert dropped(built) == {Drop.NO_SUCCESS: 2}
    assert built.rows[0].intervention == Intervention(2, "B")
    assert (built.rows[0].prefix, built.rows[0].correct, built.rows[0].suffix) == ("A", 1, "\n\nyes")
    assert (built.attempts, built.proposals) == (3, 3)
    assert built.statistics.coverage == 0.5
    assert built.statistics.success_rate == pytest.approx(1 / 12)
    assert built.summary().splitlines() == [
        "3 attempts, 3 proposals, 1 examples",
        "  dropped, too few continuations succeed: 2",
        "  1 of 12 continuations right (8.33%); 1 of 2 problems solved at least once",
    ]


def test_examples_are_what_supervised_training_takes():
    built = build([["A\n\nx"], ["A\n\nx"]])
    batch = collate([Example(example.tokens, example.learned) for example in built.examples], pad_id=0)
    assert batch.tokens.tolist() == [[1, 80, *map(ord, "A\n\nB")]]
    assert batch.learned.tolist() == [[False, False, True, True, True, True]]
    assert torch.equal(built.examples[0].tensors()["input_ids"], batch.tokens[0])


def test_every_reason_is_counted():
    proposals = {
        "a": [None],
        "b": [NO_ERROR],
        "c": [Intervention(4, "B"), Intervention(0, "B"), Intervention(3, "B"), Intervention(1, "B again")],
        "d": [Intervention(1, "B, yes")],
        "e": [Intervention(1, "nothing useful")],
        "f": [Intervention(2, "B" + "b" * 60)],
    }
    attempts = ["1\n\na", "1\n\nb", "1\n\nc", "1\n\nd", "1\n\ne", "1\n\nf", "1\n\na", "1\n\nyes"]
    built = build([attempts], Told(proposals), PROBLEMS[:1], proposals=4, max_tokens=40, strict=False)
    assert dropped(built) == {
        Drop.ATTEMPT_CORRECT: 1,
        Drop.ATTEMPT_REPEATED: 1,
        Drop.UNREADABLE: 1,
        Drop.NO_ERROR_FOUND: 1,
        Drop.BAD_LOCATION: 2,
        Drop.LEAK: 1,
        Drop.DUPLICATE: 1,
        Drop.NO_SUCCESS: 1,
        Drop.TOO_LONG: 1,
    }
    # The third proposal is the first usable one; it is appended.
    assert learned(built) == ["1\n\nc\n\nB"]
    assert (built.attempts, built.proposals) == (8, 9)


OF_ATTEMPTS = (Drop.ATTEMPT_CORRECT, Drop.ATTEMPT_REPEATED)
kinds = st.sampled_from(
    [None, NO_ERROR, *(Intervention(at, text) for at in (0, 1, 2, 3, 9) for text in ("B", "yes B", "z"))]
)


@given(st.lists(st.lists(kinds, max_size=3), max_size=4), st.sampled_from(["attempt", "problem"]))
def test_nothing_vanishes_without_a_count(proposals, unique):
    told = Told({str(index): found for index, found in enumerate(proposals)})
    built = build(
        [[f"1\n\n{index}" for index in range(len(proposals))]], told, PROBLEMS[:1], proposals=3, unique=unique
    )
    given_out = sum(map(len, proposals))
    assert built.proposals == given_out
    assert len(built.examples) + sum(n for reason, n in built.dropped.items() if reason not in OF_ATTEMPTS) == given_out
    assert len(built.examples) == len(built.rows)
    assert len(built.examples) <= (1 if unique == "problem" else len(proposals))


def test_a_problem_whose_proposals_are_all_unusable_counts_as_not_solved():
    told = Told({"x": [Intervention(2, "B")], "y": [None]})
    built = build([["1\n\nx"], ["1\n\ny"]], told)
    assert (built.statistics.problems, built.statistics.coverage) == (2, 0.5)
    assert built.statistics.success_rate == 1 / 4


def test_one_row_a_problem_is_the_one_that_succeeds_most():
    def by_length(problems, prefixes, n):
        return [["\n\nyes"] * (len(prefix) - 3) + ["\n\nno"] * (n + 3 - len(prefix)) for prefix in prefixes]

    proposals = {"a": [Intervention(2, "B")], "b": [Intervention(2, "BB")], "c": [Intervention(2, "CC")]}
    attempts = [["1\n\na", "1\n\nb", "1\n\nc"]]
    built = build(attempts, Told(proposals), PROBLEMS[:1], rollout=by_length, unique="problem")
    # Prefixes of 4, 5 and 5 characters: 1, 2 and 2 of 4 right.
    assert learned(built) == ["1\n\nBB"]
    assert built.rows[0].correct == 2
    assert dropped(built) == {Drop.DUPLICATE: 2}
    assert built.statistics.success_rate == 5 / 12


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("prefix", ["A"]),
        ("intervention", ["B"]),
        ("prefix+intervention+suffix", ["A\n\nB\n\nyes\u0270"]),
        ("reference", ["A\n\nB\n\nyes\u0270"]),
        ("self-reflection", ["B so yes\u0270"]),
    ],
)
def test_every_target_goes_the_same_way(target, expected):
    built = build(
        [["A\n\nx"], []], target=target, end_token=0x270, rewrite=lambda attempts: ["B so yes"] * len(attempts)
    )
    assert learned(built) == expected


def test_a_wrong_rewrite_is_dropped_and_an_empty_prefix_teaches_nothing():
    attempts = [["A\n\nx", "A\n\ny"], []]
    built = build(attempts, target="self-reflection", rewrite=lambda found: ["so yes", "so no"])
    assert (learned(built), dropped(built)) == (["so yes"], {Drop.WRONG_REWRITE: 1})
    told = Told({"x": [Intervention(1, "B")]})
    built = build([["A\n\nx"], []], told, target="prefix")
    assert (learned(built), dropped(built)) == ([], {Drop.NOTHING_TO_LEARN: 1})


def test_a_model_can_propose():
    def generate(conversations):
        return ['<intervention>{"content": "B", "location": "Substep 2"}</intervention>'] * len(conversations)

    assert learned(build([["A\n\nx"], []], LanguageModelProposer(generate))) == ["A\n\nB"]


def test_references_can_be_given_apart_and_are_needed_only_by_who_reads_them():
    bare = [Problem("P", "yes")]
    assert learned(build([["A\n\nx"]], problems=bare, references=["A\n\nB"])) == ["A\n\nB"]
    assert learned(build([["A\n\nx"]], Told({"x": [Intervention(1, "B")]}), bare)) == ["B"]
    with pytest.raises(ScorecraftError, match="problem 0 has no reference"):
        build([["A\n\nx"]], problems=bare)
    with pytest.raises(ScorecraftError, match="problem 0 has no reference"):
        build([["A\n\nx"]], Told({"x": [Intervention(1, "B")]}), bare, target="reference")


def test_without_attempts_nothing_is_asked():
    def refuse(*arguments):
        raise AssertionError("nothing to ask about")

    built = build([[], []], rollout=refuse)
    assert built.examples == ()
    assert built.statistics.problems == 0
    assert built.summary() == "0 attempts, 0 proposals, 0 examples"


def test_a_right_attempt_is_an_error():
    with pytest.raises(ScorecraftError, match="problem 1, attempt 1 is correct"):
        build([[], ["A\n\nx", "A\n\nyes"]])


def test_short_answers_and_undivided_attempts_are_warned_of():
    problem = Problem("P", "1", gold="A\n\nB 10\n\n1")
    with pytest.warns(ScorecraftWarning, match="1 problems have an answer of one character"):
        built = build([["A\n\nx"]], problems=[problem])
    assert dropped(built) == {Drop.LEAK: 1}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        built = build([["A\n\nx"]], problems=[problem], leak="token")
    assert learned(built) == ["A\n\nB 10"]
    with pytest.warns(ScorecraftWarning, match="1 of 2 attempts do not have the separator"):
        build([["A x", "A\n\nx"], []])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n_rollouts": 0}, "n_rollouts"),
        ({"min_correct": 0}, "min_correct"),
        ({"proposals": 0}, "proposals: expected at least 1"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"target": "self-reflection"}, "needs 'rewrite'"),
        ({"attempts": [[]]}, "2 problems, lists of attempts for 1"),
        ({"references": ["A"]}, "and 1 references"),
        ({"problems": [Problem("P", " ", gold="A")], "attempts": [[]]}, "problem 0 has no answer"),
        ({"attempts": ["A\n\nx", []]}, "problem 0: expected a list of attempts"),
        ({"proposer": Told({"x": [None]}), "attempts": [["1\n\nx"], ["1\n\nx"]], "rollout": None}, None),
        ({"target": "self-reflection", "rewrite": lambda attempts: []}, "rewrite: expected one solution"),
    ],
)
def test_bad_input_is_named(options, said):
    options = dict(options)
    attempts = options.pop("attempts", [["A\n\nx"], []])
    if said is None:
        del options["rollout"]
        assert build(attempts, **options).examples == ()
        return
    with pytest.raises(ScorecraftError, match=said):
        build(attempts, **options)


def test_a_proposer_that_returns_too_much_is_refused():
    class Generous(Told):
        def propose(self, attempts, n):
            return [[NO_ERROR] * (n + 1) for _ in attempts]

    with pytest.raises(ScorecraftError, match="up to 1 proposals for each of 1 attempts"):
        build([["A\n\nx"], []], Generous({}))
