"""YAML text as marked values, by the YAML 1.2 core schema."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import yaml
from yaml.composer import Composer
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner

from portal._errors import ConfigError
from portal._marked import MAX_DEPTH, Marked, Scalar

if TYPE_CHECKING:
    from pathlib import Path

MAX_NODES: Final = 100_000  # ten aliases of aliases would otherwise be a billion values
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: Final[dict[str, Scalar]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_PLAIN_TAGS: Final = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))


class _Loader(Reader, Scanner, Parser, Composer):
    """Composes nodes with their marks and leaves each scalar as written.

    PyYAML's own resolver follows YAML 1.1, where ``code_mode: off`` is a boolean and ``12:30`` a number.
    """

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)

    def descend_resolver(self, parent: yaml.Node | None, index: object) -> None:
        """Nothing to keep: tags do not depend on the place."""

    def ascend_resolver(self) -> None:
        """Nothing to undo."""

    def resolve(self, kind: type[yaml.Node], value: object, implicit: object) -> str:  # noqa: ARG002 -- PyYAML's hook
        """Give every node without a tag of its own the plain tag of its kind."""
        name = "str" if kind is yaml.ScalarNode else "seq" if kind is yaml.SequenceNode else "map"
        return f"tag:yaml.org,2002:{name}"


def parse_yaml(text: str, file: Path) -> Marked:
    """Parse one YAML document. Raises ``ConfigError`` with the line of a syntax error, a duplicate key or a tag."""
    try:
        root = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(part for part in (error.context, error.problem) if part)
        line = mark.line + 1 if mark else None
        raise ConfigError(f"not YAML: {problem}.", file=file, line=line) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"not YAML: {str(error).splitlines()[0]}.", file=file) from None
    except RecursionError:
        raise ConfigError("nested too deeply.", file=file) from None
    return Marked({}, 1) if root is None else _Reading(file).marked(root, root.start_mark.line + 1, 0)


class _Reading:
    """Turns the nodes of one file into marked values; a node counts anew for each alias of it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._nodes = 0

    def marked(self, node: yaml.Node, line: int, depth: int) -> Marked:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise ConfigError(f"more than {MAX_NODES:,} values, each alias written out.", file=self._file, line=line)
        if depth > MAX_DEPTH:
            raise ConfigError(f"nested deeper than {MAX_DEPTH} levels.", file=self._file, line=line)
        if node.tag not in _PLAIN_TAGS:
            message = f"the YAML tag {node.tag} has no meaning here: remove it."
            raise ConfigError(message, file=self._file, line=line)
        if isinstance(node, yaml.ScalarNode):
            return Marked(_scalar(node), line, node.value)
        if isinstance(node, yaml.SequenceNode):
            return Marked([self.marked(item, item.start_mark.line + 1, depth + 1) for item in node.value], line)
        return Marked(self._fields(node, depth), line)

    def _fields(self, node: yaml.Node, depth: int) -> dict[str, Marked]:
        fields: dict[str, Marked] = {}
        for key, item in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError("a key must be a word, not a list or a mapping.", file=self._file, line=line)
            if key.value in fields:
                first = fields[key.value].line
                message = f'"{key.value}" stands here twice (first on line {first}).'
                raise ConfigError(message, file=self._file, line=line)
            fields[key.value] = self.marked(item, line, depth + 1)
        return fields


def _scalar(node: yaml.ScalarNode) -> Scalar:
    text: str = node.value
    if node.style is not None:  # quoted, literal or folded
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text) and len(text) < 20:
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
