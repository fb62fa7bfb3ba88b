"""What went wrong while a template was compiled or written, told to the one who can mend it.

Exceptions of Jinja and Python may hold values from the data; what is said here does not.
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

from tidings.templates.budget import Exhausted
from tidings.templates.errors import (
    MissingVariable,
    Place,
    TemplateError,
    TemplateFailed,
    TemplateNotFound,
    TemplateSyntax,
    TemplateTooExpensive,
)
from tidings.templates.filters import FILTERS
from tidings.templates.metering import label
from tidings.templates.sandbox import MixedEscaping, Sandbox
from tidings.templates.values import Complaint, NullPrinted, VariableMissing

_TELLING: Final = (TypeError, ZeroDivisionError, jinja2.TemplateRuntimeError)
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")
_TYPES: Final = frozenset({"bool", "dict", "float", "int", "list", "NoneType", "str", "tuple"})


def explained(error: Exception, place: Place, sandbox: Sandbox) -> TemplateError:
    """The same failure as an error of ours, with the innermost file and line it came from."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return _syntax(error, place)
    place = _at(error, place)
    match error:
        case jinja2.TemplateNotFound():
            return _include(error, place, sandbox)
        case VariableMissing():
            return _variable(error, place, sandbox)
        case NullPrinted():
            return _null(error, place)
        case Exhausted() | RecursionError() | MemoryError() | OverflowError():
            return _expensive(error, place)
        case _:
            return _failed(error, place, sandbox)


def _expensive(error: Exception, place: Place) -> TemplateError:
    if isinstance(error, Exhausted):
        return TemplateTooExpensive(str(error), place, "Make it simpler, or allow more steps")
    return TemplateTooExpensive("it calls itself without end, or makes something huge", place)


def _failed(error: Exception, place: Place, sandbox: Sandbox) -> TemplateError:
    match error:
        case MixedEscaping():
            return TemplateSyntax(str(error), place)
        case SyntaxError():
            return TemplateSyntax("it is nested too deep", place)
        case SecurityError():
            return TemplateFailed("it reaches for something templates may not use", place)
        case Complaint():
            return TemplateFailed(str(error), place)
        case _:
            return TemplateFailed(_discreet(error, _source(sandbox, place)), place)


def _discreet(error: Exception, source: str) -> str:
    """The exception's own text, if all it quotes is the template's or the name of a type."""
    name = type(error).__name__
    unknown = [word for word in _QUOTED.findall(str(error)) if not _is_known(word, source)]
    if isinstance(error, _TELLING) and not unknown and not set("'\"") & set(_unquoted(error)):
        return f"{name}: {error}"
    return f"{name} while it was written"


def _unquoted(error: Exception) -> str:
    return _QUOTED.sub("", str(error))


def _is_known(quoted: str, source: str) -> bool:
    word = quoted[1:-1]
    return word in _TYPES or word in source or not any(map(str.isalnum, word))


def _at(error: BaseException, place: Place) -> Place:
    """Where in the templates' files it happened: the innermost place that is one of them."""
    for frame, line in walk_tb(error.__traceback__):
        template = frame.f_globals.get("__jinja_template__")
        if isinstance(template, jinja2.Template):
            place = replace(place, file=template.name, line=template.get_corresponding_lineno(line))
    return place


def _syntax(error: jinja2.TemplateSyntaxError, place: Place) -> TemplateError:
    where = replace(place, file=error.name or place.file, line=error.lineno)
    return TemplateSyntax((error.message or "it is not a template").rstrip("."), where)


def _include(error: jinja2.TemplateNotFound, place: Place, sandbox: Sandbox) -> TemplateError:
    name = str(error.name)
    named = name in _source(sandbox, place)
    what = f'"{name}"' if named else "a file that is worked out from data"
    cure = "Paths of included files start at the templates' root"
    return TemplateNotFound(f"it includes {what}, which is not there", place, cure)


def _variable(error: VariableMissing, place: Place, sandbox: Sandbox) -> TemplateError:
    if error.hint:
        return TemplateFailed(error.hint.rstrip("."), place)
    name = _written(error.name, place, sandbox)
    if error.owner is missing or isinstance(error.owner, Mapping):
        what = f'variable "{name}"' if name else "a key that is worked out"
        cure = f'Send it, or write {{{{ {name or "…"} | default("…") }}}}'
        return MissingVariable(f"{what} is missing from data", place, cure, variable=name)
    return _no_attribute(error, name, place)


def _no_attribute(error: VariableMissing, name: str, place: Place) -> TemplateError:
    kinds = {str: "text", list: "a list", type(None): "something that is null"}
    kind = kinds.get(type(error.owner), f"a {type(error.owner).__name__}")
    last = str(error.name)
    cure = f"Use the filter {last}" if last in FILTERS else ""
    what = f'"{name}" can\'t be had' if name else "something can't be had"
    return MissingVariable(f"{what}: it belongs to {kind}", place, cure, variable=name)


def _null(error: NullPrinted, place: Place) -> TemplateError:
    what = f'variable "{error.label}" is null in data' if error.label else "null is printed"
    cure = f'Send it, or write {{{{ {error.label or "…"} | default("…") }}}}'
    return MissingVariable(what, place, cure, variable=error.label)


def _written(name: object, place: Place, sandbox: Sandbox) -> str:
    """How the template spells what ends in this name; nothing where data chose the name."""
    spelled = [
        (abs((place.line or 0) - node.lineno), text)
        for node in _tree(sandbox, place).find_all((nodes.Name, nodes.Getattr, nodes.Getitem))
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


def _tree(sandbox: Sandbox, place: Place) -> nodes.Template:
    return sandbox.parse(_source(sandbox, place))


def _source(sandbox: Sandbox, place: Place) -> str:
    return sandbox.sources.get(place.file or "", "")
