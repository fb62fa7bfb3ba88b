"""Turns a template and a notification's data into the words a channel sends."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from tidings.templates.budget import CURRENT, Budget
from tidings.templates.errors import (
    Place,
    TemplateFailed,
    TemplateNotFound,
    TemplateTooExpensive,
)
from tidings.templates.explain import explained
from tidings.templates.inspection import TemplateInfo, inspect
from tidings.templates.library import Folder, Library, Problem, fingerprint, read_library
from tidings.templates.names import NAME_RULE, fallback, is_name, shown
from tidings.templates.sandbox import Sandbox

MOST_STEPS: Final = 300_000
"""What one message may take to write unless told otherwise: some tenths of a second."""
MOST_CHARACTERS: Final = 1024 * 1024
"""How long one part may become unless told otherwise."""

_ONE_LINE: Final = frozenset({"subject", "title"})


@dataclass(frozen=True, slots=True)
class _Edition:
    """The templates' folder as it was read once; replaced as a whole."""

    library: Library
    sandbox: Sandbox


class Templates:
    """The words of messages, from `<root>/<name>/<locale>/<part>.j2`.

    The folder is read once, when this is made; a file is compiled once, when it is first used.
    Safe to use from any number of threads and tasks. Nothing here touches the disk after that,
    unless `auto_reload` is set.

    Args:
        root: The folder. If it isn't there every template is missing, and `check` says why.
        steps: What one message may cost; see `tidings.templates.budget`.
        characters: How long one part may become.
        auto_reload: Read the folder again whenever a file in it changed: for writing templates.
    """

    def __init__(
        self,
        root: Path,
        *,
        steps: int = MOST_STEPS,
        characters: int = MOST_CHARACTERS,
        auto_reload: bool = False,
    ) -> None:
        self.root = root
        self._steps = steps
        self._characters = characters
        self._auto_reload = auto_reload
        self._fingerprint = fingerprint(root) if auto_reload else frozenset()
        self._edition = _read(root)

    def reload(self) -> None:
        """Read the folder again. Messages being written are finished with what was there before."""
        self._edition = _read(self.root)

    def render(
        self,
        name: str,
        locale: str | None,
        data: Mapping[str, object],
        *,
        required: Collection[str],
        optional: Collection[str] = (),
    ) -> dict[str, str]:
        """Write one message.

        All its parts are of one locale: the first of `pt-BR → pt → default` that has every
        required part.

        Args:
            name: The template, e.g. `welcome`.
            locale: The language asked for, e.g. `pt-BR`; None for the default words.
            data: The template's variables.
            required: Parts the message can't do without, e.g. `("subject", "text")`.
            optional: Parts it has where their files are there, e.g. `("html",)`.

        Returns:
            Part → text, without white space around it; a subject is a single line.

        Raises:
            TemplateNotFound: There is no such template, or no locale of it has the required parts.
            MissingVariable: The data lacks something the template uses.
            TemplateSyntax: A file can't be compiled.
            TemplateTooExpensive: It takes more steps or characters than allowed.
            TemplateFailed: Anything else that keeps it from being written.
        """
        edition = self._current()
        found, folder = _choose(edition.library, name, locale, required)
        variables = {**edition.sandbox.globals, **data}
        token = CURRENT.set(Budget(self._steps))
        try:
            written = {
                part: self._write(
                    edition.sandbox, Place(name, found, folder[part]), part, variables
                )
                for part in (*required, *optional)
                if part in folder
            }
        finally:
            CURRENT.reset(token)
        for part in required:
            if not written[part]:
                raise TemplateFailed("it came to nothing", Place(name, found, folder[part]))
        return {part: text for part, text in written.items() if text}

    def locale(self, name: str, locale: str | None, required: Collection[str]) -> str:
        """Which locale a message would be written in.

        Raises:
            TemplateNotFound: As `render`.
        """
        return _choose(self._current().library, name, locale, required)[0]

    @property
    def digest(self) -> str:
        """What the files come to that were read: see `Library.digest`."""
        return self._current().library.digest

    def list_templates(self) -> tuple[TemplateInfo, ...]:
        """Every template, by name: its locales, parts, variables and what is wrong with it."""
        edition = self._current()
        return inspect(edition.library, edition.sandbox).templates

    def check(self) -> tuple[Problem, ...]:
        """Everything that can be told to be wrong without data; compiles every file."""
        edition = self._current()
        return inspect(edition.library, edition.sandbox).problems

    def _current(self) -> _Edition:
        if self._auto_reload and (now := fingerprint(self.root)) != self._fingerprint:
            self._fingerprint = now
            self.reload()
        return self._edition

    def _write(
        self, sandbox: Sandbox, place: Place, part: str, variables: dict[str, object]
    ) -> str:
        try:
            template = sandbox.get_template(place.file or "")
            context = sandbox.context_class(sandbox, variables, template.name, template.blocks)
            text = "".join(template.root_render_func(context)).strip()
        except Exception as error:  # noqa: BLE001  # a template can raise anything; all of it is its fault
            # From None: the cause may hold data, and what is raised here is recorded.
            raise explained(error, place, sandbox) from None
        self._accept(text, part, place)
        return text

    def _accept(self, text: str, part: str, place: Place) -> None:
        if len(text) > self._characters:
            raise TemplateTooExpensive(
                f"it came to more than {self._characters:,} characters", place
            )
        if part in _ONE_LINE and len(text.splitlines()) > 1:
            raise TemplateFailed(
                f"the {part} has a line break",
                place,
                "Write it on one line; for a variable that may have line breaks use | oneline",
            )


def _read(root: Path) -> _Edition:
    library = read_library(root)
    return _Edition(library, Sandbox(library.sources))


def _choose(
    library: Library, name: str, locale: str | None, required: Collection[str]
) -> tuple[str, Folder]:
    """The locale and folder a message is written from."""
    folders = library.templates.get(name)
    if folders is None:
        raise _unknown(library, name)
    try:
        chain = fallback(locale)
    except ValueError as rule:
        raise TemplateNotFound(f"{shown(locale or '')} is no locale: {rule}", Place(name)) from None
    for each in chain:
        folder = folders.get(each)
        if folder is not None and all(part in folder for part in required):
            return each, folder
    raise _incomplete(library, name, chain, required)


def _unknown(library: Library, name: str) -> TemplateNotFound:
    if not is_name(name):
        return TemplateNotFound(
            f"there can be no such template: {NAME_RULE}", Place(shown(name)[1:-1])
        )
    close = get_close_matches(name, library.templates, n=1)
    cure = (
        f'Did you mean "{close[0]}"?' if close else "`tidings templates list` shows what there is"
    )
    return TemplateNotFound(f"there is no such template in {library.root}", Place(name), cure)


def _incomplete(
    library: Library, name: str, chain: Sequence[str], required: Collection[str]
) -> TemplateNotFound:
    wanted = " and ".join(f"{part}.j2" for part in required)
    folders = library.templates[name]
    there = "; ".join(f"{each} has {_parts(folders[each])}" for each in sorted(folders))
    return TemplateNotFound(
        f"none of {' → '.join(chain)} has {wanted} ({there})",
        Place(name),
        f"Add what is missing to {library.root}/{name}/{chain[-1]}",
    )


def _parts(folder: Folder) -> str:
    return ", ".join(f"{part}.j2" for part in sorted(folder))
