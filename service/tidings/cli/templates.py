"""`tidings templates`: lists, checks and renders templates before they are used."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from tidings.cli.commands import Commands
from tidings.cli.console import (
    FAULT,
    err,
    fail,
    guarded,
    out,
    print_all_as_json,
    print_json,
    print_text,
    run,
)
from tidings.cli.drafts import json_object
from tidings.cli.files import contents
from tidings.cli.options import actor
from tidings.cli.rows import Row, Rows, cell
from tidings.cli.terminal import escape
from tidings.delivery.errors import ConfigurationError
from tidings.operations.processes import note_on_other_templates
from tidings.settings import Settings
from tidings.templates import (
    Level,
    Problem,
    TemplateError,
    TemplateInfo,
    Templates,
    copy_starter,
)

app = Commands(
    help="List, check and render templates, or create a starter set.",
    no_args_is_help=True,
)

Root = Annotated[
    Path | None,
    typer.Option(
        help="Folder with the templates; default TIDINGS_TEMPLATES_ROOT, or ./templates.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_MAIL: Final = ("subject", "text")
_COLOURS: Final = {Level.ERROR: "red", Level.WARNING: "yellow"}


@app.command("list")
def list_(root: Root = None, as_json: AsJson = False) -> None:
    """List all templates with their locales, parts and variables.

    Example: [bold]tidings templates list --root templates[/]
    """
    templates = _open(root)
    infos = templates.list_templates()
    if as_json:
        print_all_as_json(infos)
    elif infos:
        out.print(_table(infos))
        if any(template.problems for template in infos):
            err.print("[dim]`tidings templates check` shows the problems.[/]")
    else:
        out.print(
            f"No templates in {escape(str(templates.root))}. "
            f"Create a starter set: [bold]tidings templates init {escape(str(templates.root))}[/]"
        )


@app.command()
def check(
    root: Root = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check files, variables and translations of all templates.

    Exit code 1 if there is an error.

    Example: [bold]tidings templates check --strict[/]
    """
    templates = _open(root)
    problems = templates.check()
    if as_json:
        print_json(problems)
    else:
        _report(templates, problems)
        if hint := run(note_on_other_templates(Settings(), actor(), templates.digest)):
            out.print(f"[yellow]![/] {escape(hint)}; restart them")
    if any(strict or problem.level is Level.ERROR for problem in problems):
        raise typer.Exit(FAULT)


@app.command()
def render(
    name: Annotated[str, typer.Argument(help="Template, e.g. welcome.", show_default=False)],
    data: Annotated[
        str | None, typer.Option(help="Variables, as a JSON object.", show_default=False)
    ] = None,
    data_file: Annotated[
        str | None,
        typer.Option(
            help="Read variables from this file; - is standard input.", show_default=False
        ),
    ] = None,
    locale: Annotated[
        str | None, typer.Option(help="Language tag, e.g. pt-BR.", show_default=False)
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            help="Print only this part, e.g. html, without a heading.", show_default=False
        ),
    ] = None,
    root: Root = None,
    as_json: AsJson = False,
) -> None:
    """Render a template as it would be sent.

    Example: [bold]tidings templates render otp --data '{"code": "493021"}' --locale pt-BR[/]
    """
    templates = _open(root)
    variables = _variables(data, data_file)
    try:
        parts = _rendered(templates, name, locale, variables, part)
    except TemplateError as error:
        fail(error)
    if as_json:
        print_json({"template": name, "parts": parts})
    elif part is not None:
        print_text(parts[part]["text"])
    else:
        _show(parts)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Target folder; created if missing.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
) -> None:
    """Create starter templates: a welcome, a one-time code, a shipped order.

    Example: [bold]tidings templates init templates[/]
    """
    try:
        files = copy_starter(folder, overwrite=force)
    except FileExistsError as error:
        err.print(f"[bold red]Error:[/] {escape(str(error))}. --force overwrites them.")
        raise typer.Exit(FAULT) from None
    except OSError as error:
        fail(ConfigurationError(f"can't write to {folder}: {error.strerror}"))
    out.print(f"Created {len(files)} files in {escape(str(folder))}. List them with:")
    out.print(f"[bold]tidings templates list --root {escape(str(folder))}[/]")


def _open(root: Path | None) -> Templates:
    folder = root or guarded(lambda: Settings().worker.templates_root)
    if not folder.is_dir():
        fail(
            ConfigurationError(
                f"there are no templates in {folder}: set TIDINGS_TEMPLATES_ROOT, give --root, "
                f"or create some with `tidings templates init {folder}`"
            )
        )
    return Templates(folder)


def _table(infos: Iterable[TemplateInfo]) -> Rows:
    return Rows(
        ("Template", "Locales", "Parts", "Problems"),
        [
            Row(
                [
                    cell(template.name, "bold"),
                    cell(", ".join(template.locales)),
                    cell(", ".join(template.parts)),
                    cell(str(len(template.problems)), "yellow" if template.problems else "dim"),
                ],
                ", ".join(template.variables),
            )
            for template in infos
        ],
        right=("Problems",),
        reason="Variables",
    )


def _report(templates: Templates, problems: Iterable[Problem]) -> None:
    for problem in problems:
        line = f", line {problem.line}" if problem.line else ""
        colour = _COLOURS[problem.level]
        out.print(
            f"[{colour}]{problem.level}[/] [bold]{escape(problem.file)}[/]{line}: "
            f"{escape(problem.message)}"
        )
    count = len(templates.list_templates())
    if not problems:
        out.print(f"[green]{count} templates, no problems.[/]")


def _variables(data: str | None, data_file: str | None) -> Mapping[str, object]:
    if data is not None and data_file is not None:
        raise typer.BadParameter("give one of them, not both", param_hint="--data, --data-file")
    if data_file is None:
        return json_object("--data", data) or {}
    return json_object("--data-file", contents("--data-file", data_file)) or {}


def _rendered(
    templates: Templates,
    name: str,
    locale: str | None,
    variables: Mapping[str, object],
    only: str | None,
) -> dict[str, Any]:
    """Locale and text of each part. The parts of an email are rendered together, as the channel does."""
    there = next((info.parts for info in templates.list_templates() if info.name == name), ())
    parts: dict[str, Any] = {}
    for required, optional in _messages(there, only):
        texts = templates.render(name, locale, variables, required=required, optional=optional)
        found = templates.locale(name, locale, required)
        parts |= {part: {"locale": found, "text": text} for part, text in texts.items()}
    return parts if only is None else {only: parts[only]}


def _messages(
    there: Iterable[str], only: str | None
) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Required and optional parts of each message that a template can render."""
    mail = {*_MAIL, "html"} if set(_MAIL) <= set(there) else set()
    if only is not None:
        return [(tuple(dict.fromkeys((*_MAIL, only))) if only in mail else (only,), ())]
    alone = [((part,), ()) for part in there if part not in mail]
    return [(_MAIL, ("html",)), *alone] if mail or not alone else [*alone]


def _show(parts: Mapping[str, Any]) -> None:
    for part, written in parts.items():
        out.rule(f"{escape(part)} ({written['locale']})", align="left")
        out.print(written["text"], markup=False, emoji=False, soft_wrap=True)
