"""Renders a template with a notification's data into the content that a channel sends."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from tidings.templates.budget import CURRENT, Budget
from tidings.templates.errors import (
    Location,
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
"""Default limit of steps of one message: some tenths of a second."""
MOST_CHARACTERS: Final = 1024 * 1024
"""Default limit of characters of one part."""

_ONE_LINE: Final = frozenset({"subject", "title"})


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The templates' folder at one time; replaced as a whole."""

    library: Library
    sandbox: Sandbox


class Templates:
    """Renders messages from `<root>/<name>/<locale>/<part>.j2`.

    The folder is read once, at construction; a file is compiled when it is first used. Safe to use
    from several threads and tasks. The disk is not accessed later, unless `auto_reload` is set.

    Args:
        root: The folder. If it doesn't exist, every template is missing, and `check` reports it.
        steps: Limit of steps of one message; see `tidings.templates.budget`.
        characters: Limit of characters of one part.
        auto_reload: Read the folder again if a file in it changed: for development.
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
        self._snapshot = _read(root)

    def reload(self) -> None:
        """Read the folder again. Messages being rendered finish with the old files."""
        self._snapshot = _read(self.root)

    def render(
        self,
        name: str,
        locale: str | None,
        data: Mapping[str, object],
        *,
        required: Collection[str],
        optional: Collection[str] = (),
    ) -> dict[str, str]:
        """Render one message.

        All parts are of one locale: the first of `pt-BR → pt → default` that has every required part.

        Args:
            name: The template, e.g. `welcome`.
            locale: The locale requested, e.g. `pt-BR`; None for the default.
            data: The template's variables.
            required: Required parts, e.g. `("subject", "text")`.
            optional: Parts rendered if their files exist, e.g. `("html",)`.

        Returns:
            Part → text, without surrounding white space; a subject is a single line.

        Raises:
            TemplateNotFound: There is no such template, or no locale of it has the required parts.
            MissingVariable: A variable that the template uses is missing from the data.
            TemplateSyntax: A file can't be compiled.
            TemplateTooExpensive: It takes more steps or characters than allowed.
            TemplateFailed: Rendering failed for another reason.
        """
        snapshot = self._current()
        found, folder = _choose(snapshot.library, name, locale, required)
        variables = {**snapshot.sandbox.globals, **data}
        token = CURRENT.set(Budget(self._steps))
        try:
            written = {
                part: self._write(
                    snapshot.sandbox, Location(name, found, folder[part]), part, variables
                )
                for part in (*required, *optional)
                if part in folder
            }
        finally:
            CURRENT.reset(token)
        for part in required:
            if not written[part]:
                raise TemplateFailed("it rendered to nothing", Location(name, found, folder[part]))
        return {part: text for part, text in written.items() if text}

    def locale(self, name: str, locale: str | None, required: Collection[str]) -> str:
        """The locale that a message would be rendered in.

        Raises:
            TemplateNotFound: As `render`.
        """
        return _choose(self._current().library, name, locale, required)[0]

    @property
    def digest(self) -> str:
        """A hash of the files: see `Library.digest`."""
        return self._current().library.digest

    def list_templates(self) -> tuple[TemplateInfo, ...]:
        """Every template, by name: its locales, parts, variables and problems."""
        snapshot = self._current()
        return inspect(snapshot.library, snapshot.sandbox).templates

    def check(self) -> tuple[Problem, ...]:
        """All problems that can be found without data; compiles every file."""
        snapshot = self._current()
        return inspect(snapshot.library, snapshot.sandbox).problems

    def _current(self) -> _Snapshot:
        if self._auto_reload and (now := fingerprint(self.root)) != self._fingerprint:
            self._fingerprint = now
            self.reload()
        return self._snapshot

    def _write(
        self, sandbox: Sandbox, location: Location, part: str, variables: dict[str, object]
    ) -> str:
        try:
            template = sandbox.get_template(location.file or "")
            context = sandbox.context_class(sandbox, variables, template.name, template.blocks)
            text = "".join(template.root_render_func(context)).strip()
        except Exception as error:  # noqa: BLE001  # a template can raise any exception
            # From None: the cause may contain data, and this error is recorded.
            raise explained(error, location, sandbox) from None
        self._accept(text, part, location)
        return text

    def _accept(self, text: str, part: str, location: Location) -> None:
        if len(text) > self._characters:
            raise TemplateTooExpensive(
                f"it has more than {self._characters:,} characters", location
            )
        if part in _ONE_LINE and len(text.splitlines()) > 1:
            raise TemplateFailed(
                f"the {part} has a line break",
                location,
                "Write it on one line; for a variable that may contain line breaks use | oneline",
            )


def _read(root: Path) -> _Snapshot:
    library = read_library(root)
    return _Snapshot(library, Sandbox(library.sources))


def _choose(
    library: Library, name: str, locale: str | None, required: Collection[str]
) -> tuple[str, Folder]:
    """The locale and folder for a message."""
    folders = library.templates.get(name)
    if folders is None:
        raise _unknown(library, name)
    try:
        chain = fallback(locale)
    except ValueError as rule:
        raise TemplateNotFound(
            f"{shown(locale or '')} is not a locale: {rule}", Location(name)
        ) from None
    for each in chain:
        folder = folders.get(each)
        if folder is not None and all(part in folder for part in required):
            return each, folder
    raise _incomplete(library, name, chain, required)


def _unknown(library: Library, name: str) -> TemplateNotFound:
    if not is_name(name):
        return TemplateNotFound(f"invalid template name: {NAME_RULE}", Location(shown(name)[1:-1]))
    close = get_close_matches(name, library.templates, n=1)
    remedy = (
        f'Did you mean "{close[0]}"?' if close else "`tidings templates list` shows all templates"
    )
    return TemplateNotFound(f"there is no such template in {library.root}", Location(name), remedy)


def _incomplete(
    library: Library, name: str, chain: Sequence[str], required: Collection[str]
) -> TemplateNotFound:
    wanted = " and ".join(f"{part}.j2" for part in required)
    folders = library.templates[name]
    there = "; ".join(f"{each} has {_parts(folders[each])}" for each in sorted(folders))
    return TemplateNotFound(
        f"none of {' → '.join(chain)} has {wanted} ({there})",
        Location(name),
        f"Add the missing files to {library.root}/{name}/{chain[-1]}",
    )


def _parts(folder: Folder) -> str:
    return ", ".join(f"{part}.j2" for part in sorted(folder))
