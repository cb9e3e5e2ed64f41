"""
Every reason code in the source.

A reason is given to something that takes ``reason``, ``message`` and ``fix``: a function, a method or a dataclass, found
by its signature, not by a list of names. Or it is given as the keyword ``reason``, or a function returns it with its
message and fix.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.reference.source import Definition, Module, Package, Reader, assigned

PACKAGE = Path(__file__).resolve().parents[2] / "src/kiteway"
_CAMEL_CASE = re.compile(r"[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*\Z")
_ORDER = ("error", "warning", "note")
# What these report is always of one severity (see their docstrings).
_SEVERITY_OF = {
    "error": "error",
    "_error": "error",
    "warn": "warning",
    "trap": "warning",
    "note": "note",
    "_warning": "warning",
}
_SEVERITY_OF |= {"Weakness": "warning", "CertificateError": "error", "Fault": "error", "_spoil": "error"}


@dataclass(slots=True)
class Reason:
    """A reason, and all that is said with it."""

    name: str
    meaning: str = ""
    severities: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    fixes: list[str] = field(default_factory=list)

    def add(self, severity: str, messages: Sequence[str], fixes: Sequence[str]) -> None:
        """Take what one place in the source says."""
        for into, values in ((self.severities, [severity]), (self.messages, messages), (self.fixes, fixes)):
            into += [value for value in dict.fromkeys(values) if value and value not in into]


@dataclass(frozen=True, slots=True)
class _Reporter:
    """Something that takes a reason: the names of its parameters in order, and their defaults."""

    parameters: tuple[str, ...]
    defaults: Mapping[str, ast.expr]

    def bound(self, call: ast.Call) -> dict[str, ast.expr]:
        """Return the arguments of a call by parameter, defaults included."""
        given = dict(zip(self.parameters, call.args, strict=False))
        return {**self.defaults, **given, **{word.arg: word.value for word in call.keywords if word.arg}}


@functools.cache
def reasons(package: Path = PACKAGE) -> list[Reason]:
    """Return every reason below ``package``, by name; the source is read once."""
    inside = (path.relative_to(package) for path in package.rglob("*.py"))
    paths = sorted(path for path in inside if not {"_proto", "doctor"} & set(path.parts))
    modules = [Module(package / path) for path in paths]
    together = Package(modules)
    reporters = {module.path: dict(_reporters(module.definitions)) for module in modules}
    public = {name: r for own in reporters.values() for name, r in own.items() if not name.startswith("_")}
    found: dict[str, Reason] = {}
    for module in modules:
        _Scanner(together, module, {**public, **reporters[module.path]}, found).visit(module.tree)
    for module in modules:
        for constant in module.constants.values():
            if constant.value in found and constant.doc:
                found[constant.value].meaning = linked(module, constant.doc.partition("\n")[0])
    for reason in found.values():
        reason.severities = sorted(reason.severities, key=_ORDER.index) or ["error", "warning"]
    return [found[name] for name in sorted(found)]


def linked(module: Module, doc: str) -> str:
    """Put the values in place of the names of constants, and single backticks in place of double ones."""

    def value(found: re.Match[str]) -> str:
        constant = module.constants.get(found[1])
        return f"`{constant.value}`" if constant else found[0]

    return re.sub(r"(?<!`)`([A-Z_]+)`(?!`)", value, doc).replace("``", "`")


def _reporters(definitions: Sequence[Definition]) -> Iterator[tuple[str, _Reporter]]:
    for node in definitions:
        if isinstance(node, ast.ClassDef):
            own = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
            names = tuple(item.target.id for item in own if isinstance(item.target, ast.Name))
            defaults = {n: item.value for n, item in zip(names, own, strict=True) if item.value is not None}
            made = next((i for i in node.body if isinstance(i, ast.FunctionDef) and i.name == "__init__"), None)
            reporter = _reporter(made) if made is not None else _Reporter(names, defaults)
            name = node.name
        else:
            reporter, name = _reporter(node), node.name
        if {"reason", "message", "fix"} <= set(reporter.parameters):
            yield name, reporter


def _reporter(function: ast.FunctionDef | ast.AsyncFunctionDef) -> _Reporter:
    arguments = [*function.args.posonlyargs, *function.args.args]
    names = [argument.arg for argument in arguments]
    defaults = dict(zip(reversed(names), reversed(function.args.defaults), strict=False))
    names = names[1:] if names[:1] in (["self"], ["cls"]) else names
    return _Reporter((*names, *(argument.arg for argument in function.args.kwonlyargs)), defaults)


class _Scanner(ast.NodeVisitor):
    """Collects the reasons of one module."""

    def __init__(
        self, package: Package, module: Module, reporters: Mapping[str, _Reporter], found: dict[str, Reason]
    ) -> None:
        self._package = package
        self._module = module
        self._reporters = reporters
        self._found = found
        self._scope: ast.AST = module.tree

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Names stand for what the innermost function assigns to them."""
        outer, self._scope = self._scope, node
        self.generic_visit(node)
        self._scope = outer

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        """As `visit_FunctionDef`."""
        outer, self._scope = self._scope, node
        self.generic_visit(node)
        self._scope = outer

    def visit_Call(self, node: ast.Call) -> None:
        """Take the reason that a reporter is given."""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        reporter = self._reporters.get(name)
        if reporter is not None:
            given = reporter.bound(node)
            severity = _severity(given.get("severity")) or _SEVERITY_OF.get(name, "")
            self._take(node.lineno, given.get("reason"), severity, given.get("message"), given.get("fix"))
        else:
            for word in node.keywords:
                if word.arg == "reason":
                    self._take(node.lineno, word.value, "", None, None)
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        """Take a tuple of reason, message and fix."""
        if isinstance(node.value, ast.Tuple) and len(node.value.elts) == 3:
            reason, message, fix = node.value.elts
            if isinstance(message, ast.Constant | ast.JoinedStr):
                self._take(node.lineno, reason, "warning", message, fix)
        self.generic_visit(node)

    def _take(
        self, line: int, reason: ast.expr | None, severity: str, message: ast.expr | None, fix: ast.expr | None
    ) -> None:
        names = self._names(reason, line)
        for name, at in names:
            reader = Reader(self._package, self._module, self._scope, at, branch=len(names) > 1)
            self._found.setdefault(name, Reason(name)).add(severity, reader.texts(message), reader.texts(fix))

    def _names(self, node: object, line: int) -> list[tuple[str, int]]:
        """Return the reasons that an expression can be, each with the line where its message is to be looked for."""
        match node:
            case ast.Constant(value=str(text)) if _CAMEL_CASE.match(text):
                return [(text, line)]
            case ast.IfExp(body=body, orelse=orelse):
                return self._names(body, line) + self._names(orelse, line)
            case ast.Name(id=name) | ast.Attribute(attr=name) if name.isupper():
                value = self._package.constant(name, self._module) or ""
                return [(value, line)] if _CAMEL_CASE.match(value) else []
            case ast.Name(id=name):
                values = [v for v in assigned(self._scope, name) if not isinstance(v, ast.Name)]
                # What goes with a reason may be assigned in the lines after it, in the same branch.
                ends = [v.lineno for v in values[1:]]
                lines = [end - 1 for end in ends] + [line] if len(values) > 1 else [line]
                return [found for value, at in zip(values, lines, strict=False) for found in self._names(value, at)]
            case _:
                return []


def _severity(node: ast.expr | None) -> str:
    """Return the severity that an expression of the form ``Severity.ERROR`` names."""
    return node.attr.lower() if isinstance(node, ast.Attribute) and node.attr.isupper() else ""
