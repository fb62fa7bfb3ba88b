"""`ChannelSpec`: the description of a channel that Tidings uses without loading its implementation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from tidings.channels.settings import AccountSettings, ChannelSettings
from tidings.delivery.inbox import Inbox
from tidings.delivery.ports import Channel, TemplateParts
from tidings_events import BaseNotification

SectionT = TypeVar("SectionT", bound=ChannelSettings)
AccountT = TypeVar("AccountT", bound=AccountSettings | None)


@dataclass(frozen=True, slots=True)
class ChannelServices:
    """What a process has that its channels may use. It opens and closes these, not they."""

    inbox: Inbox
    """The inboxes of an application's users."""


@dataclass(frozen=True, slots=True)
class ChannelSetup(Generic[SectionT, AccountT]):
    """What a channel, or one of its providers, is built from."""

    settings: SectionT
    account: AccountT
    """Of the section that it shares with other channels; None if it shares none."""
    services: ChannelServices


@dataclass(frozen=True, slots=True)
class OperatorAlert:
    """An alert to operators, before it becomes a notification of a channel."""

    title: str
    text: str
    event: str
    """The event, as words joined by full stops."""
    details: Mapping[str, Any] = field(default_factory=dict)


def _text_only(alert: OperatorAlert) -> dict[str, Any]:
    return {"body": f"{alert.title}\n{alert.text}"[:1_000]}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSpec(Generic[SectionT, AccountT]):
    """One channel. Its package exports it as `SPEC`; importing it loads no vendor's library."""

    notification: type[BaseNotification]
    """Its model in the contract."""
    settings: type[SectionT]
    """Its settings; the variables begin with `TIDINGS_`, its name and `_`."""
    account: type[AccountT] | None = None
    """A further section that several channels share, such as an account of their provider."""
    configured: Callable[[SectionT, AccountT], bool]
    """Whether these settings switch it on."""
    variables: str
    """The variables that switch it on, for error messages."""
    recorded_as: Callable[[SectionT, AccountT], str]
    """The name of a provider with these settings in attempts, statistics and filters."""
    build: Callable[[ChannelSetup[SectionT, AccountT]], Channel]
    """Builds the channel; it imports the vendor's library here."""
    template_parts: TemplateParts = field(default_factory=TemplateParts)
    """The files of a template that it uses."""
    address_fields: frozenset[str] = frozenset()
    """Fields of its notifications, besides `recipient`, that contain addresses: masked in output."""
    unmasked_fields: frozenset[str] = frozenset()
    """Fields without personal data, shown unmasked; of all others only the length is shown."""
    alert_fields: Callable[[OperatorAlert], Mapping[str, Any]] = _text_only
    """The fields of a notification for an alert to operators."""
    receipts: Callable[[Mapping[str, str], bytes], Any] | None = None
    """Reads a delivery receipt, headers and body, that the provider posts; None if not supported."""

    @property
    def name(self) -> str:
        """Its name, e.g. `email`."""
        return str(self.notification.model_fields["channel"].default)
