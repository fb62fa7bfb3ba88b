"""Every environment variable of Tidings, in frozen sections, with meaning and default.

A value may also come from a file named like the variable in `TIDINGS_SECRETS_DIR` (Docker and
Kubernetes secrets), and a secret from the file that `TIDINGS_…_FILE` names. Nothing else in the service
reads these variables.
"""

from tidings.channels.fallbacks import prefix_of
from tidings.channels.settings import DEFAULT_RETRY, ChannelSettings
from tidings.runtime.environment.formats import Duration, NumberFormat, Rate
from tidings.settings.api import ApiSettings
from tidings.settings.broker import BrokerSettings
from tidings.settings.console import ConsoleSettings
from tidings.settings.everything import Settings, sections
from tidings.settings.ledger import LedgerSettings
from tidings.settings.mcp import McpSettings
from tidings.settings.outbox import OutboxSettings
from tidings.settings.processes import AlertSettings, CategorySettings, WorkerSettings

__all__ = [
    "DEFAULT_RETRY",
    "AlertSettings",
    "ApiSettings",
    "BrokerSettings",
    "CategorySettings",
    "ChannelSettings",
    "ConsoleSettings",
    "Duration",
    "LedgerSettings",
    "McpSettings",
    "NumberFormat",
    "OutboxSettings",
    "Rate",
    "Settings",
    "WorkerSettings",
    "prefix_of",
    "sections",
]
