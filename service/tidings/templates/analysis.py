"""Static analysis of one template file: its variables, its includes, its problems."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import jinja2
from jinja2 import meta, nodes

from tidings.templates.escaping import is_escaped
from tidings.templates.library import Level, Problem
from tidings.templates.metering import label
from tidings.templates.sandbox import Sandbox, mixed

_REFERENCES: Final = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)


@dataclass(frozen=True, slots=True)
class FileAnalysis:
    """The result of a static analysis."""

    path: str
    variables: frozenset[str] = frozenset()
    """Variables of the data, with attributes: `order.total`, `user`."""
    bound: frozenset[str] = frozenset()
    """Names that it assigns itself; the files it includes may use them."""
    included: frozenset[str] = frozenset()
    problems: tuple[Problem, ...] = field(default=())


def analyse(sandbox: Sandbox, path: str) -> FileAnalysis:
    """Compile and analyse a file."""
    try:
        sandbox.get_template(path)
        tree = sandbox.parse(sandbox.sources[path], path)
        unknown = meta.find_undeclared_variables(tree)
    except jinja2.TemplateSyntaxError as error:
        return FileAnalysis(
            path, problems=(_fault(path, error.lineno, str(error.message).rstrip(".")),)
        )
    except (RecursionError, SyntaxError):
        return FileAnalysis(path, problems=(_fault(path, 1, "is nested too deeply"),))
    except Exception as error:  # noqa: BLE001  # Jinja passes on what Python's compiler raises
        what = f"can't be compiled: {type(error).__name__}"
        return FileAnalysis(path, problems=(_fault(path, 1, what),))
    return FileAnalysis(
        path,
        variables=frozenset(_uses(tree, unknown - set(_set_above(tree)))),
        bound=frozenset(_bound(tree)),
        included=frozenset(name for name, _ in _included(tree)),
        problems=(
            *_unknown_filters(sandbox, path, tree),
            *_broken(sandbox, path, tree),
            *_unescaped(path, tree),
        ),
    )


def _fault(path: str, line: int, message: str, level: Level = Level.ERROR) -> Problem:
    return Problem(level, path, message, line)


def _uses(node: nodes.Node, roots: set[str], called: bool = False) -> Iterator[str]:
    """The longest form of each variable: `order.total`, and not `order` as well."""
    if (spelled := label(node)) and _root(node) in roots:
        # The called attribute is a method, not data.
        yield label(node.node) if called and isinstance(node, nodes.Getattr) else spelled
        return
    for child in node.iter_child_nodes():
        yield from _uses(child, roots, isinstance(node, nodes.Call) and child is node.node)


def _root(node: Any) -> str:
    while not isinstance(node, nodes.Name):
        node = node.node
    return node.name if node.ctx == "load" else ""


def _bound(tree: nodes.Template) -> Iterator[str]:
    yield from (name.name for name in tree.find_all(nodes.Name) if name.ctx != "load")
    for statement in tree.find_all((nodes.Macro, nodes.Import, nodes.FromImport)):
        yield from _defined(statement)


def _set_above(tree: nodes.Template) -> Iterator[str]:
    """Names assigned outside of blocks; blocks see them too."""
    for statement in tree.body:
        yield from _defined(statement)


def _defined(statement: nodes.Node) -> Iterator[str]:
    match statement:
        case nodes.Macro():
            yield statement.name
        case nodes.Import():
            yield statement.target
        case nodes.FromImport():
            yield from (name if isinstance(name, str) else name[1] for name in statement.names)
        case nodes.Assign() | nodes.AssignBlock():
            target = statement.target
            yield from (name.name for name in target.find_all(nodes.Name))
            yield target.name if isinstance(target, nodes.Name) else ""
        case _:
            pass


def _included(tree: nodes.Template) -> Iterator[tuple[str, nodes.Node]]:
    for node in tree.find_all(_REFERENCES):
        target = node.fields and getattr(node, "template", None)
        if isinstance(target, nodes.Const) and isinstance(target.value, str):
            yield target.value, node


def _broken(sandbox: Sandbox, path: str, tree: nodes.Template) -> Iterator[Problem]:
    for name, node in _included(tree):
        optional = isinstance(node, nodes.Include) and node.ignore_missing
        if name not in sandbox.sources and not optional:
            yield _fault(path, node.lineno, f'includes "{name}", which does not exist')
        elif is_escaped(name) != is_escaped(path):
            yield _fault(path, node.lineno, mixed(name, path))


def _unknown_filters(sandbox: Sandbox, path: str, tree: nodes.Template) -> Iterator[Problem]:
    """Filters and tests that don't exist; Jinja doesn't report those behind an `if`."""
    for kind, known in ((nodes.Filter, sandbox.filters), (nodes.Test, sandbox.tests)):
        for node in tree.find_all(kind):
            if node.name not in known:
                what = f"No {kind.__name__.lower()} named {node.name!r}"
                yield _fault(path, node.lineno, what)


def _unescaped(path: str, tree: nodes.Template) -> Iterator[Problem]:
    if not is_escaped(path):
        return
    message = "is not HTML-escaped here: the data can inject HTML"
    for node in tree.find_all(nodes.Filter):
        if node.name == "safe":
            yield _fault(path, node.lineno, message, Level.WARNING)
    for block in tree.find_all(nodes.ScopedEvalContextModifier):
        yield _fault(path, block.lineno, message, Level.WARNING)
