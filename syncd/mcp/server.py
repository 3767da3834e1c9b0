"""The official SDK's server with our tools."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import BaseModel

from syncd import __version__
from syncd.api.errors import RefusedError
from syncd.api.requests import validated
from syncd.errors import SyncdError
from syncd.mcp.arguments import ListArguments, ReadArguments, RelatedArguments, SearchArguments
from syncd.mcp.replies import ToolReply
from syncd.mcp.tools import Toolbox
from syncd.quoting import shown
from syncd.redaction import redacted
from syncd.runtime.containment import contained

INSTRUCTIONS = (
    "Search synced code, documentation and files. Call `search` with a question, a symbol, a path or an error message: it answers with the "
    "lines that fit best. Call `read` for more of a document around a hit, `related` for what is like it, and `list` to see which "
    "collections there are and how fresh they are. Everything is read-only."
)
HINTS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
Context = ServerRequestContext[Any, Any]


@dataclass(frozen=True, slots=True)
class ToolKind:
    """One tool: its arguments, what it says of itself, and what it does for a caller."""

    arguments: type[BaseModel]
    description: str
    call: Callable[[Toolbox, Any], Awaitable[ToolReply]]


TOOLS: Mapping[str, ToolKind] = {
    "search": ToolKind(
        SearchArguments,
        "Find code, documentation and other text by words and meaning. Answers with path, lines, symbol, score and the best lines of each hit.",
        Toolbox.search,
    ),
    "related": ToolKind(
        RelatedArguments,
        "Find what is like one place of a document: other implementations, copies that have drifted apart, more on the same subject.",
        Toolbox.related,
    ),
    "read": ToolKind(
        ReadArguments,
        "Read a document, or lines, pages or a section of it, as it was indexed. `key` is the path that search and list show.",
        Toolbox.read,
    ),
    "list": ToolKind(
        ListArguments,
        "List the collections with what they hold and how fresh they are or, given one, its documents.",
        Toolbox.list,
    ),
}


def make_server(toolbox_of: Callable[[Context], Toolbox]) -> Server[Any]:
    """Return the server; `toolbox_of` returns the tools of whoever sent a request."""

    async def list_tools(_context: Context, _params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[described(name, kind) for name, kind in TOOLS.items()])

    async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
        try:
            with contained("tool", tool=shown(params.name)):
                reply = await tool_reply(toolbox_of(context), params)
        except (SyncdError, RefusedError) as error:
            return CallToolResult(content=[TextContent(text=redacted(str(error)))], is_error=True)
        return CallToolResult(content=[TextContent(text=reply.markdown)], structured_content=dict(reply.values))

    return Server(
        "syncd", version=__version__, instructions=INSTRUCTIONS, on_list_tools=list_tools, on_call_tool=call_tool
    )


def described(name: str, kind: ToolKind) -> Tool:
    """Return a tool as clients see it."""
    return Tool(
        name=name,
        description=kind.description,
        input_schema=kind.arguments.model_json_schema(),
        output_schema={"type": "object"},
        annotations=HINTS,
    )


async def tool_reply(tools: Toolbox, params: CallToolRequestParams) -> ToolReply:
    """Return a tool's reply. Raises RefusedError for wrong arguments, otherwise as the tool does."""
    kind = TOOLS.get(params.name)
    if kind is None:
        raise RefusedError(404, f"unknown tool {shown(params.name)}; there are {', '.join(TOOLS)}")
    return await kind.call(tools, validated(kind.arguments, params.arguments or {}))
