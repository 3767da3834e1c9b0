"""The official SDK's server with our tools."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextContent,
    TextResourceContents,
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
from syncd.mcp.resources import DOCUMENT_TEMPLATE, SOURCES_PER_PAGE, resource_text, source_resources
from syncd.mcp.tools import Toolbox
from syncd.quoting import shown
from syncd.redaction import redacted
from syncd.runtime.containment import contained

INSTRUCTIONS = (
    "Search synced code, documentation and files. Call `search` with a question, a symbol, a path or an error message: it answers with the "
    "lines that fit best. Call `read` for more of a document around a hit, `related` for what is like it, and `list` to see which "
    "collections there are and how fresh they are. Everything is read-only."
)
_MARKDOWN = "text/markdown"
MAX_CURSOR_DIGITS = 12
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

    async def list_resources(context: Context, params: PaginatedRequestParams | None) -> ListResourcesResult:
        cursor = (params and params.cursor) or "0"
        if not cursor.isdecimal() or len(cursor) > MAX_CURSOR_DIGITS:
            raise MCPError(INVALID_PARAMS, "the cursor is none of this list's: list the resources from the start")
        found = await source_resources(toolbox_of(context), int(cursor))
        following = str(int(cursor) + len(found)) if len(found) == SOURCES_PER_PAGE else None
        resources = [
            Resource(uri=it.uri, name=it.name, description=it.description, mime_type=_MARKDOWN) for it in found
        ]
        return ListResourcesResult(resources=resources, next_cursor=following)

    async def list_templates(_context: Context, _params: PaginatedRequestParams | None) -> ListResourceTemplatesResult:
        return ListResourceTemplatesResult(
            resource_templates=[
                ResourceTemplate(
                    name="document", uri_template=DOCUMENT_TEMPLATE, description="A document as it was indexed."
                )
            ]
        )

    async def read_resource(context: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
        try:
            with contained("resource", uri=shown(params.uri)):
                text = await resource_text(toolbox_of(context), params.uri)
        except SyncdError as error:
            raise MCPError(INVALID_PARAMS, redacted(str(error))) from error
        return ReadResourceResult(contents=[TextResourceContents(uri=params.uri, mime_type=_MARKDOWN, text=text)])

    return Server(
        "syncd",
        version=__version__,
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
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
