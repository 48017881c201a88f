"""`scorecraft detect`: fit a detector of inputs that do not belong, and score files with it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scorecraft.cli.terminal import errors, output, plain
from scorecraft.cli.training import INTERRUPTED
from scorecraft.errors import ScorecraftError

if TYPE_CHECKING:
    from scorecraft.detect.input_files import InputFile
    from scorecraft.detect.saved import SavedDetector

app = typer.Typer(
    help="Does an input belong: fit a detector on inputs that do, then score others.",
    short_help="Fit a detector of inputs that do not belong, and score with it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class Side(StrEnum):
    """Of a layer."""

    INPUT = "input"
    OUTPUT = "output"


Array = Annotated[
    list[str] | None, typer.Option("--array", metavar="NAME", help="Which array or columns, where there are several.")
]
Size = Annotated[
    str | None, typer.Option("--size", metavar="HxW", help="Pixels that images in a folder are brought to.")
]
Weights = Annotated[Path | None, typer.Option("--weights", metavar="FILE", help="The model's weights, safetensors.")]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="Where the model computes.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but the result.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON instead of text.")]


@app.command("methods", short_help="List the detectors and what can be set.")
def methods(json: Json = False) -> None:
    """List the detectors: what the score is, what it reads, and its settings.

    \b
    scorecraft detect methods
    """
    from scorecraft.detect.methods import METHODS
    from scorecraft.runs.files import json_text

    rows = [
        {"name": name, "score": method.line, "reads": method.reads, "needs_classes": method.needs_classes,
         "settings": method.settings().model_dump()}
        for name, method in METHODS.items()
    ]  # fmt: skip
    if json:
        print(json_text(rows, indent=1))
        return
    console = output()
    for row in rows:
        console.print(plain(str(row["name"]), "bold cyan"), plain(f"reads {row['reads']}", "dim"))
        set_ = ", ".join(f"{name}={value}" for name, value in dict(row["settings"]).items())
        console.print(plain(f"  {row['score']}" + (f"; {set_}" if set_ else "")))


@app.command("fit", short_help="Fit a detector and set its threshold.")
def fit(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Inputs that belong: .npy, .npz, .safetensors, .parquet, .csv, a folder."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the detector goes.")],
    method: Annotated[
        str, typer.Option("--method", metavar="NAME", help="Which one; 'scorecraft detect methods' lists them.")
    ] = "energy",
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="MODEL", help="module:name, file.py:name or .pt2 (its output alone)."),
    ] = None,
    weights: Weights = None,
    layer: Annotated[
        str | None, typer.Option("--layer", metavar="NAME", help="Which layer of the model is read.")
    ] = None,
    side: Annotated[Side | None, typer.Option("--side", help="What of the layer.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the method.")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option("--label", metavar="NAME", help="Column or array of classes, for methods that need them."),
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option("--held-out", metavar="FILE", help="Inputs for the threshold (default: some of FILE)."),
    ] = None,
    held_out_share: Annotated[float, typer.Option(metavar="S", help="Share of FILE that is held out.")] = 0.2,
    keep: Annotated[float, typer.Option("--keep", metavar="S", help="Share of inputs to keep inside.")] = 0.95,
    scale: Annotated[
        float | None, typer.Option("--scale", metavar="X", help="Divide inputs by this; 255 for images in bytes.")
    ] = None,
    array: Array = None,
    size: Size = None,
    batch_size: Annotated[int, typer.Option(metavar="N", min=1, help="Inputs in a pass.")] = 256,
    device: Device = "cpu",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of what is held out.")] = 0,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Fit a detector on inputs that belong, and set its threshold so that most of those held out stay inside.

    Give inputs of your model and the model, by its name in your code; or logits or features in a file and no model.

    \b
    scorecraft detect fit logits.npy --out my-detector
    scorecraft detect fit features.parquet --method knn --out my-detector
    scorecraft detect fit images/ --model my_models.py:make --weights net.safetensors --layer body --method knn --out d
    """
    from scorecraft.cli.display import phase_bar
    from scorecraft.detect.detector_file import FitSettings, fit_file

    inputs, held = _opened(file, array, size), None if held_out is None else _opened(held_out, array, size)
    chosen = FitSettings(
        method, _settings(settings or []), layer, None if side is None else side.value, batch_size, keep,
        held_out_share, label, scale, seed,
    )  # fmt: skip
    net = _model(model, weights, device)
    with phase_bar(show=not (quiet or json)) as progress:
        found = fit_file(inputs, out, chosen, net, model_name=model, held_out=held, progress=progress)
    value, kept = found.threshold
    if json:
        from scorecraft.runs.files import json_text

        print(json_text({
            "detector": str(out), "method": method, "learned_from": found.learned, "held_out": found.held_out,
            "threshold": value._asdict(), "kept": kept._asdict(),
        }, indent=1))  # fmt: skip
        return
    console = output()
    learned = f"learned from {found.learned:,} rows" if found.learned else "learns nothing"
    console.print(plain(f"{method}: {learned}, threshold of {found.held_out:,} held out"))
    console.print(plain(f"threshold {value.estimate:.6g} [{value.low:.6g}, {value.high:.6g}]"))
    console.print(
        plain(f"keeps {_share(kept.estimate)} [{_share(kept.low)}, {_share(kept.high)}] of inputs that belong")
    )
    console.print(plain(f"detector: {out}"))


@app.command("score", short_help="Score inputs with a detector.")
def score(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Inputs, as the detector was fitted on.")],
    detector: Annotated[Path, typer.Option("--detector", metavar="FOLDER", help="Where 'detect fit' put it.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Scores, CSV. Default: FILE.scores.csv")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="MODEL", help="As in 'detect fit' (default: as it was named there)."),
    ] = None,
    weights: Weights = None,
    truth: Annotated[
        str | None, typer.Option("--truth", metavar="NAME", help="Column or array: 1 where a row does not belong.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Draw the scores here, SVG.")
    ] = None,
    array: Array = None,
    size: Size = None,
    device: Device = "cpu",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Score inputs by how far they are from those that belong, and flag what is beyond the threshold.

    Where it is known which rows do not belong, AUROC, FPR at 95 % TPR and the areas under precision and recall come
    with intervals. A stopped command goes on where it was when it is given again.

    \b
    scorecraft detect score new.npy --detector my-detector
    scorecraft detect score mixed.parquet --detector my-detector --truth outside --picture scores.svg
    """
    from scorecraft.cli.display import phase_bar
    from scorecraft.detect.detector_file import score_file
    from scorecraft.detect.saved import load_detector

    saved = load_detector(detector)
    inputs = _opened(file, array or saved.record.inputs.get("array") or None, size)
    out = out or file.with_name(f"{file.name.rstrip('/')}.scores.csv")
    net = _model(model or saved.record.model, weights, device)
    try:
        with phase_bar(show=not (quiet or json)) as progress:
            found = score_file(inputs, out, saved, net, truth=truth, progress=progress)
    except KeyboardInterrupt:
        errors().print("stopped; the same command goes on where this one was")
        raise typer.Exit(INTERRUPTED) from None
    if picture is not None:
        from scorecraft.detect.score_picture import draw_scores
        from scorecraft.runs.files import replace_text

        held = saved.held_out.double().numpy()
        replace_text(picture, draw_scores(held, found.scores, saved.record.threshold.value, found.outside))
    told = _summary(found.scores, found.flagged, found.outside, saved)
    if json:
        from scorecraft.runs.files import json_text

        print(json_text({"scores": str(out), **told}, indent=1))
        return
    _print(told, out, picture)


def _summary(scores: Any, flagged: Any, outside: Any, saved: SavedDetector) -> dict[str, Any]:
    from scorecraft.detect.ood_report import ood_intervals
    from scorecraft.stats.intervals import wilson_interval

    found: dict[str, Any] = {
        "rows": len(scores),
        "flagged": wilson_interval(int(flagged.sum()), len(scores))._asdict(),
        "expected": 1 - saved.record.threshold.kept[0],
        "threshold": saved.record.threshold.value,
    }
    if outside is not None and 2 <= int(outside.sum()) <= len(scores) - 2:
        rates = ood_intervals(scores[~outside], scores[outside])
        found |= {name: interval._asdict() for name, interval in rates._asdict().items()}
        found["caught"] = wilson_interval(int(flagged[outside].sum()), int(outside.sum()))._asdict()
    return found


_TITLES = {
    "auroc": "AUROC", "fpr95": "FPR at 95 % TPR", "aupr_in": "AUPR, inside", "aupr_out": "AUPR, outside",
    "caught": "outside and flagged",
}  # fmt: skip


def _print(told: dict[str, Any], out: Path, picture: Path | None) -> None:
    console = output()
    flagged = told["flagged"]
    shares = ", ".join(_share(flagged[end]) for end in ("low", "high"))
    console.print(
        plain(
            f"{told['rows']:,} rows, {_share(flagged['estimate'])} [{shares}] beyond the threshold "
            f"{told['threshold']:.6g}; of inputs that belong {_share(told['expected'])} were"
        )
    )
    for name, title in _TITLES.items():
        if name in told:
            one = told[name]
            console.print(plain(f"{title:>20} {one['estimate']:.4f} [{one['low']:.4f}, {one['high']:.4f}]"))
    console.print(plain(f"scores: {out}"))
    if picture is not None:
        console.print(plain(f"picture: {picture}"))


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _opened(path: Path, array: list[str] | None, size: str | None) -> InputFile:
    from scorecraft.detect.input_files import Size as Pixels
    from scorecraft.detect.input_files import open_inputs

    pixels = None
    if size is not None:
        height, times, width = size.lower().partition("x")
        if not (times and height.isdecimal() and width.isdecimal() and int(height) and int(width)):
            raise ScorecraftError(f"--size: expected HEIGHTxWIDTH, such as 32x32, got '{size}'")
        pixels = Pixels(int(height), int(width))
    return open_inputs(path, array or (), pixels)


def _settings(given: list[str]) -> dict[str, Any]:
    import json

    found: dict[str, Any] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise ScorecraftError(f"--set: expected NAME=VALUE, such as k=50, got '{one}'")
        try:
            found[name.strip()] = json.loads(value)
        except ValueError:
            found[name.strip()] = value
    return found


def _model(spec: str | None, weights: Path | None, device: str) -> Any:
    if spec is None:
        if weights is not None:
            raise ScorecraftError("--weights: there is no model to take them; name one with --model")
        return None
    from scorecraft.detect.user_model import load_model

    return load_model(spec, weights, device)
