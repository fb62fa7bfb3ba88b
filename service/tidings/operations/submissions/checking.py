"""Checks what somebody would submit, and renders templates: nothing is stored or sent."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidings.channels import registry
from tidings.delivery.errors import InvalidRequest, NotFound
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.submissions.callers import Caller
from tidings.operations.submissions.listing import AT_ONCE, RequestPart, parts_if_several
from tidings.operations.submissions.reading import read_submission
from tidings.operations.suggestions import unknown
from tidings.operations.template_check import faults
from tidings.runtime.background import in_a_thread
from tidings.templates import TemplateError, TemplateNotFound, Templates
from tidings_events import InvalidNotification, Notification
from tidings_events.notifications.base import new_id
from tidings_events.problems import ContractProblem


@dataclass(frozen=True, slots=True)
class ValidateRequest:
    """What would be submitted: one notification, or one content for several recipients."""

    caller: Caller
    body: bytes


@dataclass(frozen=True, slots=True)
class ValidView:
    """It would be accepted."""

    notifications: int

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {"valid": True, "notification_count": self.notifications}


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """A template to render."""

    template: str
    channel: str
    locale: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RenderedView:
    """The content as a recipient would get it."""

    template: str
    channel: str
    content: Mapping[str, str]
    """By field: subject, text, HTML."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {"template": self.template, "channel": self.channel, "content": dict(self.content)}


async def validate(backend: Backend, _: Actor, request: ValidateRequest) -> ValidView:
    """Whether it would be accepted, its template included if the templates are on this machine.

    Raises:
        InvalidNotification: It would not; names every problem.
    """
    caller = request.caller
    parts = parts_if_several(request.body) or [RequestPart(request.body, ())]
    problems: dict[tuple[str, str], ContractProblem] = {}
    valid: list[Notification] = []
    for index, part in enumerate(parts):
        try:
            read = read_submission(part.body, caller.tenant, new_id(), test=caller.test)
        except InvalidNotification as invalid:
            found = [part.placed(problem) for problem in invalid.problems]
            problems |= {(problem.pointer, str(problem)): problem for problem in found}
        else:
            valid.append(read.notification)
        if index % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)  # others have small requests
    if not problems:
        for fault in await _template_faults(backend, valid):
            problem = ContractProblem(f"template: {fault}", ("template",), "template")
            problems[problem.pointer, str(problem)] = problem
    if problems:
        raise InvalidNotification(list(problems.values()))
    return ValidView(len(valid))


async def _template_faults(backend: Backend, notifications: Sequence[Notification]) -> list[str]:
    """Only a locale of its own makes a recipient's content another."""
    each = {notification.locale: notification for notification in notifications}
    return await in_a_thread(
        "check templates", lambda: faults(backend.settings, list(each.values()))
    )


async def render(backend: Backend, _: Actor, request: RenderRequest) -> RenderedView:
    """Render a template as a worker would.

    Raises:
        NotFound: There is no such template here.
        InvalidRequest: There is no such channel, or a part or variable is missing.
    """
    spec = registry.SPECS.get(request.channel)
    if spec is None:
        raise InvalidRequest(unknown(request.channel, tuple(registry.SPECS)), field="channel")
    parts, templates = spec.template_parts, Templates(backend.settings.worker.templates_root)

    def write() -> Mapping[str, str]:
        return templates.render(
            request.template,
            required=parts.required,
            optional=parts.optional,
            locale=request.locale,
            data=dict(request.data),
        )

    try:
        rendered = await in_a_thread("render a template", write)
    except TemplateNotFound as missing:
        raise NotFound(str(missing)) from None
    except TemplateError as error:
        raise InvalidRequest(str(error), field="data") from None
    fields = {**parts.optional, **parts.required}
    content = {fields[part]: text for part, text in rendered.items()}
    return RenderedView(request.template, request.channel, content)
