"""Webhooks: signed POSTs to untrusted servers."""

from tidings.channels.webhook.spec import SPEC

__all__ = ["SPEC"]
