"""The calls of ``code``, ``query`` and ``execute``: their arguments read, handed to the engine, and answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import orjson

from engine import CallError, UnknownRunError
from portal.server._tool_results import error_result, text_result

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from engine import Answer, Catalog, CatalogTool, Detail, Engine, RunRecord
    from portal._config import PortalConfig
    from portal._records import Recorder
    from portal.server._invoker import PortalInvoker
    from portal.upstream import Caller
    from typegen import JsonObject, JsonValue

RUN_META_KEY: Final = "portico/run"

_CODE_FORM: Final = 'code takes {"code": "<a JavaScript program>", "resume"?: "<the id of a failed run>"}'
_QUERY_FORM: Final = (
    'query takes {"query": "<what you need, or /regex/>", "server"?: id, "limit"?: number, '
    '"detail"?: "names" | "types" | "schemas"}'
)
_EXECUTE_FORM: Final = 'execute takes either {"tool": name, "arguments": {...}} or {"code": "<a JavaScript program>"}'


def answer_query(
    arguments: JsonObject,
    *,
    engine: Engine,
    catalog: Catalog,
    accounts: Mapping[str, str],
    name_of: Callable[[CatalogTool], str] | None = None,
) -> JsonObject:
    """Find tools; ``name_of`` says by which name the client calls one."""
    query, server, limit = arguments.get("query"), arguments.get("server"), arguments.get("limit")
    detail = arguments.get("detail", "types")
    is_whole = limit is None or (isinstance(limit, int) and not isinstance(limit, bool))
    is_known = not set(arguments) - {"query", "server", "limit", "detail"}
    if not (isinstance(query, str) and isinstance(server, str | None) and is_whole and is_known):
        return error_result(_QUERY_FORM)
    try:
        text = engine.query(
            query,
            catalog=catalog,
            server=server,
            limit=cast("int | None", limit),
            detail=cast("Detail", detail),
            name_of=name_of,
            accounts=accounts,
        )
    except CallError as error:
        return error_result(error.message)
    return text_result(text)


class ContextCalls:
    """Answers the calls of ``code`` and ``execute`` of one caller over one catalog."""

    def __init__(
        self,
        *,
        engine: Engine,
        portal: PortalConfig,
        recorder: Recorder,
        catalog: Catalog,
        invoker: PortalInvoker,
        caller: Caller,
        accounts: Mapping[str, str],
    ) -> None:
        self._engine = engine
        self._portal = portal
        self._recorder = recorder
        self._catalog = catalog
        self._invoker = invoker
        self._caller = caller
        self._accounts = accounts
        self._owner = f"{portal.id}/{caller.user}"

    async def code(self, arguments: JsonObject) -> JsonObject:
        """Run a program."""
        code, resume = arguments.get("code"), arguments.get("resume")
        if not isinstance(code, str) or not isinstance(resume, str | None) or set(arguments) - {"code", "resume"}:
            return error_result(_CODE_FORM)
        return await self._run(code, resume)

    async def execute(self, arguments: JsonObject, *, has_programs: bool) -> JsonObject:
        """Call one tool, or run a program where the portal's policy allows programs."""
        code, tool, resume = arguments.get("code"), arguments.get("tool"), arguments.get("resume")
        is_known = not set(arguments) - {"code", "tool", "arguments", "resume"}
        if not is_known or not isinstance(resume, str | None) or (code is None) == (tool is None):
            return error_result(_EXECUTE_FORM)
        if code is not None:
            if not has_programs:
                return error_result('Programs are off in this portal: call one tool with {"tool", "arguments"}.')
            return await self._run(code, resume) if isinstance(code, str) else error_result(_EXECUTE_FORM)
        given = _object(arguments.get("arguments"))
        if not isinstance(tool, str) or given is None:
            return error_result(_EXECUTE_FORM)
        return await self._answer(
            self._engine.execute(
                tool,
                given,
                catalog=self._catalog,
                invoker=self._invoker,
                owner=self._owner,
                resume=resume,
                accounts=self._accounts,
                on_end=self._record,
            )
        )

    def _run(self, code: str, resume: str | None) -> Awaitable[JsonObject]:
        return self._answer(
            self._engine.code(
                code,
                catalog=self._catalog,
                invoker=self._invoker,
                owner=self._owner,
                resume=resume,
                accounts=self._accounts,
                on_end=self._record,
            )
        )

    async def _answer(self, run: Coroutine[None, None, Answer]) -> JsonObject:
        try:
            answer = await run
        except UnknownRunError as error:
            return error_result(f"Not run: {error}.")
        meta: JsonObject = {RUN_META_KEY: answer.run.as_json()}
        return {"content": list(answer.blocks), "isError": answer.is_error, "_meta": meta}

    def _record(self, run: RunRecord) -> None:
        self._recorder.write_run(run.as_json(), user=self._caller.user, portal=self._portal.id)


def _object(value: JsonValue) -> JsonObject | None:
    """Read a tool's arguments: an object, nothing, or an object as JSON text, as some models send it."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value) if value.strip() else {}
        except orjson.JSONDecodeError:
            return None
    if value is None:
        return {}
    return value if isinstance(value, dict) else None
