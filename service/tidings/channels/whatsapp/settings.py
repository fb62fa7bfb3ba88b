"""Settings of WhatsApp."""

from tidings.channels.fallbacks import Fallbacks
from tidings.channels.twilio.settings import TwilioChannelSettings
from tidings.runtime.environment.reading import section


class WhatsAppSettings(TwilioChannelSettings):
    """WhatsApp through Twilio."""

    model_config = section("TIDINGS_WHATSAPP_")

    fallbacks: Fallbacks = ()
    """Names of further Twilio accounts or regions, as for SMS: `TIDINGS_WHATSAPP_<NAME>_ACCOUNT_SID` …"""
