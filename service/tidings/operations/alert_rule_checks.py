"""What is refused of a rule of alerts, field by field."""

import re
from collections.abc import Collection, Iterator
from typing import Final

from tidings.alerts.destinations import check_destination
from tidings.alerts.senders import UnknownService
from tidings.broker.topology.layout import DEAD, lanes_of, topology_of
from tidings.channels.registry import SPECS
from tidings.delivery.alert_rules import EVERY_TENANT, Watch
from tidings.delivery.errors import InvalidRequest
from tidings.delivery.fingerprint import LENGTH
from tidings.delivery.outcome import Reason
from tidings.ledger.operators.rule_rows import RuleTerms
from tidings.operations.backend import Backend
from tidings.operations.suggestions import unknown
from tidings.runtime.sealing import is_sealed
from tidings_events.errors import InvalidNotification

LONGEST_NAME: Final = 64
LONGEST_URL: Final = 2_048
MOST: Final = 1_000_000
"""Dead letters or messages of a threshold."""
MINUTE: Final = 60
DAY: Final = 86_400
WEEK: Final = 7 * DAY
SHORTEST: Final = {
    Watch.DEAD_LETTERS: MINUTE,
    Watch.PROVIDERS: 0,
    Watch.SCHEDULES: MINUTE,
    Watch.QUEUES: 0,
}
"""Seconds of a window."""


async def checked(backend: Backend, name: str, terms: RuleTerms, tenant: str) -> RuleTerms:
    """The terms as they are stored. Raises InvalidRequest."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidRequest(
            f"write 1 to {LONGEST_NAME} printable characters on one line", field="name"
        )
    queues = {DEAD, *(lane.queue for lane in lanes_of(topology_of(backend.settings)))}
    for field, problem in _problems(terms, tenant, queues):
        raise InvalidRequest(problem, field=field)
    try:
        await check_destination(terms, tenant)
    except UnknownService as error:
        raise InvalidRequest(str(error), field="url") from None
    except InvalidNotification as invalid:
        raise InvalidRequest("; ".join(map(str, invalid.problems)), field="recipient") from None
    return terms


def _problems(terms: RuleTerms, tenant: str, queues: Collection[str]) -> Iterator[tuple[str, str]]:
    watch = terms.watch
    if watch in {Watch.PROVIDERS, Watch.QUEUES} and tenant != EVERY_TENANT:
        yield "watch", f"{watch} are shared by all tenants: only a rule of all may watch them"
    if terms.queue is not None and watch is not Watch.QUEUES:
        yield "queue", "is a filter of queues; leave it out"
    if terms.queue is not None and terms.queue not in queues:
        yield "queue", unknown(terms.queue, sorted(queues))
    if terms.channel is not None and terms.channel not in SPECS:
        yield "channel", unknown(terms.channel, SPECS)
    for field in ("category", "reason", "fingerprint"):
        if watch is not Watch.DEAD_LETTERS and getattr(terms, field) is not None:
            yield field, "is a filter of dead letters; leave it out"
    yield from _filters(terms)
    yield from _numbers(terms)
    yield from _receiver(terms)


def _filters(terms: RuleTerms) -> Iterator[tuple[str, str]]:
    if terms.category is not None and not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", terms.category):
        yield "category", "is none: lower-case letters, digits, - and _, at most 64"
    if terms.reason is not None and terms.reason not in set(Reason):
        yield "reason", unknown(terms.reason, list(Reason))
    if terms.fingerprint is not None and not re.fullmatch(
        rf"[0-9a-f]{{{LENGTH}}}", terms.fingerprint
    ):
        yield "fingerprint", f"is none: {LENGTH} hex digits, as in `tidings dead groups`"


def _receiver(terms: RuleTerms) -> Iterator[tuple[str, str]]:
    if (terms.url is None) == (terms.to_channel is None):
        yield "url", "name the receiver: a URL, or a channel and a recipient"
    if is_sealed(terms.url):
        yield "url", "is sealed with a key that this process doesn't have: give the URL again"
    elif terms.url is not None and (len(terms.url) > LONGEST_URL or "://" not in terms.url):
        yield "url", "write it as Apprise does, like slack://… or mailto://…"
    if terms.to_channel is not None and terms.to_channel not in SPECS:
        yield "to_channel", unknown(terms.to_channel, SPECS)
    if terms.to_channel is not None and not terms.recipient:
        yield "recipient", "is missing"


def _numbers(terms: RuleTerms) -> Iterator[tuple[str, str]]:
    shortest = SHORTEST[terms.watch]
    if not 1 <= terms.threshold <= MOST:
        yield "threshold", f"must be between 1 and {MOST:,}"
    if not shortest <= terms.lasting <= DAY:
        yield "window_seconds", f"must be between {shortest} and {DAY:,} seconds"
    if not MINUTE <= terms.every <= DAY:
        yield "every_seconds", f"must be between {MINUTE} and {DAY:,} seconds"
    if terms.remind and not MINUTE <= terms.remind <= WEEK:
        yield "remind_seconds", f"must be 0, or between {MINUTE} and {WEEK:,} seconds"
