"""Records of scored traces, and what is chosen by them: a trace for each prompt, an order of the teachers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple, TypeVar

import numpy as np

from scorecraft.catalog import implements
from scorecraft.distill.rank_surprisal import DEGENERATE, RANK_CLIP, TokenScores, average_rank, average_surprisal, rsr
from scorecraft.errors import ScorecraftError, ScorecraftWarning

Item = TypeVar("Item")

# So many tokens, each the student's first choice, are no accident.
_GREEDY_TOKENS = 8


@dataclass(frozen=True, slots=True)
class TraceRecord:
    """One scored trace.

    row: where it stands in its file or list, from 1.
    id: its name.
    group: equal for traces of one prompt.
    teacher: who wrote it; "" where that is not known.
    tokens: response tokens that were scored.
    average_rank: mean of the clipped ranks.
    average_surprisal: nats a token.
    rsr: Rank-Surprisal Ratio; infinity for text that the student is certain of.
    clipped: share of the tokens whose rank is above the clip.
    truncated: whether the end of the trace was cut off.
    student: name and fingerprint of the model and tokenizer that scored it.
    rank_clip: the largest rank that counts.
    """

    row: int
    id: str
    group: str
    teacher: str
    tokens: int
    average_rank: float
    average_surprisal: float
    rsr: float
    clipped: float
    truncated: bool
    student: str
    rank_clip: int

    @property
    def degenerate(self) -> bool:
        """Whether the student is certain of the whole text, so that there is nothing in it to learn."""
        return math.isinf(self.rsr)

    @property
    def greedy(self) -> bool:
        """Whether every token is the student's first choice, as in text that it wrote itself."""
        return self.tokens >= _GREEDY_TOKENS and self.average_rank == 1.0

    def as_data(self) -> dict[str, Any]:
        """Return the record as JSON has it: an infinite ratio is null."""
        return {**asdict(self), "rsr": None if self.degenerate else self.rsr}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> TraceRecord:
        """Return the record that `as_data` wrote; raises `ScorecraftError` where it is not one."""
        names = [field.name for field in fields(cls)]
        if missing := [name for name in names if name not in data]:
            raise ScorecraftError(f"not the record of a scored trace: it lacks {', '.join(missing)}")
        known: dict[str, Any] = {name: data[name] for name in names}
        known["rsr"] = math.inf if data["rsr"] is None else data["rsr"]
        return cls(**known)


def trace_record(
    scores: TokenScores,
    *,
    row: int,
    id: str,
    group: str = "",
    teacher: str = "",
    truncated: bool = False,
    student: str = "",
    rank_clip: int = RANK_CLIP,
) -> TraceRecord:
    """Return the record of a trace from rank and surprisal of its response tokens; the rest is as in `TraceRecord`.

    Raises `ScorecraftError` as `rsr` does.
    """
    return TraceRecord(
        row, id, group, teacher, len(scores.rank), average_rank(scores.rank, rank_clip),
        average_surprisal(scores.surprisal), rsr(scores.rank, scores.surprisal, rank_clip),
        float((scores.rank > rank_clip).double().mean()), truncated, student, rank_clip,
    )  # fmt: skip


def lowest_per_group(groups: Sequence[Hashable], scores: Sequence[float]) -> list[int]:
    """Return the place of the lowest score of each group, in the order in which groups first occur.

    Of equal scores the first is taken. With a data set of traces, ``dataset.select(lowest_per_group(dataset["group"],
    dataset["rsr"]))`` leaves those to train on.

    Args:
        groups: equal for traces of one prompt.
        scores: of each trace; infinity sorts last, NaN is refused.

    Raises `ScorecraftError` for unequal lengths or a score that is NaN.
    """
    if len(groups) != len(scores):
        raise ScorecraftError(f"lowest_per_group: {len(groups)} groups, but {len(scores)} scores")
    best: dict[Hashable, int] = {}
    for place, (group, score) in enumerate(zip(groups, scores, strict=True)):
        if math.isnan(score):
            raise ScorecraftError(f"lowest_per_group: score {place} is NaN; drop the traces that could not be scored")
        if group not in best or score < scores[best[group]]:
            best[group] = place
    return list(best.values())


@implements("rank-surprisal")
def select_traces(records: Iterable[TraceRecord]) -> list[TraceRecord]:
    """Return the trace of the lowest ratio for each prompt: ``argmin_j RSR(x_j)``.

    Give it right traces that others wrote. A student's own text scores well whether it is right or not, so traces by
    the student (its name as the teacher, or every token its first choice) bring a `ScorecraftWarning`.

    Args:
        records: of all candidates, by one student.

    Raises `ScorecraftError` for records of different students, or with different clips: their ratios are not
    comparable, since every tokenizer cuts other tokens.
    """
    rows = _comparable("select_traces", records)
    warn_of_own_text(rows)
    return [rows[place] for place in lowest_per_group([row.group for row in rows], [row.rsr for row in rows])]


class TeacherScore(NamedTuple):
    """A teacher's dataset ratio with its 95 % bootstrap interval over traces, and what it is made of."""

    teacher: str
    rsr: float
    low: float
    high: float
    traces: int
    average_rank: float
    average_surprisal: float
    average_tokens: float


@implements("rank-surprisal")
def rank_teachers(
    records: Iterable[TraceRecord], n: int | None = 200, seed: int = 0, *, resamples: int = 2000
) -> list[TeacherScore]:
    """Return the teachers by the dataset ratio ``sum_j mean rank(j) / sum_j mean surprisal(j)``, the best first.

    Args:
        records: of all teachers' traces, by one student.
        n: traces of each teacher that are looked at, drawn without replacement; None for all.
        seed: of the draw and of the bootstrap.
        resamples: bootstrap samples of each teacher's traces.

    Raises `ScorecraftError` as `select_traces` does, and for ``n`` below 1 or no records.
    """
    if n is not None and n < 1:
        raise ScorecraftError(f"rank_teachers: expected at least 1 trace of each teacher, got n={n}")
    by_teacher: dict[str, list[TraceRecord]] = {}
    for record in _comparable("rank_teachers", records):
        by_teacher.setdefault(record.teacher, []).append(record)
    if not by_teacher:
        raise ScorecraftError("rank_teachers: expected records of scored traces, got none")
    found = []
    for teacher in sorted(by_teacher):
        random, rows = np.random.default_rng(seed), by_teacher[teacher]
        if n is not None and len(rows) > n:
            rows = [rows[place] for place in np.sort(random.choice(len(rows), n, replace=False))]
        table = np.array([[row.average_rank, row.average_surprisal, row.tokens] for row in rows])
        drawn = random.integers(len(rows), size=(resamples, len(rows)))
        sums = np.stack([table[own, :2].sum(0) for own in drawn]) if resamples else table[:, :2].sum(0)[None]
        low, high = np.quantile(_ratio(sums[:, 0], sums[:, 1]), (0.025, 0.975), method="inverted_cdf")
        rank, surprisal, tokens = table.mean(0).tolist()
        own = float(_ratio(table[:, 0].sum(), table[:, 1].sum()))
        found.append(TeacherScore(teacher, own, float(low), float(high), len(rows), rank, surprisal, tokens))
    return sorted(found, key=lambda score: score.rsr)


def warn_of_own_text(records: Iterable[TraceRecord]) -> None:
    """Warn where traces are the student's own text: by their teacher's name, or every token its first choice."""
    own = [row for row in records if row.greedy or (row.teacher and row.teacher == row.student.partition("@")[0])]
    if own:
        warnings.warn(
            f"{len(own)} traces (the first is '{own[0].id}') are by the student, or are what it would write itself, "
            "token for token. Its own text may score well whether it is right or not: choose right traces of others",
            ScorecraftWarning,
            stacklevel=3,
        )


def _ratio(ranks: Any, surprisals: Any) -> Any:
    """Return the ratio, infinite where there is no surprisal."""
    return np.where(surprisals >= DEGENERATE, ranks / np.maximum(surprisals, DEGENERATE), np.inf)


def _comparable(name: str, records: Iterable[TraceRecord]) -> list[TraceRecord]:
    rows = list(records)
    for what, values in (
        ("student", {row.student for row in rows}),
        ("rank clip", {row.rank_clip for row in rows}),
    ):
        if len(values) > 1:
            raise ScorecraftError(
                f"{name}: records of more than one {what} ({', '.join(map(str, sorted(values)))}); ratios are "
                "comparable only under one student, one tokenizer and one clip: score all traces with the same"
            )
    return rows
