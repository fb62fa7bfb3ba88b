"""What a channel says of itself: all that Tidings knows of it without loading it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from tidings.channels.settings import AccountSettings, ChannelSettings
from tidings.delivery.ports import Channel, TemplateParts
from tidings_events import BaseNotification

SectionT = TypeVar("SectionT", bound=ChannelSettings)
AccountT = TypeVar("AccountT", bound=AccountSettings | None)


@dataclass(frozen=True, slots=True)
class Announcement:
    """What Tidings itself has to say, to operators."""

    title: str
    text: str
    event: str
    """What happened, as words joined by full stops."""
    details: Mapping[str, Any] = field(default_factory=dict)


def _text_alone(announcement: Announcement) -> dict[str, Any]:
    return {"body": f"{announcement.title}\n{announcement.text}"[:1_000]}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSpec(Generic[SectionT, AccountT]):
    """One channel. Its package exports it as `SPEC`; to import it loads no vendor's library."""

    notification: type[BaseNotification]
    """Its model in the contract."""
    settings: type[SectionT]
    """Its section; the variables begin with `TIDINGS_`, its name and `_`."""
    account: type[AccountT] | None = None
    """A further section that several channels share, such as an account of their provider."""
    configured: Callable[[SectionT, AccountT], bool]
    """Whether these settings switch it on."""
    variables: str
    """The variables that switch it on, as a person reads them."""
    build: Callable[[SectionT, AccountT], Channel]
    """Makes the channel; the place to import what it speaks with."""
    template_parts: TemplateParts = field(default_factory=TemplateParts)
    """Which files of a template it reads."""
    people: frozenset[str] = frozenset()
    """Fields of its notifications, beside `recipient`, that hold people's addresses: masked where they are shown."""
    plain: frozenset[str] = frozenset()
    """Fields of its own that are shown as they are; of all others only the length is."""
    announce: Callable[[Announcement], Mapping[str, Any]] = _text_alone
    """The fields of a notification that tells operators something."""
    receipts: Callable[[Mapping[str, str], bytes], Any] | None = None
    """Reads a receipt, headers and body, that the provider posts; None where none is read."""

    @property
    def name(self) -> str:
        """As notifications and operators name it, e.g. `email`."""
        return str(self.notification.model_fields["channel"].default)
