"""The console: pages for operators and support staff, rendered here; each handler calls operations and shows their views."""

from tidings.console.application import Console

__all__ = ["Console"]
