"""One self-contained HTML page: text, tables and pictures, no script, nothing fetched.

It opens from a memory stick in a hospital without internet, prints to PDF from any
browser, and follows the reader's light or dark setting on screen.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from training import plots
from training.files import write_whole

_STYLE = """
:root { --ink: #1c2733; --soft: #56677a; --line: #d5dde5; --paper: #fff; --band: #f3f6f9; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e4eaf0; --soft: #a2b0be; --line: #34414e; --paper: #12181f; --band: #1b232c; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 68rem; color: var(--ink);
  background: var(--paper); font: 16px/1.55 system-ui, sans-serif; }
h1 { margin: 0 0 .25rem; font-size: 1.9rem; line-height: 1.2; }
h2 { margin: 2.6rem 0 .6rem; padding-top: 1rem; border-top: 1px solid var(--line);
  font-size: 1.3rem; }
p { max-width: 46rem; }
.lead, figcaption, .note { color: var(--soft); }
nav { margin: 1.2rem 0; display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; font-size: .95rem; }
nav a { color: inherit; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .8rem 0; font-size: .93rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .75rem; text-align: right; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th:first-child, td:first-child { text-align: left; }
thead th { background: var(--band); }
th.text, td.text { text-align: left; overflow-wrap: anywhere; }
figure { margin: 1rem 0 1.6rem; break-inside: avoid; }
figure img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; }
figcaption { font-size: .92rem; max-width: 46rem; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr));
  gap: .9rem; }
.gallery figure { margin: 0; }
.gallery img { width: 100%; }
@media print {
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  nav { display: none; }
  h2 { break-after: avoid; margin-top: 1.4rem; }
  .gallery { grid-template-columns: repeat(5, 1fr); }
  table { font-size: 9pt; }
  tr { break-inside: avoid; }
  @page { size: A4; margin: 16mm 14mm; }
}
"""


def text(words: str, kind: str = "") -> str:
    """One paragraph of plain text."""
    return f'<p class="{escape(kind)}">{escape(words)}</p>' if kind else f"<p>{escape(words)}</p>"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Numbers stand to the right; a column with more than 24 characters is prose, to the left."""
    words = [[f"{cell:,}" if type(cell) is int else str(cell) for cell in row] for row in rows]
    prose = {column for row in words for column, cell in enumerate(row) if len(cell) > 24}

    def line(tag: str, cells: Sequence[str]) -> str:
        of_prose = ' class="text"'
        return "".join(
            f"<{tag}{of_prose if column in prose else ''}>{escape(cell)}</{tag}>"
            for column, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in words)
    return (
        f'<div class="scroll"><table><thead><tr>{line("th", head)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def setting(value: object) -> str:
    """A setting of a recipe as a cell: four digits of a number, the parts of a list."""
    if value is None or isinstance(value, bool):
        return {None: "–", True: "yes", False: "no"}[value]
    if isinstance(value, (list, tuple)):
        return " · ".join(map(setting, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def figure(png: bytes, caption: str) -> str:
    """A picture within the page, its caption below it and read out for it."""
    data = base64.b64encode(png).decode()
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def plot(folder: Path, name: str, drawn: Figure, caption: str) -> str:
    """A plot within the page in ``folder`` that also lies beside it, as ``name.png``."""
    png = plots.png(drawn)
    write_whole(folder / f"{name}.png", png)
    return figure(png, caption)


def gallery(pictures: Iterable[tuple[bytes, str]]) -> str:
    """Small pictures side by side, each with its caption."""
    return f'<div class="gallery">{"".join(figure(png, words) for png, words in pictures)}</div>'


def section(title: str, *parts: str) -> tuple[str, str]:
    """Title and content of one part of the page."""
    return title, "".join(parts)


def write_page(path: Path, title: str, lead: str, sections: Sequence[tuple[str, str]]) -> None:
    """The whole page, in one step: a reader sees the old one or the new one."""
    links = "".join(
        f'<a href="#part{number}">{escape(name)}</a>'
        for number, (name, _) in enumerate(sections, 1)
    )
    body = "".join(
        f'<section id="part{number}"><h2>{escape(name)}</h2>{content}</section>'
        for number, (name, content) in enumerate(sections, 1)
    )
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f'<h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p><nav>{links}</nav>{body}'
        '<p class="note">Research use only. Not a medical device.</p></body></html>\n'
    )
    write_whole(path, html.encode())
