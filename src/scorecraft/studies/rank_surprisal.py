"""Does the Rank-Surprisal Ratio tell which teacher's traces a student will learn most from?

Simulation: tokens of four sources under a student that is a mixture of a major and a minor Zipf law.

A machine of ten states: chains such as ``3af``, whose commands each send a state to another. A small student is trained
from random weights on chains of four commands, written in eleven styles of which some are far more frequent than
others, as in what a large model has read; their order, and what the commands do, are drawn for each seed, so that no
style is near to all students. Twelve teachers, one of them of a style that no student has seen, then solve the same new
problems with four commands more, always rightly. The student is trained on each teacher's traces alike, and the
accuracies that come of it are held against what each chooser said before any training.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from scorecraft.catalog.papers import find
from scorecraft.distill.rank_surprisal import (
    TokenScores,
    average_rank,
    average_surprisal,
    dataset_rsr,
    mean_token_ratio,
    rank_entropy_ratio,
    rsr,
    token_rank_surprisal,
)
from scorecraft.distill.trace_encoding import EncodedTrace
from scorecraft.distill.trace_rivals import gradient_norm
from scorecraft.distill.trace_scoring import ScoringSettings, TraceScorer
from scorecraft.lm.generate import SamplingSettings, generate
from scorecraft.lm.policy import Policy
from scorecraft.lm.supervised import Example, SupervisedSettings, SupervisedTrainer, shuffled_batches, trace_example
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.runs import files
from scorecraft.studies.study import Arm, Check, Experiment, Metric, Results, Scale, Study, Trial

SOURCE = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]

# Simulation.
VOCABULARY, EXPONENT, DRAWN = 50, 2.3, {"smoke": 500, "full": 10_000}
MINOR_TOP, ALIEN_TOP = 30, 27  # where the other laws have their top; the minor one falls downwards, the alien upwards


def zipf(order: Sequence[int]) -> np.ndarray:
    """Return the probabilities of a Zipf law whose r-th most probable token is ``order[r - 1]``."""
    out = np.zeros(VOCABULARY)
    out[list(order)] = np.arange(1, VOCABULARY + 1, dtype=np.float64) ** -EXPONENT
    return out / out.sum()


@cache
def sources() -> dict[str, np.ndarray]:
    """Return the probabilities of the major and minor mode, an alien source, and the student, their mixture."""
    places = range(VOCABULARY)
    major = zipf(list(places))
    minor = zipf([(MINOR_TOP - place) % VOCABULARY for place in places])
    alien = zipf([(ALIEN_TOP + place) % VOCABULARY for place in places])
    return {"major": major, "minor": minor, "alien": alien, "student": 0.8 * major + 0.2 * minor}


def simulate(trial: Trial) -> Results:
    """Draw tokens from a source, and return what the student makes of them."""
    laws, random = sources(), np.random.default_rng(trial.seed)
    tokens = torch.tensor(random.choice(VOCABULARY, DRAWN[trial.scale], p=laws[trial.settings["source"]]))
    logits = torch.tensor(np.log(laws["student"]), dtype=torch.float32).expand(len(tokens), -1)
    scores = token_rank_surprisal(logits, tokens)
    return {
        "probability": float((-scores.surprisal).exp().mean()),
        "surprisal": average_surprisal(scores.surprisal),
        "rank": average_rank(scores.rank),
        "ratio": rsr(scores.rank, scores.surprisal),
    }


# A machine of ten states.
Step = tuple[int, str, int]  # state, command, state after it
STATES, COMMANDS, KNOWN = 10, "abcdefgh", 4  # the student has seen the first four commands
CAPITALS = str.maketrans("0123456789", "ABCDEFGHIJ")
SHAPE = {"layers": 2, "width": 64, "heads": 4}
BATCH, PEAK, WARMUP = 32, 3e-3, 10
GRADIENTS = 20  # traces of a teacher whose gradient is taken


@dataclass(frozen=True)
class Size:
    """Steps of the student's own training and of a teacher's; problems of a teacher, of a score and held out; and how
    many tokens an answer may have."""

    own: int
    steps: int
    problems: int
    scored: int
    held_out: int
    tokens: int


SIZES: dict[Scale, Size] = {"smoke": Size(4, 2, 32, 4, 4, 4), "full": Size(500, 100, 1600, 200, 300, 150)}


class Machine:
    """Commands that each permute the states, drawn by a seed, and random chains of them."""

    def __init__(self, seed: int) -> None:
        random = Random(f"machine/{seed}")
        self.tables = {command: random.sample(range(STATES), STATES) for command in COMMANDS}

    def chains(self, seed: str, count: int, commands: str, lengths: tuple[int, int]) -> list[list[Step]]:
        """Return random chains as their steps."""
        random, out = Random(seed), []
        for _ in range(count):
            state, steps = random.randrange(STATES), []
            for _ in range(random.randint(*lengths)):
                command = random.choice(commands)
                steps.append((state, command, self.tables[command][state]))
                state = steps[-1][2]
            out.append(steps)
        return out

    def known(self, seed: int, count: int) -> list[list[Step]]:
        """Return chains of what the student has seen."""
        return self.chains(f"known/{seed}", count, COMMANDS[:KNOWN], (1, 3))

    def new(self, split: str, count: int) -> list[list[Step]]:
        """Return chains with commands that the student has not seen."""
        return self.chains(f"new/{split}", count, COMMANDS, (2, 4))


def question(steps: Sequence[Step]) -> str:
    """Return what is asked: ``3af=?``."""
    return str(steps[0][0]) + "".join(command for _, command, _ in steps) + "=?\n"


def lines(write: Callable[[int, str, int], str], between: str = "\n") -> Callable[[Sequence[Step]], str]:
    """Return a style that writes each step and then the answer."""
    return lambda steps: between.join(write(*step) for step in steps) + f"{between}#{steps[-1][2]}"


def restated(steps: Sequence[Step]) -> str:
    """Write what is left of the chain after each step: ``=4fc=9c=1``."""
    rest = ["".join(command for _, command, _ in steps[at + 1 :]) for at in range(len(steps))]
    return "".join(f"={step[2]}{left}" for step, left in zip(steps, rest, strict=True)) + f"\n#{steps[-1][2]}"


def shuffled(steps: Sequence[Step]) -> str:
    """Write the plain solution with the characters of every line in random order."""
    random = Random(question(steps))
    rows = ["".join(random.sample(f"{state}{command}={after}", 4)) for state, command, after in steps]
    return "\n".join([*rows, f"#{steps[-1][2]}"])


STYLES: dict[str, Callable[[Sequence[Step]], str]] = {
    "plain": lines(lambda s, c, t: f"{s}{c}={t}"),
    "spaced": lines(lambda s, c, t: f"{s} {c} = {t}"),
    "words": lines(lambda s, c, t: f"{s} by {c} is {t}"),
    "prose": lines(lambda s, c, t: f"From {s}, {c} leads to {t}.", " "),
    "running": lines(lambda s, c, t: f"{c}{t}", ""),
    "values": lines(lambda s, c, t: f"{t}", ","),
    "result-first": lines(lambda s, c, t: f"{t}={s}{c}"),
    "capitals": lines(lambda s, c, t: f"{s}{c}={t}".translate(CAPITALS)),
    "twice": lines(lambda s, c, t: f"{s}{c}={t};{s}{c}={t}"),
    "answer-only": lambda steps: f"#{steps[-1][2]}",
    "restated": restated,
    "shuffled": shuffled,
}
SEEN = [name for name in STYLES if name != "shuffled"]
WORKED = [name for name in SEEN if name != "answer-only"]  # with steps that can be read
WEIGHTS = [1 / place for place in range(1, len(SEEN) + 1)]  # how often the student has seen its styles


def examples(policy: Policy, chains: Sequence[Sequence[Step]], styles: Sequence[str]) -> list[Example]:
    """Return each chain's solution in its style."""
    return [
        trace_example(policy, question(steps), [(STYLES[style](steps), True)])
        for steps, style in zip(chains, styles, strict=True)
    ]


def train(policy: Policy, rows: Sequence[Example], steps: int, seed: int) -> None:
    """Train a policy in place for some steps, over the rows again and again."""
    trainer = SupervisedTrainer(policy, SupervisedSettings(steps=steps, learning_rate=PEAK, warmup_steps=WARMUP))
    random = Random(seed)
    while trainer.step_count < steps:
        for batch in shuffled_batches(rows, BATCH, policy.pad_id, random)[: steps - trainer.step_count]:
            trainer.step(batch)


def make_student(seed: int, steps: int) -> tuple[Policy, list[str]]:
    """Return a student and the styles that it has seen, the most frequent first."""
    policy = Policy(tunnel_model(**SHAPE, seed=seed), tunnel_tokenizer(), "student")
    random = Random(f"styles/{seed}")
    seen, chains = random.sample(SEEN, len(SEEN)), Machine(seed).known(seed, steps * BATCH)
    train(policy, examples(policy, chains, random.choices(seen, WEIGHTS, k=len(chains))), steps, seed)
    return policy, seen


def trained_on(student: Policy, rows: Sequence[Example], steps: int, seed: int) -> Policy:
    """Return a copy of the student, trained on rows."""
    policy = Policy(copy.deepcopy(student.model), student.tokenizer, "trained")
    train(policy, rows, steps, seed)
    return policy


def accuracy(policy: Policy, chains: Sequence[Sequence[Step]], tokens: int) -> float:
    """Return how often the likeliest answer, after the last ``#``, is right."""
    prompts = [policy.encode_prompt(question(steps)) for steps in chains]
    draws = torch.zeros(len(prompts), tokens, dtype=torch.float64)
    out = generate(policy, prompts, torch.arange(len(prompts)), draws, SamplingSettings(tokens, 0.0))
    said = [policy.decode(ids[:length]) for ids, length in zip(out.tokens.tolist(), out.lengths.tolist(), strict=True)]
    return float(
        np.mean([text.rpartition("#")[2] == str(steps[-1][2]) for text, steps in zip(said, chains, strict=True)])
    )


def score(student: Policy, rows: Sequence[Example]) -> list[TokenScores]:
    """Return what the student makes of rows, before any training on them."""
    scorer = TraceScorer(student.model, student.tokenizer, ScoringSettings(tokens_per_batch=8192))
    return scorer.token_scores([EncodedTrace(row.tokens, row.learned) for row in rows], entropy=True)


def teacher_scores(student: Policy, rows: Sequence[Example], scores: Sequence[TokenScores]) -> dict[str, float]:
    """Return every chooser's score of a teacher's traces; the lower, the sooner it would choose the teacher."""
    gradients = [gradient_norm(student.model, EncodedTrace(row.tokens, row.learned)) for row in rows[:GRADIENTS]]
    return {
        "rsr": dataset_rsr([(own.rank, own.surprisal) for own in scores]),
        "surprisal": float(np.mean([average_surprisal(own.surprisal) for own in scores])),
        "rank": float(np.mean([average_rank(own.rank) for own in scores])),
        "token-ratio": float(np.mean([mean_token_ratio(own.rank, own.surprisal) for own in scores])),
        "rank-entropy": float(np.mean([rank_entropy_ratio(own.rank, own.entropy) for own in scores])),  # pyright: ignore[reportArgumentType]
        "gradient": float(np.mean(gradients)),
        "length": -float(np.mean([len(own.rank) for own in scores])),
    }


def trace_choices(scores: dict[str, list[TokenScores]], seed: int) -> dict[str, list[str]]:
    """Return, for each chooser, whose trace it takes for each problem."""
    names, count = list(scores), len(next(iter(scores.values())))
    values: dict[str, Callable[[TokenScores], float]] = {
        "rsr": lambda own: rsr(own.rank, own.surprisal),
        "surprisal": lambda own: average_surprisal(own.surprisal),
        "rank": lambda own: average_rank(own.rank),
    }
    chosen = {"random": Random(seed).choices(names, k=count)}
    for chooser, value in values.items():
        table = np.array([[value(own) for own in scores[name]] for name in names])
        chosen[chooser] = [names[place] for place in table.argmin(0)]
    return chosen


def teach(seed: int, scale: Scale, progress: Callable[[int, int], None] = lambda done, total: None) -> dict[str, Any]:
    """Train a student by each teacher, and by what each chooser takes of all; return what came of it.

    "scores" are the choosers' of each teacher, "accuracy" is after each teacher, and "chosen" has, for each chooser of
    traces, the accuracy and the share of the style taken most.
    """
    size = SIZES[scale]
    machine, (student, seen) = Machine(seed), make_student(seed, size.own)
    chains, test = machine.new("train", size.problems), machine.new("test", size.held_out)
    rows = {style: examples(student, chains, [style] * len(chains)) for style in STYLES}

    def learned(own: Sequence[Example]) -> float:
        return accuracy(trained_on(student, own, size.steps, seed), test, size.tokens)

    scores = {style: score(student, own) for style, own in rows.items()}
    found: dict[str, Any] = {"seen": seen, "scores": {}, "accuracy": {}, "chosen": {}}
    for done, style in enumerate(STYLES):
        progress(done + 4, len(STYLES) + 8)
        found["scores"][style] = teacher_scores(student, rows[style], scores[style][: size.scored])
        found["accuracy"][style] = learned(rows[style])
    for chooser, chosen in trace_choices(scores, seed).items():
        picked = [rows[style][place] for place, style in enumerate(chosen)]
        share = max(chosen.count(style) for style in STYLES) / len(chosen)
        found["chosen"][chooser] = [learned(picked), share]
    return found


def kept(trial: Trial) -> dict[str, Any]:
    """Return what `teach` gives, computed once for all choosers."""
    path = trial.folder.parent.parent / "shared" / f"{trial.scale}-{trial.seed}-{SOURCE}.json"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace_text(path, files.json_text(teach(trial.seed, trial.scale, trial.progress)))
    return json.loads(path.read_text(encoding="utf-8"))


def agreement(scores: Sequence[float], learned: Sequence[float]) -> float:
    """Return the Spearman correlation of "chosen sooner" with accuracy; 0 where either says nothing."""
    if np.ptp(scores) == 0 or np.ptp(learned) == 0:
        return 0.0
    return float(spearmanr(-np.array(scores), learned).statistic)  # pyright: ignore[reportAttributeAccessIssue]


def choose_teacher(trial: Trial) -> Results:
    """Return how well a chooser's order of the teachers agrees with what is learned from them."""
    found, chooser = kept(trial), trial.settings["chooser"]
    scores = {style: found["scores"][style][chooser] for style in STYLES}
    learned = {style: found["accuracy"][style] for style in STYLES}
    first = min(STYLES, key=scores.__getitem__)
    return {
        "spearman": agreement(list(scores.values()), list(learned.values())),
        "worked": agreement([scores[style] for style in WORKED], [learned[style] for style in WORKED]),
        "picked": learned[first],
        "place": float(1 + sum(value > learned[first] for value in learned.values())),
    }


def choose_traces(trial: Trial) -> Results:
    """Return what a student learns from the traces that a chooser takes, one for each problem."""
    learned, share = kept(trial)["chosen"][trial.settings["chooser"]]
    return {"accuracy": learned, "share": share}


CHOOSERS = {
    "rsr": "low Rank-Surprisal Ratio",
    "surprisal": "low surprisal (likelihood)",
    "rank": "low rank",
    "token-ratio": "low mean token ratio",
    "rank-entropy": "low rank-entropy ratio",
    "gradient": "small gradient",
    "length": "long traces",
}
SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(6))}
SIMULATION = Experiment(
    name="simulation",
    title="Four sources under a mixture",
    question="Does the ratio order a minor mode, the student itself, its major mode and an alien source as published?",
    run=simulate,
    arms=(
        Arm("minor", "minor mode", {"source": "minor"}),
        Arm("student", "the student's mixture", {"source": "student"}),
        Arm("major", "major mode", {"source": "major"}),
        Arm("alien", "alien source", {"source": "alien"}),
    ),
    metrics=(
        Metric("ratio", "Rank-Surprisal Ratio", higher_is_better=False),
        Metric("surprisal", "surprisal, nats"),
        Metric("rank", "rank"),
        Metric("probability", "probability"),
    ),
    checks=(
        Check("the minor mode has a lower ratio than the student's own text", "ratio", "minor", "below", "student"),
        Check("the student's own text has a lower ratio than its major mode", "ratio", "student", "below", "major"),
        Check("the major mode has a lower ratio than an alien source", "ratio", "major", "below", "alien"),
    ),
    seeds={"smoke": (0,), "full": tuple(range(20))},
    limits="Where the alien source lies is not published; it is placed so that its published means come near.",
)
TEACHERS = Experiment(
    name="teachers",
    title="Which teacher",
    question="Whose order of twelve teachers agrees best with what the student learns from each?",
    run=choose_teacher,
    arms=tuple(Arm(name, label, {"chooser": name}) for name, label in CHOOSERS.items()),
    metrics=(
        Metric("spearman", "Spearman with accuracy", higher_is_better=True),
        Metric("worked", "Spearman, ten teachers whose steps can be read", higher_is_better=True),
        Metric("picked", "accuracy by the first choice", higher_is_better=True, percent=True),
        Metric("place", "place of the first choice, of 12", higher_is_better=False),
    ),
    checks=(
        Check("the ratio's order agrees with what is learned by more than 0.5", "spearman", "rsr", "above", margin=0.5),
        Check("the ratio agrees more than likelihood", "spearman", "rsr", "above", "surprisal"),
        Check("the ratio agrees more than the rank alone", "spearman", "rsr", "above", "rank"),
        Check("its first choice teaches more than likelihood's", "picked", "rsr", "above", "surprisal"),
    ),
    seeds=SEEDS,
    limits="A vocabulary of 100 tokens, so that the clip of ranks at 100 never bites; teachers differ in style alone.",
)
TRACES = Experiment(
    name="traces",
    title="Which trace for each problem",
    question="Does the trace of the lowest ratio for each problem teach more than another one?",
    run=choose_traces,
    arms=tuple(Arm(name, label, {"chooser": name}) for name, label in [("random", "random"), *CHOOSERS.items()][:4]),
    metrics=(
        Metric("accuracy", "accuracy on new problems", higher_is_better=True, percent=True),
        Metric("share", "share of the style chosen most", percent=True),
    ),
    checks=(
        Check("the lowest ratio teaches more than a random trace", "accuracy", "rsr", "above", "random"),
        Check("the lowest ratio teaches more than the lowest surprisal", "accuracy", "rsr", "above", "surprisal"),
    ),
    seeds=SEEDS,
)
STUDY = Study(
    "rank-surprisal",
    find("rank-surprisal").claim,
    (SIMULATION, TEACHERS, TRACES),
    limits="The published correlation over 5 students of 3B to 14B and 11 teachers; long reasoning; what a clip of "
    "ranks does in a vocabulary of 150,000 tokens; any model that has read more than such chains.",
)
