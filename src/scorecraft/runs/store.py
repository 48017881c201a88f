"""`RunStore`: the directory of one training run, safe against a kill at any instant."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scorecraft.errors import ScorecraftError, require
from scorecraft.runs import checkpoints, files
from scorecraft.runs.journal import Journal
from scorecraft.runs.lock import exclusive

if TYPE_CHECKING:
    import pyarrow

    from scorecraft.rollouts import Rollouts

RECIPE = "recipe.yaml"
VERSIONS = "versions.json"
CITATIONS = "citations.bib"
TOKENS = "tokens.json"
LOCK = ".lock"


class RunStore:
    """One run: recipe, versions, metrics, evaluations, rollouts and checkpoints under a directory.

    Steps count from 1; a checkpoint of step ``s`` holds the state after ``s`` steps. Make one with `create` or
    `open`; hold `lock` while writing.
    """

    def __init__(self, directory: Path, sync_every: int = 1) -> None:
        self.directory = directory
        self._metrics = Journal(directory / "metrics.jsonl", sync_every)
        self._evaluations = Journal(directory / "evaluations.jsonl", sync_every)
        self._rollouts = directory / "rollouts"
        self._checkpoints = directory / "checkpoints"

    @classmethod
    def create(
        cls,
        directory: Path | str,
        recipe_yaml: str,
        versions: Mapping[str, Any],
        sync_every: int = 1,
        citations: str = "",
    ) -> RunStore:
        """Make a new run; raises `ScorecraftError` where the directory holds a run already or is a file.

        citations: BibTeX of what the recipe rests on.
        """
        directory = Path(directory)
        if is_run(directory):
            raise ScorecraftError(f"{directory}: holds a run already; go on with --resume, or choose another --run")
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ScorecraftError(f"{directory}: expected a directory for the run, but a file is there") from error
        except OSError as error:
            raise ScorecraftError(f"{directory}: cannot be made ({error}); choose another --run") from error
        files.replace_text(directory / VERSIONS, files.json_text(dict(versions), indent=1))
        files.replace_text(directory / CITATIONS, citations)
        # Last, since it is what makes the directory a run.
        files.replace_text(directory / RECIPE, recipe_yaml)
        return cls(directory, sync_every)

    @classmethod
    def open(cls, directory: Path | str, sync_every: int = 1) -> RunStore:
        """Open a run that exists, clearing what a killed writer left; raises `ScorecraftError` if it is none."""
        directory = Path(directory)
        if not (directory / RECIPE).is_file():
            here = "there is no such directory" if not directory.exists() else f"it has no {RECIPE}"
            raise ScorecraftError(f"{directory}: not a run, {here}; give the directory that 'train --run' was given")
        store = cls(directory, sync_every)
        if store._leftovers():
            try:
                with store.lock():
                    pass
            except (ScorecraftError, OSError):
                pass  # A live writer's files, or a read-only disk: leave them, every reader passes them over.
        return store

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only writer of this run; raises `ScorecraftError` with the pid of the process that is."""
        with exclusive(self.directory / LOCK):
            checkpoints.recover(self._checkpoints)
            for leftover in self._leftovers():
                files.remove(leftover)
            yield

    def _leftovers(self) -> list[Path]:
        folders = (self.directory, self._rollouts, self._checkpoints)
        return [
            *(path for folder in folders for path in folder.glob(f"{files.ASIDE}*")),
            *self._checkpoints.glob("*.replaced"),
        ]

    @property
    def recipe_yaml(self) -> str:
        """The resolved recipe."""
        return (self.directory / RECIPE).read_text(encoding="utf-8")

    @property
    def versions(self) -> dict[str, Any]:
        """What the run was made with; empty where the file is missing or torn."""
        return _read_object(self.directory / VERSIONS)

    @property
    def citations(self) -> str:
        """BibTeX of what the recipe rests on; empty where none was saved."""
        path = self.directory / CITATIONS
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def append_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Add the metrics of one step; they must have its number under ``step``."""
        self._metrics.append(dict(metrics))

    def append_evaluation(self, metrics: Mapping[str, Any]) -> None:
        """Add the result of one held-out evaluation; it must have the number of its step under ``step``."""
        self._evaluations.append(dict(metrics))

    def read_metrics(self) -> list[dict[str, Any]]:
        """Return the metrics of all steps; None where a value was NaN."""
        return self._metrics.rows()

    def read_evaluations(self) -> list[dict[str, Any]]:
        """Return all held-out evaluations."""
        return self._evaluations.rows()

    def truncate_after(self, step: int) -> None:
        """Drop metrics, evaluations, rollouts and checkpoints of all later steps, before going on from ``step``."""
        self._metrics.drop_after(step)
        self._evaluations.drop_after(step)
        for later in self.rollout_steps():
            if later > step:
                files.remove(self.rollouts_path(later))
        for later in self.checkpoints():
            if later > step:
                checkpoints.drop(self._checkpoints, later)

    def rollouts_path(self, step: int) -> Path:
        """Return where the rollouts of a step are kept."""
        return self._rollouts / f"{checkpoints.step_name(step)}.parquet"

    def rollout_steps(self) -> list[int]:
        """Return the steps whose rollouts were saved, in order."""
        return checkpoints.steps_in(self._rollouts, ".parquet")

    def save_rollouts(self, step: int, rollouts: Rollouts, columns: Mapping[str, list[Any]] | None = None) -> None:
        """Write a step's rollouts; ``columns`` adds lists with one value per rollout (rewards, advantages, labels)."""
        extra = dict(columns or {})
        for name, values in extra.items():
            if len(values) != len(rollouts):
                raise ScorecraftError(
                    f"rollouts of step {step}, column '{name}': expected {len(rollouts)} values, got {len(values)}"
                )
        self._rollouts.mkdir(exist_ok=True)
        files.replace(self.rollouts_path(step), lambda new: rollouts.to_parquet(new, extra))

    def read_rollouts(
        self, step: int | Iterable[int] | None = None, columns: Sequence[str] | None = None
    ) -> pyarrow.Table:
        """Return the rollouts of one step, of some, or of all, with the training step under ``training_step``.

        columns: the ones to read, which is quicker than all; a step that lacks one has nulls there.

        Raises `ScorecraftError` where a step has none. `Rollouts.from_parquet` on `rollouts_path` gives tensors.
        """
        require("pyarrow", "lm", "reading rollouts")
        import pyarrow as pa

        have = self.rollout_steps()
        wanted = have if step is None else [step] if isinstance(step, int) else list(step)
        if missing := sorted(set(wanted) - set(have)):
            raise ScorecraftError(
                f"{self.directory}: no rollouts of step {', '.join(map(str, missing))}; saved steps: {have or 'none'}"
            )
        tables = [self._table(one, columns) for one in wanted]
        table = pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({"training_step": []})
        if tables and (unknown := sorted(set(columns or ()) - set(table.column_names))):
            raise ScorecraftError(f"{self.directory}: no saved rollout has a column '{unknown[0]}'")
        return table

    def _table(self, step: int, columns: Sequence[str] | None) -> pyarrow.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.rollouts_path(step)
        try:
            with pq.ParquetFile(str(path)) as file:
                names = file.schema_arrow.names
                kept = names if columns is None else [name for name in columns if name in names]
                table, rows = file.read(columns=kept), file.metadata.num_rows
        except (OSError, pa.ArrowInvalid) as error:
            raise ScorecraftError(
                f"{path}: not a readable Parquet file ({error}); delete it to read the others"
            ) from error
        steps = pa.array([step] * rows, pa.int64())
        if not kept:
            return pa.table({"training_step": steps})
        return table.replace_schema_metadata(None).add_column(0, "training_step", steps)

    def save_token_texts(self, texts: Mapping[int, str]) -> None:
        """Remember the text of tokens by their id, beside those known already."""
        known = self.token_texts()
        if any(known.get(token) != text for token, text in texts.items()):
            merged = known | dict(texts)
            files.replace_text(
                self.directory / TOKENS, files.json_text({str(token): merged[token] for token in sorted(merged)})
            )

    def token_texts(self) -> dict[int, str]:
        """Return the text of each token that was remembered, by its id."""
        return {int(token): str(text) for token, text in _read_object(self.directory / TOKENS).items()}

    def save_checkpoint(self, step: int, write: Callable[[Path], None], keep: int = 2) -> Path:
        """Let ``write`` fill a directory with the state after ``step``; the newest ``keep`` checkpoints stay."""
        return checkpoints.save(self._checkpoints, step, write, keep)

    def checkpoints(self) -> list[int]:
        """Return the steps that have a checkpoint, in order."""
        return checkpoints.steps_in(self._checkpoints)

    def load_checkpoint(self) -> tuple[int, Path] | None:
        """Return step and directory of the newest checkpoint whose checksums hold; None where there is none.

        A damaged one gives a `ScorecraftWarning` and the one before it is taken.
        """
        return checkpoints.newest(self._checkpoints)


def is_run(directory: Path | str) -> bool:
    """Return True where a directory holds a run, or what is left of one."""
    directory = Path(directory)
    return any((directory / name).exists() for name in (RECIPE, "metrics.jsonl", "rollouts", "checkpoints"))


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
