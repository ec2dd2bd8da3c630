"""The folder that the tasks work on, made from one seed: logs, tables, a git repository, a database, and the answers.

The answers are counted while the data is made, from what is written and not from what is read back.
"""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from engine import JsonObject, JsonValue

_SEED: Final = 20_261_121
_EPOCH: Final = datetime(2026, 3, 2, 8, tzinfo=UTC)

_LOGS: Final = 20
_LINES: Final = 70  # of a log: twenty of them are some 33,000 tokens, a small but real folder
_LEVELS: Final = ("DEBUG", "INFO", "INFO", "INFO", "WARN", "ERROR")
_PARTS: Final = ("auth", "billing", "cache", "mailer", "search")
# One of them holds the word in capitals below another level: who counts words in the place of levels gets it wrong.
_EVENTS: Final = (
    "request finished in 41 ms",
    "connection to the database lost, retrying",
    "retry after ERROR from the gateway succeeded",
    "queue holds 17 messages",
    "token of a session expired",
)

_TABLES: Final = 10
_ROWS: Final = 34
_REGIONS: Final = ("north", "south", "east", "west")
_PRODUCTS: Final = ("lamp", "desk", "chair", "shelf")

_AUTHORS: Final = ("Ada Byron", "Grace Murray", "Linus Berg", "Margaret Heath")
_COMMITS: Final = 26
_LEAK: Final = 11  # of the commits, from the oldest: adds the line that is looked for
_REPAIR: Final = 19  # takes it out again, and must not be found in its place
_FILES: Final = ("app.py", "cache.py", "mail.py", "search.py")

_CUSTOMERS: Final = 40
_COUNTRIES: Final = ("Austria", "Brazil", "Canada", "Denmark", "Estonia", "Finland")
_ORDERS: Final = 160

_NUMBERS: Final = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskData:
    """The folder with everything in it, the numbers to add, and the right answer of each task by its name."""

    folder: Path
    numbers: tuple[int, ...]
    gold: JsonObject

    @property
    def database(self) -> Path:
        """The file of the SQLite database."""
        return self.folder / "shop.db"


def make_data(folder: Path) -> TaskData:
    """Fill ``folder``, which is empty, and count the answers. The same bytes and commits come out every time."""
    (folder / "out").mkdir()
    errors = _write_logs(folder / "logs")
    per_author, leak = _commit(folder / "repo")
    top, countries = _fill_database(folder / "shop.db")
    chance = _chance("numbers")
    numbers = tuple(chance.randint(-500, 5_000) for _ in range(_NUMBERS))
    ((most, _),) = errors.most_common(1)
    gold: JsonObject = {
        "T1": {**errors},
        "T2": most,
        "T3": _write_tables(folder / "csv"),
        "T4": {**per_author},
        "T5": leak,
        "T6": top,
        "T7": "country,customers\n" + "".join(f"{name},{count}\n" for name, count in sorted(countries.items())),
        "T11": sum(numbers),
    }
    return TaskData(folder=folder, numbers=numbers, gold=gold)


def _chance(part: str) -> random.Random:
    """Return the chance of one part, so that a change of another part does not change it."""
    return random.Random(f"{_SEED} {part}")  # noqa: S311 -- data that is the same every time, and no secret


def _write_logs(folder: Path) -> Counter[str]:
    folder.mkdir()
    chance = _chance("logs")
    errors: Counter[str] = Counter()
    for number in range(_LOGS):
        name = f"app-{number:02}.log"
        levels = [*_LEVELS, *["ERROR"] * chance.randrange(4)]
        at = _EPOCH + timedelta(days=number)
        lines = []
        for _ in range(_LINES):
            at += timedelta(seconds=chance.randrange(1, 900))
            level = chance.choice(levels)
            errors[name] += level == "ERROR"
            lines.append(f"{at:%Y-%m-%dT%H:%M:%SZ} {level} {chance.choice(_PARTS)}: {chance.choice(_EVENTS)}\n")
        (folder / name).write_text("".join(lines))
    return errors


def _write_tables(folder: Path) -> JsonObject:
    folder.mkdir()
    chance = _chance("csv")
    cents: Counter[str] = Counter()
    for number in range(_TABLES):
        lines = ["date,region,product,amount\n"]
        for _ in range(_ROWS):
            day = _EPOCH + timedelta(days=chance.randrange(30) + 30 * number)
            region, amount = chance.choice(_REGIONS), chance.randrange(100, 99_999)
            cents[region] += amount
            lines.append(f"{day:%Y-%m-%d},{region},{chance.choice(_PRODUCTS)},{amount / 100:.2f}\n")
        (folder / f"sales-{number:02}.csv").write_text("".join(lines))
    return {region: total / 100 for region, total in cents.items()}


def _commit(folder: Path) -> tuple[Counter[str], str]:
    """Make a repository and return the commits of each author, and the one that adds the key."""
    folder.mkdir()
    chance = _chance("repo")
    per_author: Counter[str] = Counter()
    leak = ""
    _git(folder, "init", "--quiet", "--initial-branch=main")
    settings = ["DEBUG=0", "# API_KEY=... comes from the environment"]
    for number in range(_COMMITS):
        author = chance.choice(_AUTHORS)
        per_author[author] += 1
        name = chance.choice(_FILES)
        with (folder / name).open("a") as source:
            source.write("".join(f"limit_{number}_{line} = {chance.randrange(1_000)}\n" for line in range(6)))
        if number == _LEAK:
            settings.append("API_KEY=0f3a-not-a-real-key")
        elif number == _REPAIR:
            settings.pop()
        (folder / "settings.env").write_text("".join(f"{line}\n" for line in settings))
        _git(folder, "add", ".")
        _git(folder, "commit", "--quiet", "--message", f"Tune {name}, part {number}", author=author, day=number)
        if number == _LEAK:
            leak = _git(folder, "rev-parse", "HEAD")
    return per_author, leak


def _git(folder: Path, *arguments: str, author: str = _AUTHORS[0], day: int = 0) -> str:
    """Run git with nothing of the machine's in it, so that the names of commits are the same everywhere."""
    date = (_EPOCH + timedelta(days=day)).isoformat()
    identity = {"NAME": author, "EMAIL": f"{author.split(maxsplit=1)[0].lower()}@example.com", "DATE": date}
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environ |= {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in identity.items()}
    environ |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True, text=True)  # noqa: S603 -- arguments written above
    return done.stdout.strip()


def _fill_database(path: Path) -> tuple[list[JsonValue], Counter[str]]:
    """Make the shop and return its three best customers by spend, and the customers of each country."""
    chance = _chance("shop")
    countries: Counter[str] = Counter()
    spent: Counter[str] = Counter()
    customers, orders, items = [], [], []
    for number in range(1, _CUSTOMERS + 1):
        country = chance.choice(_COUNTRIES)
        countries[country] += 1
        customers.append((number, f"Customer {number:02}", country))
    for number in range(1, _ORDERS + 1):
        buyer = chance.choice(customers)
        orders.append((number, buyer[0], f"{_EPOCH + timedelta(days=number):%Y-%m-%d}"))
        for _ in range(chance.randint(1, 4)):
            quantity, price = chance.randint(1, 9), chance.randrange(100, 9_999)
            spent[buyer[1]] += quantity * price
            items.append((number, chance.choice(_PRODUCTS), quantity, price))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, country TEXT)")
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, placed_on TEXT)")
        database.execute("CREATE TABLE items (order_id INTEGER, product TEXT, quantity INTEGER, price_cents INTEGER)")
        database.executemany("INSERT INTO customers VALUES (?, ?, ?)", customers)
        database.executemany("INSERT INTO orders VALUES (?, ?, ?)", orders)
        database.executemany("INSERT INTO items VALUES (?, ?, ?, ?)", items)
    return [{"name": name, "cents": cents} for name, cents in spent.most_common(3)], countries
