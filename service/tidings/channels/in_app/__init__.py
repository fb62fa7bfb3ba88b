"""Messages in the inboxes of an application's users."""

from tidings.channels.in_app.spec import SPEC

__all__ = ["SPEC"]
