"""``portals:`` of a configuration file: which servers each offers, and the rules for their tools and prompts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, cast

from portal._config import CodeMode, PortalConfig, PortalServer, unknown_server
from portal._curation import Permission, Rules, Wording, check_renames
from portal._errors import ConfigError
from portal._marked import Section
from portal._server_config import normal_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portal._server_config import ServerConfig

_DENY_INSTEAD: Final = "write deny: [names], or default: deny beside tools for a list of what is allowed."
_RULE_HINTS: Final = {
    "enabled": _DENY_INSTEAD,
    "disabled": _DENY_INSTEAD,
    "default": "write default beside tools, for the tools that no rule names.",
    "alias": "write rename: {name: alias}.",
    "description": 'write describe: {name: "..."}.',
}
_PROMPT_HINTS: Final = {**_RULE_HINTS, "ask": "a prompt changes nothing, so nobody is asked: allow or deny it."}
_WORDING_HINTS: Final = {
    **_RULE_HINTS,
    **dict.fromkeys(
        ("allow", "ask", "deny", "default", "enabled", "disabled"),
        "who may call what is said in a portal: portals: [{id: default, servers: [{id: ..., tools: {deny: [...]}}]}].",
    ),
}


def portals_in(top: Section, servers: Sequence[ServerConfig]) -> tuple[PortalConfig, ...]:
    """Read every portal. Raises ``ConfigError`` with the line."""
    known = {server.id: server for server in servers}
    lines: dict[str, int] = {}
    portals: list[PortalConfig] = []
    for section in top.sections("portals"):
        portal = _portal(section, known)
        if portal.id in lines:
            message = f'portal id "{portal.id}" is used twice (first on line {lines[portal.id]}): rename one.'
            raise section.error(message, "id")
        lines[portal.id] = section.line_of("id")
        portals.append(portal)
    return tuple(portals)


def wording_of_server(section: Section | None) -> Wording:
    """Read ``tools`` or ``prompts`` of a server itself: aliases and descriptions for every portal."""
    if section is None:
        return Wording()
    wording = _wording(section)
    section.finish(hints=_WORDING_HINTS)
    return wording


def _portal(section: Section, known: dict[str, ServerConfig]) -> PortalConfig:
    portal_id = section.text("id")
    if portal_id is None:
        raise section.error(f'{section.place} needs an id, for instance "id: default".')
    servers = _servers(section, normal_id(portal_id), known)
    code_mode, hostname, prefix = section.text("code_mode"), section.text("hostname"), section.flag("prefix")
    section.finish()
    return section.build(
        PortalConfig,
        id=normal_id(portal_id),
        servers=servers,
        code_mode="opt_in" if code_mode is None else cast("CodeMode", code_mode),  # PortalConfig checks the word
        hostname=hostname,
        prefix=prefix is not False,
    )


def _servers(section: Section, portal_id: str, known: dict[str, ServerConfig]) -> tuple[PortalServer, ...]:
    found = section.take("servers")
    if found is None:
        return tuple(PortalServer(id=server_id) for server_id in known)
    if not isinstance(found.value, list):
        message = f"{section.path_of('servers')} must be a list of server ids, not {found.kind}."
        raise section.error(message, "servers")
    servers: list[PortalServer] = []
    for index, item in enumerate(found.value):
        place = f"servers[{index}]"
        nested = (
            Section(node=item, file=section.file, expander=section.expander, place=section.path_of(place))
            if isinstance(item.value, dict)
            else None
        )
        server_id = section.text_of(item, place) if nested is None else nested.text("id")
        if nested is not None and server_id is None:
            raise nested.error(f"{nested.place} needs the id of a server.")
        server_id = normal_id(str(server_id))
        if server_id not in known:
            message = unknown_server(server_id, list(known), portal_id=portal_id)
            raise ConfigError(message, file=section.file, line=item.line, key=section.path_of("servers"))
        servers.append(PortalServer(id=server_id) if nested is None else _server(nested, known[server_id]))
    return tuple(servers)


def _server(section: Section, server: ServerConfig) -> PortalServer:
    default = section.text("default")
    tools = _rules(section.section("tools"), server.tools)
    prompts = _rules(section.section("prompts"), server.prompts, is_for_prompts=True)
    section.finish()
    return section.build(
        PortalServer, id=server.id, default=cast("Permission | None", default), tools=tools, prompts=prompts
    )


def _rules(section: Section | None, own: Wording, *, is_for_prompts: bool = False) -> Rules:
    """Read the rules of one portal; ``own`` is the server's wording, which theirs must go together with."""
    if section is None:
        return Rules()
    allow, deny = section.texts("allow"), section.texts("deny")
    ask = () if is_for_prompts else section.texts("ask")
    wording = _wording(section)
    section.finish(hints=_PROMPT_HINTS if is_for_prompts else _RULE_HINTS)
    section.build(partial(wording.over, own))
    return section.build(Rules, allow=allow, ask=ask, deny=deny, wording=wording)


def _wording(section: Section) -> Wording:
    renames, descriptions = section.section("rename"), section.section("describe")
    rename = {} if renames is None else _texts(renames)
    if renames is not None:
        renames.build(check_renames, rename)  # here, where the line of each alias is known
    return section.build(Wording, rename=rename, describe={} if descriptions is None else _texts(descriptions))


def _texts(section: Section) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name in section.fields:
        text = section.text(name)
        if text is None:
            raise section.error(f"{section.path_of(name)} is empty: write a text, or remove it.", name)
        texts[name] = text
    return texts
