"""Lists queues and bindings, which AMQP can't, through RabbitMQ's management API. Read only."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

from yarl import URL

from tidings.broker.topology.layout import Binding
from tidings.broker.wire.amqp import AUTHORITY
from tidings.delivery.errors import BrokerUnavailable
from tidings.runtime.certificates import verifying
from tidings.settings import BrokerSettings


@dataclass(frozen=True, slots=True)
class ListedQueue:
    """A queue as the management API lists it, a few seconds old."""

    name: str
    messages: int | None
    """All its messages: ready, unacknowledged, and dead-lettered but not yet in their next queue; None if
    the API has no statistics yet."""
    consumers: int | None


class Management:
    """One virtual host, through the management API.

    Every method raises `BrokerUnavailable` if the API can't be reached or refuses.
    """

    def __init__(
        self, url: str, vhost: str, *, timeout: float = 15.0, ca_file: Path | None = None
    ) -> None:
        self._base = URL(url)
        self._host = quote(vhost, safe="")
        self._timeout = timeout
        self._ca_file = ca_file

    @classmethod
    def of(cls, settings: BrokerSettings) -> Self:
        """The API of these settings."""
        return cls(
            settings.management,
            vhost_of(settings.urls[0]),
            timeout=settings.amqp_timeout,
            ca_file=settings.amqp_ca_file,
        )

    @property
    def address(self) -> str:
        """Its URL without user and password."""
        return str(self._base.with_user(None))

    async def queues(self) -> tuple[ListedQueue, ...]:
        """Every queue of the virtual host."""
        rows = await self._get(f"/api/queues/{self._host}")
        return tuple(
            ListedQueue(row["name"], row.get("messages"), row.get("consumers")) for row in rows
        )

    async def bindings(self) -> frozenset[Binding]:
        """Every binding from an exchange to a queue."""
        rows = await self._get(f"/api/bindings/{self._host}")
        return frozenset(
            Binding(row["source"], row["destination"], row["routing_key"])
            for row in rows
            if row["source"] and row["destination_type"] == "queue"
        )

    async def feature_flags(self) -> dict[str, bool]:
        """Which feature flags the server has, and whether each is enabled."""
        rows = await self._get("/api/feature-flags")
        return {row["name"]: row["state"] == "enabled" for row in rows}

    async def _get(self, path: str) -> Any:
        import aiohttp  # it loads every certificate authority

        user, password = self._base.user or "guest", self._base.password or "guest"
        login = {"Authorization": aiohttp.encode_basic_auth(user, password)}
        url = URL(f"{self._base.with_user(None).with_path('')}{path}", encoded=True)
        tls = verifying(self._ca_file, AUTHORITY) if url.scheme == "https" else True
        try:
            async with (
                aiohttp.ClientSession(
                    headers=login, timeout=aiohttp.ClientTimeout(total=self._timeout)
                ) as http,
                http.get(url, ssl=tls, allow_redirects=False) as reply,
            ):
                if reply.status != 200:
                    raise BrokerUnavailable(f"{self.address} {_meaning(reply.status)}")
                return await reply.json()
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            raise BrokerUnavailable(
                f"{self.address} is unavailable: {str(error) or type(error).__name__}"
            ) from error


def vhost_of(url: str) -> str:
    """The virtual host of an AMQP URL; `/` if it has none."""
    return unquote(urlsplit(url).path[1:]) or "/"


def _meaning(status: int) -> str:
    match status:
        case 401:
            return "refuses the login (401): check the password, and that the user has the tag `management`"
        case 403:
            return "refuses access (403): the user needs the tag `monitoring`"
        case 404:
            return "has no such virtual host (404), or is not a management API"
        case _:
            return f"answered {status}"
