"""Sends what the form of the demo says, as a producer would: over HTTP with a key, or through RabbitMQ."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final, Protocol

import aiohttp

from tidings.operations.user_tokens import SignTokenRequest, sign
from tidings.settings import ApiSettings
from tidings_events import InvalidNotification, Notification, Producer, parse
from tidings_events.errors import TidingsEventsError
from tidings_events.notifications.base import new_id
from tidings_local.errors import LocalStackError

USERS: Final[Mapping[str, str]] = {"ada": "Ada", "grace": "Grace"}
"""Names by user ids."""
MOST: Final = 50
"""Notifications of one request."""
PATIENCE: Final = 10.0
"""Seconds for a reply, and for a message to be there."""


class Running(Protocol):
    """The local stack, once it runs."""

    environment: dict[str, str]

    async def api_key(self) -> str:
        """A key that may send."""

    async def tidings(self, *arguments: str, width: int | None = None) -> str:
        """What a command prints."""


class NotSent(LocalStackError):
    """What the form says was refused; the message says why."""


@dataclass(frozen=True, slots=True)
class Published:
    """What was sent, as it was sent."""

    where: str
    """The route, or exchange and routing key."""
    body: Any
    """The JSON: of a request, or of the first message."""
    ids: Sequence[str]


async def over_http(stack: Running, notifications: Sequence[Mapping[str, Any]]) -> Published:
    """Submit them in one request.

    Raises:
        NotSent: The API refused them, or can't be reached.
    """
    body: Any = notifications[0]
    path = "/v1/notifications"
    if len(notifications) > 1:
        path, body = f"{path}/batch", {"notifications": notifications}
    reply = await _post(stack, path, await stack.api_key(), body)
    items = reply.get("notifications") or [reply]
    return Published(f"POST {path}", body, [str(item["id"]) for item in items])


async def over_amqp(stack: Running, notifications: Sequence[Mapping[str, Any]]) -> Published:
    """Publish them; returns when RabbitMQ has confirmed all.

    Raises:
        NotSent: They are no notifications, or RabbitMQ did not confirm them.
    """
    written = [_written(each) for each in notifications]
    try:
        async with Producer(stack.environment["TIDINGS_AMQP_URL"], app_id="inbox-demo") as producer:
            await producer.publish_many(written)
    except TidingsEventsError as error:
        raise NotSent(str(error)) from None
    key = f"{written[0].channel}.{written[0].priority}"
    body = json.loads(written[0].to_json())
    return Published(f"tidings.notifications, {key}", body, [str(each.id) for each in written])


def token_of(stack: Running, user: str) -> str:
    """A token of a user, as an application's login would sign it."""
    environment = stack.environment
    settings = ApiSettings.model_validate(
        {
            name: environment[f"TIDINGS_API_{name.upper()}"]
            for name in ("jwt_secret", "jwt_issuer", "jwt_audience")
        }
    )
    return sign(settings, SignTokenRequest(user)).token


async def snooze(stack: Running, user: str, id: str, seconds: float) -> None:
    """Snooze a message as its user, as soon as it is there.

    Raises:
        NotSent: It did not come, or the API can't be reached.
    """
    until = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                body = {"ids": [id], "until": until}
                done = await _post(stack, "/v1/inbox/snooze", token_of(stack, user), body)
                if done["changed"]:
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise NotSent(f"{id} is not in the inbox after {PATIENCE:g}s") from None


def _written(fields: Mapping[str, Any]) -> Notification:
    try:
        return parse(json.dumps({"id": str(new_id()), **fields}).encode())
    except InvalidNotification as error:
        raise NotSent(str(error)) from None


async def _post(stack: Running, path: str, secret: str, body: Any) -> Any:
    """The JSON of the reply."""
    url = f"http://{stack.environment['TIDINGS_API_LISTEN']}{path}"
    headers = {"Authorization": f"Bearer {secret}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE)) as session,
            session.post(url, json=body, headers=headers) as reply,
        ):
            answer = await reply.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise NotSent(f"the API did not answer: {error!r}") from None
    if reply.status >= HTTPStatus.BAD_REQUEST:
        errors = [f"{each['pointer']} {each['detail']}" for each in answer.get("errors", ())]
        raise NotSent("; ".join(errors) or answer["detail"])
    return answer
