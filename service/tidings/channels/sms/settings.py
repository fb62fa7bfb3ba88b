"""Settings of SMS."""

from tidings.channels.fallbacks import Fallbacks
from tidings.channels.twilio.settings import TwilioChannelSettings
from tidings.delivery.retry_policy import Guarantee
from tidings.runtime.environment.reading import section


class SmsSettings(TwilioChannelSettings):
    """SMS through Twilio."""

    model_config = section("TIDINGS_SMS_")

    guarantee: Guarantee = Guarantee.AT_MOST_ONCE
    """A second text message costs money and trust, and Twilio has no idempotency key."""
    sender: str = ""
    """From number in E.164, or an alphanumeric sender."""
    fallbacks: Fallbacks = ()
    """Names of further Twilio accounts or regions, in order of preference: each with variables of its own,
    such as `TIDINGS_SMS_<NAME>_ACCOUNT_SID` and `TIDINGS_SMS_<NAME>_SENDER`."""
