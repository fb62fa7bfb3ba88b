"""House rules of names: a class name is unique in the package, and a variable says what it holds."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
SOURCES: Final = ("service", "schemas", "deploy", "tests", "benchmarks")
SAY_NOTHING: Final = frozenset({"asked", "one", "said", "told"})


@dataclass(frozen=True)
class Names:
    """What is looked at of a file. Its tree is a thousand times as large: all of them keep the garbage collector busy."""

    classes: Sequence[str]
    say_nothing: Sequence[str]
    """Lines and names."""
    described: Sequence[str]
    """Parameters that a docstring describes, and that there are not."""


def in_files(*folders: str) -> Iterator[tuple[Path, Names]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT), names_of(path)


@cache
def names_of(path: Path) -> Names:
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    return Names(
        [node.name for node in nodes if isinstance(node, ast.ClassDef)],
        [
            f"{node.lineno} {name}"
            for node in nodes
            if (name := bound(node)) in SAY_NOTHING and hasattr(node, "lineno")
        ],
        [
            described
            for node in nodes
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            for described in set(described_in(node)) - set(taken_by(node))
        ],
    )


def test_class_names_are_unique_in_the_package() -> None:
    names = Counter(name for _, its in in_files("service", "schemas") for name in its.classes)
    assert [name for name, count in names.items() if count > 1] == []


def test_no_variable_has_a_name_that_says_nothing() -> None:
    found = [f"{path}:{it}" for path, its in in_files(*SOURCES) for it in its.say_nothing]
    assert found == []


def test_a_docstring_describes_parameters_that_there_are() -> None:
    folders = ("service", "schemas", "deploy")
    assert [f"{path}: {it}" for path, its in in_files(*folders) for it in its.described] == []


def described_in(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> list[str]:
    _, _, after = (ast.get_docstring(node) or "").partition("Args:\n")
    section = re.split(r"\n(?=\S)", after)[0]
    return re.findall(r"^ {4}\*{0,2}(\w[\w ]*):", section, re.MULTILINE)


def taken_by(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Iterator[str]:
    """A class takes the parameters of its `__init__`, or a dataclass its fields."""
    if isinstance(node, ast.ClassDef):
        for inner in node.body:
            if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
                yield inner.target.id
            elif isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
                yield from taken_by(inner)
        return
    yield from (inner.arg for inner in ast.walk(node.args) if isinstance(inner, ast.arg))


def bound(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
            return name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return name
        case _:
            return ""
