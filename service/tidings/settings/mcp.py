"""Settings of the server of the Model Context Protocol."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from tidings.runtime.environment.reading import section


class McpSettings(BaseSettings):
    """The server of the Model Context Protocol."""

    model_config = section("TIDINGS_MCP_")

    api_key: SecretStr = SecretStr("")
    """API key of the assistant behind `tidings mcp`: what it may do, for which tenant, and its name in the audit trail.
    Without one it reads, for all tenants, and can't act."""
