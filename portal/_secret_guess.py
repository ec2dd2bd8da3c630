"""Which parts of a server's settings are credentials: a guess, and in doubt they are.

Clients keep keys in environment variables, headers, arguments and addresses, beside values that are none. What is taken
for a credential by mistake costs its owner a variable; what is missed would be written down.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

Hide: TypeAlias = Callable[[str, str], str]
"""Gets what a credential is called in its place (empty where it has no name) and its text; returns what to write."""

_SECRET_NAME: Final = re.compile(
    r"key|token|secret|passw|passphrase|pwd|auth|cred|signature|bearer|cookie|session|dsn|webhook|(?:\b|_)pat(?:\b|_)",
    re.IGNORECASE,
)
_HARMLESS: Final = re.compile(
    r"true|false|yes|no|on|off|none|null|auto|default|all|\d{1,5}|trace|debug|info|warn(?:ing)?|error|"
    r"development|dev|production|prod|test|local|stdio|http|https|sse|utf-?8|en|en_US(?:\.UTF-8)?|C(?:\.UTF-8)?|UTC|"
    r"application/json|text/event-stream",
    re.IGNORECASE,
)
_PATH: Final = re.compile(r"(?:/|~/|\./|\.\./|[A-Za-z]:\\)[\w ./\\@~-]*")
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_PREFIX: Final = re.compile(
    r"(?:sk|pk|rk|ghp|gho|ghs|ghu|hf|npm|pypi|ntn|secret|lin_api|whsec|dop_v1|shpat|xox[abeprs]|xapp|glpat|fc|tvly|r8)"
    r"[-_]\w{6}|github_pat_|AKIA|ASIA|AIza|eyJ[\w-]{8}|SG\.\w{6}"
)
_UUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_CHUNK: Final = re.compile(r"[A-Za-z0-9+]{16,}")
_ASSIGNMENT: Final = re.compile(r"(?P<name>[\w-]+)(?P<sign>=)(?P<quote>[\"']?)(?P<value>[^\s\"';&|]+)")
_HEADER: Final = re.compile(r"(?P<name>[A-Za-z][\w-]*)(?P<sign>:\s*)(?P<value>\S.*)", re.DOTALL)
_SCHEME: Final = re.compile(r"(?:Bearer|Basic|Token|ApiKey)\s+", re.IGNORECASE)
_USER: Final = re.compile(r"(?P<start>[a-z][a-z0-9+.-]*://)(?P<user>[^\s/@:]*):(?P<value>[^\s/@]+)@", re.IGNORECASE)
_REFERENCE: Final = re.compile(r"\x80[^\x81]*\x81")
"""A variable that the file itself refers to, as ``portal._client_import`` marks it."""


def is_secret_name(name: str) -> bool:
    """Whether something of this name is usually a credential."""
    return _SECRET_NAME.search(name) is not None


def looks_secret(text: str) -> bool:
    """Whether ``text`` holds what looks like a key: a known prefix, a UUID, or a long run of letters and digits."""
    if _PREFIX.search(text) or _UUID.search(text):
        return True
    return any(
        any(char.isdigit() for char in chunk) and any(char.isalpha() for char in chunk)
        for chunk in _CHUNK.findall(text)
    )


def is_credential(name: str, text: str) -> bool:
    """Whether the value of an environment variable is one: by its name, else by its look. In doubt it is none.

    For what must come back as it was, where each text that is taken for a credential by mistake would be missing.
    """
    return is_secret_name(name) or _hidden_argument(text, lambda _, __: "") != text


def hidden_value(name: str, text: str, hide: Hide) -> str:
    """Hide the value of an environment variable or a header, unless it is plainly none to hide."""
    own = _REFERENCE.sub("", text)
    if own != text:  # a reference, perhaps with a scheme before it
        return hide(name, text) if looks_secret(own) else text
    if not text or (not is_secret_name(name) and _HARMLESS.fullmatch(text)):
        return text
    if not is_secret_name(name) and not looks_secret(text):
        if _PATH.fullmatch(text):
            return text
        if _URL.fullmatch(text) and "@" not in text and "?" not in text:
            return text
    return hide(name, text)


def hidden_header(name: str, text: str, hide: Hide) -> str:
    """Hide the value of a header, but not the scheme before it (``Bearer``)."""
    scheme = _SCHEME.match(text)
    start = scheme.end() if scheme else 0
    credential = text[start:]
    if scheme and credential and not _REFERENCE.search(credential):
        return text[:start] + hide(name, credential)
    return hidden_value(name, text, hide)


def hidden_arguments(arguments: tuple[str, ...], hide: Hide) -> tuple[str, ...]:
    """Hide the credentials among a program's arguments: ``--token x``, ``--token=x``, ``Header: x``, addresses."""
    shown: list[str] = []
    flag = ""
    for argument in arguments:
        is_flag = argument.startswith("-")
        if flag and not is_flag:
            shown.append(argument if _REFERENCE.search(argument) else hide(flag, argument))
        else:
            shown.append(_hidden_argument(argument, hide))
        names_value = is_flag and "=" not in argument and is_secret_name(argument.lstrip("-"))
        flag = argument.lstrip("-") if names_value else ""
    return tuple(shown)


def hidden_url(url: str, hide: Hide) -> str:
    """Hide the password, the parameters and the parts of the path that are credentials."""
    url = _USER.sub(lambda found: f"{found['start']}{found['user']}:{_once('password', found['value'], hide)}@", url)
    address, question, query = url.partition("?")
    start, sign, rest = address.partition("://")
    host, *path = rest.split("/")
    address = (
        start + sign + "/".join([host, *(_once("key", part, hide) if looks_secret(part) else part for part in path)])
    )
    pairs = [_hidden_parameter(pair, hide) for pair in query.split("&")] if question else []
    return address + question + "&".join(pairs)


def _hidden_parameter(pair: str, hide: Hide) -> str:
    name, sign, value = pair.partition("=")
    is_hidden = value and (is_secret_name(name) or looks_secret(value))
    return f"{name}{sign}{_once(name, value, hide)}" if is_hidden else pair


def _once(name: str, text: str, hide: Hide) -> str:
    return text if _REFERENCE.search(text) else hide(name, text)


def _hidden_argument(argument: str, hide: Hide) -> str:
    if _URL.fullmatch(argument):
        return hidden_url(argument, hide)
    header = _HEADER.fullmatch(argument)
    if header and is_secret_name(header["name"]):
        return header["name"] + header["sign"] + hidden_header(header["name"], header["value"], hide)

    def assigned(found: re.Match[str]) -> str:
        name, value = found["name"], found["value"]
        if _URL.fullmatch(value):
            return f"{name}={found['quote']}{hidden_url(value, hide)}"
        if _REFERENCE.search(value) or not (is_secret_name(name) or looks_secret(value)):
            return found.group()
        return f"{name}={found['quote']}{hide(name.lstrip('-'), value)}"

    changed = _ASSIGNMENT.sub(assigned, argument)
    changed = _USER.sub(
        lambda found: f"{found['start']}{found['user']}:{_once('password', found['value'], hide)}@", changed
    )
    if changed == argument and looks_secret(_REFERENCE.sub("", argument)) and not _PATH.fullmatch(argument):
        return hide("", argument)
    return changed
