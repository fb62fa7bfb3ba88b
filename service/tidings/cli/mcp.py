"""`tidings mcp`: a server of the Model Context Protocol for an assistant on this machine."""

from enum import StrEnum
from importlib.metadata import version
from typing import Annotated

import typer

from tidings.cli.console import fail, run
from tidings.cli.options import actor
from tidings.delivery.errors import ConfigurationError
from tidings.operations.actor import Actor
from tidings.operations.backend import opened
from tidings.settings import Settings


class McpScope(StrEnum):
    """What an assistant may do."""

    READ = "read"
    OPERATE = "operate"


def mcp(
    scope: Annotated[
        McpScope,
        typer.Option(
            help="`operate` also lets it cancel, replay, pause and resume; each only with dry_run=false."
        ),
    ] = McpScope.READ,
) -> None:
    """Serve the Model Context Protocol on standard input and output, for an assistant.

    It reads what `tidings list`, `show`, `stats`, `channels` and `dead` show, with people masked. Needs the extra:
    `pip install 'tidings\\[mcp]'`.

    Example: [bold]tidings mcp --scope read[/]
    """
    try:
        from tidings.mcp_server import mcp_server
    except ModuleNotFoundError as error:
        if error.name != "mcp":
            raise
        fail(ConfigurationError("the MCP SDK is not installed: pip install 'tidings[mcp]'"))

    assistant = Actor("mcp", actor().name)

    async def serve() -> None:
        async with opened(Settings(), str(assistant)) as backend:
            server = mcp_server(backend, assistant, scope.value, version("tidings"))
            await server.run_stdio_async()

    run(serve())
