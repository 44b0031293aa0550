"""The source of a function or class, made to import alone in another interpreter.

What lives in a module of the author's is shipped as that module, with every own module it imports. What was written in
a notebook or script (`__main__`) or inside another function is taken out by its text, together with the imports,
constants and other definitions that the text names.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import symtable
import textwrap
import types
from collections.abc import Iterator
from typing import Any

import msgspec

from luml_app.packaging.errors import SourceError
from luml_app.packaging.modules import is_own, own_modules

CODE_MODULE = "luml_model_code"
_ADVICE = "Put it into a .py file and import it from there"


class Source(msgspec.Struct, frozen=True):
    """Where a definition is found once `files` (path on the import path → content) are importable."""

    module: str
    name: str
    files: dict[str, bytes]


def source_of(target: types.FunctionType | type) -> Source:
    """The source of a function or class. Raises `SourceError`, which says what to do, when it cannot be had."""
    _refuse_unshippable(target)
    if target.__module__ != "__main__" and "<locals>" not in target.__qualname__:
        files = own_modules(target.__module__) if is_own(target.__module__) else {}
        return Source(target.__module__, target.__qualname__, files)
    extract = Extract()
    extract.define(target)
    return Source(CODE_MODULE, target.__name__, extract.sources())


def _refuse_unshippable(target: Any) -> None:
    if not isinstance(target, types.FunctionType | type):
        raise SourceError(
            f"A {type(target).__name__} has no source that could be stored; wrap it: def predict(inputs): return …"
        )
    name = target.__name__
    if name == "<lambda>":
        raise SourceError("A lambda has no source of its own that could be stored; write it as a function with def.")
    if isinstance(target, types.FunctionType) and target.__closure__:
        variables = ", ".join(repr(variable) for variable in target.__code__.co_freevars)
        raise SourceError(
            f"The function {name!r} uses {variables} of the function around it (a closure), which its source does not "
            "hold; make it a class with __call__ that keeps them as attributes, and pass an instance."
        )


class Extract:
    """Collects definitions of a namespace that cannot be imported, and everything that they name."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._imports: dict[str, str] = {}
        self._constants: dict[str, str] = {}
        self._definitions: dict[str, str] = {}
        self._visited: set[str] = set()

    def sources(self) -> dict[str, bytes]:
        """Path on the import path → text: the module ``luml_model_code`` with all of it, and own modules it imports."""
        return {**self._files, f"{CODE_MODULE}.py": self._text().encode()} if self._definitions else {}

    def _text(self) -> str:
        parts = ["from __future__ import annotations", *self._imports.values(), *self._constants.values()]
        return "\n".join(parts) + "\n\n\n" + "\n\n\n".join(self._definitions.values()) + "\n"

    def define(self, target: types.FunctionType | type) -> None:
        """Add a definition after everything that its text names."""
        if target.__name__ in self._visited:
            return
        self._visited.add(target.__name__)
        _refuse_unshippable(target)
        text = _text_of(target)
        namespace = _namespace(target)
        for name in sorted(_names(text) - {target.__name__}):
            if name in namespace:
                self._provide(name, namespace[name], target)
        self._definitions[target.__name__] = text

    def _provide(self, name: str, value: Any, user: types.FunctionType | type) -> None:
        if isinstance(value, types.ModuleType):
            self._import(name, f"import {value.__name__} as {name}", value.__name__)
        elif isinstance(value, types.FunctionType | type) and value.__module__ == user.__module__:
            self.define(value)
            if name != value.__name__:
                self._definitions[name] = f"{name} = {value.__name__}"
        elif _is_importable(value):
            self._import(name, f"from {value.__module__} import {value.__qualname__} as {name}", value.__module__)
        else:
            self._constants[name] = f"{name} = {_literal(name, value, user)}"

    def _import(self, name: str, statement: str, module: str) -> None:
        self._imports[name] = statement
        if is_own(module):
            self._files |= own_modules(module)


def _is_importable(value: Any) -> bool:
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    return bool(module and name) and module != "__main__" and str(name).isidentifier()


def _literal(name: str, value: Any, user: types.FunctionType | type) -> str:
    try:
        if ast.literal_eval(repr(value)) == value:
            return repr(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    raise SourceError(
        f"{user.__name__!r} uses the variable {name!r} ({type(value).__name__}), which its source does not hold; "
        "make it a class with __call__ that keeps the variable as an attribute, and pass an instance."
    )


def _text_of(target: types.FunctionType | type) -> str:
    text = _text_of_class(target) if isinstance(target, type) else _text_of_function(target)
    if text is None:
        raise SourceError(f"The source of {target.__name__!r} is not known to this interpreter. {_ADVICE}.")
    return textwrap.dedent(text).strip("\n")


def _text_of_function(function: types.FunctionType) -> str | None:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return None


def _text_of_class(cls: type) -> str | None:
    """The text of a class by way of its methods: `inspect` finds no classes of notebooks before Python 3.13."""
    for function in _functions(cls):
        lines = linecache.getlines(function.__code__.co_filename)
        for node in _classes("".join(lines)):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if node.name == cls.__name__ and first <= function.__code__.co_firstlineno <= (node.end_lineno or 0):
                return "".join(lines[first - 1 : node.end_lineno])
    return None


def _functions(cls: type) -> list[types.FunctionType]:
    return [value for value in vars(cls).values() if isinstance(value, types.FunctionType)]


def _classes(text: str) -> Iterator[ast.ClassDef]:
    try:
        yield from (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef))
    except SyntaxError:  # a notebook cell with magics
        return


def _namespace(target: types.FunctionType | type) -> dict[str, Any]:
    functions = _functions(target) if isinstance(target, type) else [target]
    return functions[0].__globals__ if functions else {}


def _names(text: str) -> set[str]:
    """Names of the namespace around it that a definition reads when it is run or called: no variables of its own.

    Annotations are not evaluated, so they do not count.
    """
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return _global_names(symtable.symtable(ast.unparse(tree), "definition", "exec"))


def _global_names(table: symtable.SymbolTable) -> set[str]:
    is_outermost = table.get_type() == "module"
    own = {
        symbol.get_name()
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (is_outermost or symbol.is_global())
    }
    return own.union(*(_global_names(inner) for inner in table.get_children()))
