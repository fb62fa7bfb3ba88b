"""Settings of the Twilio account, and those common to its channels."""

from typing import Final

from pydantic import SecretStr

from tidings.channels.fallbacks import Fallbacks
from tidings.channels.settings import AccountSettings, ChannelSettings
from tidings.delivery.retry_policy import Guarantee
from tidings.runtime.environment.reading import section

PROVIDER: Final = "twilio"
"""The name of each account in attempts."""


class TwilioSettings(AccountSettings):
    """The Twilio account that SMS and WhatsApp share."""

    model_config = section("TIDINGS_TWILIO_")

    account_sid: str = ""
    """SMS and WhatsApp are off if empty."""
    auth_token: SecretStr = SecretStr("")
    """The account's token; not needed with an API key."""
    api_key: str = ""
    """An API key's SID, used with `API_SECRET` instead of the auth token."""
    api_secret: SecretStr = SecretStr("")
    """The API key's secret."""
    base_url: str = "https://api.twilio.com"
    """The API's base URL; another server with Twilio's API, e.g. the local sink."""
    status_callback: str = ""
    """URL that Twilio posts status callbacks to."""

    @property
    def own(self) -> frozenset[str]:
        """Another account has its own credentials; another region of the same account shares them."""
        credentials = {"account_sid", "auth_token", "api_key", "api_secret"}
        return frozenset(credentials if self.account_sid else ())


class TwilioChannelSettings(ChannelSettings):
    """Settings common to Twilio's channels."""

    guarantee: Guarantee = Guarantee.AT_MOST_ONCE
    """A second message costs money and trust, and Twilio has no idempotency key."""
    sender: str = ""
    """From number in E.164."""
    messaging_service_sid: str = ""
    """Used instead of `SENDER`."""
    fallbacks: Fallbacks = ()
    """Names of further Twilio accounts or regions, in order of preference."""


def has_sender(settings: TwilioChannelSettings, account: TwilioSettings) -> bool:
    """Whether a channel is configured: the account is shared, so its sender switches a channel on."""
    return bool(account.account_sid and (settings.sender or settings.messaging_service_sid))
