"""WhatsApp's `ChannelSpec`."""

from tidings.channels.spec import ChannelSetup, ChannelSpec
from tidings.channels.twilio.settings import PROVIDER, TwilioSettings, has_sender
from tidings.channels.whatsapp.settings import WhatsAppSettings
from tidings.delivery.ports import Channel, TemplateParts
from tidings_events import WhatsAppNotification


def _build(setup: ChannelSetup[WhatsAppSettings, TwilioSettings]) -> Channel:
    from tidings.channels.whatsapp.channel import WhatsAppChannel

    return WhatsAppChannel(setup.settings, setup.account)


SPEC = ChannelSpec(
    notification=WhatsAppNotification,
    settings=WhatsAppSettings,
    account=TwilioSettings,
    configured=has_sender,
    variables="TIDINGS_TWILIO_ACCOUNT_SID and TIDINGS_WHATSAPP_SENDER",
    recorded_as=lambda *_: PROVIDER,
    build=_build,
    template_parts=TemplateParts(required={"whatsapp": "text"}),
    address_fields=frozenset({"sender"}),
    unmasked_fields=frozenset({"content_sid"}),
)
