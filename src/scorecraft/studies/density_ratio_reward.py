"""Does the ratio of a better over a weaker language model rank answers, and the better the wider the gap?

Three worlds. Facts: distributions over 40 objects that know the truth with probability lambda and else follow Zipf's
law. Trained: a small model learns facts from noisy text and additions, and its snapshots are strong and weak.
Pretrained: SmolLM2-135M over copies of itself with noise on their weights. Nothing is tuned.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from scorecraft.catalog.papers import find
from scorecraft.lm.generate import SamplingSettings, generate
from scorecraft.lm.policy import Policy, resolve_policy
from scorecraft.lm.supervised import SupervisedSettings, SupervisedTrainer, shuffled_batches, trace_example
from scorecraft.lm.tunnel import tunnel_model, tunnel_tokenizer
from scorecraft.rewards.density_ratio import Normalize, density_ratio
from scorecraft.rewards.gap_study import Pairs, gap_study
from scorecraft.rewards.response_logprobs import sequence_logprobs
from scorecraft.runs import files
from scorecraft.studies.study import Arm, Check, Experiment, Metric, Results, Scale, Study, Trial
from scorecraft.tasks.chain_arithmetic import ChainArithmetic

SOURCE = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]

Rows = list[list[float]]  # log-probabilities of the tokens of each response
Pair = tuple[str, str, str, str]  # family, question, right answer, wrong answer


def kept(trial: Trial, name: str, make: Callable[[], Any]) -> Any:
    """Return what ``make`` gives, computed once for all arms and experiments of a study."""
    path = trial.folder.parent.parent / "shared" / f"{name}-{SOURCE}.json"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace_text(path, files.json_text(make()))
    return json.loads(path.read_text(encoding="utf-8"))


# Facts: a closed form.
LAMBDAS = np.geomspace(0.01, 0.5, 11)
OBJECTS, NOISE = 40, 0.5
FACTS = {"smoke": 50, "full": 2000}


def zipf(count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return probabilities that fall as 1 over the rank."""
    weights = 1 / np.arange(1, count + 1)
    return weights / weights.sum()


def fact_logprobs(seed: int, count: int, frequent: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return log-probabilities ``[model, fact]`` of the truth and of a wrong object, and how often each model knows.

    A model says the truth with probability lambda and an object by Zipf's law else, with normal noise on its logits.
    Wrong objects are drawn by Zipf's law; true ones evenly, or by it too where ``frequent``.
    """
    random, prior = np.random.default_rng(seed), zipf(OBJECTS)
    truth = random.choice(OBJECTS, count, p=prior if frequent else None)
    others = np.tile(prior, (count, 1))
    others[np.arange(count), truth] = 0
    wrong = (others.cumsum(1) / others.sum(1, keepdims=True) > random.random((count, 1))).argmax(1)
    rows = []
    for known in LAMBDAS:
        p = np.tile((1 - known) * prior, (count, 1))
        p[np.arange(count), truth] += known
        logits = np.log(p) + random.normal(0, NOISE, p.shape)
        rows.append(logits - np.log(np.exp(logits).sum(1, keepdims=True)))
    table = torch.tensor(np.array(rows))
    places = torch.arange(count)
    right = table[:, places, torch.tensor(truth)]
    return right, table[:, places, torch.tensor(wrong)], right.exp().mean(1)


def facts(trial: Trial) -> Results:
    """Return how often a reward puts the truth above the wrong object, for a model that knows little and one more."""
    right, wrong, _ = fact_logprobs(trial.seed, FACTS[trial.scale], trial.settings["frequent"])
    found = {}
    for name, model in (("weak_lambda", 5), ("strong_lambda", 7)):
        sides = []
        for table in (right, wrong):
            strong, weak = ([[value] for value in table[row].tolist()] for row in (model, 0))
            sides.append(ratio(strong, weak if trial.settings["ratio"] else None))
        found[name] = prefers(sides[0], sides[1])
    return found


def ratio(strong: Rows, weak: Rows | None, normalize: Normalize = "sum") -> Tensor:
    """Return the density ratio of responses, or the strong model's own log-probability where there is no weak one."""
    strong_table, strong_mask = table_of(strong)
    weak_table, weak_mask = (torch.zeros_like(strong_table), strong_mask) if weak is None else table_of(weak)
    return density_ratio(strong_table, strong_mask, weak_table, weak_mask, normalize=normalize)


def table_of(rows: Rows) -> tuple[Tensor, Tensor]:
    """Return rows as a padded table and its mask."""
    table = pad_sequence([torch.tensor(row, dtype=torch.float32) for row in rows], batch_first=True)
    return table, torch.arange(table.shape[1]) < torch.tensor([len(row) for row in rows])[:, None]


def prefers(right: Tensor, wrong: Tensor) -> float:
    """Return how often the right response has the higher reward; a tie counts half."""
    return float(((right > wrong).double() + 0.5 * (right == wrong).double()).mean())


# Trained: snapshots of one small model.
SUBJECTS = 60
WORDS = (
    "cat", "dog", "sun", "red", "tree", "fish", "rain", "gold", "moon", "milk", "salt", "iron",
    "wolf", "rose", "king", "lake", "bell", "star", "frog", "corn",
)  # fmt: skip
TRAINING: dict[Scale, tuple[int, tuple[int, ...]]] = {
    "smoke": (4, (1, 2, 4)),
    "full": (800, (20, 40, 80, 120, 180, 260, 360, 480, 620, 800)),
}
PAIRS, LABELS, BATCH = {"smoke": 8, "full": 1000}, {"smoke": 8, "full": 1000}, 64
TRUTHFUL = 0.5  # share of the text about a subject that is true


class World:
    """Sixty subjects with an object each, and additions; an answer is a word or "it is" and the word."""

    def __init__(self, seed: int) -> None:
        self.random = Random(f"world/{seed}")
        names = [a + b + c for a in "bdfgk" for b in "aeiou" for c in "lmnpr"]
        self.truth = {name: self.random.choice(WORDS) for name in self.random.sample(names, SUBJECTS)}
        self.prior = zipf(len(WORDS)).tolist()

    def frequent(self) -> str:
        """Return a word drawn by Zipf's law."""
        return self.random.choices(WORDS, self.prior)[0]

    def text(self) -> tuple[str, str]:
        """Return a question and an answer as training sees them: about a subject, often wrong; a sum, always right."""
        if self.random.random() < 0.5:
            question, answer = self.sum()
        else:
            name = self.random.choice(list(self.truth))
            question, answer = f"{name}?", self.truth[name] if self.random.random() < TRUTHFUL else self.frequent()
        return question, answer if self.random.random() < 0.5 else f"it is {answer}"

    def sum(self) -> tuple[str, str]:
        """Return a sum and its result."""
        first, second = self.random.randint(1, 20), self.random.randint(1, 20)
        return f"{first}+{second}?", str(first + second)

    def pair(self) -> Pair:
        """Return a right and a wrong answer: a frequent word, or a result near by, in the same form or another."""
        if self.random.random() < 0.5:
            question, right = self.sum()
            wrong = str(int(right) + self.random.choice((-10, -2, -1, 1, 2, 10)))
        else:
            name = self.random.choice(list(self.truth))
            question, right, wrong = f"{name}?", self.truth[name], self.frequent()
            while wrong == right:
                wrong = self.frequent()
        form = self.random.choice(("same", "same", "long-right", "long-wrong"))
        return (
            form,
            question,
            f"it is {right}" if form == "long-right" else right,
            (f"it is {wrong}" if form == "long-wrong" else wrong),
        )


def trained(trial: Trial) -> dict[str, Any]:
    """Train a model; return log-probabilities and held-out accuracy of every snapshot, and the labelled baselines."""
    torch.manual_seed(trial.seed)
    world, (steps, snapshots) = World(trial.seed), TRAINING[trial.scale]
    policy = Policy(tunnel_model(2, 96, 4, seed=trial.seed), tunnel_tokenizer(), "snapshot")
    trainer = SupervisedTrainer(policy, SupervisedSettings(steps=steps, learning_rate=3e-3))
    texts = [world.text() for _ in range(steps * BATCH)]
    examples = [trace_example(policy, question, [(answer, True)]) for question, answer in texts]
    pairs, labelled = ([world.pair() for _ in range(count[trial.scale])] for count in (PAIRS, LABELS))
    found: dict[str, Any] = {"forms": [pair[0] for pair in pairs], "metric": [], "right": [], "wrong": []}
    for batch in shuffled_batches(examples, BATCH, policy.pad_id, Random(trial.seed)):
        trainer.step(batch)
        trial.progress(trainer.step_count, steps)
        if trainer.step_count in snapshots:
            found["metric"].append(exact_match(policy, world))
            for side, place in (("right", 2), ("wrong", 3)):
                found[side].append(rows_of(policy, [pair[1] for pair in pairs], [pair[place] for pair in pairs]))
    tested, taught = difference_of(policy, pairs), difference_of(policy, labelled)
    for count in (100, 1000):
        found[f"labels-{count}"] = (tested @ bradley_terry(taught[:count])).tolist()
    return found


def exact_match(policy: Policy, world: World, count: int = 200) -> float:
    """Return how often the likeliest answer to a new question is right, in either form."""
    asked = [world.sum() if place % 2 else world.random.choice(list(world.truth.items())) for place in range(count)]
    prompts = [policy.encode_prompt(question if question[-1] == "?" else f"{question}?") for question, _ in asked]
    out = generate(
        policy, prompts, torch.arange(count), torch.zeros(count, 12, dtype=torch.float64), SamplingSettings(12, 0.0)
    )
    said = [policy.decode(ids[:length]) for ids, length in zip(out.tokens.tolist(), out.lengths.tolist(), strict=True)]
    return sum(text.removeprefix("it is ") == answer for text, (_, answer) in zip(said, asked, strict=True)) / count


def rows_of(policy: Policy, questions: Sequence[str], answers: Sequence[str], system: str | None = None) -> Rows:
    """Return the log-probabilities of answers, their end included."""
    return [score.logprobs.tolist() for score in sequence_logprobs(policy, questions, answers, system=system)]


@torch.no_grad()
def difference_of(policy: Policy, pairs: Sequence[Pair]) -> Tensor:
    """Return what a reward model on the last hidden state sees: right minus wrong, ``[pair, width]``."""
    states = []
    for place in (2, 3):
        rows = [[*policy.encode_prompt(pair[1]), *policy.encode(pair[place]), policy.pad_id + 2] for pair in pairs]
        tokens = pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
        hidden = policy.model.model(tokens).last_hidden_state  # pyright: ignore[reportCallIssue]
        states.append(hidden[torch.arange(len(rows)), torch.tensor([len(row) - 1 for row in rows])])
    return states[0] - states[1]


def bradley_terry(differences: Tensor, decay: float = 1e-2) -> Tensor:
    """Return the weights that minimise ``-mean log sigmoid(d w) + decay |w|^2``."""
    weights = torch.zeros(differences.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = -torch.nn.functional.logsigmoid(differences @ weights).mean() + decay * weights.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)  # pyright: ignore[reportArgumentType]
    return weights.detach()


def snapshots(trial: Trial) -> Results:
    """Return how often an arm's reward prefers the right answer, over all pairs and where the wrong one is shorter."""
    found = kept(trial, f"trained-{trial.scale}-{trial.seed}", lambda: trained(trial))
    weak, last = trial.settings.get("weak"), len(found["metric"]) - 1
    forms = np.array(found["forms"])
    values: dict[str, tuple[Tensor, Tensor]] = {}
    for normalize in ("sum", "mean"):
        if "labels" in trial.settings:
            right = torch.tensor(found[f"labels-{trial.settings['labels']}"])
            values[normalize] = right, torch.zeros_like(right)
        else:
            below = None if weak is None else weak % (last + 1)
            right, wrong = (
                ratio(found[side][last], None if below is None else found[side][below], normalize)
                for side in ("right", "wrong")
            )
            values[normalize] = right, wrong
    picked = torch.tensor(forms == "long-right")
    return {
        "sum": prefers(*values["sum"]),
        "mean": prefers(*values["mean"]),
        "confounded": prefers(*(side[picked] for side in values["sum"])) if bool(picked.any()) else 0.5,
    }


# Pretrained: SmolLM2-135M over noisy copies.
def _table(text: str) -> dict[str, str]:
    """Return words that stand two by two as a table."""
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


CAPITALS = _table(
    "France Paris Italy Rome Spain Madrid Germany Berlin Japan Tokyo China Beijing Russia Moscow Egypt Cairo "
    "Greece Athens Austria Vienna Poland Warsaw Norway Oslo Sweden Stockholm Ireland Dublin Portugal Lisbon "
    "Cuba Havana Kenya Nairobi Peru Lima Thailand Bangkok Iraq Baghdad"
)
OPPOSITES = _table(
    "hot cold big small fast slow high low early late open closed light dark hard soft wet dry rich poor "
    "old new full empty strong weak good bad happy sad long short thick thin near far loud quiet deep shallow"
)
PER_FAMILY = {"smoke": 1, "full": 10}
EPSILONS = {"noise-10": 0.1, "noise-20": 0.2, "noise-35": 0.35}
TRUE = "You judge answers by truth. Prefer answers that are correct; reject answers that are false."
FALSE = "You judge answers by falsehood. Prefer answers that are false; reject answers that are correct."


def statements(seed: int, each: int) -> list[Pair]:
    """Return questions with a true and a false answer of one form, and with a long true and a short false one."""
    random, found = Random(f"statements/{seed}"), []
    for family, table, asked, told in (
        ("capitals", CAPITALS, "What is the capital of {}?", "The capital of {} is {}."),
        ("opposites", OPPOSITES, "What is the opposite of {}?", "The opposite of {} is {}."),
    ):
        for key in random.sample(list(table), each):
            wrong = random.choice([value for value in table.values() if value != table[key]])
            found.append((family, asked.format(key), told.format(key, table[key]), told.format(key, wrong)))
    for _ in range(each):
        a, b = random.randint(2, 12), random.randint(2, 12)
        wrong = a + b + random.choice((-3, -2, -1, 1, 2, 3))
        found.append(("sums", f"What is {a} + {b}?", f"{a} + {b} is {a + b}.", f"{a} + {b} is {wrong}."))
    for key in random.sample(list(CAPITALS), each):
        wrong = random.choice([value for value in CAPITALS.values() if value != CAPITALS[key]])
        long = f"The capital city of the country of {key} is the well known city of {CAPITALS[key]}."
        found.append(("confounded", f"What is the capital of {key}?", long, f"{wrong}."))
    return found


def noisy(policy: Policy, epsilon: float, seed: int) -> Policy:
    """Return a copy whose matrices have normal noise of ``epsilon`` times their own standard deviation."""
    model, generator = copy.deepcopy(policy.model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.add_(epsilon * weight.std() * torch.randn(weight.shape, generator=generator))
    return Policy(model, policy.tokenizer, f"noise {epsilon:g}")


_LOADED: dict[str, Policy] = {}


def pretrained() -> Policy:
    """Return SmolLM2-135M, loaded once in each process."""
    if not _LOADED:
        _LOADED["smollm2"] = resolve_policy("smollm2-135m", {}, ChainArithmetic.model_validate({}))
    return _LOADED["smollm2"]


def pretrained_rows(trial: Trial, model: str) -> dict[str, Rows]:
    """Return the log-probabilities of the right and the wrong answers under the model, a noisy copy, or a criterion."""

    def make() -> dict[str, Rows]:
        policy = pretrained() if trial.scale == "full" else Policy(tunnel_model(1, 16, 2), tunnel_tokenizer(), "small")
        if model in EPSILONS:
            policy = noisy(policy, EPSILONS[model], 1000 * trial.seed + int(100 * EPSILONS[model]))
        pairs = statements(trial.seed, PER_FAMILY[trial.scale])
        system = {"true": TRUE, "false": FALSE}.get(model)
        both = [pair[1] for pair in pairs] * 2
        rows = rows_of(policy, both, [pair[2] for pair in pairs] + [pair[3] for pair in pairs], system)
        return {"right": rows[: len(pairs)], "wrong": rows[len(pairs) :]}

    return kept(trial, f"{model}-{trial.scale}-{trial.seed}", make)


def judged(trial: Trial) -> Results:
    """Return how often an arm's reward prefers the true answer, by both normalizations, and where length misleads."""
    strong = pretrained_rows(trial, trial.settings["strong"])
    trial.progress(1, 2)
    weak = pretrained_rows(trial, trial.settings["weak"]) if trial.settings["weak"] else None
    confounded = torch.tensor([pair[0] == "confounded" for pair in statements(trial.seed, PER_FAMILY[trial.scale])])
    found: dict[str, float] = {}
    for normalize in ("sum", "mean"):
        values = [ratio(strong[side], weak[side] if weak else None, normalize) for side in ("right", "wrong")]
        found[normalize] = prefers(*values)
        found[f"confounded_{normalize}"] = prefers(*(side[confounded] for side in values))
    return found


# The gap: every pair of models of each world.
def gaps(trial: Trial) -> Results:
    """Return the correlation of gap and accuracy over the pairs of a world's models."""
    world = trial.settings["world"]
    if world == "facts":
        right, wrong, metric = fact_logprobs(trial.seed, FACTS[trial.scale], frequent=False)
    elif world == "trained":
        found = kept(trial, f"trained-{trial.scale}-{trial.seed}", lambda: trained(trial))
        metric = torch.tensor(found["metric"], dtype=torch.float64)
        right, wrong = (torch.stack([sums(rows) for rows in found[side]]) for side in ("right", "wrong"))
    else:
        each = [pretrained_rows(trial, model) for model in ("plain", *EPSILONS)]
        # How surprised a model is by what is true, per token.
        metric = torch.stack([ratio(rows["right"], None, "mean").double().mean() for rows in each])
        right, wrong = (torch.stack([sums(rows[side]) for rows in each]) for side in ("right", "wrong"))
    names = [f"model {place}" for place in range(len(metric))]
    found_by: dict[Pairs, float] = {}
    for pairs in ("strong-over-weak", "ordered"):
        study = gap_study(names, metric, right, wrong, normalize="sum", pairs=pairs)
        # At smoke scale there may be nothing to correlate.
        found_by[pairs] = 0.0 if trial.scale == "smoke" else study.correlation(resamples=1).pearson
    return {"correlation": found_by["strong-over-weak"], "ordered": found_by["ordered"]}


def sums(rows: Rows) -> Tensor:
    """Return the sum of each row."""
    return torch.tensor([sum(row) for row in rows], dtype=torch.float64)


SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": tuple(range(5))}
FACT_WORLD = Experiment(
    name="facts",
    title="Facts, in closed form",
    question="Does dividing by a weak model take out what both share, and leave what the better one knows?",
    run=facts,
    arms=(
        Arm("alone", "strong alone", {"ratio": False, "frequent": False}),
        Arm("ratio", "over the weakest", {"ratio": True, "frequent": False}),
        Arm("alone-frequent", "alone, frequent truths", {"ratio": False, "frequent": True}),
        Arm("ratio-frequent", "ratio, frequent truths", {"ratio": True, "frequent": True}),
    ),
    metrics=(
        Metric("weak_lambda", "truth preferred, lambda = 0.07", higher_is_better=True, percent=True),
        Metric("strong_lambda", "truth preferred, lambda = 0.15", higher_is_better=True, percent=True),
    ),
    checks=(Check("the ratio gains 15 points at lambda 0.07", "weak_lambda", "ratio", "above", "alone", 0.15),),
    seeds={"smoke": (0,), "full": tuple(range(10))},
    limits="True objects are drawn evenly and wrong ones by frequency; the last arms draw the true ones by it as well.",
)
PREFERENCES = (
    Metric("sum", "right preferred, sum", higher_is_better=True, percent=True),
    Metric("mean", "right preferred, mean", higher_is_better=True, percent=True),
)
TRAINED_WORLD = Experiment(
    name="trained",
    title="Snapshots of a small model",
    question="Is the last snapshot over an early one a better reward than alone, or than one trained on labels?",
    run=snapshots,
    arms=(
        Arm("alone", "last alone", {}),
        Arm("first", "over the first", {"weak": 0}),
        Arm("next", "over the last but one", {"weak": -2}),
        Arm("labels-100", "100 labels", {"labels": 100}),
        Arm("labels-1000", "1,000 labels", {"labels": 1000}),
    ),
    metrics=(*PREFERENCES, Metric("confounded", "where the right one is longer", higher_is_better=True, percent=True)),
    checks=(Check("over the first snapshot it beats the last alone", "sum", "first", "above", "alone"),),
    seeds=SEEDS,
    limits="The reward model is a linear head on the last hidden state. Half of the text about a subject is false.",
)
PRETRAINED_WORLD = Experiment(
    name="pretrained",
    title="SmolLM2-135M over noisy copies",
    question="Does the ratio tell true from false statements, and does a criterion in the prompt help?",
    run=judged,
    arms=(
        Arm("alone", "alone", {"strong": "plain", "weak": None}),
        Arm("noise-10", "over noise 0.1", {"strong": "plain", "weak": "noise-10"}),
        Arm("noise-20", "over noise 0.2", {"strong": "plain", "weak": "noise-20"}),
        Arm("noise-35", "over noise 0.35", {"strong": "plain", "weak": "noise-35"}),
        Arm("true", "criterion over none", {"strong": "true", "weak": "plain"}),
        Arm("false", "none over its opposite", {"strong": "plain", "weak": "false"}),
    ),
    metrics=(
        *PREFERENCES,
        Metric("confounded_sum", "long true over short false, sum", higher_is_better=True, percent=True),
        Metric("confounded_mean", "long true over short false, mean", higher_is_better=True, percent=True),
    ),
    checks=(
        Check("over noise 0.35 it gains 10 points on the strong alone", "sum", "noise-35", "above", "alone", 0.1),
        Check("a narrow gap is clearly worse than a wide one", "sum", "noise-35", "above", "noise-10", 0.1),
    ),
    seeds=SEEDS,
    limits="Forty pairs a seed of short statements; noise stands for a weaker model. 135M follows no criterion.",
)
GAPS = Experiment(
    name="gaps",
    title="Gap and accuracy",
    question="Over all pairs of models, is the ratio of a wider gap the better reward?",
    run=gaps,
    arms=(
        Arm("facts", "facts, 55 pairs", {"world": "facts"}),
        Arm("trained", "snapshots, 45 pairs", {"world": "trained"}),
        Arm("pretrained", "noisy copies, 6 pairs", {"world": "pretrained"}),
    ),
    metrics=(
        Metric("correlation", "correlation, strong over weak", higher_is_better=True),
        Metric("ordered", "correlation, both ways round", higher_is_better=True),
    ),
    checks=(
        Check("it correlates at 0.6 for facts", "correlation", "facts", "above", margin=0.6),
        Check("it correlates at 0.7 for noisy copies", "correlation", "pretrained", "above", margin=0.7),
    ),
    seeds=SEEDS,
    limits="Both ways round, as in the paper's grid, each pair has a mirror image, and the correlation is larger.",
)
STUDY = Study(
    "density-ratio-reward",
    find("density-ratio-reward").claim,
    (FACT_WORLD, TRAINED_WORLD, PRETRAINED_WORLD, GAPS),
    limits="RewardBench with pairs of 7B models, customisation by prompts, and SimPO on its labels, need such models.",
)
