"""Renders pages: the templates in `html/`, with the filters and functions that they use."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from tidings.console.mail_preview import reduced
from tidings.console.page import ROOT
from tidings.console.sparklines import sparkline
from tidings.operations import times

ASSETS: Final = files("tidings.console") / "assets"
MEDIA_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@cache
def assets() -> Mapping[str, bytes]:
    """The files that pages load, by name."""
    return {path.name: path.read_bytes() for path in ASSETS.iterdir()}


@cache
def asset(name: str) -> str:
    """The address of a file that pages load; another after each change of it, so that browsers may keep it for ever."""
    digest = hashlib.sha256(assets()[name]).hexdigest()[:12]
    return f"{ROOT}/assets/{name}?v={digest}"


def url(path: str, *parts: str, **query: Any) -> str:
    """The address of a page: `url("/jobs/{}", id)`, `url("/notifications", state=["failed"])`; None is left out."""
    given: list[tuple[str, str]] = []
    for name, value in query.items():
        values = value if isinstance(value, list | tuple) else [value]
        given += [(name, str(each)) for each in values if each is not None and each != ""]
    address = ROOT + (path.format(*(quote(part, safe="") for part in parts)) if parts else path)
    return f"{address}?{urlencode(given)}" if given else address


@pass_context
def link(context: Context, path: str, query: Mapping[str, Any] | None = None, *parts: str) -> str:
    """The address of a page that is served and that the visitor may see; else empty, so that its text is shown alone.

    Args:
        context: Of the template.
        path: As the page has it, such as `/failures/{fingerprint}`.
        query: As for `url`.
        parts: For its parameters.
    """
    page, visitor = context["served"].get(path), context.get("visitor")
    if page is None or visitor is None:
        return ""
    reason = visitor.why_not(page.scope, live_only=page.live_only, all_tenants=page.all_tenants)
    return "" if reason else url(_without_names(path), *parts, **(query or {}))


@cache
def _without_names(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def moment(at: datetime | None) -> str:
    """A time: how long ago, and the exact time as its title; the page's script writes that in the reader's zone."""
    if at is None:
        return times.NOTHING
    exact, ago = _iso(at), times.ago(at, datetime.now(UTC))
    title = f"{exact[:10]} {exact[11:19]} UTC"
    return Markup(f'<time datetime="{exact}" title="{title}">{ago}</time>')  # noqa: S704  # nothing that people wrote


def exactly(at: datetime | None) -> str:
    """A time to the second, in UTC; the page's script writes it in the reader's zone."""
    if at is None:
        return times.NOTHING
    exact = _iso(at)
    text = f"{exact[:10]} {exact[11:19]}"
    return Markup(f'<time datetime="{exact}" data-exact>{text} UTC</time>')  # noqa: S704  # nothing that people wrote


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def number(value: float | None) -> str:
    """A number with its thousands apart; a dash if it is not known."""
    if value is None:
        return times.NOTHING
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}".removesuffix(".0")


def length(seconds: float | None) -> str:
    """A length of time; a dash if it is not known."""
    return times.NOTHING if seconds is None else times.span(seconds)


@cache
def icon(name: str) -> Markup:
    """A picture of the sprite, beside words that say the same."""
    return Markup('<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>').format(
        asset("icons.svg"), name
    )


def lines(text: str) -> Markup:
    """Text with its line breaks."""
    return Markup("<br>").join(escape(line) for line in text.splitlines())


def person(actor: str | None) -> str:
    """An actor without the id of its request, for pages that have little room."""
    return re.sub(r" \(request [^)]*\)$", "", actor) if actor else "Tidings"


def mail_page(html: str) -> str:
    """A page for a frame that shows a mail, to be escaped as the frame's attribute: see `mail_preview`."""
    style = f'<link rel="stylesheet" href="{asset("console.css")}">'
    return f'<!doctype html>{style}<div class="mail-words">{reduced(html)}</div>'


def coded(text: str) -> Markup:
    """Text in which `a command` is shown as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup().join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part)
        for place, part in enumerate(parts)
    )


def json_text(value: Any) -> str:
    """JSON as a person reads it: escaped for HTML like any other text, not within itself."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def environment() -> Environment:
    """The templates; everything is escaped, and what is missing is an error."""
    made = Environment(
        loader=PackageLoader("tidings.console", "html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        moment=moment,
        exactly=exactly,
        number=number,
        length=length,
        share=times.share,
        counted=times.counted,
        lines=lines,
        person=person,
        coded=coded,
        json=json_text,
    )
    made.globals.update(
        url=url, link=link, asset=asset, icon=icon, sparkline=sparkline, mail_page=mail_page
    )
    return made
