"""`tidings mcp`: a server of the Model Context Protocol for an assistant on this machine."""

from importlib.metadata import version

from tidings.cli.console import fail, run
from tidings.cli.options import actor
from tidings.delivery.errors import ConfigurationError
from tidings.operations.actor import Actor
from tidings.operations.backend import opened
from tidings.settings import Settings


def mcp() -> None:
    """Serve the Model Context Protocol on standard input and output, for an assistant.

    It reads what `tidings list`, `show`, `stats`, `channels` and `dead` show, with people masked. It acts only with an
    API key that has the scope `operate`, in TIDINGS_MCP_API_KEY. Needs the extra: `pip install 'tidings\\[mcp]'`.

    Example: [bold]TIDINGS_MCP_API_KEY_FILE=~/assistant.key tidings mcp[/]
    """
    try:
        from tidings.mcp_server import mcp_server
    except ModuleNotFoundError as error:
        if error.name != "mcp":
            raise
        fail(ConfigurationError("the MCP SDK is not installed: pip install 'tidings[mcp]'"))

    local = Actor("mcp", actor().name)

    async def serve() -> None:
        settings = Settings()
        secret = settings.mcp.api_key.get_secret_value().strip()
        async with opened(settings, str(local)) as backend:
            server = await mcp_server(backend, local, secret, version("tidings"))
            await server.run_stdio_async()

    run(serve())
