"""Every environment variable Tidings reads, in frozen sections, each with its meaning and default.

A value may also come from a file named like the variable in `TIDINGS_SECRETS_DIR` (Docker and
Kubernetes secrets), and a secret from the file that `TIDINGS_…_FILE` names. Nothing else in the service
reads these variables.
"""

from tidings.settings.broker import BrokerSettings
from tidings.settings.channels import (
    CHANNEL_SECTIONS,
    DEFAULT_RETRY,
    TWILIO_CHANNELS,
    ChannelSettings,
    EmailSettings,
    SmsSettings,
    TwilioSettings,
    WebhookSettings,
    WhatsAppSettings,
)
from tidings.settings.everything import SECTIONS, Settings
from tidings.settings.fallbacks import ACCOUNT, RELAY, RESERVED, prefix_of
from tidings.settings.ledger import LedgerSettings
from tidings.settings.processes import CategorySettings, EscalationSettings, WorkerSettings
from tidings.settings.written import Duration, Rate, Written

__all__ = [
    "ACCOUNT",
    "CHANNEL_SECTIONS",
    "DEFAULT_RETRY",
    "RELAY",
    "RESERVED",
    "SECTIONS",
    "TWILIO_CHANNELS",
    "BrokerSettings",
    "CategorySettings",
    "ChannelSettings",
    "Duration",
    "EmailSettings",
    "EscalationSettings",
    "LedgerSettings",
    "Rate",
    "Settings",
    "SmsSettings",
    "TwilioSettings",
    "WebhookSettings",
    "WhatsAppSettings",
    "WorkerSettings",
    "Written",
    "prefix_of",
]
