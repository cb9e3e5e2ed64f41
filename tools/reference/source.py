"""Python source as far as the reference needs it: constants with docstrings, and what an expression of text can say."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

_MOST_ALTERNATIVES = 6
_MOST_INSIDE = 3
"""A value inside a text is spelt out if it can be so few; otherwise its name stands for it."""
_DECLARE = frozenset({"_on_service", "_on_ingress"})
"""Functions that return their first argument (`kiteway.resources.annotations`)."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant at the level of a module."""

    value: str
    doc: str
    line: int
    is_text: bool


Definition: TypeAlias = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Module:
    """
    A module's syntax tree.

    Attributes:
        path: its file.
        lines: the lines of its text.
        tree: the tree.
        definitions: its classes and functions, those inside others too.
        constants: its constants, by name.
    """

    def __init__(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        self.path = path
        self.lines = text.splitlines()
        self.tree = ast.parse(text)
        self.definitions = [node for node in ast.walk(self.tree) if isinstance(node, Definition)]
        self.constants = dict(_constants(self.tree.body))


def _constants(body: Sequence[ast.stmt]) -> Iterator[tuple[str, Constant]]:
    for statement, following in zip(body, [*body[1:], None], strict=True):
        target: ast.expr | None = None
        if isinstance(statement, ast.AnnAssign):
            target = statement.target
        elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
        value = getattr(statement, "value", None)
        if isinstance(value, ast.Call) and getattr(value.func, "id", "") in _DECLARE and value.args:
            value = value.args[0]
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str | int):
            text = isinstance(value.value, str)
            yield target.id, Constant(str(value.value), _docstring(following), statement.lineno, text)


def _docstring(statement: ast.stmt | None) -> str:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return str(statement.value.value)
    return ""


@dataclass(frozen=True, slots=True)
class _Part:
    """One of the values that a call returns as a tuple."""

    function: str
    index: int
    lineno: int


_Source: TypeAlias = ast.expr | _Part


class Package:
    """The modules of a package together."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self.modules = modules
        self.constants: dict[str, str] = {}
        self._functions: dict[str, list[ast.FunctionDef]] = {}
        ambiguous = set()
        for module in modules:
            for name, constant in module.constants.items():
                if self.constants.setdefault(name, constant.value) != constant.value:
                    ambiguous.add(name)
            for node in module.definitions:
                if isinstance(node, ast.FunctionDef):
                    self._functions.setdefault(node.name, []).append(node)
        for name in ambiguous:
            del self.constants[name]

    def constant(self, name: str, module: Module) -> str | None:
        """Return the value of a constant, the module's own before another's."""
        own = module.constants.get(name)
        return own.value if own is not None else self.constants.get(name)

    def returned(self, part: _Part) -> list[ast.expr]:
        """Return what a function may return at one place of a tuple."""
        return [
            node.value.elts[part.index]
            for function in self._functions.get(part.function, ())
            for node in ast.walk(function)
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and part.index < len(node.value.elts)
        ]

    def function(self, name: str) -> ast.AST:
        """Return a function by its name."""
        return self._functions[name][0]


def assigned(scope: ast.AST, name: str) -> list[_Source]:
    """Return what a function assigns to a name, tuples taken apart, in the order of lines."""
    found: list[_Source] = []
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                found += _bound(target, node.value, name)
        elif isinstance(node, ast.NamedExpr | ast.AnnAssign) and node.value is not None:
            found += _bound(node.target, node.value, name)
    return sorted(found, key=lambda source: source.lineno)


def _bound(target: ast.expr, value: ast.expr, name: str) -> list[_Source]:
    if isinstance(target, ast.Name):
        return [value] if target.id == name else []
    if not isinstance(target, ast.Tuple):
        return []
    if isinstance(value, ast.IfExp):
        return _bound(target, value.body, name) + _bound(target, value.orelse, name)
    if isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        return [one for t, v in zip(target.elts, value.elts, strict=True) for one in _bound(t, v, name)]
    if isinstance(value, ast.Call):
        function = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
        names = [element.id if isinstance(element, ast.Name) else "" for element in target.elts]
        return [_Part(function, names.index(name), value.lineno)] if name in names else []
    return []


@dataclass(frozen=True, slots=True)
class Reader:
    """
    Reads expressions of text where they stand.

    Attributes:
        package: for constants and functions of other modules.
        module: where the expression is.
        scope: the function around it, whose assignments names stand for.
        line: of several assignments the last before this line counts; 0 if all count.
        branch: whether that is so inside of texts as well: there, all that a name may stand for is said otherwise.
    """

    package: Package
    module: Module
    scope: ast.AST
    line: int = 0
    branch: bool = False

    def texts(self, node: _Source | None) -> list[str]:
        """Return what an expression can say, with ``{name}`` where a value goes; empty where it is not known."""
        match node:
            case ast.Constant(value=str(text)):
                return [text.replace("{", "{{").replace("}", "}}")]
            case ast.JoinedStr(values=values):
                return self._joined(values)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._joined([left, right])
            case ast.IfExp(body=body, orelse=orelse):
                return (self.texts(body) + self.texts(orelse))[:_MOST_ALTERNATIVES]
            case ast.BoolOp(values=values):
                return [text for value in values for text in self.texts(value)][:_MOST_ALTERNATIVES]
            case ast.Name(id=name) | ast.Attribute(attr=name) if (value := self._constant(name)) is not None:
                return [value]
            case ast.Name(id=name):
                return self._assigned(name)
            case _Part():
                inside = Reader(self.package, self.module, self.package.function(node.function))
                return [text for value in self.package.returned(node) for text in inside.texts(value)]
            case _:
                return []

    def _constant(self, name: str) -> str | None:
        return self.package.constant(name, self.module) if name.isupper() else None

    def _assigned(self, name: str) -> list[str]:
        sources = assigned(self.scope, name)
        if self.line:
            sources = [source for source in sources if source.lineno <= self.line][-1:] or sources[:1]
        # A value that is made of its own name (text = text + ".") would have no end.
        inside = Reader(self.package, self.module, ast.Module([], []))
        return [t for source in sources for t in (inside if _names(source, name) else self).texts(source)][
            :_MOST_ALTERNATIVES
        ]

    def _joined(self, values: Sequence[ast.expr]) -> list[str]:
        found = [""]
        for value in values:
            parts = self._inside(value.value) if isinstance(value, ast.FormattedValue) else self.texts(value)
            found = [before + part for before in found for part in parts or ["{...}"]][:_MOST_ALTERNATIVES]
        return found

    def _inside(self, node: ast.expr) -> list[str]:
        reader = self if self.branch else Reader(self.package, self.module, self.scope)
        known = reader.texts(node)
        complete = self.branch or not isinstance(node, ast.Name) or len(known) >= len(assigned(self.scope, node.id))
        return known if complete and 0 < len(known) <= _MOST_INSIDE else [f"{{{_placeholder(node)}}}"]


def _names(source: _Source, name: str) -> bool:
    return isinstance(source, ast.AST) and any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(source))


def _placeholder(node: ast.expr) -> str:
    """Return a word for a value: the last name in its expression."""
    match node:
        case ast.Name(id=name):
            return name.strip("_").lower()
        case ast.Attribute(value=ast.Name(id=owner), attr="name" | "ref" | "key" | "__name__"):
            return owner
        case ast.Attribute(attr=name):
            return name.strip("_").lower()
        case ast.Call(args=[first, *_]):
            return _placeholder(first)
        case ast.Call(func=ast.Attribute(value=value)):
            return _placeholder(value)
        case ast.Subscript(value=value) | ast.BinOp(left=value) | ast.GeneratorExp(elt=value):
            return _placeholder(value)
        case _:
            return "..."
