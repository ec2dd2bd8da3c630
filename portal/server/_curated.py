"""What one portal offers of one server: its tools and prompts after the rules of the configuration."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

from portal._glob import matches_glob
from portal._suggestion import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from portal._config import PortalServer
    from portal._curation import Permission, Rules, Wording
    from portal._server_config import ServerConfig
    from portal.upstream import Offers, UpstreamTool
    from typegen import JsonObject, Tool

T = TypeVar("T")

HASH_CHARS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class CuratedTool:
    """A tool as one portal offers it.

    ``tool`` is what programs see of it, alias and description of the configuration in place; ``permission`` is what the
    configuration says, ``None`` where it says nothing. A tool that it denies is not offered.
    """

    source: UpstreamTool
    tool: Tool
    permission: Permission | None = None

    @property
    def changes(self) -> JsonObject:
        """What the configuration changes in the tool's definition, but for its name."""
        return {} if self.tool.description == self.source.tool.description else {"description": self.tool.description}


@dataclass(frozen=True, slots=True, kw_only=True)
class CuratedPrompt:
    """A prompt as one portal offers it: the server's own name for it, the name to show, and its definition."""

    own_name: str
    name: str
    definition: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class CuratedServer:
    """One server as one portal offers it, and ``remarks`` for the operator about rules that do nothing."""

    id: str
    name: str
    status: str
    tools: tuple[CuratedTool, ...] = ()
    prompts: tuple[CuratedPrompt, ...] = ()
    resources: tuple[JsonObject, ...] = ()
    templates: tuple[JsonObject, ...] = ()
    has_resources: bool = False
    remarks: tuple[str, ...] = ()


def uncurated(
    server_id: str, tools: Sequence[UpstreamTool], *, name: str = "", permission: Permission | None = None
) -> CuratedServer:
    """Offer all of a server's tools as they are."""
    curated = tuple(CuratedTool(source=source, tool=source.tool, permission=permission) for source in tools)
    return CuratedServer(id=server_id, name=name or server_id, status="ready", tools=curated)


def curated(offered: PortalServer, config: ServerConfig, offers: Offers, *, status: str) -> CuratedServer:
    """Apply the rules of a portal, and what the server's own configuration says, to what the server ``offers``."""
    tools = _tools(offered, offered.tools.wording.over(config.tools), offers.tools)
    prompts = _prompts(offered.prompts, offered.prompts.wording.over(config.prompts), offers.prompts)
    remarks: tuple[str, ...] = ()
    if status == "ready":  # before that, a tool may only not be known yet
        remarks = (
            *_idle("tools", offered.tools, config.tools, offers.tools),
            *_idle("prompts", offered.prompts, config.prompts, [name for name, _ in _named(offers.prompts)]),
        )
    return CuratedServer(
        id=config.id,
        name=config.display_name,
        status=status,
        tools=tools,
        prompts=prompts,
        resources=offers.resources,
        templates=offers.templates,
        has_resources="resources" in offers.capabilities or bool(offers.resources or offers.templates),
        remarks=tuple(f"server {config.id}: {remark}" for remark in remarks),
    )


def _tools(offered: PortalServer, wording: Wording, sources: Mapping[str, UpstreamTool]) -> tuple[CuratedTool, ...]:
    permissions: dict[str, Permission | None] = {
        name: offered.tools.permission(name) or offered.default for name in sources
    }
    shown = _shown_names([name for name in sources if permissions[name] != "deny"], wording.rename)
    return tuple(
        CuratedTool(
            source=sources[own_name],
            tool=_reworded(sources[own_name].tool, name, wording.describe.get(own_name)),
            permission=permissions[own_name],
        )
        for own_name, name in shown.items()
    )


def _prompts(rules: Rules, wording: Wording, definitions: Sequence[JsonObject]) -> tuple[CuratedPrompt, ...]:
    allowed = {name: definition for name, definition in _named(definitions) if rules.permission(name) != "deny"}
    return tuple(
        CuratedPrompt(own_name=own_name, name=name, definition=_described(allowed[own_name], wording, own_name))
        for own_name, name in _shown_names(list(allowed), wording.rename).items()
    )


def _named(definitions: Sequence[JsonObject]) -> Iterator[tuple[str, JsonObject]]:
    for definition in definitions:
        name = definition.get("name")
        if isinstance(name, str):
            yield name, definition


def _described(definition: JsonObject, wording: Wording, name: str) -> JsonObject:
    return {**definition, "description": wording.describe[name]} if name in wording.describe else definition


def _reworded(tool: Tool, name: str, description: str | None) -> Tool:
    if name == tool.name and description in {None, tool.description}:
        return tool
    return replace(tool, name=name, description=tool.description if description is None else description)


def _shown_names(names: Sequence[str], rename: Mapping[str, str]) -> dict[str, str]:
    """Return the name to show of each; no two are equal.

    An alias stays what the operator made it: a name that the server itself gives to something else later on, by
    accident or to be called in place of it, is the one that changes.
    """
    aliases = {rename[name] for name in names if name in rename}
    shown: dict[str, str] = {}
    for name in names:
        shown[name] = rename.get(name) or (_apart(name, {*names, *aliases}) if name in aliases else name)
    return shown


def _apart(name: str, taken: Collection[str]) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return next(
        candidate
        for length in range(HASH_CHARS, len(digest) + 1)
        if (candidate := f"{name}_{digest[:length]}") not in taken
    )


def _idle(noun: str, rules: Rules, own: Wording, known: Collection[str]) -> Iterator[str]:
    """Say of each rule that it names nothing the server has, and what was probably meant."""
    spoken = [
        *rules.names(),
        *(("rename", name) for name in own.rename),
        *(("describe", name) for name in own.describe),
    ]
    for rule, name in dict.fromkeys(spoken):
        is_pattern = "*" in name and rule not in {"rename", "describe"}
        if name in known or (is_pattern and any(matches_glob(name, candidate) for candidate in known)):
            continue
        near = nearest(name, known)
        hint = f'did you mean "{near}"?' if near else "remove it, unless it is meant for later."
        yield f'{noun}.{rule} names "{name}", which the server does not list: {hint}'
