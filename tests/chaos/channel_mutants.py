"""Protections against providers and receivers, and `tidings` without each of them."""

import os
from typing import Any

import structlog
from tests.chaos.mutants import mutant, set_on

from tidings.channels.email import failures, relay
from tidings.channels.network import bounded_http, http_client
from tidings.channels.twilio import api
from tidings.channels.webhook.postponements import PostponementSchedule
from tidings.channels.webhook.receivers import Decision, Receivers
from tidings.delivery.errors import (
    Deferred,
    Unavailable,
)
from tidings.worker import providers
from tidings_events import parsing

log = structlog.get_logger(__name__)


@mutant
def unknown_retried() -> None:
    """Send again where nobody knows whether it was sent."""
    os.environ["TIDINGS_SMS_GUARANTEE"] = "at_least_once"


@mutant
def reads_at_once() -> None:
    """Read a large body as a small one is read."""
    set_on(parsing, "HARMLESS", 1 << 30)


@mutant
def endless_replies() -> None:
    """Read whatever a web server sends before its reply."""
    set_on(bounded_http, "INFORMATIONAL", 1 << 60)
    set_on(bounded_http, "HEAD", 1 << 60)
    set_on(bounded_http.BoundedProtocol, "feed_data", bounded_http.ResponseHandler.feed_data)


@mutant
def receivers_alike() -> None:
    """Ask every receiver at once, however it answers."""
    set_on(Receivers, "decide", lambda *_: Decision.SEND)
    set_on(Receivers, "late", lambda *_: False)


@mutant
def slow_ones_pause() -> None:
    """Postpone for as long as possible what a slow receiver can't be asked yet."""
    set_on(PostponementSchedule, "postponed", lambda self, *_: self._waits[-1])


@mutant
def own_want_counts() -> None:
    """Take a process that may open no more files for a provider that is down."""
    for module in (http_client, relay, failures, api):
        set_on(module, "shortage", lambda *_, **__: None)


@mutant
def deferred_counts_as_down() -> None:
    """Take a full mailbox for a relay that is down."""
    effect = providers.Providers._effect

    def counted(self: Any, provider: Any, era: int, error: Any, id: Any) -> Any:
        if isinstance(error, Deferred):
            error = Unavailable(error.message, provider=error.provider, code=error.code)
        return effect(self, provider, era, error, id)

    set_on(providers.Providers, "_effect", counted)
