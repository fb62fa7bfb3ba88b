"""What would become of a notification that was not sent yet: the decisions that Tidings would take, asked in advance."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tidings.channels.registry import is_configured
from tidings.delivery.attempt import Attempt, Lane
from tidings.delivery.retry_policy import DeliveryPolicy
from tidings.ledger.notifications.idempotency import KeyUse
from tidings.operations.backend import Backend
from tidings.operations.channels import DISABLED, DOWN, PAUSED, UNSERVED, ChannelStatus, conditions
from tidings.operations.decisions import DeliveryDecision, Disposition
from tidings.operations.json_views import renamed
from tidings.operations.submissions.reading import read_submission
from tidings.operations.template_check import faults
from tidings_events import Notification
from tidings_events.notifications.base import new_id


@dataclass(frozen=True, slots=True)
class ExplainRequest:
    """A notification as it would be submitted."""

    body: bytes
    tenant: str | None = None
    """The caller's; None if it may name any."""
    test: bool = False
    """Whether the caller may send tests only."""


@dataclass(frozen=True, slots=True)
class ExplainView:
    """What would happen. The first decision is the one that counts."""

    decisions: tuple[DeliveryDecision, ...]
    channel: str
    priority: str
    tenant: str
    category: str
    queue: str
    guarantee: str
    retry_delays: tuple[int, ...]
    """Seconds after each failed attempt; as many retries at most."""
    expires_at: datetime | None

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        first, *others = self.decisions
        data = renamed(self, {"retry_delays": "retry_delays_seconds"})
        del data["decisions"]
        return {**data, **first.as_data(), "also": others}


async def explain(backend: Backend, request: ExplainRequest) -> ExplainView:
    """Say what would happen to it now. Nothing is stored or sent.

    Raises:
        InvalidNotification: It is no valid notification; names every problem.
    """
    now = datetime.now(UTC)
    read = read_submission(request.body, request.tenant, new_id(), test=request.test)
    notification = read.notification
    lane = Lane(notification.channel, notification.priority)
    policy = backend.settings.policy(notification.channel, notification.category)
    attempt = Attempt(notification, request.body, lane, 0, 1, now)
    expires_at = policy.expires_at(attempt)
    known = await _known(backend, notification)
    statuses = await conditions(backend)
    here = [status for status in statuses if status.channel == notification.channel]
    found = [
        *known,
        *_expired(expires_at, now),
        *(_template(backend, notification)),
        *_scheduled(notification, now),
        *_channel(notification.channel, here, configured=_configured(backend, notification)),
    ]
    does = "gives it to the sink, as a test," if notification.test else "sends it"
    sends = DeliveryDecision(Disposition.SEND, "lane", f"a worker {does} from {lane.queue}")
    order = [Disposition.SKIP, Disposition.DEFER, Disposition.SEND]
    decisions = sorted([*found, sends], key=lambda it: order.index(it.decision))
    if found:
        decisions.remove(sends)
    return ExplainView(
        tuple(decisions),
        notification.channel,
        notification.priority,
        notification.tenant,
        notification.category,
        lane.queue,
        str(policy.guarantee),
        _delays(policy, notification),
        expires_at,
    )


async def _known(backend: Backend, notification: Notification) -> list[DeliveryDecision]:
    status = await backend.ledger.reports.standing(notification.id)
    if status is not None and (status.tenant, status.test) == (
        notification.tenant,
        notification.test,
    ):
        text = f"a notification with this id is known, and {status.state}"
        return [DeliveryDecision(Disposition.SKIP, "id", text, related=notification.id)]
    use = KeyUse.of(notification)
    holder: UUID | None = await backend.ledger.reports.holder(use) if use is not None else None
    if holder is None or holder == notification.id:
        return []
    text = "another notification has its idempotency key"
    return [DeliveryDecision(Disposition.SKIP, "idempotency_key", text, related=holder)]


def _expired(expires_at: datetime | None, now: datetime) -> list[DeliveryDecision]:
    if expires_at is None or expires_at > now:
        return []
    return [DeliveryDecision(Disposition.SKIP, "expires_at", f"it expired at {expires_at}")]


def _template(backend: Backend, notification: Notification) -> list[DeliveryDecision]:
    return [
        DeliveryDecision(Disposition.SKIP, "template", fault)
        for fault in faults(backend.settings, [notification])
    ]


def _scheduled(notification: Notification, now: datetime) -> list[DeliveryDecision]:
    due = notification.scheduled_at
    if due is None or due <= now:
        return []
    return [DeliveryDecision(Disposition.DEFER, "schedule", "it is scheduled", until=due)]


def _configured(backend: Backend, notification: Notification) -> bool:
    return is_configured(backend.settings, notification.channel)


def _channel(
    channel: str, statuses: list[ChannelStatus], *, configured: bool
) -> list[DeliveryDecision]:
    """Whether its channel delivers at the moment."""
    own = next((status for status in statuses if not status.provider), None)
    providers = [status for status in statuses if status.provider]
    if own is not None and own.state == PAUSED:
        text = f"{channel} is paused: {own.reason}" if own.reason else f"{channel} is paused"
        return [DeliveryDecision(Disposition.DEFER, "channel_paused", text, own.since)]
    if own is None or (own.state == UNSERVED and not configured):
        return [
            DeliveryDecision(
                Disposition.DEFER, "channel_not_configured", f"no worker serves {channel}"
            )
        ]
    if own.state == UNSERVED:
        return [DeliveryDecision(Disposition.DEFER, "no_worker", f"no worker runs for {channel}")]
    if providers and all(status.state in {DOWN, DISABLED} for status in providers):
        rule = "provider_disabled" if all(p.state == DISABLED for p in providers) else "circuit"
        probes = [status.probe_at for status in providers if status.probe_at]
        names = ", ".join(f"{status.provider} is {status.state}" for status in providers)
        return [DeliveryDecision(Disposition.DEFER, rule, names, until=min(probes, default=None))]
    return []


def _delays(policy: DeliveryPolicy, notification: Notification) -> tuple[int, ...]:
    delays = [int(delay.seconds) for delay in policy.retry.delays]
    retries = notification.max_retries
    if retries is None:
        return tuple(delays)
    return tuple(policy.retry.delay(n).seconds for n in range(1, retries + 1)) if delays else ()
