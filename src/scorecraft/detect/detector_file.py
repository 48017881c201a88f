"""Fits a detector on a file of inputs, and scores the rows of another, going on where a stopped command was."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor, nn

from scorecraft.detect.detector import Detector
from scorecraft.detect.input_files import CLASSES, TRUTHS, InputFile
from scorecraft.detect.layers import Side
from scorecraft.detect.methods import METHODS, Place, checked_settings, make_detector
from scorecraft.detect.ood_report import Threshold, threshold_interval
from scorecraft.detect.saved import DetectorRecord, SavedDetector, ThresholdRecord, fingerprint, save_detector
from scorecraft.errors import ScorecraftError

Progress = Callable[[str, int, int], None]

HEADER = ("row", "name", "score", "outside")
# So many rows are scored before they are put on the disk: a kill loses no more.
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class FitSettings:
    """How a detector is made and its threshold set.

    method and settings: of `scorecraft.detect.methods`. layer, side, batch_size: as of `Detector`. keep: share of
    held-out inputs that the threshold keeps inside. held_out_share: of the rows, where no held-out file is given and
    the method learns. label: column of classes. scale: inputs are divided by it.
    """

    method: str = "energy"
    settings: Mapping[str, Any] | None = None
    layer: str | None = None
    side: Side | None = None
    batch_size: int = 256
    keep: float = 0.95
    held_out_share: float = 0.2
    label: str | None = None
    scale: float | None = None
    seed: int = 0


class Fitted(NamedTuple):
    """What `fit_file` made: the detector, its threshold, and how many rows it learned from and was held out on."""

    detector: Detector
    threshold: Threshold
    learned: int
    held_out: int


class Batches:
    """Rows of a file in batches, as a detector reads them; told how far they are."""

    def __init__(
        self, file: InputFile, places: Int64[np.ndarray, " row"], size: int, scale: float | None, name: str,
        progress: Progress,
    ) -> None:  # fmt: skip
        self.file, self.places, self.size, self.scale = file, places, size, scale
        self.name, self.progress = name, progress

    def __iter__(self) -> Iterator[Tensor]:
        for start in range(0, len(self.places), self.size):
            yield as_inputs(self.file.rows(self.places[start : start + self.size]), self.scale)
            self.progress(self.name, min(start + self.size, len(self.places)), len(self.places))


def as_inputs(rows: Tensor, scale: float | None) -> Tensor:
    """Return rows as a model takes them: numbers with a fraction in 32 bits, divided by the scale; whole ones as such.

    Args:
        rows: from a file.
        scale: 255 for images in bytes; None leaves whole numbers whole, as those of tokens.
    """
    if scale is not None:
        return rows.float() / scale
    return rows.float() if rows.is_floating_point() else rows.long()


def fit_file(
    file: InputFile,
    folder: Path,
    settings: FitSettings,
    model: nn.Module | None = None,
    *,
    model_name: str | None = None,
    held_out: InputFile | None = None,
    progress: Progress = lambda name, done, total: None,
) -> Fitted:
    """Fit a detector on a file of inputs in the distribution, set its threshold, and write both into a folder.

    Args:
        file: inputs of the model; features or logits where there is no model.
        folder: for the detector.
        settings: which one, and how.
        model: that is read.
        model_name: how it is named, for the record.
        held_out: inputs for the threshold; a share of the file where not given, or all of it for a method that learns
            nothing.
        progress: told a phase, and how many of how many rows are done.

    Raises `ScorecraftError` for a method or settings that do not fit, a share out of range, classes that are needed and
    not there, too few rows, and what the detector refuses.
    """
    if not 0 < settings.held_out_share < 1:
        raise ScorecraftError(f"held-out share: expected a number between 0 and 1, got {settings.held_out_share:g}")
    if settings.scale is not None and not settings.scale > 0:
        raise ScorecraftError(f"scale: expected a number above 0, got {settings.scale:g}")
    place = Place(model, settings.layer, settings.side, settings.batch_size)
    detector = make_detector(settings.method, settings.settings, place)
    rows, others = _split(file, detector, settings, held_out)
    if detector.learns:
        classes = None
        if METHODS[settings.method].needs_classes:
            classes = file.column(settings.label, CLASSES, "classes")
            if classes is None:
                raise ScorecraftError(
                    f"{file.path}: the method '{settings.method}' needs the class of each row; name its column or array"
                )
        batches = Batches(file, rows, settings.batch_size, settings.scale, "fit", progress)
        detector.fit(batches, None if classes is None else torch.as_tensor(np.asarray(classes)[rows].astype(np.int64)))
    source = held_out or file
    scores = _one_each(
        detector.predict_score(Batches(source, others, settings.batch_size, settings.scale, "threshold", progress))
    )
    found = threshold_interval(scores, settings.keep)
    detector.threshold_ = found.value.estimate
    record = DetectorRecord(
        method=settings.method,
        settings=checked_settings(settings.method, settings.settings or {}).model_dump(mode="json"),
        model=model_name,
        weights=None if model is None else fingerprint(model),
        layer=settings.layer,
        side=settings.side,
        batch_size=settings.batch_size,
        inputs={"shape": list(file.shape), "array": list(file.array), "scale": settings.scale},
        threshold=ThresholdRecord.of(settings.keep, found),
    )
    save_detector(folder, record, detector, scores)
    return Fitted(detector, found, len(rows) if detector.learns else 0, len(others))


def _split(
    file: InputFile, detector: Detector, settings: FitSettings, held_out: InputFile | None
) -> tuple[Int64[np.ndarray, " learned"], Int64[np.ndarray, " held_out"]]:
    everything = np.arange(file.count)
    if held_out is not None:
        if held_out.shape != file.shape:
            raise ScorecraftError(
                f"{held_out.path}: rows of shape {held_out.shape}, but those of {file.path} have {file.shape}"
            )
        return everything, np.arange(held_out.count)
    if not detector.learns:
        return everything[:0], everything
    count = round(settings.held_out_share * file.count)
    if not 0 < count < file.count:
        raise ScorecraftError(
            f"{file.path}: {file.count} rows are too few to hold some out; give more, or a file of held-out inputs"
        )
    mixed = np.random.default_rng(settings.seed).permutation(file.count)
    return np.sort(mixed[count:]), np.sort(mixed[:count])


class Scored(NamedTuple):
    """What `score_file` wrote: the scores, which are beyond the threshold, and which are outside in truth, if known."""

    scores: Float64[np.ndarray, " row"]
    flagged: Bool[np.ndarray, " row"]
    outside: Bool[np.ndarray, " row"] | None


def score_file(
    file: InputFile,
    out: Path,
    saved: SavedDetector,
    model: nn.Module | None = None,
    *,
    truth: str | None = None,
    progress: Progress = lambda name, done, total: None,
) -> Scored:
    """Score the rows of a file into a CSV file, those that it has no line of yet.

    Lines are ``row, name, score, outside``, rows from 0, ``outside`` 1 where the score is beyond the threshold. Beside
    the file stands ``OUT.state`` until all rows are scored; it says what the scores are of, so that a stopped command
    goes on only with the same file and detector.

    Args:
        file: inputs as the detector was fitted on.
        out: where the scores go.
        saved: the detector.
        model: the one it was fitted with.
        truth: column or array that says which rows are outside, 0 or 1; a usual name where not given.
        progress: told a phase, and how many of how many rows are done.

    Raises `ScorecraftError` for rows of another shape, a file of scores that is whole already or of something else,
    another process that writes it, and for no room on the disk.
    """
    shape = tuple(saved.record.inputs.get("shape", file.shape))
    if file.shape != shape:
        raise ScorecraftError(f"{file.path}: rows of shape {file.shape}; the detector was fitted on rows of {shape}")
    detector = saved.detector(model)
    outside = _truth(file, truth)
    with _going_on(out, _key(file, saved)) as (stream, done):
        progress("score", done, file.count)
        for start in range(done, file.count, ROWS_AT_ONCE):
            places = np.arange(start, min(start + ROWS_AT_ONCE, file.count))
            batches = Batches(file, places, saved.record.batch_size, saved.record.inputs.get("scale"), "", _silent)
            scores = _one_each(detector.predict_score(batches)).double().numpy()
            _append(stream, _lines(file, places, scores, saved.record.threshold.value))
            progress("score", int(places[-1]) + 1, file.count)
    state_of(out).unlink(missing_ok=True)
    scores = read_scores(out)
    return Scored(scores, scores > saved.record.threshold.value, outside)


def _silent(name: str, done: int, total: int) -> None:
    del name, done, total


def _truth(file: InputFile, named: str | None) -> Bool[np.ndarray, " row"] | None:
    values = file.column(named, TRUTHS, "which rows are outside")
    if values is None:
        return None
    found = np.asarray(values)
    if not np.isin(found, (0, 1)).all():
        raise ScorecraftError(
            f"{file.path}: expected 0 or 1 for each row to say which are outside, got {found.max():g}"
        )
    return found.astype(np.bool_)


def read_scores(path: Path) -> Float64[np.ndarray, " row"]:
    """Return the scores that `score_file` wrote.

    Args:
        path: the file.
    """
    with path.open(newline="", encoding="utf-8") as stream:
        return np.array([float(line["score"]) for line in csv.DictReader(stream)])


def state_of(out: Path) -> Path:
    """Return where it is kept what an unfinished file of scores is of."""
    return out.with_name(out.name + ".state")


def _key(file: InputFile, saved: SavedDetector) -> str:
    digest = hashlib.sha256(f"{file.mark}\n{file.array}\n{saved.record.model_dump_json()}".encode())
    for name, value in sorted(saved.learned.items()):
        digest.update(name.encode() + value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _lines(
    file: InputFile, places: Int64[np.ndarray, " row"], scores: Float64[np.ndarray, " row"], threshold: float
) -> Sequence[tuple[Any, ...]]:
    names = ("" if file.names is None else file.names[int(place)] for place in places)
    return [
        (int(place), name, repr(float(score)), int(score > threshold))
        for place, name, score in zip(places, names, scores, strict=True)
    ]


@contextmanager
def _going_on(out: Path, key: str) -> Iterator[tuple[IO[str], int]]:
    """Open a file of scores for adding, for this process alone; say how many rows it has. A torn line is removed."""
    state = state_of(out)
    if out.exists() and not state.exists():
        raise ScorecraftError(f"{out}: these scores are whole; choose another place, or remove them")
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a+", newline="", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ScorecraftError(
                f"{out}: another process is writing it; wait for it, or choose another place"
            ) from None
        if not state.exists():
            _write(state, json.dumps({"of": key}))
        try:
            known = json.loads(state.read_text(encoding="utf-8")).get("of")
        except ValueError:
            known = None
        if known != key:
            raise ScorecraftError(
                f"{out}: its scores are of another file or another detector; choose another place, or remove it and "
                f"{state.name}"
            )
        done = _cut(stream, out)
        if not out.stat().st_size:
            _append(stream, [HEADER])
        yield stream, done


def _cut(stream: IO[str], out: Path) -> int:
    """Remove what a kill left of the last rows that were to be written together; return how many rows there are."""
    lines = out.read_bytes().splitlines(keepends=True)
    whole = sum(line.endswith(b"\n") for line in lines)
    rows = max(0, whole - 1) // ROWS_AT_ONCE * ROWS_AT_ONCE
    stream.truncate(sum(map(len, lines[: rows + 1])) if whole else 0)
    stream.seek(0, os.SEEK_END)
    return rows


def _append(stream: IO[str], lines: Sequence[Sequence[Any]]) -> None:
    try:
        csv.writer(stream, lineterminator="\n").writerows(lines)
        stream.flush()
        os.fsync(stream.fileno())
    except OSError as error:
        raise ScorecraftError(f"{stream.name}: cannot be written ({error}); earlier scores are intact") from error


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ScorecraftError(f"{path}: cannot be written ({error})") from error


def _one_each(scores: Tensor) -> Tensor:
    if scores.ndim != 1:
        raise ScorecraftError(
            f"the detector gives scores of shape {tuple(scores.shape)}; files are scored row by row, boxes and pixels "
            "by the detector's own predict_score"
        )
    return scores
