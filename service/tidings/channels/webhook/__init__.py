"""Webhooks: signed POSTs to servers that are trusted with nothing."""

from tidings.channels.webhook.spec import SPEC

__all__ = ["SPEC"]
