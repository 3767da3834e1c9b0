"""`syncd mcp`: the daemon's tools for an agent that starts a program and talks to it over its standard streams."""

from __future__ import annotations

import argparse
from typing import Any

from syncd.cli.client import Client, connected
from syncd.cli.commands import Commands
from syncd.errors import SyncdError
from syncd.json_types import JsonObject

VERSION = "2025-11-25"
"""Of the protocol spoken to the daemon, whichever the agent speaks: the last that answers each request by itself, without more headers."""
HEADERS = {"accept": "application/json, text/event-stream", "mcp-protocol-version": VERSION}


def add_parser(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Register the command in `commands`; `common` holds the options that all commands share."""
    parser = commands.add_parser("mcp", parents=[common])
    parser.set_defaults(command=serve_agent)


async def serve_agent(args: argparse.Namespace) -> int:
    """Serve until standard input ends. The daemon may be started, stopped and restarted meanwhile."""
    # Importing the SDK takes a second, which other commands should not have to wait for.
    from mcp.server.lowlevel import Server
    from mcp.server.stdio import stdio_server
    from mcp.types import (
        CallToolRequestParams,
        CallToolResult,
        ListResourcesResult,
        ListResourceTemplatesResult,
        ListToolsResult,
        PaginatedRequestParams,
        ReadResourceRequestParams,
        ReadResourceResult,
        TextContent,
    )

    from syncd.mcp.server import INSTRUCTIONS

    async def list_tools(_context: object, _params: object) -> ListToolsResult:
        return ListToolsResult.model_validate(await asked(args, "tools/list", {}))

    async def call_tool(_context: object, params: CallToolRequestParams) -> CallToolResult:
        wanted: JsonObject = {"name": params.name, "arguments": params.arguments or {}}
        try:
            return CallToolResult.model_validate(await asked(args, "tools/call", wanted))
        except SyncdError as error:
            return CallToolResult(content=[TextContent(text=str(error))], is_error=True)

    async def list_resources(_context: object, params: PaginatedRequestParams | None) -> ListResourcesResult:
        wanted: JsonObject = {"cursor": params.cursor} if params and params.cursor else {}
        return ListResourcesResult.model_validate(await passed_on(args, "resources/list", wanted))

    async def list_templates(_context: object, _params: object) -> ListResourceTemplatesResult:
        return ListResourceTemplatesResult.model_validate(await passed_on(args, "resources/templates/list", {}))

    async def read_resource(_context: object, params: ReadResourceRequestParams) -> ReadResourceResult:
        return ReadResourceResult.model_validate(await passed_on(args, "resources/read", {"uri": params.uri}))

    server: Server[Any] = Server(
        "syncd",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
    )
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
    return 0


async def passed_on(args: argparse.Namespace, method: str, params: JsonObject) -> JsonObject:
    """Return the daemon's result of a request. Raises MCPError with the daemon's message, or with why it could not be asked."""
    from mcp.shared.exceptions import MCPError
    from mcp.types import INVALID_PARAMS

    try:
        return await asked(args, method, params)
    except SyncdError as error:
        raise MCPError(INVALID_PARAMS, str(error)) from error


async def asked(args: argparse.Namespace, method: str, params: JsonObject) -> JsonObject:
    """Return the daemon's result of a request. Raises SyncdError."""
    async with connected(args) as client:
        return await result_of(client, method, params)


async def result_of(client: Client, method: str, params: JsonObject) -> JsonObject:
    """Return the result of a request to the daemon's endpoint. Raises SyncdError with its message."""
    answer = await client.post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, headers=HEADERS)
    if "error" in answer:
        raise SyncdError(str(answer["error"]["message"]))
    return answer["result"]
