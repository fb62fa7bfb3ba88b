"""Email's `ChannelSpec`."""

from tidings.channels.email.settings import EmailSettings
from tidings.channels.spec import Announcement, ChannelSpec
from tidings.delivery.ports import Channel, TemplateParts
from tidings_events import EmailNotification


def _build(settings: EmailSettings, _: None) -> Channel:
    from tidings.channels.email.channel import EmailChannel

    return EmailChannel(settings)


def _announce(announcement: Announcement) -> dict[str, str]:
    return {"subject": announcement.title, "body": announcement.text}


SPEC = ChannelSpec(
    notification=EmailNotification,
    settings=EmailSettings,
    configured=lambda settings, _: bool(settings.host),
    variables="TIDINGS_EMAIL_HOST",
    build=_build,
    template_parts=TemplateParts(
        required={"subject": "subject", "text": "text"}, optional={"html": "html"}
    ),
    people=frozenset({"cc", "bcc", "reply_to", "from_address"}),
    announce=_announce,
)
