"""SMS's `ChannelSpec`."""

from tidings.channels.sms.settings import SmsSettings
from tidings.channels.spec import ChannelSetup, ChannelSpec
from tidings.channels.twilio.settings import PROVIDER, TwilioSettings, has_sender
from tidings.delivery.ports import Channel, TemplateParts
from tidings_events import SmsNotification


def _build(setup: ChannelSetup[SmsSettings, TwilioSettings]) -> Channel:
    from tidings.channels.sms.channel import SmsChannel

    return SmsChannel(setup.settings, setup.account)


SPEC = ChannelSpec(
    notification=SmsNotification,
    settings=SmsSettings,
    account=TwilioSettings,
    configured=has_sender,
    variables="TIDINGS_TWILIO_ACCOUNT_SID and TIDINGS_SMS_SENDER",
    recorded_as=lambda *_: PROVIDER,
    build=_build,
    template_parts=TemplateParts(required={"sms": "text"}),
    address_fields=frozenset({"sender"}),
)
