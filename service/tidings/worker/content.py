"""The content of a notification: written by the producer, or rendered from a template."""

from tidings.delivery.errors import Rejected
from tidings.delivery.ports import Content, TemplateParts
from tidings.templates import TemplateError, Templates
from tidings_events import Notification


def content_of(notification: Notification, parts: TemplateParts, templates: Templates) -> Content:
    """The content to deliver.

    Raises:
        Rejected: The template, or a variable that it needs, is missing.
    """
    name: str | None = getattr(notification, "template", None)
    if name is None:
        return _as_written(notification)
    try:
        rendered = templates.render(
            name,
            required=parts.required,
            optional=parts.optional,
            locale=notification.locale,
            data=notification.data or {},
        )
    except TemplateError as error:
        raise Rejected(str(error), provider="templates", code=type(error).__name__) from None
    places, others = parts.required, parts.optional
    return Content(**{places.get(part) or others[part]: text for part, text in rendered.items()})


def _as_written(notification: Notification) -> Content:
    """The content as the producer wrote it, from the fields that its channel has."""
    return Content(
        text=getattr(notification, "body", None) or "",
        subject=getattr(notification, "subject", None) or "",
        html=getattr(notification, "html", None),
    )
