"""A report as one self-contained HTML page: headings, paragraphs, tables, pictures."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2733; max-width: 60rem; margin: 3rem auto; padding: 0 1.5rem }
h1 { font-size: 1.9rem; margin-bottom: .2rem } h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem }
p.note { color: #5a6775; margin-top: 0 } code { background: #eef1f4; padding: .1em .35em; border-radius: .25em }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th { text-align: left; border-bottom: 2px solid #1d2733 } th, td { padding: .35rem .8rem .35rem 0 }
td { border-bottom: 1px solid #dde3e9 } img { max-width: 100% }
.videos { display: flex; flex-wrap: wrap; gap: 1rem } figure { margin: 0; width: 14rem } video { width: 100% }
figcaption { color: #5a6775; font-size: .85rem }
"""


class Page:
    """Collects the parts of a page in the order in which they are read. All text is escaped."""

    def __init__(self, title: str, note: str) -> None:
        """
        Args:
            title: of the page.
            note: one paragraph under the title: what was measured, and the command that remakes it.
        """
        self.title = title
        self._parts = [f"<h1>{escape(title)}</h1>", f'<p class="note">{escape(note)}</p>']

    def heading(self, text: str) -> None:
        self._parts.append(f"<h2>{escape(text)}</h2>")

    def paragraph(self, text: str) -> None:
        self._parts.append(f"<p>{escape(text)}</p>")

    def table(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Rows with the keys of the first as the head."""
        if not rows:
            return
        head = "".join(f"<th>{escape(name)}</th>" for name in rows[0])
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(str(value))}</td>" for value in row.values()) + "</tr>" for row in rows
        )
        self._parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")

    def figure(self, figure: Any, caption: str) -> None:
        """A matplotlib figure, embedded as SVG."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg")
        self.picture(buffer.getvalue(), "image/svg+xml", caption)

    def picture(self, data: bytes, kind: str, caption: str) -> None:
        """An encoded picture of a media type such as image/png."""
        source = f"data:{kind};base64,{base64.b64encode(data).decode()}"
        self._parts.append(f'<img src="{source}" alt="{escape(caption, quote=True)}">')

    def videos(self, paths: Sequence[Path]) -> None:
        """Players of videos in a row, each under its name; the paths are those from the page."""
        shown = "".join(
            f'<figure><video src="{quote(path.as_posix())}" controls muted preload="metadata"></video>'
            f"<figcaption>{escape(path.stem.replace('_', ' '))}</figcaption></figure>"
            for path in paths
        )
        self._parts.append(f'<div class="videos">{shown}</div>')

    def save(self, path: Path) -> Path:
        """Writes the page atomically, and returns its path."""
        html = (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(self.title)}</title>'
            f"<style>{_STYLE}</style></head><body>{''.join(self._parts)}</body></html>\n"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(html)
        os.replace(temporary, path)
        return path
