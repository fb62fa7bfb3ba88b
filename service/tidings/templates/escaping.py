"""HTML-escapes what a template prints, and leaves alone what has nothing to escape.

Jinja makes a `Markup` of each value printed, which is a fifth of the time a mail takes to write: to
know later that it has been escaped. What is printed is only put together, and needs no such mark.
"""

import re
from typing import Any, Final

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from markupsafe import escape

_special: Final = re.compile("[&<>\"']").search
_PLAIN: Final = frozenset({int, float})


def is_escaped(path: str | None) -> bool:
    """Whether what a file prints is HTML-escaped: `html.j2` and `*.html.j2` are."""
    return path is not None and (path.endswith((".html.j2", "/html.j2")) or path == "html.j2")


def escaped(value: Any) -> str:
    """The text that `markupsafe.escape` makes of a value."""
    kind = type(value)
    if kind is str:
        return escape(value) if _special(value) else value
    return str(value) if kind in _PLAIN else escape(value)


class Escaping(CodeGenerator):
    """Compiles templates so that those that are escaped print by the environment's `escaped`."""

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        if frame.eval_ctx.volatile or not frame.eval_ctx.autoescape or finalize.src is not None:
            super()._output_child_pre(node, frame, finalize)
        else:
            self.write("environment.escaped(")
