"""Does verifying every step find the errors it can find, and does it help to pick the best of five answers?

Word problems of three to six operations, solved by five candidates each. Half of the problems are worked in numbers
(``12 + 7 = 19``), half with a variable for every result (``b = a + 7``, then ``b = 19``). A candidate goes wrong at one
step: by a slip (a wrong result of the right operation) or in its set-up (the right result of a wrong operation, the
same misreading for all candidates of a problem), and carries on from what it has. Problems differ in how often they are
got wrong. A process reward model is imitated by a score that ranks a right candidate above a wrong one with probability
3/4.

The aggregator is fitted with ten times the published learning rate, so that a fifth of the epochs suffice.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import exp, sqrt
from statistics import NormalDist

from scorecraft.catalog.papers import find
from scorecraft.rewards.formal_steps import (
    Cvc5Prover,
    EquationFormalizer,
    ExactProver,
    Prover,
    StepRecord,
    StepState,
    Z3Prover,
    best_of_n,
    combine,
    scan_alpha,
    verify_trace,
)
from scorecraft.rewards.formal_steps.aggregation import fit_aggregator
from scorecraft.rewards.formal_steps.scoring import rule_score
from scorecraft.studies.study import Arm, Check, Experiment, Metric, Results, Scale, Study, Trial

CANDIDATES = 5
PROBLEMS: dict[Scale, tuple[int, int]] = {"smoke": (30, 15), "full": (400, 200)}  # to train on, to test on
STEPWISE: dict[Scale, int] = {"smoke": 12, "full": 100}
EPOCHS: dict[Scale, int] = {"smoke": 3, "full": 40}
LEARNING_RATE = 1e-3
DIFFICULTY = (0.6, 1.4)  # of a beta distribution: 30 % of the candidates are wrong on average
AUROC = 0.75
WORDS = {"+": "Add {}.", "-": "Take away {}.", "*": "Multiply by {}."}
VARIABLES = "abcdefghjk"


@dataclass(frozen=True)
class Candidate:
    """A written solution: its lines, the answer, what went wrong, and the line that holds the error.

    error: "none", "slip" or "set-up".
    """

    lines: tuple[str, ...]
    answer: int
    error: str
    line: int


@dataclass(frozen=True)
class WordProblem:
    """A question, its answer, and the candidates."""

    question: str
    answer: int
    candidates: tuple[Candidate, ...]


def apply(operation: str, left: int, right: int) -> int:
    """Return the value of an operation."""
    return {"+": left + right, "-": left - right, "*": left * right}[operation]


def make_problem(chance: random.Random) -> WordProblem:
    """Return a random problem with its candidates."""
    count = chance.randint(3, 6)
    start = chance.randint(5, 60)
    operations = [chance.choice("++--*") for _ in range(count)]
    operands = [chance.randint(2, 9) if operation == "*" else chance.randint(2, 60) for operation in operations]
    said = " ".join(WORDS[operation].format(operand) for operation, operand in zip(operations, operands, strict=True))
    question = f"Begin with {start}. {said} What is the result?"
    misread = chance.randrange(count)
    wrong_operation = chance.choice([operation for operation in "+-*" if operation != operations[misread]])
    hardness, symbolic = chance.betavariate(*DIFFICULTY), chance.random() < 0.5
    candidates = []
    for _ in range(CANDIDATES):
        error = chance.choice(("slip", "set-up")) if chance.random() < hardness else "none"
        place = misread if error == "set-up" else chance.randrange(count)
        slip = chance.choice((-10, -2, -1, 1, 2, 10))
        used = [*operations]
        if error == "set-up":
            used[misread] = wrong_operation
        results = [start]
        for step, (operation, operand) in enumerate(zip(used, operands, strict=True)):
            results.append(apply(operation, results[-1], operand) + (slip if error == "slip" and step == place else 0))
        write = symbolic_lines if symbolic else plain_lines
        lines = write(used, operands, results)
        at = {"none": -1, "slip": 2 * place + 2 if symbolic else place}.get(error, 2 * place + 1 if symbolic else place)
        candidates.append(Candidate((*lines, f"The answer is {results[-1]}."), results[-1], error, at))
    answer = start
    for operation, operand in zip(operations, operands, strict=True):
        answer = apply(operation, answer, operand)
    return WordProblem(question, answer, tuple(candidates))


def plain_lines(operations: Sequence[str], operands: Sequence[int], results: Sequence[int]) -> list[str]:
    """Return one equation between numbers for each operation."""
    return [
        f"{results[step]} {operation} {operand} = {results[step + 1]}"
        for step, (operation, operand) in enumerate(zip(operations, operands, strict=True))
    ]


def symbolic_lines(operations: Sequence[str], operands: Sequence[int], results: Sequence[int]) -> list[str]:
    """Return a start, and for each operation a line that sets it up and one with its result."""
    lines = [f"Let a = {results[0]}"]
    for step, (operation, operand) in enumerate(zip(operations, operands, strict=True)):
        new, old = VARIABLES[step + 1], VARIABLES[step]
        # What is carried on is the number as it was written.
        lines += [f"{new} = {old} {operation} {operand}", f"{new} = {results[step + 1]}"]
    return lines


def records_of(problem: WordProblem, candidate: Candidate, prover: Prover) -> list[StepRecord]:
    """Return what verification makes of every line."""
    return verify_trace(problem.question, candidate.lines, EquationFormalizer(), prover)


def stepwise(trial: Trial) -> Results:
    """Verify every line of a number of problems; return how errors of each kind are found, and how often in vain.

    A line is in doubt where it is refuted. After a slip, lines that follow from it may be refuted too, so only
    candidates without a slip can raise a false alarm.
    """
    chance = random.Random(trial.seed)
    prover: Prover = {"exact": ExactProver, "z3": Z3Prover, "cvc5": Cvc5Prover}[trial.settings["prover"]]()
    found: Counter[str] = Counter()
    reference = ExactProver()
    for number in range(STEPWISE[trial.scale]):
        problem = make_problem(chance)
        for candidate in problem.candidates:
            records = records_of(problem, candidate, prover)
            found[f"{candidate.error} all"] += 1
            if candidate.error != "none" and records[candidate.line].refuted:
                found[f"{candidate.error} found"] += 1
            if candidate.error != "slip":
                found["clean lines"] += len(records)
                found["false alarms"] += sum(record.refuted for record in records)
            found["lines"] += len(records)
            others = records_of(problem, candidate, reference)
            found["same"] += sum(one.state is other.state for one, other in zip(records, others, strict=True))
        trial.progress(number + 1, STEPWISE[trial.scale])
    close = getattr(prover, "close", None)
    if close is not None:
        close()
    return {
        "slips": found["slip found"] / max(1, found["slip all"]),
        "setups": found["set-up found"] / max(1, found["set-up all"]),
        "alarms": found["false alarms"] / max(1, found["clean lines"]),
        "agreement": found["same"] / found["lines"],
    }


def process_score(correct: bool, chance: random.Random) -> float:
    """Return the score of an imitated process reward model, in (0, 1), with the AUROC of `AUROC`."""
    distance = sqrt(2) * NormalDist().inv_cdf(AUROC)
    return 1 / (1 + exp(-chance.gauss(distance / 2 if correct else -distance / 2, 1)))


def majority(problem: WordProblem) -> int:
    """Return the first candidate with the most frequent answer."""
    counts = Counter(candidate.answer for candidate in problem.candidates)
    return best_of_n([float(counts[candidate.answer]) for candidate in problem.candidates])


def pick(trial: Trial) -> Results:
    """Pick one of five for every test problem; return how often the pick is right."""
    chance, noise = random.Random(trial.seed), random.Random(trial.seed + 10_000)
    train_count, test_count = PROBLEMS[trial.scale]
    problems = [make_problem(chance) for _ in range(train_count + test_count)]
    rows = [(place, one) for place, problem in enumerate(problems) for one in problem.candidates]
    right = [one.answer == problems[place].answer for place, one in rows]
    pro = [process_score(correct, noise) for correct in right]
    method = trial.settings["pick"]
    retro = retrospective(trial, problems, right) if method in ("rule", "safe", "product") else pro
    if method == "product":
        held = [row for row, (place, _) in enumerate(rows) if train_count * 4 // 5 <= place < train_count]
        alpha = scan_alpha(
            [retro[row] for row in held], [pro[row] for row in held], [right[row] for row in held],
            [rows[row][0] for row in held],
        )  # fmt: skip
        scores = [combine(one, other, alpha) for one, other in zip(retro, pro, strict=True)]
    else:
        scores = retro
    picked = 0
    for place in range(train_count, len(problems)):
        own = range(place * CANDIDATES, (place + 1) * CANDIDATES)
        if method == "random":
            chosen = noise.choice(own)
        elif method == "majority":
            chosen = own[majority(problems[place])]
        else:
            chosen = own[best_of_n([scores[row] for row in own])]
        picked += right[chosen]
    return {"accuracy": picked / test_count, "oracle": best_possible(problems[train_count:])}


def best_possible(problems: Sequence[WordProblem]) -> float:
    """Return the share of problems that any candidate solves."""
    solved = [any(one.answer == problem.answer for one in problem.candidates) for problem in problems]
    return sum(solved) / len(solved)


def retrospective(trial: Trial, problems: Sequence[WordProblem], right: Sequence[bool]) -> list[float]:
    """Return the retrospective score of every candidate, by rule or by an aggregator fitted to the training ones."""
    prover = ExactProver()
    records: list[list[StepRecord]] = []
    for number, problem in enumerate(problems):
        records += [records_of(problem, candidate, prover) for candidate in problem.candidates]
        trial.progress(number, 2 * len(problems))
    if trial.settings["pick"] == "rule":
        return [rule_score(trace) for trace in records]
    traces: list[list[StepState]] = [[record.state for record in trace] for trace in records]
    # The last fifth of the training problems chooses alpha, so the aggregator does not see it.
    count = PROBLEMS[trial.scale][0] * 4 // 5 * CANDIDATES
    owner = [row // CANDIDATES for row in range(count)]
    fitted = fit_aggregator(
        traces[:count], right[:count], owner, seed=trial.seed, epochs=EPOCHS[trial.scale], learning_rate=LEARNING_RATE
    )
    return fitted(traces).tolist()


percent = partial(Metric, percent=True)
STEPS = Experiment(
    name="steps",
    title="Errors found, by kind",
    question="Which errors does verification of single steps find, and how often is a sound step refuted?",
    run=stepwise,
    arms=(
        Arm("exact", "rules and exact evaluation", {"prover": "exact"}),
        Arm("z3", "rules and z3", {"prover": "z3"}),
        Arm("cvc5", "rules and cvc5", {"prover": "cvc5"}),
    ),
    metrics=(
        percent("slips", "slips found", higher_is_better=True),
        percent("setups", "set-up errors found", higher_is_better=True),
        percent("alarms", "sound lines refuted", higher_is_better=False),
        percent("agreement", "lines with the state that exact evaluation gives", higher_is_better=True),
    ),
    checks=(
        Check("at least 99 % of the slips are found", "slips", "exact", "above", margin=0.99),
        Check("no sound line is refuted", "alarms", "exact", "within", margin=1e-9),
        Check("at most 5 % of the set-up errors are found", "setups", "exact", "below", margin=0.05),
        Check("z3 says the same", "agreement", "z3", "above", margin=0.9999),
        Check("cvc5 says the same", "agreement", "cvc5", "above", margin=0.9999),
    ),
    seeds={"smoke": (0,), "full": tuple(range(5))},
    limits=(
        "The steps are written so that rules can read them; with free text and a language model that formalises it, "
        "what is found depends on the formalisation. A step that is true and beside the point is not found."
    ),
)
PICKS = Experiment(
    name="best-of-five",
    title="The best of five answers",
    question="Which score picks the right answer of five most often?",
    run=pick,
    arms=(
        Arm("random", "a random one", {"pick": "random"}),
        Arm("majority", "majority vote", {"pick": "majority"}),
        Arm("prm", "process reward model (AUROC .75)", {"pick": "prm"}),
        Arm("rule", "verified steps, by rule", {"pick": "rule"}),
        Arm("safe", "verified steps, by LSTM", {"pick": "safe"}),
        Arm("product", "verified steps times process reward", {"pick": "product"}),
    ),
    metrics=(
        Metric("accuracy", "right picks", higher_is_better=True, percent=True),
        percent("oracle", "problems with a right candidate"),
    ),
    checks=(
        Check("verified steps beat a random pick by 10 points", "accuracy", "safe", "above", "random", 0.1),
        Check("the product is no worse than verified steps", "accuracy", "product", "above", "safe", -0.01),
        Check("the product is better than the process reward", "accuracy", "product", "above", "prm"),
        Check("the product is better than majority vote", "accuracy", "product", "above", "majority"),
    ),
    seeds={"smoke": (0,), "full": tuple(range(6))},
    limits=(
        "The process reward model is imitated, its errors are independent of the verifier's, and half of all errors "
        "are slips, which is what decides how much verification can gain."
    ),
)
STUDY = Study(
    "formal-steps",
    find("formal-steps").claim,
    (STEPS, PICKS),
    limits=(
        "The paper's accuracies on MATH-500, GSM8K and CollegeMath with Lean 4, a language model that formalises and "
        "one that proves."
    ),
)
