"""The people and components of the tracker: the fixed part of its data, which the generated part refers to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from portal.demo._records import Component, Person

# The components are the parts of this very repository, so that issues can be joined with its commits.
COMPONENTS: Final[tuple[Component, ...]] = (
    {
        "name": "sandbox",
        "description": "Isolates, worker processes and their limits",
        "lead": "ines",
        "keywords": ["sandbox", "isolate", "guest", "worker", "snapshot", "limit", "wasm"],
    },
    {
        "name": "engine",
        "description": "Programs, their answers and the catalog",
        "lead": "tomas",
        "keywords": ["engine", "catalog", "answer", "program", "search", "code"],
    },
    {
        "name": "typegen",
        "description": "JSON Schema to TypeScript declarations",
        "lead": "mei",
        "keywords": ["typegen", "declaration", "declarations", "identifier", "identifiers", "schema", "types"],
    },
    {
        "name": "portal",
        "description": "The endpoint, the upstreams and the command line",
        "lead": "amara",
        "keywords": ["portal", "endpoint", "upstream", "upstreams", "config", "configuration", "command", "demo"],
    },
    {
        "name": "packaging",
        "description": "Builds, releases and the container image",
        "lead": "lukas",
        "keywords": ["package", "packaging", "build", "wheel", "makefile", "lock", "ci", "release"],
    },
    {
        "name": "docs",
        "description": "Guides, reference and examples",
        "lead": "priya",
        "keywords": ["docs", "document", "describe", "readme", "guide", "example", "changelog"],
    },
)


def _person(
    login: str,
    name: str,
    role: str,
    team: str,
    timezone: str,
    *,
    hours: tuple[str, str] = ("09:00", "17:30"),
    active: bool = True,
) -> Person:
    return {
        "login": login,
        "name": name,
        "role": role,
        "team": team,
        "timezone": timezone,
        "working_hours": {"start": hours[0], "end": hours[1]},
        "active": active,
    }


# The members of a team share at least two working hours, so that every team can meet.
PEOPLE: Final[tuple[Person, ...]] = (
    _person("ines", "Inês Carvalho", "lead", "sandbox", "Europe/Lisbon"),
    _person("jonas", "Jonas Weber", "engineer", "sandbox", "Europe/Berlin"),
    _person("grace", "Grace Osei", "engineer", "sandbox", "Africa/Accra"),
    _person("daniel", "Daniel Brooks", "engineer", "sandbox", "America/New_York", hours=("08:00", "16:30")),
    _person("tomas", "Tomás Herrera", "lead", "engine", "America/Bogota", hours=("08:00", "16:30")),
    _person("sofia", "Sofia Lindqvist", "engineer", "engine", "Europe/Stockholm"),
    _person("noah", "Noah Tremblay", "engineer", "engine", "America/Toronto", hours=("08:00", "16:30")),
    _person("mei", "Mei Tanaka", "lead", "typegen", "Asia/Tokyo"),
    _person("arjun", "Arjun Rao", "engineer", "typegen", "Asia/Kolkata"),
    _person("olivia", "Olivia Harris", "engineer", "typegen", "Australia/Perth"),
    _person("amara", "Amara Okafor", "lead", "portal", "Africa/Lagos"),
    _person("felix", "Felix Moreau", "engineer", "portal", "Europe/Paris"),
    _person("rafael", "Rafael Costa", "engineer", "portal", "America/Sao_Paulo"),
    _person("kateryna", "Kateryna Bondar", "engineer", "portal", "Europe/Kyiv"),
    _person("lukas", "Lukas Novák", "lead", "packaging", "Europe/Prague"),
    _person("hana", "Hana Yilmaz", "engineer", "packaging", "Europe/Istanbul"),
    _person("priya", "Priya Sharma", "lead", "docs", "Asia/Kolkata"),
    _person("elena", "Elena Rossi", "writer", "docs", "Europe/Rome"),
    _person("wei", "Wei Zhang", "engineer", "sandbox", "Asia/Shanghai", active=False),
    _person("maria", "María Gómez", "customer", "acme", "Europe/Madrid"),
    _person("peter", "Peter Nilsen", "customer", "northwind", "Europe/Oslo"),
    _person("aisha", "Aisha Khan", "customer", "contoso", "Asia/Dubai"),
    _person("ben", "Ben Carter", "customer", "initech", "America/Chicago"),
    _person("yuki", "Yuki Sato", "customer", "globex", "Asia/Tokyo"),
)


def team_members(team: str) -> list[str]:
    """List the logins of a team's active members, the lead first."""
    return [person["login"] for person in PEOPLE if person["team"] == team and person["active"]]


def customers() -> list[str]:
    """List the logins of the people who report issues from outside."""
    return [person["login"] for person in PEOPLE if person["role"] == "customer"]
