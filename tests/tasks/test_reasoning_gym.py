import json
import random

import pytest
import reasoning_gym
from pydantic import ValidationError

from scorecraft.problem import Outcome, Problem
from scorecraft.tasks.gym_scoring import harmless
from scorecraft.tasks.reasoning_gym import ReasoningGym, tagged_answer


@pytest.mark.parametrize(
    ("completion", "lines", "answer"),
    [
        ("so <answer> 42 </answer> done", False, "42"),
        ("<answer>1</answer><answer>2</answer>", False, "2"),
        ("<answer>a\nb</answer>", False, "a\nb"),
        ("<answer></answer>\n42", False, ""),
        ("I think\n42\n", False, "42"),
        ("1 2\n3 4\n", True, "1 2\n3 4"),
        ("42 <answer>", False, "42 <answer>"),
        ("</answer> 42", False, "</answer> 42"),
        ("  \n ", False, ""),
    ],
)
def test_tagged_answer(completion, lines, answer):
    assert tagged_answer(completion, lines=lines) == answer


def test_entries_are_those_of_the_library():
    task = ReasoningGym(dataset="chain_sum", config={"min_terms": 3, "max_terms": 3}, instruction="")
    for problem in task.problems("train", 0, 5):
        address = problem.metadata
        library = reasoning_gym.create_dataset("chain_sum", seed=address["seed"], size=8192, min_terms=3, max_terms=3)
        entry = library[address["index"]]
        assert (problem.prompt, problem.answer) == (entry["question"], entry["answer"])
        assert json.loads(json.dumps(address)) == address
        for completion in (f"<answer>{entry['answer']}</answer>", "<answer>1000000</answer>", f"x {entry['answer']}"):
            expected = library.score_answer(tagged_answer(completion), entry)
            assert task.check(problem, completion).score == pytest.approx(expected)


def test_problems_depend_on_their_address_alone_and_splits_are_disjoint():
    task = ReasoningGym(dataset="chain_sum", config={"max_terms": 2})
    train, test = task.problems("train", 20, 40), task.problems("test", 20, 40)
    assert task.problem("train", 25) == ReasoningGym(dataset="chain_sum", config={"max_terms": 2}).problem("train", 25)
    assert not {p.prompt for p in train} & {p.prompt for p in test}
    assert len({p.prompt for p in train}) > 35


@pytest.mark.parametrize("dataset", ["letter_counting", "spiral_matrix", "leg_counting", "countdown", "n_queens"])
def test_true_answers_score_full_after_a_trip_through_json(dataset):
    task = ReasoningGym(dataset=dataset)
    made = task.problem("train", 3)
    problem = Problem(made.prompt, made.answer, made.gold, json.loads(json.dumps(made.metadata)))
    assert task.check(problem, f"<answer>{made.answer}</answer>").correct
    assert not task.check(problem, "<answer>7</answer>").correct
    assert task.check(problem, " ").outcome is Outcome.UNPARSED


def test_composite():
    config = {"datasets": [{"name": "chain_sum"}, {"name": "leg_counting", "weight": 2.0}]}
    task = ReasoningGym(dataset="composite", config=config)
    for problem in task.problems("train", 0, 6):
        assert task.check(problem, f"<answer>{problem.answer}</answer>").correct


def test_odd_output_is_never_raised():
    odd = random.Random(0)
    for dataset in ("chain_sum", "graph_color", "codeio", "rubiks_cube", "figlet_font"):
        task = ReasoningGym(dataset=dataset)
        problem = task.problem("train", 0)
        for _ in range(10):
            completion = "".join(odd.choice('{}[]()"\\,:0aA\n\u20ac') for _ in range(odd.randint(0, 30)))
            verdict = task.check(problem, completion)
            assert 0.0 <= verdict.score <= 1.0


def test_a_scorer_that_raises_is_counted_as_an_error():
    task = ReasoningGym(dataset="chain_sum")
    good = task.problem("train", 0)
    broken = Problem(good.prompt, good.answer, metadata={**good.metadata, "entry": {"question": "?", "metadata": {}}})
    assert task.check(broken, "<answer>5</answer>").outcome is Outcome.ERROR


def test_answers_do_not_run_as_code(tmp_path):
    target = tmp_path / "written"
    attack = f"open('{target}', 'w')"
    for dataset in ("n_queens", "countdown", "spiral_matrix"):
        task = ReasoningGym(dataset=dataset)
        verdict = task.check(task.problem("train", 0), f"<answer>{attack}</answer>")
        assert (verdict.score, verdict.outcome) == (0.0, Outcome.SCORED)
    assert not target.exists()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("(3 + 4) * 5 / 2.5", True),
        ("2*X**3/3 + sin(X) + C", True),
        ("[[1, 2], [3, 4]]", True),
        ("[['_', 'Q'], ['Q', '_']]", True),
        ("__import__('os')", False),
        ("exec(chr(49))", False),
        ("x.y", False),
        ("().a", False),
        ("'\\x5f'", False),
        ("'a' + 'b'", False),
        ("'open(1)'", False),
        ("1" * 3000, False),
    ],
)
def test_harmless(answer, expected):
    assert harmless(answer) is expected


def test_an_expression_that_takes_for_ever_is_stopped():
    task = ReasoningGym(dataset="countdown", seconds=1.0)
    problem = task.problem("train", 0)
    assert task.check(problem, "<answer>9**9**9**9</answer>").outcome in (Outcome.TIMEOUT, Outcome.ERROR)
    # The next answer gets a fresh process.
    assert task.check(problem, f"<answer>{problem.answer}</answer>").correct


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "chain_sums"}, "did you mean 'chain_sum'"),
        ({"dataset": "chain_sum", "config": {"min_term": 2}}, "did you mean 'min_terms'"),
        ({"dataset": "chain_sum", "config": {"seed": 2}}, "'seed' is chosen by the task"),
        ({"dataset": "chain_sum", "config": {"min_terms": 5, "max_terms": 2}}, "config of 'chain_sum'"),
        ({"dataset": "composite", "config": {"datasets": [{"name": "chain_sum", "wait": 1}]}}, "wait"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValidationError, match=message):
        ReasoningGym(**options)
