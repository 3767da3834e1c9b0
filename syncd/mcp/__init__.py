"""The tools of agents (Model Context Protocol), over the same services as the API."""

from syncd.mcp.endpoint import McpEndpoint

__all__ = ["McpEndpoint"]
