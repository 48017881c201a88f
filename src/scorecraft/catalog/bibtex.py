"""BibTeX entries."""

from __future__ import annotations

from scorecraft.catalog.papers import Paper

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_SPECIAL = {"&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\^{}"}


def bibtex(paper: Paper) -> str:
    """Return the paper's BibTeX entry; a field that is not known is left out."""
    year, month = paper.month.split("-")
    fields = {"title": "{" + _escaped(paper.title) + "}"}
    if paper.authors:
        fields["author"] = _authors(paper.authors)
    fields |= {"year": year, "month": _MONTHS[int(month) - 1]}
    if paper.arxiv:
        fields |= {
            "eprint": paper.arxiv,
            "archivePrefix": "arXiv",
            "url": f"https://arxiv.org/abs/{paper.arxiv}",
        }
    lines = [f"  {name} = {value if name == 'month' else '{' + value + '}'}," for name, value in fields.items()]
    return "\n".join([f"@misc{{{paper.slug},", *lines, "}"])


def _authors(names: str) -> str:
    listed = [name.strip() for name in names.removesuffix(" et al.").split(",")]
    return " and ".join([*map(_escaped, listed), *(["others"] if names.endswith(" et al.") else [])])


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in text)
