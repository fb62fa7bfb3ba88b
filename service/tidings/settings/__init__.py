"""Every environment variable Tidings reads, in frozen sections, each with its meaning and default.

A value may also come from a file named like the variable in `TIDINGS_SECRETS_DIR` (Docker and
Kubernetes secrets), and a secret from the file that `TIDINGS_…_FILE` names. Nothing else in the service
reads these variables.
"""

from tidings.channels.fallbacks import prefix_of
from tidings.channels.settings import DEFAULT_RETRY, ChannelSettings
from tidings.runtime.environment.written import Duration, Rate, Written
from tidings.settings.broker import BrokerSettings
from tidings.settings.everything import Settings, sections
from tidings.settings.ledger import LedgerSettings
from tidings.settings.processes import Alert, CategorySettings, WorkerSettings

__all__ = [
    "DEFAULT_RETRY",
    "Alert",
    "BrokerSettings",
    "CategorySettings",
    "ChannelSettings",
    "Duration",
    "LedgerSettings",
    "Rate",
    "Settings",
    "WorkerSettings",
    "Written",
    "prefix_of",
    "sections",
]
