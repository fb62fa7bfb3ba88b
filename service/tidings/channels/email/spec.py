"""Email's `ChannelSpec`."""

from tidings.channels.email.settings import EmailSettings
from tidings.channels.spec import ChannelSetup, ChannelSpec, OperatorAlert
from tidings.delivery.ports import Channel, TemplateParts
from tidings_events import EmailNotification


def _build(setup: ChannelSetup[EmailSettings, None]) -> Channel:
    from tidings.channels.email.channel import EmailChannel

    return EmailChannel(setup.settings)


def _alert_fields(alert: OperatorAlert) -> dict[str, str]:
    return {"subject": alert.title, "body": alert.text}


SPEC = ChannelSpec(
    notification=EmailNotification,
    settings=EmailSettings,
    configured=lambda settings, _: bool(settings.host),
    variables="TIDINGS_EMAIL_HOST",
    recorded_as=lambda settings, _: settings.recorded_as,
    build=_build,
    template_parts=TemplateParts(
        required={"subject": "subject", "text": "text"}, optional={"html": "html"}
    ),
    address_fields=frozenset({"cc", "bcc", "reply_to", "from_address"}),
    alert_fields=_alert_fields,
)
