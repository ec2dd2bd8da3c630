"""One typed Python function as a tool: schemas from its annotations, arguments read and results written by them."""

from __future__ import annotations

import inspect
import typing
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import anyio.lowlevel
import anyio.to_thread
import orjson
from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from engine._arguments import ArgumentCheck
from engine._docstring import read_docstring
from engine._errors import ToolDefinitionError
from typegen import Tool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typegen import JsonObject, JsonValue

Function: TypeAlias = "Callable[..., object]"

THREADS: Final = 40
"""Synchronous functions at work at once in one event loop, as many as anyio allows by itself; others wait."""
# Of their own: a function that never returns must not take the threads that the host itself needs.
_THREADS: Final = anyio.lowlevel.RunVar["anyio.CapacityLimiter"]("engine_python_tool_threads")
_SUPPORTED: Final = "built-in types, dataclasses, TypedDict, Literal, enums, dates and pydantic models have one"


class UnfitArgumentsError(Exception):
    """Raised when arguments do not fit the function; the message is for who made the call."""


class UnfitResultError(Exception):
    """Raised when a function returned what its annotation does not say, or what JSON cannot hold."""


class PythonTool:
    """A function that programs call. ``tool`` is what they are told of it.

    Raises ``ToolDefinitionError`` for a function from which no tool can be made.
    """

    def __init__(
        self,
        function: Function,
        *,
        name: str,
        title: str | None = None,
        description: str | None = None,
        annotations: Mapping[str, JsonValue] | None = None,
    ) -> None:
        self._function = function
        target = function if inspect.isroutine(function) else type(function).__call__
        if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
            raise ToolDefinitionError(f"{name}: it yields its results: return a list of them instead", tool=name)
        self._is_async = inspect.iscoroutinefunction(target)
        parameters, returns = _signature(function, name)
        docs = read_docstring(inspect.getdoc(function))
        self._arguments = _arguments_adapter(parameters, name)
        has_output = not any(returns is silent for silent in (inspect.Parameter.empty, object, typing.Any))
        self._result = _adapter(returns if has_output else typing.Any, name, "its result")
        self.tool = Tool(
            name=name,
            title=title,
            description=docs.description if description is None else description,
            input_schema=_described(_schema(self._arguments, name, is_output=False), docs.parameters),
            output_schema=_schema(self._result, name, is_output=True) if has_output else None,
            annotations=annotations or None,
        )
        # A dataclass may hold anything in its fields, and pydantic takes its word; the schema does not.
        self._promise = ArgumentCheck(self.tool.output_schema or {})

    def read(self, arguments: Mapping[str, JsonValue]) -> dict[str, object]:
        """Return the function's keyword arguments. Raises ``UnfitArgumentsError``."""
        try:
            return cast("dict[str, object]", self._arguments.validate_python(dict(arguments)))
        except ValidationError as error:
            # In the words that programs are told of any tool's arguments; pydantic's where JSON Schema has none.
            findings = ArgumentCheck(self.tool.input_schema).findings(dict(arguments))
            raise UnfitArgumentsError("; ".join(findings or _mistakes(error))) from error

    async def run(self, arguments: Mapping[str, object]) -> object:
        """Call the function: on the event loop when it is asynchronous, else in a thread.

        A thread cannot be stopped: when the call is cancelled nobody waits for it any more.
        """
        if self._is_async:
            returned = self._function(**arguments)
        else:
            returned = await anyio.to_thread.run_sync(
                partial(self._function, **arguments), abandon_on_cancel=True, limiter=_threads()
            )
        return await returned if inspect.isawaitable(returned) else returned

    def write(self, returned: object) -> JsonValue:
        """Return the result as JSON, in the form that the output schema promises. Raises ``UnfitResultError``."""
        try:
            value = self._result.validate_python(returned)
            text = self._result.dump_json(value, by_alias=True, warnings=False)
        except ValueError as error:  # pydantic's own, of reading and of writing
            raise UnfitResultError(str(error)) from error
        # Through text: what comes back is plain JSON, whatever subclasses of str and dict the function works with.
        written: JsonValue = orjson.loads(text)
        findings = self._promise.findings(cast("JsonObject", written))
        if findings:
            raise UnfitResultError("; ".join(findings))
        return written


class _PlainSchema(GenerateJsonSchema):
    """JSON Schema without the titles that repeat each field's name, and exact about what a result always holds."""

    # A default that is no JSON, such as a sentinel, is the function's own affair.
    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 -- as pydantic declares it

    def field_title_should_be_set(self, schema: object) -> bool:
        """Say no: they cost tokens and say nothing."""
        del schema
        return False

    def field_is_required(self, field: Mapping[str, object], total: bool) -> bool:
        """Say whether a field is always there: one with a default is, in what is written."""
        if self.mode == "serialization" and field["type"] != "typed-dict-field":
            return field.get("serialization_exclude_if") is None
        return super().field_is_required(cast("typing.Any", field), total)


def _signature(function: Function, name: str) -> tuple[Sequence[inspect.Parameter], object]:
    """Return the parameters and the result's annotation, both resolved."""
    signature = inspect.signature(function)
    annotated = function if inspect.isroutine(function) else type(function).__call__
    try:
        hints = typing.get_type_hints(annotated, include_extras=True)
    except NameError as error:
        message = f'{name}: the type "{error.name}" in its annotations is not known where the function is defined'
        advice = "import it at the top of the module, not under TYPE_CHECKING, and define it before the function"
        raise ToolDefinitionError(f"{message}: {advice}", tool=name) from None
    except TypeError as error:
        raise ToolDefinitionError(f"{name}: its annotations cannot be read: {error}", tool=name) from None
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.kind in {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
            message = f"{name}: a tool takes named parameters only: write a list or dict in place of {parameter}"
            raise ToolDefinitionError(message, tool=name)
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            message = f"{name}: a tool takes named parameters only: remove the / after {parameter.name}"
            raise ToolDefinitionError(message, tool=name)
        if parameter.name not in hints:
            message = f"{name}: the parameter {parameter.name} has no annotation: write its type (object for any value)"
            raise ToolDefinitionError(message, tool=name)
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters.append(parameter.replace(kind=kind, annotation=hints[parameter.name]))
    return parameters, hints.get("return", inspect.Parameter.empty)


def _arguments_adapter(parameters: Sequence[inspect.Parameter], name: str) -> TypeAdapter[object]:
    """Return what reads a tool's arguments: pydantic's own reading of a signature, around a function that hands on."""

    def collect(**arguments: object) -> dict[str, object]:
        return arguments

    setattr(collect, "__signature__", inspect.Signature(parameters))  # noqa: B010 -- types know of no such attribute
    collect.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    try:
        return _adapter(collect, name, "its signature")
    except ToolDefinitionError:
        for parameter in parameters:  # one alone names itself
            _adapter(parameter.annotation, name, f"the parameter {parameter.name}")
        raise


def _adapter(annotation: object, name: str, what: str) -> TypeAdapter[object]:
    try:
        return TypeAdapter(cast("type[object]", annotation))
    except PydanticUserError as error:
        reason = str(error).splitlines()[0]
        message = f"{name}: {what} has a type without a JSON form ({_SUPPORTED}): {reason}"
        raise ToolDefinitionError(message, tool=name) from None


def _schema(adapter: TypeAdapter[object], name: str, *, is_output: bool) -> JsonObject:
    mode: typing.Literal["serialization", "validation"] = "serialization" if is_output else "validation"
    try:
        return adapter.json_schema(mode=mode, schema_generator=_PlainSchema)
    except PydanticUserError as error:
        what = "its result" if is_output else "its parameters"
        message = f"{name}: {what} cannot be said in JSON Schema ({_SUPPORTED}): {str(error).splitlines()[0]}"
        raise ToolDefinitionError(message, tool=name) from None


def _described(schema: JsonObject, descriptions: Mapping[str, str]) -> JsonObject:
    """Add the docstring's descriptions to parameters that have none of their own (``Field(description=...)``)."""
    properties = schema.get("properties")
    if isinstance(properties, dict):
        for name, description in descriptions.items():
            member = properties.get(name)
            if description and isinstance(member, dict):
                member.setdefault("description", description)
    return schema


def _mistakes(error: ValidationError) -> list[str]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [f'"{".".join(map(str, mistake["loc"])) or "arguments"}": {mistake["msg"]}' for mistake in found[:5]]


def _threads() -> anyio.CapacityLimiter:
    try:
        return _THREADS.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(THREADS)
        _THREADS.set(limiter)
        return limiter
