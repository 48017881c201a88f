"""Notebooks in the documentation: each is run while the site is built, and shown with what came out.

In a page, a line ``{notebook: NAME}`` stands for ``docs/notebooks/NAME.ipynb``. A cell that fails stops the build.
"""

from __future__ import annotations

import base64
import re
import tempfile
from html import escape
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).parent.parent / "docs" / "notebooks"
# Commands in a notebook believe themselves in a terminal, and write in bold.
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_LINE = re.compile(r"^\{notebook: ([\w-]+)\}$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page with its notebooks run and written out; mkdocs calls this for each page."""
    return _LINE.sub(lambda match: shown(NOTEBOOKS / f"{match.group(1)}.ipynb"), markdown)


def shown(path: Path) -> str:
    """Return a notebook as Markdown, after running it in an empty folder."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": folder}}).execute()
    link = f"[This page as a notebook](../notebooks/{path.name}){{: download}}\n\n"
    return link + "\n\n".join(_cell(cell) for cell in notebook.cells)


def _cell(cell: Any) -> str:
    if cell.cell_type == "markdown":
        return cell.source
    language = "bash" if cell.source.startswith("!") else "python"
    source = cell.source.removeprefix("!")
    said = "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
    printed = _ESCAPE.sub("", said).rstrip()
    shown_too = [_output(output) for output in cell.outputs if output.output_type != "stream"]
    parts = [f"```{language}\n{source}\n```", *([f"```text\n{printed}\n```"] if printed else []), *shown_too]
    return "\n\n".join(parts)


def _output(output: Any) -> str:
    data = output.get("data", {})
    if "image/svg+xml" in data:
        picture = base64.b64encode(data["image/svg+xml"].encode()).decode()
        return f'<img alt="{escape(data.get("text/plain", "picture"))}" src="data:image/svg+xml;base64,{picture}">'
    if "image/png" in data:
        return f'<img alt="picture" src="data:image/png;base64,{data["image/png"].strip()}">'
    return f"```text\n{data.get('text/plain', '')}\n```"
