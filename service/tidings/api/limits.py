"""Limits of requests: rate by key, bytes of a body, and bytes of all bodies."""

import asyncio
import time
from dataclasses import dataclass
from math import ceil
from typing import Final, Literal, Self

from starlette.types import Message, Receive

from tidings.api.problems import (
    RATE_LIMITED,
    RETRY_AFTER,
    TIMEOUT,
    TOO_LARGE,
    UNAVAILABLE,
    ApiProblem,
    ClientGone,
)

BODY_PATIENCE: Final = 30.0
"""Seconds within which a body must have arrived."""
SECONDS: Final = (1, 60, 3600)
"""Windows of a policy: the first in which the quota is a whole number."""
BUCKETS: Final = 10_000
"""Quotas in memory from which on those are dropped that are whole again: end users come and go."""


@dataclass(slots=True)
class _Bucket:
    remaining: float
    at: float


@dataclass(frozen=True, slots=True)
class RateStatus:
    """How much of a sender's quota is left."""

    sort: str
    """Of senders: `key` or `user`."""
    remaining: int
    reset: int
    """Seconds until the whole quota is available again."""

    @property
    def header(self) -> bytes:
        """As the field `RateLimit` has it."""
        return b'"%s";r=%d;t=%d' % (self.sort.encode(), self.remaining, self.reset)


class Quotas:
    """A token bucket for each sender, as draft-ietf-httpapi-ratelimit-headers-10 describes a policy.

    Args:
        sort: Of senders: `key` or `user`.
        per_second: Requests per second on average.
    """

    def __init__(self, sort: Literal["key", "user"], per_second: float) -> None:
        self._sort = sort
        self._window = next((w for w in SECONDS if (per_second * w).is_integer()), SECONDS[-1])
        self._quota = max(1, round(per_second * self._window))
        self._per_second = self._quota / self._window
        self._buckets: dict[str, _Bucket] = {}
        self._swept_at = BUCKETS
        self.policy: Final = b'"%s";q=%d;w=%d' % (sort.encode(), self._quota, self._window)
        """As the field `RateLimit-Policy` has it."""

    def take(self, key: str, now: float | None = None) -> RateStatus:
        """Count a request.

        Args:
            now: Seconds of a monotonic clock.

        Raises:
            ApiProblem: The quota is used up; says for how long.
        """
        now = time.monotonic() if now is None else now
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= self._swept_at:
                self._sweep(now)
            bucket = self._buckets[key] = _Bucket(self._quota, now)
        bucket.remaining, bucket.at = min(self._quota, self._refilled(bucket, now)), now
        if bucket.remaining < 1:
            wait = max(1, ceil((1 - bucket.remaining) / self._per_second))
            raise ApiProblem(
                RATE_LIMITED,
                f"this {self._sort} may send {self._quota:,} requests in {self._window} s; try again in {wait} s",
                headers={
                    "Retry-After": str(wait),
                    "RateLimit": RateStatus(self._sort, 0, wait).header.decode(),
                },
            )
        bucket.remaining -= 1
        missing = self._quota - bucket.remaining
        return RateStatus(self._sort, int(bucket.remaining), ceil(missing / self._per_second))

    def _refilled(self, bucket: _Bucket, now: float) -> float:
        return bucket.remaining + (now - bucket.at) * self._per_second

    def _sweep(self, now: float) -> None:
        """Drop whole quotas, which are as new ones. The next time is at twice what is left: sweeping costs little."""
        self._buckets = {
            key: bucket
            for key, bucket in self._buckets.items()
            if self._refilled(bucket, now) < self._quota
        }
        self._swept_at = max(BUCKETS, 2 * len(self._buckets))

    def __len__(self) -> int:
        """How many quotas are in memory."""
        return len(self._buckets)


class BodyBudget:
    """The bytes of bodies that requests in progress may hold in one process.

    Args:
        most: Bytes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.left = most
        """Bytes that are free."""

    def share(self) -> "BodyShare":
        """What one request takes of it: given back when it is left, as a context."""
        return BodyShare(self)

    def refusal(self) -> ApiProblem:
        """The reply to a request whose body no longer fits in."""
        return ApiProblem(
            UNAVAILABLE,
            f"requests in progress hold {self._most:,} bytes of bodies, the most of this process; try again",
            headers={"Retry-After": str(RETRY_AFTER), "Connection": "close"},
        )


class BodyShare:
    """What one request holds of a `BodyBudget`."""

    __slots__ = ("_budget", "_held")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.left += self._held
        self._held = 0

    def expect(self, size: int) -> None:
        """Refuse at once a body that would not fit in; nothing is taken before it arrives, or announcing would be enough
        to keep others out.

        Raises:
            ApiProblem: It would not.
        """
        if size > self._budget.left:
            raise self._budget.refusal()

    def take(self, size: int) -> None:
        """Hold so many bytes more. Raises like `expect`."""
        self.expect(size)
        self._budget.left -= size
        self._held += size


class BoundedBody:
    """Receives a body, at most so many bytes within `BODY_PATIENCE`.

    Args:
        receive: Of the server.
        most: Bytes.
        declared: Content-Length, if there is one.
        share: Its part of what all bodies may take.
    """

    def __init__(
        self, receive: Receive, most: int, declared: bytes | None, share: BodyShare
    ) -> None:
        self._receive = receive
        self._most = most
        self._share = share
        self._declared = int(declared) if declared is not None and declared.isdigit() else 0

    async def read(self) -> bytes:
        """The whole body.

        Raises:
            ApiProblem: It is too large, did not arrive in time, or the bodies of all requests take too much.
            ClientGone: The client is gone.
        """
        if self._declared > self._most:
            raise self._too_large()
        self._share.expect(self._declared)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as patience:
                # Only once this waits is there a timer: most bodies are here already.
                starting = loop.call_soon(patience.reschedule, loop.time() + BODY_PATIENCE)
                try:
                    return await self._parts()
                finally:
                    starting.cancel()
        except TimeoutError:
            raise ApiProblem(
                TIMEOUT,
                f"the body did not arrive within {BODY_PATIENCE:.0f} s",
                headers={"Connection": "close"},
            ) from None

    async def _parts(self) -> bytes:
        parts, size, more = list[bytes](), 0, True
        while more:
            message = await self._next()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._most:
                raise self._too_large()
            self._share.take(len(parts[-1]))
            more = message.get("more_body", False)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        return message

    def _too_large(self) -> ApiProblem:
        # The rest is not read: closing the connection is the only way not to.
        return ApiProblem(
            TOO_LARGE,
            f"at most {self._most:,} bytes are accepted here",
            headers={"Connection": "close"},
        )
