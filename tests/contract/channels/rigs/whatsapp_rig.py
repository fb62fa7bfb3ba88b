"""Twilio, for WhatsApp."""

from tests.contract.channels.rigs.http_provider import client_tls
from tests.contract.channels.rigs.twilio_provider import SENDER, TwilioRig

from tidings.channels.whatsapp.channel import WhatsAppChannel
from tidings.channels.whatsapp.settings import WhatsAppSettings


class WhatsAppRig(TwilioRig):
    """WhatsApp messages."""

    name = "whatsapp"

    async def channel(self) -> WhatsAppChannel:
        """A new channel."""
        return WhatsAppChannel(WhatsAppSettings(sender=SENDER), self.account(), tls=client_tls())


RIG = WhatsAppRig
