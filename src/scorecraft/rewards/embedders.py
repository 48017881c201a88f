"""Embedders: texts in, one vector each out. Hashing and LSA need no model; the others mean-pool one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from torch import Tensor

from scorecraft.catalog import implements
from scorecraft.errors import ScorecraftError, require
from scorecraft.rewards.relevance import IN_END, Embedder

_WORD = re.compile(r"\w+")
_ROWS = 256  # hashed at a time, so that the dense table stays small
_PRIME, _MIX = np.uint64(1_099_511_628_211), np.uint64(0x9E37_79B9_7F4A_7C15)


@implements("relevance-reward")
@dataclass(frozen=True)
class HashEmbedder:
    """Character n-grams, hashed: signed counts of unit length, so that a dot product is a cosine.

    dim: a power of 2. shortest, longest: of the n-grams (bytes of the lower-case text, blanks collapsed).
    """

    dim: int = 4096
    shortest: int = 3
    longest: int = 5
    in_end: float = 1.0

    def __post_init__(self) -> None:
        if self.dim < 2 or self.dim & (self.dim - 1):
            raise ScorecraftError(f"HashEmbedder: dim is {self.dim}; expected a power of 2, such as 4096")
        if not 1 <= self.shortest <= self.longest:
            raise ScorecraftError(f"HashEmbedder: n-grams from {self.shortest} to {self.longest}; expected 1 <= n")

    def __call__(self, texts: Sequence[str]) -> Float32[Tensor, "text feature"]:
        """Return one vector of unit length a text; 0 for a text shorter than every n-gram."""
        tables = [self._block(texts[start : start + _ROWS]) for start in range(0, len(texts), _ROWS)]
        table = np.concatenate(tables) if tables else np.zeros((0, self.dim), dtype=np.float32)
        norm = np.linalg.norm(table, axis=1, keepdims=True)
        return torch.from_numpy(table / np.maximum(norm, 1e-12))

    def _block(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the signed counts of a few texts, all their n-grams hashed in one sweep."""
        # A blank at both ends, so that the beginnings of words count wherever they stand.
        encoded = [f" {' '.join(text.lower().split())} ".encode() for text in texts]
        lengths = np.array([len(text) for text in encoded])
        letters = np.frombuffer(b"".join(encoded), dtype=np.uint8).astype(np.uint64) + np.uint64(1)
        row = np.repeat(np.arange(len(texts)), lengths)
        left = np.repeat(lengths.cumsum(), lengths) - np.arange(len(letters))  # letters to the end of the text
        counts = np.zeros(len(texts) * self.dim)
        rolling = np.zeros(len(letters), dtype=np.uint64)
        for n in range(1, self.longest + 1):
            rolling = rolling * _PRIME
            rolling[: len(letters) - n + 1] += letters[n - 1 :]
            if n < self.shortest:
                continue
            fits = left >= n
            mixed = (rolling[fits] ^ (rolling[fits] >> np.uint64(31))) * _MIX
            place = row[fits] * self.dim + ((mixed >> np.uint64(20)) % np.uint64(self.dim)).astype(np.int64)
            sign = np.where(mixed >> np.uint64(63), 1.0, -1.0)
            counts += np.bincount(place, sign, minlength=len(counts))
        return counts.reshape(len(texts), self.dim).astype(np.float32)


@implements("relevance-reward")
@dataclass(frozen=True, eq=False)
class LsaEmbedder:
    """Latent semantic analysis: TF-IDF of words, projected on the leading right singular vectors of a corpus.

    Weights are ``tf (1 + ln((1 + documents) / (1 + df)))`` in rows of unit length. Words that the corpus lacks do not
    count. Made by `fit`.
    """

    vocabulary: dict[str, int]
    idf: NDArray[np.float64]
    components: NDArray[np.float64]
    in_end: float = 1.0

    @classmethod
    def fit(cls, corpus: Sequence[str], dim: int = 128) -> LsaEmbedder:
        """Return an embedder of a corpus.

        Args:
            corpus: texts of the kind that will be compared.
            dim: number of singular vectors; fewer where the corpus has fewer texts or words.

        Raises `ScorecraftError` for a dim below 1, or a corpus of fewer than 2 texts with words.
        """
        documents = [words for text in corpus if (words := _words(text))]
        if dim < 1 or len(documents) < 2:
            raise ScorecraftError(
                f"LsaEmbedder: dim {dim} and {len(documents)} texts with words; expected at least 1 and 2"
            )
        vocabulary = {word: place for place, word in enumerate(sorted({w for words in documents for w in words}))}
        df = np.zeros(len(vocabulary))
        for words in documents:
            df[[vocabulary[word] for word in set(words)]] += 1
        idf = 1 + np.log((1 + len(documents)) / (1 + df))
        weights = _weights(documents, vocabulary, idf)
        return cls(vocabulary, idf, _right_singular(weights, dim))

    def __call__(self, texts: Sequence[str]) -> Float32[Tensor, "text feature"]:
        """Return one vector a text; 0 where no word is known."""
        weights = _weights([_words(text) for text in texts], self.vocabulary, self.idf)
        return torch.from_numpy(np.asarray(weights @ self.components.T, dtype=np.float32))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _weights(documents: Sequence[Sequence[str]], vocabulary: dict[str, int], idf: NDArray[np.float64]) -> Any:
    """Return TF-IDF rows of unit length as a sparse matrix."""
    from scipy.sparse import csr_matrix

    rows, columns = [], []
    for row, words in enumerate(documents):
        known = [vocabulary[word] for word in words if word in vocabulary]
        rows += [row] * len(known)
        columns += known
    places = np.array(columns, dtype=np.int64)
    table = csr_matrix((idf[places], (rows, places)), shape=(len(documents), len(vocabulary)))
    norm = np.sqrt(np.asarray(table.multiply(table).sum(1))).ravel()
    scale = csr_matrix((1 / np.maximum(norm, 1e-12), (range(len(norm)), range(len(norm)))))
    return scale @ table


def _right_singular(weights: Any, dim: int) -> NDArray[np.float64]:
    from scipy.sparse.linalg import svds

    smaller = min(weights.shape)
    if dim < smaller:
        return np.asarray(svds(weights, k=dim, v0=np.ones(smaller))[2])
    _, values, right = np.linalg.svd(weights.toarray(), full_matrices=False)
    return right[values > 1e-9]


@implements("relevance-reward")
@dataclass(frozen=True, eq=False)
class MeanPooledEmbedder:
    """The mean of a Hugging Face model's last hidden states over a text's tokens, not normalised.

    model, tokenizer: any model that gives hidden states, with its tokenizer. max_length: longer texts lose their
    beginning. batch_size: texts at a time. in_end: see `scorecraft.rewards.relevance.R3Reward`.
    """

    model: Any
    tokenizer: Any
    max_length: int = 512
    batch_size: int = 4
    in_end: float | None = None

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Float32[Tensor, "text feature"]:
        """Return one vector a text."""
        found = [
            self._batch(list(texts[start : start + self.batch_size])) for start in range(0, len(texts), self.batch_size)
        ]
        return torch.cat(found) if found else torch.zeros(0, int(self.model.config.hidden_size))

    def _batch(self, texts: list[str]) -> Tensor:
        rows = [self.tokenizer(text)["input_ids"][-self.max_length :] for text in texts]
        width = max(1, *(len(row) for row in rows))
        ids = torch.zeros((len(rows), width), dtype=torch.int64)
        mask = torch.zeros((len(rows), width), dtype=torch.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row, dtype=torch.int64)
            mask[place, : len(row)] = 1
        device = self.model.device
        out = self.model(input_ids=ids.to(device), attention_mask=mask.to(device), output_hidden_states=True)
        hidden, real = out.hidden_states[-1].float().cpu(), mask[:, :, None].float()
        return (hidden * real).sum(1) / real.sum(1).clamp(min=1)


def lm_mean(source: str, *, max_length: int = 512, batch_size: int = 4, in_end: float | None = None) -> Embedder:
    """Return a mean-pooling embedder of any Hugging Face model, encoder or language model.

    Args:
        source: a folder, or a hub name ``owner/model``.
        max_length: tokens of a text that are read, the last ones.
        batch_size: texts at a time.
        in_end: the largest usual dot product, where it is known.

    Raises `ScorecraftError` where transformers is not installed or the model does not load.
    """
    require("transformers", "lm", "embedder 'lm-mean'")
    from transformers import AutoModel, AutoTokenizer

    try:
        model, tokenizer = AutoModel.from_pretrained(source), AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, ImportError) as error:
        raise ScorecraftError(f"embedder: model '{source}' does not load ({str(error).splitlines()[0]})") from error
    return MeanPooledEmbedder(model.eval(), tokenizer, max_length, batch_size, in_end)


def contriever(*, batch_size: int = 4) -> Embedder:
    """Return Contriever, the unsupervised retriever of the paper; its weights are downloaded once."""
    return lm_mean("facebook/contriever", batch_size=batch_size, in_end=IN_END)


@implements("relevance-reward")
@dataclass(frozen=True, eq=False)
class CenteredEmbedder:
    """Another embedder's vectors less their mean over some texts: those of language models share a large part.

    Made by `fit`.
    """

    embed: Embedder
    mean: Float32[Tensor, " feature"]

    @classmethod
    def fit(cls, embed: Embedder, texts: Sequence[str]) -> CenteredEmbedder:
        """Return an embedder centred on the given texts; raises `ScorecraftError` for none."""
        if not texts:
            raise ScorecraftError("CenteredEmbedder: expected at least one text to centre on")
        return cls(embed, embed(texts).mean(0))

    def __call__(self, texts: Sequence[str]) -> Float32[Tensor, "text feature"]:
        """Return one vector a text."""
        return self.embed(texts) - self.mean
