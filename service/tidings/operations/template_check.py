"""Renders a notification's template before it is published, as a worker would."""

from collections.abc import Iterator, Sequence

from tidings.channels import registry
from tidings.delivery.errors import ConfigurationError, Rejected
from tidings.settings import Settings
from tidings.templates import Templates
from tidings.worker.content import content_of
from tidings_events import Notification


def faults(settings: Settings, notifications: Sequence[Notification]) -> list[str]:
    """Why some of them can't be written, each fault once; none if the templates or the channel are not set up here."""
    try:
        if not settings.worker.templates_root.is_dir():
            return []
        return list(dict.fromkeys(_faults(settings, notifications)))
    except (
        ConfigurationError
    ):  # no worker would run with these settings: `tidings doctor` tells of them
        return []


def _faults(settings: Settings, notifications: Sequence[Notification]) -> Iterator[str]:
    templates = Templates(settings.worker.templates_root)
    here = registry.configured(settings)
    for notification in notifications:
        if getattr(notification, "template", None) is None or notification.channel not in here:
            continue
        try:
            content_of(notification, registry.SPECS[notification.channel].template_parts, templates)
        except Rejected as error:
            yield str(error)
