"""The tools and the prompt of the suite that answer with questions first (MCP 2026-07-28, ``input_required``)."""
# ruff: noqa: ANN401 -- what the SDK hands to a server has no public type

from __future__ import annotations

from typing import Any

from tests.acceptance.conformance._fixture_tools import JSON, client_capabilities, text, tool

NAME: JSON = {
    "method": "elicitation/create",
    "params": {
        "mode": "form",
        "message": "What is your name?",
        "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    },
}
ROOTS: JSON = {"method": "roots/list", "params": {}}


def sampling(question: str, *, tokens: int = 100) -> JSON:
    """Return a question to the client's model."""
    message = {"role": "user", "content": {"type": "text", "text": question}}
    return {"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": tokens}}


def form(message: str, field: str, kind: str = "string") -> JSON:
    """Return a question to the user, with one field."""
    schema = {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}
    return {"method": "elicitation/create", "params": {"mode": "form", "message": message, "requestedSchema": schema}}


def ask(state: str | None = None, **questions: JSON) -> JSON:
    """Return the result that asks these questions."""
    result: JSON = {"resultType": "input_required", "inputRequests": questions}
    return result if state is None else {**result, "requestState": state}


def answers(ctx: Any) -> JSON:
    """Return the answers that came with this request, those that are objects."""
    given = (ctx.params or {}).get("inputResponses")
    return {key: value for key, value in given.items() if isinstance(value, dict)} if isinstance(given, dict) else {}


def content(answer: JSON, field: str) -> Any:
    """Return a field of an accepted form, None where it is not there."""
    filled = answer.get("content")
    return filled.get(field) if answer.get("action") == "accept" and isinstance(filled, dict) else None


@tool("Asks for a name, and greets.")
async def test_input_required_result_elicitation(ctx: Any, arguments: JSON) -> JSON:
    name = content(answers(ctx).get("user_name", {}), "name")
    return text(f"Hello, {name}!") if isinstance(name, str) else ask(user_name=NAME)


@tool("Asks for a name on a stream.")
async def test_streaming_elicitation(ctx: Any, arguments: JSON) -> JSON:
    return await test_input_required_result_elicitation(ctx, arguments)


@tool("Asks the client's model.")
async def test_input_required_result_sampling(ctx: Any, arguments: JSON) -> JSON:
    answer = answers(ctx).get("capital_question")
    if answer is None:
        return ask(capital_question=sampling("What is the capital of France?"))
    return text(f"The model said: {answer.get('content')}")


@tool("Asks for the client's roots.")
async def test_input_required_result_list_roots(ctx: Any, arguments: JSON) -> JSON:
    answer = answers(ctx).get("client_roots")
    if answer is None:
        return ask(client_roots=ROOTS)
    return text(f"Roots: {[root.get('uri') for root in answer.get('roots', [])]}")


@tool("Asks, with a state that has to come back.")
async def test_input_required_result_request_state(ctx: Any, arguments: JSON) -> JSON:
    if "confirm" in answers(ctx) and ctx.params.get("requestState") == "confirming":
        return text("state-ok")
    return ask("confirming", confirm=form("Please confirm", "ok", "boolean"))


@tool("Asks, with a state that nobody may change.")
async def test_input_required_result_tampered_state(ctx: Any, arguments: JSON) -> JSON:
    if "confirm" in answers(ctx):
        return text("state-ok")
    return ask("sealed", confirm=form("Please confirm", "ok", "boolean"))


@tool("Asks three questions at once.")
async def test_input_required_result_multiple_inputs(ctx: Any, arguments: JSON) -> JSON:
    if answers(ctx).keys() >= {"user_name", "greeting", "client_roots"}:
        return text("All three are answered")
    questions = {"user_name": NAME, "greeting": sampling("Generate a greeting", tokens=50), "client_roots": ROOTS}
    return ask("three", **questions)


@tool("Asks one question after the other.")
async def test_input_required_result_multi_round(ctx: Any, arguments: JSON) -> JSON:
    given, state = answers(ctx), ctx.params.get("requestState")
    if "step2" in given and state == "round-2":
        return text("Both steps are done")
    if "step1" in given and state == "round-1":
        return ask("round-2", step2=form("Step 2: What is your favorite color?", "color"))
    return ask("round-1", step1=form("Step 1: What is your name?", "name"))


@tool("Asks whatever the client says it can answer.")
async def test_input_required_result_capabilities(ctx: Any, arguments: JSON) -> JSON:
    declared = client_capabilities(ctx)
    questions: JSON = {}
    if "sampling" in declared:
        questions["greeting"] = sampling("Generate a greeting")
    if "elicitation" in declared:
        questions["user_name"] = NAME
    if not questions or answers(ctx).keys() >= questions.keys():
        return text("nothing to ask")
    return ask(**questions)


async def prompt_with_question(ctx: Any) -> JSON:
    """Answer ``prompts/get`` for the prompt that asks first."""
    context = content(answers(ctx).get("user_context", {}), "context")
    if not isinstance(context, str):
        return ask(user_context=form("What context should the prompt use?", "context"))
    message = {"role": "user", "content": {"type": "text", "text": f"Use this context: {context}"}}
    return {"messages": [message]}
