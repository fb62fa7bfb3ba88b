"""The templates on this machine: listed with their problems, and rendered in every locale with sample data."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tidings.channels import registry
from tidings.delivery.errors import InvalidRequest, NotFound
from tidings.operations.backend import Backend
from tidings.runtime.background import in_a_thread
from tidings.templates import Problem, TemplateError, TemplateInfo, Templates

__all__ = ["Problem", "TemplateInfo"]


@dataclass(frozen=True, slots=True)
class TemplateListView:
    """All templates."""

    templates: tuple[TemplateInfo, ...]
    problems: tuple[Problem, ...]
    """Of templates and of files that are none."""
    root: str

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {"templates": self.templates, "problems": self.problems}


@dataclass(frozen=True, slots=True)
class TemplatePreviewRequest:
    """A template to be rendered in each of its locales."""

    name: str
    channel: str | None = None
    """Its parts are those of this channel; None: the first that it has all parts for."""
    data: Mapping[str, Any] | None = None
    """Its variables; None: samples."""


@dataclass(frozen=True, slots=True)
class RenderedLocale:
    """What a recipient with this locale would get, or why nothing."""

    locale: str
    content: Mapping[str, str] = field(default_factory=dict)
    """By field: subject, body, html."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class TemplatePreviewView:
    """A template in all its locales."""

    template: TemplateInfo
    channels: tuple[str, ...]
    """Those that it has all parts for."""
    channel: str
    """The one that it is rendered for; empty if it has all parts for none."""
    data: Mapping[str, Any]
    rendered: tuple[RenderedLocale, ...]

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {
            "template": self.template,
            "channels": self.channels,
            "channel": self.channel,
            "data": self.data,
            "rendered": self.rendered,
        }


async def list_templates(backend: Backend) -> TemplateListView:
    """All templates in this process's folder."""
    root = backend.settings.worker.templates_root

    def look() -> TemplateListView:
        templates = Templates(root)
        return TemplateListView(templates.list_templates(), templates.check(), str(root))

    return await in_a_thread("list templates", look)


async def preview(backend: Backend, request: TemplatePreviewRequest) -> TemplatePreviewView:
    """Render a template in each of its locales, as a worker would.

    Raises:
        NotFound: There is no such template here.
        InvalidRequest: It can't be rendered for this channel.
    """
    root = backend.settings.worker.templates_root

    def write() -> TemplatePreviewView:
        templates = Templates(root)
        listed = templates.list_templates()
        template = next((each for each in listed if each.name == request.name), None)
        if template is None:
            raise NotFound(f"there is no template {request.name[:100]!r} on this machine")
        channels = _channels(template.parts)
        if request.channel is not None and request.channel not in channels:
            known = ", ".join(channels) or "no channel"
            raise InvalidRequest(f"it has all parts for {known}", field="channel")
        channel = request.channel or next(iter(channels), "")
        data = samples(template.variables) if request.data is None else request.data
        rendered = (
            [_rendered(templates, template, locale, channel, data) for locale in template.locales]
            if channel
            else []
        )
        return TemplatePreviewView(template, channels, channel, data, tuple(rendered))

    return await in_a_thread("preview a template", write)


def _channels(parts: Sequence[str]) -> tuple[str, ...]:
    there = set(parts)
    return tuple(
        spec.name
        for spec in registry.SPECS.values()
        if spec.template_parts.required and set(spec.template_parts.required) <= there
    )


def _rendered(
    templates: Templates,
    template: TemplateInfo,
    locale: str,
    channel: str,
    data: Mapping[str, Any],
) -> RenderedLocale:
    parts = registry.SPECS[channel].template_parts
    fields = {**parts.optional, **parts.required}
    try:
        rendered = templates.render(
            template.name, locale, data, required=parts.required, optional=parts.optional
        )
    except TemplateError as error:
        return RenderedLocale(locale, problem=str(error))
    return RenderedLocale(locale, {fields[part]: text for part, text in rendered.items()})


SAMPLES: Final = (
    (r"url|link|href", "https://example.com/42"),
    (r"e?mail", "jane@example.com"),
    (r"phone|number_of_phone", "+14155550123"),
    (r"date|time|_(at|on)$|day|until|since|expir", "2026-05-12T09:31:00+02:00"),
    (r"amount|total|price|sum|cost|fee", 42.5),
    (r"count|quantity|minutes|hours|days|number$|size", 3),
    (r"currency", "EUR"),
    (r"code|otp|token|pin", "493021"),
    (r"name", "Jane"),
    (
        r"items|lines|products|list|entries",
        [{"name": "First", "title": "First", "quantity": 2, "price": 42.5, "total": 85.0}],
    ),
)
"""What variables are like, by words in their names."""


def samples(variables: Sequence[str]) -> dict[str, Any]:
    """Data with which a template can be looked at: `user.first_name` becomes `{"user": {"first_name": "Jane"}}`."""
    data: dict[str, Any] = {}
    for variable in sorted(variables, key=lambda name: name.count(".")):
        *above, last = re.sub(r"\[[^\]]*\]", "", variable).split(".")
        inner = data
        for name in above:
            deeper = inner.get(name)
            if not isinstance(deeper, dict):
                deeper = inner[name] = {}
            inner = deeper
        inner.setdefault(last, _sample(last))
    return data


def _sample(name: str) -> Any:
    for pattern, value in SAMPLES:
        if re.search(pattern, name, re.IGNORECASE):
            return value
    return name.replace("_", " ")
