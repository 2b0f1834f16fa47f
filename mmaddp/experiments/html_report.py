"""A page of text, tables and images in one file that needs nothing beside it."""

from __future__ import annotations

import base64
import io
import mimetypes
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from mmaddp.utils import write_text

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 1rem auto; padding: 0 1rem;
  color: #1a1a1a; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #ddd; } figcaption, .note { color: #555; }
img { max-width: 100%; } figure { margin: 1rem 1rem 1rem 0; display: inline-block;
  vertical-align: top; max-width: 100%; } .wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border: 1px solid #ddd; }
td { text-align: right; white-space: nowrap; } td:first-child, th { text-align: left; }
th { background: #f4f4f4; vertical-align: bottom; } td:first-child { font-weight: 600; }
td:first-child, th:first-child { position: sticky; left: 0; background: #f8f8f8; }
.images td { padding: 2px; border: 0; vertical-align: top; }
.images td:first-child, .images th:first-child { position: static; } .images img { width: 13rem;
  max-width: none; display: block; } .images th { font-weight: 600; white-space: nowrap; }
details { margin: .5rem 0; } pre { overflow-x: auto; background: #f4f4f4; padding: .5rem; }
@media (max-width: 40rem) { body { font-size: 15px; } .images img { width: 9rem; }
  table { font-size: .8rem; } td:first-child { max-width: 8rem; white-space: normal; } }
"""


class HtmlReport:
    """Collects the parts of a page in their order.

    Args:
        title: Heading of the page.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._parts: list[str] = []

    def heading(self, text: str) -> None:
        """Begin a section."""
        self._parts.append(f'<h2>{escape(text)}</h2>')

    def paragraph(self, text: str) -> None:
        """Add a paragraph of plain text."""
        self._parts.append(f'<p>{escape(text)}</p>')

    def table(self, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Add a table."""
        head = ''.join(f'<th>{escape(name)}</th>' for name in header)
        cells = (['-' if cell is None else str(cell) for cell in row] for row in rows)
        body = ''.join(
            f'<tr>{"".join(f"<td>{escape(cell)}</td>" for cell in row)}</tr>' for row in cells
        )
        self._parts.append(f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>')

    def images(self, header: Sequence[str], rows: Iterable[Sequence[Path | None]]) -> None:
        """Add a table of images; None leaves a cell empty."""
        head = ''.join(f'<th>{escape(name)}</th>' for name in header)
        cells = ([_img(image, name) for image, name in zip(row, header)] for row in rows)
        body = ''.join(f'<tr>{"".join(f"<td>{cell}</td>" for cell in row)}</tr>' for row in cells)
        self._parts.append(f'<div class="wide images"><table><tr>{head}</tr>{body}</table></div>')

    def code(self, text: str) -> None:
        """Add preformatted text."""
        self._parts.append(f'<pre>{escape(text)}</pre>')

    def details(self, title: str, text: str) -> None:
        """Add preformatted text that a click opens."""
        title, text = escape(title), escape(text)
        self._parts.append(f'<details><summary>{title}</summary><pre>{text}</pre></details>')

    def image(self, image: Path | Figure, caption: str) -> None:
        """Add an image, from its file or as Matplotlib draws it."""
        caption_ = f'<figcaption>{escape(caption)}</figcaption>'
        self._parts.append(f'<figure>{_img(image, caption)}{caption_}</figure>')

    def write(self, path: Path) -> None:
        """Write the page, whole or not at all."""
        title = escape(self.title)
        page = (
            f'<!doctype html><html lang="en"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<title>{title}</title>'
            f'<style>{_STYLE}</style><h1>{title}</h1>{"".join(self._parts)}</html>\n'
        )
        write_text(path, page)


def _img(image: Path | Figure | None, text: str) -> str:
    """The element of an image, which holds its content."""
    if image is None:
        return ''
    if isinstance(image, Figure):
        buffer = io.BytesIO()
        image.savefig(buffer, dpi=100, format='png')
        kind, content = 'image/png', buffer.getvalue()
    else:
        kind, content = mimetypes.guess_type(image)[0], image.read_bytes()
    source = f'data:{kind};base64,{base64.b64encode(content).decode()}'
    return f'<img src="{source}" alt="{escape(text)}" loading="lazy">'
