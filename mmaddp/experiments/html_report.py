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
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
img { max-width: 100%; } figure { margin: 1rem 0; } figcaption { color: #555; }
table { border-collapse: collapse; } th, td { padding: .3rem .8rem; border: 1px solid #ccc; }
td { text-align: right; } td:first-child, th { text-align: left; }
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
        body = ''.join(
            '<tr>' + ''.join(f'<td>{escape(str(cell))}</td>' for cell in row) + '</tr>'
            for row in rows
        )
        self._parts.append(f'<table><tr>{head}</tr>{body}</table>')

    def image(self, image: Path | Figure, caption: str) -> None:
        """Add an image, from its file or as Matplotlib draws it."""
        if isinstance(image, Figure):
            buffer = io.BytesIO()
            image.savefig(buffer, dpi=100, format='png')
            kind, content = 'image/png', buffer.getvalue()
        else:
            kind, content = mimetypes.guess_type(image)[0], image.read_bytes()
        source = f'data:{kind};base64,{base64.b64encode(content).decode()}'
        caption = escape(caption)
        image = f'<img src="{source}" alt="{caption}">'
        self._parts.append(f'<figure>{image}<figcaption>{caption}</figcaption></figure>')

    def write(self, path: Path) -> None:
        """Write the page, whole or not at all."""
        title = escape(self.title)
        page = (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
            f'<style>{_STYLE}</style><h1>{title}</h1>{"".join(self._parts)}</html>\n'
        )
        write_text(path, page)
