"""Twilio, for text messages."""

from tests.contract.channels.rigs.http_provider import client_tls
from tests.contract.channels.rigs.twilio_provider import SENDER, TwilioRig

from tidings.channels.sms.channel import SmsChannel
from tidings.channels.sms.settings import SmsSettings


class SmsRig(TwilioRig):
    """Text messages."""

    name = "sms"

    async def channel(self) -> SmsChannel:
        """A new channel."""
        return SmsChannel(SmsSettings(sender=SENDER), self.account(), tls=client_tls())


RIG = SmsRig
