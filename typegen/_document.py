"""One schema document and what its references point at. Nothing is ever fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin

if TYPE_CHECKING:
    from typegen._json import JsonValue

MAX_SCANNED = 100_000  # nodes looked at for anchors and identifiers: beyond any real schema, bounded on a bomb

_DATA_KEYWORDS = frozenset({"enum", "const", "default", "examples", "example"})


class Document:
    """A root schema, with its JSON pointers, anchors and embedded ``$id`` resources."""

    __slots__ = ("_anchors", "_resources", "root")

    def __init__(self, root: Mapping[str, JsonValue]) -> None:
        self.root = root
        self._anchors: dict[tuple[int, str], Mapping[str, JsonValue]] | None = None
        self._resources: dict[str, Mapping[str, JsonValue]] = {}

    def resolve(
        self, reference: str, resource: Mapping[str, JsonValue]
    ) -> tuple[Mapping[str, JsonValue] | JsonValue, Mapping[str, JsonValue]] | None:
        """Return what ``reference`` means inside ``resource``, with the resource it lies in; ``None`` if not here."""
        address, _, fragment = reference.partition("#")
        if address:
            found = self._resource_at(address, resource)
            if found is None:
                return None
            resource = found
        if not fragment:
            return resource, resource
        if fragment.startswith("/"):
            for home in (resource, self.root):
                target = _at_pointer(home, fragment)
                if target is not None:
                    return target, home
            return None
        for home in (resource, self.root):
            anchored = self._index().get((id(home), unquote(fragment)))
            if anchored is not None:
                return anchored, home
        return None

    def _resource_at(self, address: str, resource: Mapping[str, JsonValue]) -> Mapping[str, JsonValue] | None:
        self._index()
        absolute = _join(_identifier(resource), address)
        for name in (absolute, _join(_identifier(self.root), address), address):
            if name in self._resources:
                return self._resources[name]
        return None

    def _index(self) -> dict[tuple[int, str], Mapping[str, JsonValue]]:
        if self._anchors is not None:
            return self._anchors
        self._anchors = {}
        root_id = _identifier(self.root)
        self._resources[root_id] = self.root
        waiting: list[tuple[object, Mapping[str, JsonValue], str]] = [(self.root, self.root, root_id)]
        for _ in range(MAX_SCANNED):
            if not waiting:
                break
            node, resource, base = waiting.pop()
            if isinstance(node, list):
                waiting.extend((item, resource, base) for item in node if isinstance(item, list | Mapping))
                continue
            if not isinstance(node, Mapping):
                continue
            own = _identifier(node)
            if own.startswith("#"):  # draft 4 and 6 spelled anchors as fragment-only identifiers
                self._anchors.setdefault((id(resource), own[1:]), node)
            elif own and node is not self.root:
                resource, base = node, _join(base, own)
                self._resources.setdefault(base, node)
                self._resources.setdefault(own, node)
            for keyword in ("$anchor", "$dynamicAnchor"):
                name = node.get(keyword)
                if isinstance(name, str):
                    self._anchors.setdefault((id(resource), name), node)
            waiting.extend(
                (value, resource, base)
                for key, value in node.items()
                if isinstance(value, list | Mapping) and key not in _DATA_KEYWORDS
            )
        return self._anchors


def _identifier(schema: Mapping[str, JsonValue]) -> str:
    name = schema.get("$id", schema.get("id"))
    return name.removesuffix("#") if isinstance(name, str) and name != "#" else ""


def _join(base: str, address: str) -> str:
    try:
        return urljoin(base, address)
    except ValueError:  # not an address at all
        return address


def _at_pointer(root: Mapping[str, JsonValue], pointer: str) -> JsonValue:
    node: object = root
    for part in pointer.split("/")[1:]:
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(node, Mapping):
            node = node.get(key, node.get(part))
        elif isinstance(node, list) and key.isascii() and key.isdigit() and len(key) < 8 and int(key) < len(node):
            node = node[int(key)]
        else:
            return None
    return node  # type: ignore[return-value]  # what a JSON pointer finds in JSON is JSON
