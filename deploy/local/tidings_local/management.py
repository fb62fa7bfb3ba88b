"""Sees and changes one virtual host of RabbitMQ through its management API."""

import asyncio
import json
from base64 import b64encode
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import aiohttp

from tidings_local.errors import LocalStackError

Record = dict[str, Any]
"""What the API returns about one thing, in its own field names."""


class Management:
    """One virtual host, as an administrator sees it.

    Every method raises `LocalStackError` where RabbitMQ refuses or can't be reached.
    """

    def __init__(self, url: str, vhost: str = "/", *, timeout: float = 30) -> None:
        """Connects to nothing yet.

        Args:
            url: `http://user:password@host:port`.
            vhost: The virtual host's name.
            timeout: Seconds for one request.
        """
        self._url, self._seconds = url, timeout
        parts = urlsplit(url)
        self.vhost = vhost
        self._user = unquote(parts.username or "guest")
        token = b64encode(f"{self._user}:{unquote(parts.password or 'guest')}".encode()).decode()
        self._authorization = {"Authorization": f"Basic {token}"}
        self._base = f"{parts.scheme}://{parts.hostname}:{parts.port or 15672}/api"
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._host = quote(vhost, safe="")

    def on(self, vhost: str) -> "Management":
        """The same server, another virtual host."""
        return Management(self._url, vhost, timeout=self._seconds)

    async def create(self) -> None:
        """Creates the virtual host, with all permissions for ourselves."""
        await self.call("PUT", f"vhosts/{self._host}")
        await self.allow(self._user)

    async def delete(self) -> None:
        """Deletes the virtual host with all that is in it, and closes its connections."""
        await self.call("DELETE", f"vhosts/{self._host}")

    async def allow(
        self, user: str, configure: str = ".*", write: str = ".*", read: str = ".*"
    ) -> None:
        """Sets what a user may do here, as regular expressions over names."""
        permission = {"configure": configure, "write": write, "read": read}
        await self.call("PUT", f"permissions/{self._host}/{quote(user, safe='')}", permission)

    async def create_user(self, name: str, password: str, tags: str = "") -> None:
        """Creates a user, or changes its password and tags."""
        body = {"password": password, "tags": tags}
        await self.call("PUT", f"users/{quote(name, safe='')}", body)

    async def depths(self) -> dict[str, int]:
        """How many messages each queue holds, ready and unacknowledged.

        As old as the server's statistics interval; every other number here is up to 5 s older.
        """
        path = f"queues/{self._host}?disable_stats=true&enable_queue_totals=true"
        return {it["name"]: it.get("messages", 0) for it in await self._list(path)}

    async def queues(self) -> list[Record]:
        """All queues, with their arguments and statistics."""
        return await self._list(f"queues/{self._host}")

    async def queue(self, name: str) -> Record:
        """One queue."""
        return dict(await self.call("GET", f"queues/{self._host}/{quote(name, safe='')}"))

    async def exchanges(self) -> list[Record]:
        """All exchanges, RabbitMQ's own among them."""
        return await self._list(f"exchanges/{self._host}")

    async def bindings(self) -> list[Record]:
        """All bindings, the default exchange's among them."""
        return await self._list(f"bindings/{self._host}")

    async def delete_queue(self, name: str) -> None:
        """Deletes a queue and what is in it."""
        await self.call("DELETE", f"queues/{self._host}/{quote(name, safe='')}")

    async def purge(self, name: str) -> None:
        """Empties a queue of what is ready in it."""
        await self.call("DELETE", f"queues/{self._host}/{quote(name, safe='')}/contents")

    async def peek(self, name: str, count: int = 1, *, remove: bool = False) -> list[Record]:
        """The first messages of a queue, put back unless they are to be removed."""
        body = {
            "count": count,
            "ackmode": "ack_requeue_false" if remove else "ack_requeue_true",
            "encoding": "auto",
        }
        path = f"queues/{self._host}/{quote(name, safe='')}/get"
        return [dict(it) for it in await self.call("POST", path, body)]

    async def publish(
        self, exchange: str, key: str, payload: str, properties: Record | None = None
    ) -> bool:
        """Publishes one message as `curl` would, and tells whether any queue took it."""
        body = {
            "routing_key": key,
            "payload": payload,
            "payload_encoding": "string",
            "properties": properties or {},
        }
        path = f"exchanges/{self._host}/{quote(exchange, safe='')}/publish"
        return bool((await self.call("POST", path, body))["routed"])

    async def set_policy(
        self, name: str, pattern: str, definition: Record, apply_to: str = "queues"
    ) -> None:
        """Sets a policy on what matches the pattern."""
        body = {"pattern": pattern, "definition": definition, "apply-to": apply_to}
        await self.call("PUT", f"policies/{self._host}/{quote(name, safe='')}", body)

    async def connections(self) -> list[Record]:
        """The connections to this virtual host, as of the last statistics."""
        return await self._list(f"vhosts/{self._host}/connections")

    async def close_connections(
        self, reason: str = "closed by an operator", *, at_least: int = 0, timeout: float = 20
    ) -> int:
        """Closes every connection to this virtual host and tells how many there were.

        Args:
            reason: What the clients are told.
            at_least: How many to wait for: the API learns of a new one only within the server's
                statistics interval.
            timeout: Seconds to wait for them.

        Raises:
            LocalStackError: There were not so many in time.
        """
        connections = await self._wait_for_connections(at_least, timeout)
        for connection in connections:
            path = f"connections/{quote(connection['name'], safe='')}"
            await self.call("DELETE", path, headers={"X-Reason": reason}, missing_ok=True)
        return len(connections)

    async def _wait_for_connections(self, count: int, seconds: float) -> list[Record]:
        connections: list[Record] = []
        try:
            async with asyncio.timeout(seconds):
                while len(connections := await self.connections()) < count:
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise LocalStackError(
                f"{len(connections)} of {count} connections to {self.vhost} within {seconds:g}s"
            ) from None
        return connections

    async def call(
        self,
        method: str,
        path: str,
        body: Record | None = None,
        *,
        headers: dict[str, str] | None = None,
        missing_ok: bool = False,
    ) -> Any:
        """Makes any request of the API and returns its decoded answer, None where it is empty."""
        try:
            async with (
                aiohttp.ClientSession(headers=self._authorization, timeout=self._timeout) as http,
                http.request(
                    method, f"{self._base}/{path}", json=body, headers=headers
                ) as response,
            ):
                text, status = await response.text(), response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            what = str(error) or type(error).__name__
            raise LocalStackError(f"RabbitMQ's management API can't be reached: {what}") from error
        if status == 404 and missing_ok:
            return None
        if status >= 400:
            raise LocalStackError(f"RabbitMQ refused {method} {path}: {status} {text}")
        return json.loads(text) if text else None

    async def _list(self, path: str) -> list[Record]:
        return [dict(it) for it in await self.call("GET", path)]
