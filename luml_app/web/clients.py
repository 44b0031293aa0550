"""Write the typed clients from the operations: ``python -m luml_app.web.clients [--check]``."""

from __future__ import annotations

import inspect
import subprocess
import sys
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

import msgspec

from luml_app.core.operations import Operation, Resource
from luml_app.resources import RESOURCES, all_operations

TARGET = Path(__file__).parents[1] / "client" / "_generated.py"
_HEAD = '''"""The operations of the platform as typed methods, written by `python -m luml_app.web.clients`."""

from __future__ import annotations

import builtins
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from msgspec import UNSET, UnsetType

from luml_app.client.calls import AsyncGroup, Call, Group, Id, Send, SendAsync, body
'''


class _Writer:
    """Collects the names of the schemas on the way."""

    def __init__(self) -> None:
        self.imports: dict[str, set[str]] = {}

    def module(self) -> str:
        # What streams is for those who read HTTP line by line; in Python, a list's pages follow each other.
        operations = [one for one in all_operations().values() if not one.streams]
        parts = []
        for prefix, is_async in (("", False), ("Async", True)):
            parts += [self.group(r, [o for o in operations if o.resource is r], prefix, is_async) for r in RESOURCES]
            parts.append(_api(prefix, is_async))
        imports = "".join(f"from {m} import {', '.join(sorted(names))}\n" for m, names in sorted(self.imports.items()))
        return _HEAD + imports + "\n\n" + "\n\n".join(parts)

    def group(self, resource: type[Resource], operations: Iterable[Operation], prefix: str, is_async: bool) -> str:
        lines = [f"class {prefix}{resource.__name__}({prefix}Group):", f'    """{_first_line(resource.__doc__)}"""', ""]
        return "\n".join(lines + [self.method(operation, is_async) for operation in operations])

    def method(self, operation: Operation, is_async: bool) -> str:
        fields = [] if operation.body is None else msgspec.structs.fields(operation.body)
        positional = [f"{name}: Id" for name in operation.path_parameters]
        keywords = [self.parameter(f.name, f.type, *self.default_of(f)) for f in fields]
        keywords += [self.parameter(n, p.annotation, _shown(p.default)) for n, p in operation.query.items()]
        keywords.sort(key=lambda text: " = " in text)
        arguments = ["self", *positional, *(["*", *keywords] if keywords else [])]
        returns = "None" if operation.returns is None else self.type(operation.returns)
        head = f"    {'async ' * is_async}def {operation.verb}({', '.join(arguments)}) -> {returns}:"
        doc = operation.summary.replace("\n", "\n        ")
        close = "\n        " if "\n" in operation.summary else ""
        return "\n".join([head, f'        """{doc}{close}"""', self.call(operation, fields, returns, is_async), ""])

    def call(self, operation: Operation, fields: Any, returns: str, is_async: bool) -> str:
        parts = [repr(operation.name), repr(operation.method), repr(operation.path)]
        parts.append("type(None)" if returns == "None" else returns)
        if operation.path_parameters:
            parts.append(f"path={{{', '.join(f'{n!r}: {n}' for n in operation.path_parameters)}}}")
        if operation.query:
            parts.append(f"query={{{', '.join(f'{n!r}: {n}' for n in operation.query)}}}")
        if operation.body is not None:
            sent = ", ".join(f"{field.name}={field.name}" for field in fields)
            parts.append(f"body=body({self.type(operation.body)}, {sent})")
        sending = f"{'await ' * is_async}self._send(Call({', '.join(parts)}))"
        return f"        {sending}" if returns == "None" else f"        return {sending}"

    def parameter(self, name: str, kind: Any, default: str | None) -> str:
        text = self.type(kind, as_input=True)
        if default == "UNSET" and "UnsetType" not in text:
            text += " | UnsetType"
        return f"{name}: {text}" + ("" if default is None else f" = {default}")

    def default_of(self, field: Any) -> tuple[str | None]:
        if field.required:
            return (None,)
        return ("UNSET" if field.default is msgspec.NODEFAULT else _shown(field.default),)

    def type(self, kind: Any, as_input: bool = False) -> str:
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return self.type(arguments[0], as_input)
        if origin is Literal:
            return f"Literal[{', '.join(map(repr, arguments))}]"
        if origin in (Union, types.UnionType):
            return " | ".join(dict.fromkeys(self.type(one, as_input) for one in arguments))
        if kind is UUID and as_input:
            return "Id"
        if kind in (type(None), Any, msgspec.UnsetType):
            return {type(None): "None", Any: "Any", msgspec.UnsetType: "UnsetType"}[kind]
        name = self.named(origin or kind)
        return f"{name}[{', '.join(self.type(one, as_input) for one in arguments)}]" if arguments else name

    def named(self, kind: Any) -> str:
        if kind.__module__ == "builtins":
            return "builtins.list" if kind is list else str(kind.__name__)
        if kind.__module__.startswith("luml_app."):
            self.imports.setdefault(kind.__module__, set()).add(kind.__name__)
        return str(kind.__name__)


def _shown(default: Any) -> str | None:
    if default is inspect.Parameter.empty:
        return None
    return "UNSET" if default is msgspec.UNSET else repr(default)


def _api(prefix: str, is_async: bool) -> str:
    doc = "Every resource of the platform" + (", to be awaited." if is_async else ".")
    lines = [
        f"class {prefix}Api:",
        f'    """{doc}"""',
        "",
        f"    def __init__(self, send: Send{'Async' * is_async}) -> None:",
    ]
    return "\n".join(lines + [f"        self.{r.name} = {prefix}{r.__name__}(send)" for r in RESOURCES]) + "\n"


def _first_line(text: str | None) -> str:
    return inspect.cleandoc(text or "").split("\n", 1)[0]


def generated() -> str:
    """The module's text, formatted."""
    options = ["--stdin-filename", str(TARGET), "-"]
    ruff = [sys.executable, "-m", "ruff"]
    text = _Writer().module()
    for step in (["check", "--fix", "--quiet", "--select", "I,F401", *options], ["format", "--quiet", *options]):
        text = subprocess.run([*ruff, *step], input=text, capture_output=True, text=True, check=False).stdout or text
    return text


def main(arguments: list[str]) -> int:
    """Write the module, or with ``--check`` say whether it is as it would be written."""
    text = generated()
    if "--check" not in arguments:
        TARGET.write_text(text)
        return 0
    if TARGET.read_text() == text:
        return 0
    print("client/_generated.py is not fresh: run `python -m luml_app.web.clients`")
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
