"""What can be wrong with a notification's words: each error names the template, the place, the cure.

TemplateError               undeliverable: the same data and the same files fail again
├── TemplateNotFound        no such template, or none of its locales has the parts the channel needs
├── MissingVariable         a variable the template prints is not in the notification's data
├── TemplateSyntax          a file can't be compiled
├── TemplateTooExpensive    writing it takes more effort or more room than one message may
└── TemplateFailed          writing it went wrong: a wrong type, a line break in a subject, …

No message holds a value from the notification's data: these errors are recorded and shown.
"""

from typing import ClassVar

from tidings.delivery.errors import TidingsError
from tidings.delivery.value import value


@value(frozen=True, slots=True)
class Place:
    """Where in which template; what is not known is None."""

    template: str
    locale: str | None = None
    file: str | None = None
    """Path below the templates' root, e.g. `welcome/pt-BR/subject.j2`."""
    line: int | None = None

    def __str__(self) -> str:
        locale = f" ({self.locale})" if self.locale else ""
        return f'template "{self.template}"{locale}'

    @property
    def line_of_file(self) -> str:
        """`welcome/pt-BR/subject.j2, line 1`, or as much of it as is known."""
        line = f", line {self.line}" if self.line else ""
        return f"{self.file or ''}{line}"


class TemplateError(TidingsError):
    """A template can't be turned into words. The message says where, what and what to do.

    Args:
        problem: What is wrong, as the end of a sentence that starts with the template's name.
        place: Which template, locale, file and line.
        cure: What to do about it, as a sentence without its full stop.
    """

    kind: ClassVar[str] = "template_error"

    def __init__(self, problem: str, place: Place, cure: str = "") -> None:
        where = f" [{place.line_of_file}]" if place.file else ""
        super().__init__(f"{place}: {problem}{where}" + (f". {cure}" if cure else ""))
        self.problem = problem
        self.place = place
        self.cure = cure


class TemplateNotFound(TemplateError):
    """There is no such template, locale, part or included file."""

    kind = "template_not_found"


class MissingVariable(TemplateError):
    """The notification's data lacks something the template uses, or has null in its place."""

    kind = "template_variable_missing"

    def __init__(self, problem: str, place: Place, cure: str = "", *, variable: str = "") -> None:
        super().__init__(problem, place, cure)
        self.variable = variable
        """As the template writes it, e.g. `user.first_name`; empty where it is computed."""


class TemplateSyntax(TemplateError):
    """A file is not a template: an unknown tag or filter, a block left open, …"""

    kind = "template_syntax"


class TemplateTooExpensive(TemplateError):
    """More loops, calls or text than one message may take."""

    kind = "template_too_expensive"


class TemplateFailed(TemplateError):
    """Writing it went wrong: a filter given the wrong type, a line break in a subject, …"""

    kind = "template_failed"
