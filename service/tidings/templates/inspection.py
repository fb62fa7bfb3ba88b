"""Lists the templates in the folder and their problems, without any data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tidings.channels.registry import SPECS
from tidings.templates.analysis import FileAnalysis, analyse
from tidings.templates.library import Folder, Level, Library, Problem
from tidings.templates.names import DEFAULT
from tidings.templates.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class TemplateInfo:
    """One template, described without rendering it."""

    name: str
    locales: tuple[str, ...]
    parts: tuple[str, ...]
    """Parts that any of its locales has."""
    variables: tuple[str, ...]
    """Variables that it uses, e.g. `user.first_name`, included files too."""
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result of `inspect`."""

    templates: tuple[TemplateInfo, ...]
    problems: tuple[Problem, ...]
    """Problems of the templates, of included files, and of misplaced files."""


def inspect(library: Library, sandbox: Sandbox) -> Inspection:
    """Compile every file of a library and check each template."""
    files = {path: analyse(sandbox, path) for path in library.sources}
    templates = tuple(
        _describe(name, library.templates[name], files) for name in sorted(library.templates)
    )
    own = {problem for template in templates for problem in template.problems}
    others = [problem for file in files.values() for problem in file.problems]
    loose = [problem for problem in (*library.problems, *others) if problem not in own]
    ordered = sorted((*loose, *own), key=lambda problem: (problem.file, problem.line or 0))
    return Inspection(templates, tuple(ordered))


def _describe(
    name: str, folders: Mapping[str, Folder], files: Mapping[str, FileAnalysis]
) -> TemplateInfo:
    paths = [path for folder in folders.values() for path in folder.values()]
    problems = [problem for path in paths for problem in files[path].problems]
    return TemplateInfo(
        name=name,
        locales=tuple(sorted(folders, key=lambda locale: (locale != DEFAULT, locale))),
        parts=tuple(sorted({part for folder in folders.values() for part in folder})),
        variables=tuple(sorted({used for path in paths for used in _variables(path, files)})),
        problems=(*problems, *_unlike(name, folders, files)),
    )


def _variables(
    path: str, files: Mapping[str, FileAnalysis], seen: frozenset[str] = frozenset()
) -> frozenset[str]:
    """Variables of a file and of its includes, without those that it assigns itself."""
    if path in seen or path not in files:
        return frozenset()
    file = files[path]
    inner = [_variables(each, files, seen | {path}) for each in file.included]
    handed_on = {used for each in inner for used in each if _head(used) not in file.bound}
    return file.variables | handed_on


def _head(variable: str) -> str:
    return variable.replace("[", ".").split(".", 1)[0]


def _unlike(
    name: str, folders: Mapping[str, Folder], files: Mapping[str, FileAnalysis]
) -> Iterator[Problem]:
    """Differences between the locales of a template, and parts that a channel requires and a locale lacks."""
    model = folders.get(DEFAULT)
    if model is None:
        there = ", ".join(sorted(folders))
        yield _warning(name, name, f"has no {DEFAULT} folder: it can only be rendered in {there}")
    for locale, folder in folders.items():
        yield from _incomplete(name, locale, folder)
        if model is not None and locale != DEFAULT:
            yield from _lacking(name, locale, folder, model)
            yield from _strange(name, folder, model, files)


def _warning(template: str, file: str, message: str) -> Problem:
    return Problem(Level.WARNING, file, message, template=template)


def _incomplete(name: str, locale: str, folder: Folder) -> Iterator[Problem]:
    """Required parts that are missing for a channel. A body alone may be for any channel."""
    for spec in SPECS.values():
        parts = spec.template_parts
        meant = {
            part
            for part, field in (*parts.required.items(), *parts.optional.items())
            if field != "text"
        }
        lacking = [part for part in parts.required if part not in folder]
        if lacking and not meant.isdisjoint(folder):
            files = " and ".join(f"{part}.j2" for part in lacking)
            message = f"lacks {files}, which {spec.name} requires"
            yield _warning(name, f"{name}/{locale}", message)


def _lacking(name: str, locale: str, folder: Folder, model: Folder) -> Iterator[Problem]:
    if lacking := sorted(set(model) - set(folder)):
        files = ", ".join(f"{part}.j2" for part in lacking)
        yield _warning(name, f"{name}/{locale}", f"lacks {files}, which {DEFAULT} has")


def _strange(
    name: str, folder: Folder, model: Folder, files: Mapping[str, FileAnalysis]
) -> Iterator[Problem]:
    for part in sorted(set(folder) & set(model)):
        known = _variables(model[part], files)
        for variable in sorted(_variables(folder[part], files) - known):
            message = f'uses "{variable}", which {model[part]} does not: a typo?'
            yield _warning(name, folder[part], message)
