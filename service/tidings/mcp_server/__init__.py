"""The MCP server behind `tidings mcp`: an assistant reads what operators read, and acts only with an API key that may."""

from tidings.mcp_server.server import mcp_server

__all__ = ["mcp_server"]
