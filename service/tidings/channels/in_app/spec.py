"""The `ChannelSpec` of the in-app inbox."""

from tidings.channels.in_app.settings import PROVIDER, InAppSettings
from tidings.channels.spec import ChannelSetup, ChannelSpec, OperatorAlert
from tidings.delivery.ports import Channel, TemplateParts
from tidings_events import InAppNotification
from tidings_events.notifications.in_app import LONGEST_BODY, LONGEST_TITLE


def _build(setup: ChannelSetup[InAppSettings, None]) -> Channel:
    from tidings.channels.in_app.channel import InAppChannel

    return InAppChannel(setup.services.inbox)


def _alert_fields(alert: OperatorAlert) -> dict[str, str]:
    return {
        "title": alert.title[:LONGEST_TITLE],
        "body": alert.text[:LONGEST_BODY],
        "type": "alert",
        "severity": "critical",
    }


SPEC = ChannelSpec(
    notification=InAppNotification,
    settings=InAppSettings,
    configured=lambda settings, _: settings.enabled,
    variables="TIDINGS_IN_APP_ENABLED",
    recorded_as=lambda *_: PROVIDER,
    build=_build,
    template_parts=TemplateParts(required={"title": "subject"}, optional={"body": "text"}),
    unmasked_fields=frozenset({"type", "severity"}),
    alert_fields=_alert_fields,
)
