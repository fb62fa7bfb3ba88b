"""Rewrites a parsed template so that all its operations are charged to the message's budget.

Jinja's sandbox intercepts calls, attributes and arithmetic. Everything else (loop iterations, text,
`~`, comparisons, slices, literals) is wrapped here in filters that no template can name.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from jinja2 import nodes
from jinja2.runtime import Context
from jinja2.utils import pass_context
from jinja2.visitor import NodeTransformer

from tidings.templates.budget import CHARACTERS_A_STEP, CURRENT
from tidings.templates.values import printable

_TICK: Final = "=tick"
_READ: Final = "=read"
_PRINT: Final = "=print"

# They run several times, or only when called: each pays for its own text.
_PAYS_ITSELF: Final = (nodes.For, nodes.Macro, nodes.CallBlock, nodes.Block)


# `pass_context` keeps Jinja from evaluating them at compile time.
@pass_context
def _tick(_: Context, steps: int) -> None:
    CURRENT.get().spend(steps)


@pass_context
def _read(_: Context, value: Any) -> Any:
    CURRENT.get().read(value)
    return value


@pass_context
def _print(_: Context, value: Any, label: str) -> Any:
    budget = CURRENT.get()
    if type(value) is str:
        # `read` without the call: nearly all that is printed is text.
        budget.left -= 1 + len(value) // CHARACTERS_A_STEP
        if budget.left < 0:
            budget.spend(0)
        return value
    budget.read(value)
    return printable(value, label)


METERS: Final = {_TICK: _tick, _READ: _read, _PRINT: _print}


def metered(template: nodes.Template) -> nodes.Template:
    """The template with metering. The argument is modified."""
    environment = template.environment
    _Meter().visit(template)
    if environment is not None:
        template.set_environment(environment)
    return template


class _Meter(NodeTransformer):
    def get_visitor(self, node: nodes.Node) -> Any:
        rewrite = _REWRITES.get(type(node))
        return None if rewrite is None else partial(rewrite, self)

    def paying(self, node: Any) -> Any:
        """Add a tick before its body: the cost of running it once."""
        price = nodes.Const(1 + _characters(node) // CHARACTERS_A_STEP, lineno=node.lineno)
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_filter(price, _TICK), lineno=node.lineno))
        return node

    def loop(self, node: nodes.For) -> nodes.Node:
        """A tick for each iteration, also for one that its `if` skips."""
        self.paying(node)
        if node.test is not None:
            node.test = _filter(node.test, _READ)
        return node

    def printing(self, node: nodes.Output | nodes.Concat) -> nodes.Node:
        """Each expression is charged and must be printable; `a ~ b` prints too."""
        labels = [label(child) for child in node.nodes]
        self.generic_visit(node)
        node.nodes = [_printed(*pair) for pair in zip(node.nodes, labels, strict=True)]
        return node

    def comparing(self, node: nodes.Compare) -> nodes.Node:
        """Both sides are read."""
        self.generic_visit(node)
        node.expr = _filter(node.expr, _READ)
        for operand in node.ops:
            operand.expr = _filter(operand.expr, _READ)
        return node

    def slicing(self, node: nodes.Getitem) -> nodes.Node:
        """A slice is a copy; a single item is not."""
        self.generic_visit(node)
        return _filter(node, _READ) if isinstance(node.arg, nodes.Slice) else node

    def making(self, node: nodes.List | nodes.Dict) -> nodes.Node:
        """A literal is charged with all its items: it may contain the same value many times."""
        return _filter(self.generic_visit(node), _READ)

    def pairing(self, node: nodes.Tuple) -> nodes.Node:
        """As other literals, unless it is an assignment target: `for key, value in …`."""
        self.generic_visit(node)
        return _filter(node, _READ) if node.ctx == "load" else node

    def including(self, node: nodes.Include) -> nodes.Node:
        """Jinja evaluates a list of files itself, so it is not wrapped."""
        if isinstance(node.template, nodes.List | nodes.Tuple):
            self.generic_visit(node.template)
            return node
        return self.generic_visit(node)


_REWRITES: Final[Mapping[type[nodes.Node], Callable[..., nodes.Node]]] = {
    nodes.Template: _Meter.paying,
    nodes.Block: _Meter.paying,
    nodes.Macro: _Meter.paying,
    nodes.CallBlock: _Meter.paying,
    nodes.For: _Meter.loop,
    nodes.Output: _Meter.printing,
    nodes.Concat: _Meter.printing,
    nodes.Compare: _Meter.comparing,
    nodes.Getitem: _Meter.slicing,
    nodes.List: _Meter.making,
    nodes.Dict: _Meter.making,
    nodes.Tuple: _Meter.pairing,
    nodes.Include: _Meter.including,
}


def _filter(node: Any, name: str, *arguments: nodes.Expr) -> nodes.Expr:
    if isinstance(node, nodes.Const) and name == _READ:
        return node
    return nodes.Filter(node, name, [*arguments], [], None, None, lineno=node.lineno)


def _printed(node: nodes.Expr, text: str) -> nodes.Expr:
    if isinstance(node, nodes.TemplateData | nodes.Const):
        return node
    return _filter(node, _PRINT, nodes.Const(text, lineno=node.lineno))


def _characters(node: nodes.Node) -> int:
    """Characters of the template's own text in this node, without nodes that pay for themselves."""
    total, waiting = 0, [*node.iter_child_nodes()]
    while waiting:
        child = waiting.pop()
        if isinstance(child, nodes.TemplateData):
            total += len(child.data)
        elif not isinstance(child, _PAYS_ITSELF):
            waiting += child.iter_child_nodes()
    return total


def label(node: nodes.Node) -> str:
    """The source of the expression if it is a variable; otherwise empty."""
    match node:
        case nodes.Name():
            return node.name
        case nodes.Getattr() if owner := label(node.node):
            return f"{owner}.{node.attr}"
        case nodes.Getitem(arg=nodes.Const(value=str() | int() as key)) if owner := label(
            node.node
        ):
            return f"{owner}[{key!r}]"
        case _:
            return ""
