"""The `ChannelSpec` of webhooks."""

from typing import Any

from tidings.channels.spec import Announcement, ChannelSpec
from tidings.channels.webhook.settings import WebhookSettings
from tidings.delivery.ports import Channel
from tidings_events import WebhookNotification


def _build(settings: WebhookSettings, _: None) -> Channel:
    from tidings.channels.webhook.channel import WebhookChannel

    return WebhookChannel(settings)


def _announce(announcement: Announcement) -> dict[str, Any]:
    payload = {**announcement.details, "title": announcement.title, "text": announcement.text}
    return {"event_type": announcement.event, "payload": payload}


SPEC = ChannelSpec(
    notification=WebhookNotification,
    settings=WebhookSettings,
    configured=lambda settings, _: settings.enabled and bool(settings.secret.get_secret_value()),
    variables="TIDINGS_WEBHOOK_SECRET",
    build=_build,
    plain=frozenset({"event_type"}),
    announce=_announce,
)
