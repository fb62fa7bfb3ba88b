"""Errors of templates: each names the template, the location and the remedy.

TemplateError               undeliverable: the same data and the same files fail again
├── TemplateNotFound        no such template, or none of its locales has the parts the channel needs
├── MissingVariable         a variable the template prints is not in the notification's data
├── TemplateSyntax          a file can't be compiled
├── TemplateTooExpensive    rendering it takes more steps or characters than one message may
└── TemplateFailed          rendering it failed: a wrong type, a line break in a subject, …

No message contains a value from the notification's data: these errors are recorded and shown.
"""

from typing import ClassVar

from tidings.delivery.errors import TidingsError
from tidings.delivery.value import value


@value(frozen=True, slots=True)
class Location:
    """A location in a template; unknown parts are None."""

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
        """`welcome/pt-BR/subject.j2, line 1`, or the part of it that is known."""
        line = f", line {self.line}" if self.line else ""
        return f"{self.file or ''}{line}"


class TemplateError(TidingsError):
    """A template can't be rendered.

    Args:
        problem: What is wrong, as the end of a sentence that starts with the template's name.
        location: Template, locale, file and line.
        remedy: What to do, as a sentence without its full stop.
    """

    kind: ClassVar[str] = "template_error"

    def __init__(self, problem: str, location: Location, remedy: str = "") -> None:
        where = f" [{location.line_of_file}]" if location.file else ""
        super().__init__(f"{location}: {problem}{where}" + (f". {remedy}" if remedy else ""))
        self.problem = problem
        self.location = location
        self.remedy = remedy


class TemplateNotFound(TemplateError):
    """There is no such template, locale, part or included file."""

    kind = "template_not_found"


class MissingVariable(TemplateError):
    """A variable that the template uses is missing from the notification's data, or null."""

    kind = "template_variable_missing"

    def __init__(
        self, problem: str, location: Location, remedy: str = "", *, variable: str = ""
    ) -> None:
        super().__init__(problem, location, remedy)
        self.variable = variable
        """As the template spells it, e.g. `user.first_name`; empty if it is computed."""


class TemplateSyntax(TemplateError):
    """A file is not a template: an unknown tag or filter, a block left open, …"""

    kind = "template_syntax"


class TemplateTooExpensive(TemplateError):
    """Rendering exceeds the limit of steps or characters."""

    kind = "template_too_expensive"


class TemplateFailed(TemplateError):
    """Rendering failed: a filter got the wrong type, a line break in a subject, …"""

    kind = "template_failed"
