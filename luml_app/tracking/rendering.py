"""Things that people attach, as files: figures, tables, pictures, documents."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from luml_app.packaging.errors import PackagingError


def rendered(thing: Any, name: str | None) -> tuple[str, bytes | Path]:
    """A name and the content of a file for `thing`.

    Files (a path), bytes, figures of matplotlib and Plotly, tables of pandas and Polars, pictures of Pillow, and what
    JSON can hold. The ending of the `name` decides between formats; without one, the usual is added. Only files have a
    name of their own. Raises `PackagingError` for everything else, and for a file that is not there.
    """
    if isinstance(thing, str | Path):
        return _file(Path(thing), name)
    if not name:
        raise PackagingError(f"Give the {type(thing).__name__} a name, as in run.attach(thing, 'plots/roc.png').")
    if isinstance(thing, bytes | bytearray | memoryview):
        return name, bytes(thing)
    for method, ending, render in _KINDS:
        if hasattr(thing, method):
            name = name if "." in name.rpartition("/")[2] else name + ending
            return name, render(thing, name.rpartition(".")[2].lower())
    try:
        return name if "." in name.rpartition("/")[2] else f"{name}.json", json.dumps(thing, indent=1).encode()
    except (TypeError, ValueError) as error:
        raise PackagingError(
            f"A {type(thing).__name__} cannot be attached; give a file, bytes, a figure or a table."
        ) from error


def _file(path: Path, name: str | None) -> tuple[str, Path]:
    if not path.is_file():
        raise PackagingError(f"There is no file {str(path)!r} to attach; text is attached as bytes, text.encode().")
    return name or path.name, path


def _matplotlib(figure: Any, ending: str) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=ending, bbox_inches="tight")
    return stream.getvalue()


def _plotly(figure: Any, ending: str) -> bytes:
    # With Plotly's JavaScript inside, so that it opens where no other host can be reached.
    return str(figure.to_json() if ending == "json" else figure.to_html(include_plotlyjs=True)).encode()


def _pandas(frame: Any, ending: str) -> bytes:
    if ending == "parquet":
        return bytes(frame.to_parquet())
    return str(frame.to_html() if ending == "html" else frame.to_csv()).encode()


def _polars(frame: Any, ending: str) -> bytes:
    stream = io.BytesIO()
    (frame.write_parquet if ending == "parquet" else frame.write_csv)(stream)
    return stream.getvalue()


def _picture(picture: Any, ending: str) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format={"jpg": "jpeg"}.get(ending, ending))
    return stream.getvalue()


_KINDS = (
    ("savefig", ".png", _matplotlib),
    ("to_plotly_json", ".html", _plotly),
    ("to_csv", ".csv", _pandas),
    ("write_csv", ".csv", _polars),
    ("getbands", ".png", _picture),
)
"""What tells a kind of thing, without importing its library: a method that it has."""
