"""Programs over a catalog of tools: search, check, run, answer. No HTTP, no MCP transport, no credentials."""

from __future__ import annotations

from engine._answer import Answer
from engine._call import Invoker, ToolCall
from engine._catalog import Catalog, CatalogTool, ServerTools
from engine._code_mode import CodeMode, ToolForm
from engine._code_tool import code_tool, portal_instructions
from engine._context_tools import execute_tool, query_tool
from engine._engine import LOCAL_OWNER, Engine
from engine._errors import (
    CallError,
    EngineError,
    ToolDefinitionError,
    ToolFailure,
    UnknownRunError,
    UpstreamError,
)
from engine._host_calls import QUERIES_AT_ONCE
from engine._journal import KeptCall
from engine._kept_runs import KeptRun, MemoryRunStore, RunStore
from engine._learned import LearnedKey, LearnedTypes, MemoryLearnedTypes
from engine._limits import EngineLimits
from engine._provider import Provider, call_provider
from engine._python_tools import Tools
from engine._query import Detail
from engine._records import CallFact, RunRecord
from typegen import JsonObject, JsonValue

__all__ = [
    "LOCAL_OWNER",
    "QUERIES_AT_ONCE",
    "Answer",
    "CallError",
    "CallFact",
    "Catalog",
    "CatalogTool",
    "CodeMode",
    "Detail",
    "Engine",
    "EngineError",
    "EngineLimits",
    "Invoker",
    "JsonObject",
    "JsonValue",
    "KeptCall",
    "KeptRun",
    "LearnedKey",
    "LearnedTypes",
    "MemoryLearnedTypes",
    "MemoryRunStore",
    "Provider",
    "RunRecord",
    "RunStore",
    "ServerTools",
    "ToolCall",
    "ToolDefinitionError",
    "ToolFailure",
    "ToolForm",
    "Tools",
    "UnknownRunError",
    "UpstreamError",
    "call_provider",
    "code_tool",
    "execute_tool",
    "portal_instructions",
    "query_tool",
]
