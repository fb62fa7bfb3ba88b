"""The `ChannelSpec` of webhooks."""

from typing import Any

from tidings.channels.spec import ChannelSetup, ChannelSpec, OperatorAlert
from tidings.channels.webhook.settings import PROVIDER, WebhookSettings
from tidings.delivery.ports import Channel
from tidings_events import WebhookNotification


def _build(setup: ChannelSetup[WebhookSettings, None]) -> Channel:
    from tidings.channels.webhook.channel import WebhookChannel

    return WebhookChannel(setup.settings)


def _alert_fields(alert: OperatorAlert) -> dict[str, Any]:
    payload = {**alert.details, "title": alert.title, "text": alert.text}
    return {"event_type": alert.event, "payload": payload}


SPEC = ChannelSpec(
    notification=WebhookNotification,
    settings=WebhookSettings,
    configured=lambda settings, _: settings.enabled and bool(settings.secret.get_secret_value()),
    variables="TIDINGS_WEBHOOK_SECRET",
    recorded_as=lambda *_: PROVIDER,
    build=_build,
    unmasked_fields=frozenset({"event_type"}),
    alert_fields=_alert_fields,
)
