"""Templates: those on this machine with their problems, and one as recipients get it in each locale."""

import json
from typing import Any, Final

from tidings.console.contents import fields_of
from tidings.console.equivalents import command, curl
from tidings.console.page import ConsolePage, Html, Visit
from tidings.operations import template_preview
from tidings.operations.scopes import Scope
from tidings.operations.template_preview import TemplatePreviewRequest

PATH: Final = "/templates"
ONE: Final = f"{PATH}/preview"
"""The name stands in the query: it may have slashes."""


async def _list(visit: Visit) -> Html:
    view = await template_preview.list_templates(visit.backend)
    values = {"view": view, "cli": command("templates", "check"), "curl": ""}
    return Html("templates/list.html", values)


async def _show(visit: Visit) -> Html:
    request = TemplatePreviewRequest(visit.query("name"), visit.query("channel") or None)
    return await _preview(visit, request)


async def _try(visit: Visit) -> Html:
    """With data that was typed; nothing is kept of it."""
    name, channel = visit.form.text("name"), visit.form.text("channel") or None
    text = visit.form.text("data")
    try:
        data = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        problem = f"It is no JSON: {error}"
        return await _preview(visit, TemplatePreviewRequest(name, channel), text, problem)
    if not isinstance(data, dict):
        problem = "It is no JSON object: write names and values in braces."
        return await _preview(visit, TemplatePreviewRequest(name, channel), text, problem)
    return await _preview(visit, TemplatePreviewRequest(name, channel, data), text)


async def _preview(
    visit: Visit, request: TemplatePreviewRequest, typed: str = "", wrong: str = ""
) -> Html:
    view = await template_preview.preview(visit.backend, request)
    data = json.dumps(view.data, ensure_ascii=False)
    body: dict[str, Any] = {"channel": view.channel, "data": dict(view.data)}
    values = {
        "view": view,
        "data": typed or json.dumps(view.data, indent=2, ensure_ascii=False),
        "problem": wrong,
        "fields_of": fields_of,
        "cli": command("templates", "render", view.template.name, data=data),
        "curl": curl(visit, "POST", "/v1/templates/{}/render", view.template.name, body=body),
    }
    return Html("templates/show.html", values, 422 if wrong else 200)


PAGES: Final = (
    ConsolePage("GET", PATH, _list),
    ConsolePage("GET", ONE, _show),
    ConsolePage("POST", ONE, _try, scope=Scope.SEND),
)
