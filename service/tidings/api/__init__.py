"""The HTTP API: each route parses a request, calls one operation and renders its view."""

from tidings.api.server import Api

__all__ = ["Api"]
