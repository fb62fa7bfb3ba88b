"""Explains errors of compiling and rendering a template to its author.

Exceptions of Jinja and Python may contain values from the data; these explanations don't.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from traceback import walk_tb
from typing import Final

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.utils import missing

from tidings.templates.budget import BudgetExceeded
from tidings.templates.errors import (
    Location,
    MissingVariable,
    TemplateError,
    TemplateFailed,
    TemplateNotFound,
    TemplateSyntax,
    TemplateTooExpensive,
)
from tidings.templates.filters import FILTERS
from tidings.templates.metering import label
from tidings.templates.sandbox import MixedEscaping, Sandbox
from tidings.templates.values import NullPrinted, TemplateMisuse, VariableMissing

_SAFE_TO_SHOW: Final = (TypeError, ZeroDivisionError, jinja2.TemplateRuntimeError)
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_TYPES: Final = frozenset({"bool", "dict", "float", "int", "list", "NoneType", "str", "tuple"})


def explained(error: Exception, location: Location, sandbox: Sandbox) -> TemplateError:
    """The failure as an error of ours, with the innermost file and line."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return _syntax(error, location)
    location = _at(error, location)
    match error:
        case jinja2.TemplateNotFound():
            return _include(error, location, sandbox)
        case VariableMissing():
            return _variable(error, location, sandbox)
        case NullPrinted():
            return _null(error, location)
        case BudgetExceeded() | RecursionError() | MemoryError() | OverflowError():
            return _expensive(error, location)
        case _:
            return _failed(error, location, sandbox)


def _expensive(error: Exception, location: Location) -> TemplateError:
    if isinstance(error, BudgetExceeded):
        return TemplateTooExpensive(str(error), location, "Make it simpler, or allow more steps")
    return TemplateTooExpensive("it recurses without end, or produces a huge value", location)


def _failed(error: Exception, location: Location, sandbox: Sandbox) -> TemplateError:
    match error:
        case MixedEscaping():
            return TemplateSyntax(str(error), location)
        case SyntaxError():
            return TemplateSyntax("it is nested too deeply", location)
        case SecurityError():
            return TemplateFailed("it uses something that templates may not access", location)
        case TemplateMisuse():
            return TemplateFailed(str(error), location)
        case _:
            return TemplateFailed(_redacted(error, _source(sandbox, location)), location)


def _redacted(error: Exception, source: str) -> str:
    """The exception's own text, if it quotes only the template or names of types."""
    name = type(error).__name__
    unknown = [word for word in _QUOTED.findall(str(error)) if not _is_known(word, source)]
    if isinstance(error, _SAFE_TO_SHOW) and not unknown and not set("'\"") & set(_unquoted(error)):
        return f"{name}: {error}"
    return f"{name} while rendering"


def _unquoted(error: Exception) -> str:
    return _QUOTED.sub("", str(error))


def _is_known(quoted: str, source: str) -> bool:
    word = quoted[1:-1]
    return word in _TYPES or word in source or not any(map(str.isalnum, word))


def _at(error: BaseException, location: Location) -> Location:
    """The innermost frame in a template file."""
    for frame, line in walk_tb(error.__traceback__):
        template = frame.f_globals.get("__jinja_template__")
        if isinstance(template, jinja2.Template):
            location = replace(
                location, file=template.name, line=template.get_corresponding_lineno(line)
            )
    return location


def _syntax(error: jinja2.TemplateSyntaxError, location: Location) -> TemplateError:
    where = replace(location, file=error.name or location.file, line=error.lineno)
    return TemplateSyntax((error.message or "it is not a template").rstrip("."), where)


def _include(error: jinja2.TemplateNotFound, location: Location, sandbox: Sandbox) -> TemplateError:
    name = str(error.name)
    named = name in _source(sandbox, location)
    what = f'"{name}"' if named else "a file whose name is computed from data"
    remedy = "Paths of included files start at the templates' root"
    return TemplateNotFound(f"it includes {what}, which does not exist", location, remedy)


def _variable(error: VariableMissing, location: Location, sandbox: Sandbox) -> TemplateError:
    if error.hint:
        return TemplateFailed(error.hint.rstrip("."), location)
    name = _written(error.name, location, sandbox)
    if error.owner is missing or isinstance(error.owner, Mapping):
        what = f'variable "{name}"' if name else "a computed key"
        remedy = f'Send it, or write {{{{ {name or "…"} | default("…") }}}}'
        return MissingVariable(f"{what} is missing from data", location, remedy, variable=name)
    return _no_attribute(error, name, location)


def _no_attribute(error: VariableMissing, name: str, location: Location) -> TemplateError:
    kinds = {str: "text", list: "a list", type(None): "null"}
    kind = kinds.get(type(error.owner), f"a {type(error.owner).__name__}")
    last = str(error.name)
    remedy = f"Use the filter {last}" if last in FILTERS else ""
    what = f'"{name}" does not exist' if name else "an attribute does not exist"
    return MissingVariable(f"{what}: its owner is {kind}", location, remedy, variable=name)


def _null(error: NullPrinted, location: Location) -> TemplateError:
    what = f'variable "{error.label}" is null in data' if error.label else "null is printed"
    remedy = f'Send it, or write {{{{ {error.label or "…"} | default("…") }}}}'
    return MissingVariable(what, location, remedy, variable=error.label)


def _written(name: object, location: Location, sandbox: Sandbox) -> str:
    """The expression in the template that ends in this name; empty if the name was computed."""
    spelled = [
        (abs((location.line or 0) - node.lineno), text)
        for node in _tree(sandbox, location).find_all((nodes.Name, nodes.Getattr, nodes.Getitem))
        if _last(node) == name and (text := label(node))
    ]
    return min(spelled)[1] if spelled else ""


def _last(node: nodes.Node) -> object:
    match node:
        case nodes.Name():
            return node.name
        case nodes.Getattr():
            return node.attr
        case nodes.Getitem(arg=nodes.Const(value=key)):
            return key
        case _:
            return None


def _tree(sandbox: Sandbox, location: Location) -> nodes.Template:
    return sandbox.parse(_source(sandbox, location))


def _source(sandbox: Sandbox, location: Location) -> str:
    return sandbox.sources.get(location.file or "", "")
