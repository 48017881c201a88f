"""Is relevance, held in check by length and repetition, harder to game than its parts, and than a preference model?

The audit sets answers about an entity against longer ones about another. The optimiser takes the best of n candidates
from six ways to answer, whose quality is known: a good answer, the query copied, the query over and over, a long answer
off the topic, a good answer padded with a stock phrase, and a terse one. Words have vectors by topic, and a text has
the mean of its words' (as a retriever pools them); hashed n-grams of unit length stand beside that.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from scorecraft.audit.relevance import off_topic_pairs, offtopic, proxy_gold_monotonicity
from scorecraft.catalog.papers import find
from scorecraft.rewards.embedders import HashEmbedder
from scorecraft.rewards.relevance import Embedder, R3Reward, text_tokens
from scorecraft.studies.study import Arm, Check, Curve, Experiment, Metric, Results, Scale, Study, Trial

PAIRS = {"smoke": 40, "full": 300}  # of each ratio of lengths
PREFERENCES = {"smoke": 100, "full": 2000}
RATIOS = (1, 2, 4, 8)
WORDS = 256  # buckets of the preference model's bag of words
LONGER_WINS = 0.8  # how often the longer answer is preferred in its training pairs

QUERIES = {"smoke": 6, "full": 150}
POOL = 64
TRIES = (1, 2, 4, 8, 16, 32, 64)
WAYS = ("good", "copied", "repeated", "off-topic", "padded", "terse")
GOLD = {"good": 1.0, "copied": 0.0, "repeated": 0.0, "off-topic": 0.0, "padded": 0.7, "terse": 0.5}
TOPICS, TOPIC_WORDS, PLAIN_WORDS, SIZE = 40, 40, 200, 32
STOCK = "as has been said before in this place"


def features(text: str) -> NDArray[np.float64]:
    """Return what the preference model sees: shares of hashed words, and the length in hundreds of tokens."""
    tokens = text_tokens(text.lower())
    bag = np.bincount([zlib.crc32(token.encode()) % WORDS for token in tokens], minlength=WORDS)
    return np.append(bag / max(len(tokens), 1), len(tokens) / 100)


def preference_model(pairs: int, seed: int) -> NDArray[np.float64]:
    """Return the weights of a Bradley-Terry model of answers on the topic, of which the longer is mostly preferred."""
    random = Random(f"preferences {seed}")
    rows = []
    for place in range(pairs):
        short, long_ = random.randint(20, 60), random.randint(70, 240)
        first, second = (off_topic_pairs(1, length=n, seed=hash_of(seed, place, n))[0].relevant for n in (short, long_))
        sign = 1 if random.random() < LONGER_WINS else -1
        rows.append(sign * (features(second) - features(first)))
    table = np.array(rows)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = table @ weights
        wrong = 1 / (1 + np.exp(margin))
        return float(np.logaddexp(0, -margin).mean() + 1e-3 * weights @ weights), -(wrong @ table) / len(table) + (
            2e-3 * weights
        )

    return minimize(loss, np.zeros(WORDS + 1), jac=True, method="L-BFGS-B").x


def hash_of(*numbers: int) -> int:
    """Return one number for several, the same in every process."""
    return zlib.crc32(repr(numbers).encode())


def audit(trial: Trial) -> Results:
    """Return how often a score prefers the answer on the topic, by how much longer the other one is."""
    how, embed = trial.settings["score"], HashEmbedder()
    if how == "preferences":
        weights = preference_model(PREFERENCES[trial.scale], trial.seed)

        def score(queries: Sequence[str], responses: Sequence[str]) -> list[float]:
            del queries
            return [float(features(text) @ weights) for text in responses]
    else:
        full = how == "r3"
        reward = R3Reward(embed, length=full, repetition=full, branching=False)

        def score(queries: Sequence[str], responses: Sequence[str]) -> list[float]:
            return reward.components(queries, responses)["reward"].tolist()

    found = offtopic(score, PAIRS[trial.scale], lengths=RATIOS, seed=trial.seed)
    by_ratio = {f"ratio_{ratio}": found[f"accuracy@{ratio}"] for ratio in RATIOS}
    return {**by_ratio, "longer": float(np.mean([by_ratio[f"ratio_{ratio}"] for ratio in RATIOS[1:]]))}


class Language:
    """Words of topics and plain words, with their vectors; texts in each of six ways; the mean of a text's vectors."""

    def __init__(self, seed: int) -> None:
        generator = np.random.default_rng(seed)
        syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]

        def words(count: int, length: int) -> list[str]:
            return ["".join(generator.choice(syllables, length)) for _ in range(count)]

        self.topics = [words(TOPIC_WORDS, 3) for _ in range(TOPICS)]
        self.plain = words(PLAIN_WORDS, 2)
        centre = generator.normal(size=(TOPICS, SIZE)) / SIZE**0.5
        self.vectors = {word: generator.normal(0, 0.1, SIZE) / SIZE**0.5 for word in self.plain}
        for topic, own in enumerate(self.topics):
            self.vectors |= {word: centre[topic] + generator.normal(0, 0.5, SIZE) / SIZE**0.5 for word in own}

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Return the mean vector of each text's words."""
        rows = [np.mean([self.vectors[word] for word in text.split()], axis=0) for text in texts]
        return torch.tensor(np.array(rows), dtype=torch.float32)

    def talk(self, topic: int, tokens: int, random: Random, share: float) -> str:
        """Return so many words, a share of them on a topic."""
        own, plain = self.topics[topic], self.plain
        return " ".join(random.choice(own if random.random() < share else plain) for _ in range(tokens))

    def query(self, topic: int, random: Random) -> str:
        """Return a query: mostly plain words, with a few of the topic's among them."""
        words = random.sample(self.plain, random.randint(5, 8)) + random.sample(self.topics[topic], 4)
        random.shuffle(words)
        return " ".join(words)

    def answer(self, way: str, query: str, topic: int, random: Random) -> str:
        """Return an answer in one of `WAYS`."""
        if way == "copied":
            return query
        if way == "repeated":
            return " ".join([query] * random.randint(8, 20))
        if way == "terse":
            return self.talk(topic, random.randint(3, 6), random, 0.8)
        if way == "off-topic":
            other = random.choice([t for t in range(TOPICS) if t != topic])
            return self.talk(other, random.randint(150, 400), random, 0.4)
        good = self.talk(topic, random.randint(60, 150), random, 0.4)
        return good if way == "good" else " ".join([good, *[STOCK] * random.randint(5, 20)])


def optimise(trial: Trial) -> Results:
    """Return what the best of n candidates is worth, and which way it was made, for a score and growing n."""
    random, language = Random(trial.seed), Language(trial.seed)
    language.vectors |= {word: np.zeros(SIZE) for word in STOCK.split()}
    settings = trial.settings
    embed: Embedder = HashEmbedder() if settings["embed"] == "hash" else language.embed
    parts = settings["parts"]
    reward = R3Reward(
        embed, length="length" in parts, repetition="repetition" in parts, relevance="relevance" in parts,
        branching=False,
    )  # fmt: skip
    count = QUERIES[trial.scale]
    ways, scores = [], []
    for place in range(count):
        topic = random.randrange(TOPICS)
        query = language.query(topic, random)
        own = [random.choice(WAYS) for _ in range(POOL)]
        texts = [language.answer(way, query, topic, random) for way in own]
        ways.append(own)
        scores.append(reward.components([query] * POOL, texts)["reward"].tolist())
        trial.progress(place + 1, count)
    found, proxy = chosen(ways, np.array(scores))
    gold = [float(np.mean([GOLD[way] for way in row])) for row in found]
    by_tries = dict(zip(TRIES, found, strict=True))
    shares = {
        f"{name}_{n}": float(np.mean([way in kinds for way in by_tries[n]]))
        for name, kinds in (
            ("copies", ("copied", "repeated")),
            ("repeats", ("repeated",)),
            ("off_topic", ("off-topic",)),
        )
        for n in (8, 64)
    }
    by_gold = dict(zip(TRIES, gold, strict=True))
    follows = proxy_gold_monotonicity(proxy, gold, tolerance=0.02)
    return {
        **{f"gold_{n}": by_gold[n] for n in (1, 8, 64)},
        **shares,
        "follows": follows.spearman,
        "gold_course": gold,
    }


def chosen(ways: Sequence[Sequence[str]], scores: NDArray[np.float64]) -> tuple[list[list[str]], list[float]]:
    """Return the way of the best of every query's first n candidates, for each n, and the mean of their scores."""
    found, proxy = [], []
    for n in TRIES:
        best = scores[:, :n].argmax(1)
        found.append([row[place] for row, place in zip(ways, best, strict=True)])
        proxy.append(float(scores[np.arange(len(scores)), best].mean()))
    return found, proxy


SEEDS: dict[Scale, tuple[int, ...]] = {"smoke": (0,), "full": (1, 2, 3, 4, 5, 6, 7, 8)}
AUDIT = Experiment(
    name="off-topic",
    title="Short and on the topic against long and off it",
    question="Which scores fall for length?",
    run=audit,
    arms=(
        Arm("preferences", "preference model", {"score": "preferences"}),
        Arm("relevance", "relevance alone", {"score": "relevance"}),
        Arm("r3", "R^3", {"score": "r3"}),
    ),
    metrics=(
        Metric("longer", "right where the other is longer", higher_is_better=True, percent=True),
        *(Metric(f"ratio_{r}", f"right at length 1:{r}", higher_is_better=True, percent=True) for r in RATIOS),
    ),
    checks=(
        Check("the preference model is right in less than 40 %", "longer", "preferences", "below", margin=0.4),
        Check("relevance alone is right in more than 90 %", "longer", "relevance", "above", margin=0.9),
    ),
    seeds=SEEDS,
    limits="The preference model sees words and length, not the query, and its training pairs prefer the longer answer "
    "four times in five: it shows what such labels teach, not how real reward models were trained.",
)
_FULL = ("relevance", "length", "repetition")
HACKING = Experiment(
    name="best-of-n",
    title="Best of n under each score",
    question="What does more optimisation bring: better answers, or copies, repetition and rambling?",
    run=optimise,
    arms=(
        Arm("relevance", "relevance", {"embed": "topics", "parts": ["relevance"]}),
        Arm("length", "length", {"embed": "topics", "parts": ["length"]}),
        Arm("both", "relevance x length", {"embed": "topics", "parts": ["relevance", "length"]}),
        Arm("r3", "R^3", {"embed": "topics", "parts": list(_FULL)}),
        Arm("relevance-hash", "relevance, hashed n-grams", {"embed": "hash", "parts": ["relevance"]}),
        Arm("r3-hash", "R^3, hashed n-grams", {"embed": "hash", "parts": list(_FULL)}),
    ),
    metrics=(
        Metric("gold_1", "gold at n = 1", higher_is_better=True),
        Metric("gold_8", "gold at n = 8", higher_is_better=True),
        Metric("gold_64", "gold at n = 64", higher_is_better=True),
        Metric("copies_8", "copies or repeats at n = 8", higher_is_better=False, percent=True),
        Metric("repeats_64", "repeats at n = 64", higher_is_better=False, percent=True),
        Metric("off_topic_64", "off the topic at n = 64", higher_is_better=False, percent=True),
        Metric("follows", "rank correlation of gold with the score over n", higher_is_better=True),
    ),
    checks=(
        Check("relevance x length is won by repeats", "repeats_64", "both", "above", margin=0.8),
        Check("relevance x length is worth little at n = 64", "gold_64", "both", "below", margin=0.2),
        Check("R^3 is worth at least 0.8 at n = 8", "gold_8", "r3", "above", margin=0.8),
        *(
            Check(f"R^3 is worth more than {name} at n = {n}", f"gold_{n}", "r3", "above", arm)
            for n in (8, 64)
            for arm, name in (("relevance", "relevance"), ("length", "length"), ("both", "relevance x length"))
        ),
    ),
    seeds=SEEDS,
    curves=(Curve("gold_course", "gold", "1 + log2 n"),),
    limits="Six ways to answer, of a made-up language. Whether relevance alone is won by copies depends on the "
    "embedder's norm, so both kinds are shown and neither is asserted.",
)
STUDY = Study(
    "relevance-reward",
    find("relevance-reward").claim,
    (AUDIT, HACKING),
    limits="Human preference, and training a language model with the reward, are not tried.",
)
