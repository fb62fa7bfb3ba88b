"""Webhooks: signed POSTs to servers that are trusted with nothing."""
