"""What a shop's functions take and return: every kind of annotation that a tool may have."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from pydantic import BaseModel, Field

if sys.version_info >= (3, 12):
    from typing import TypedDict
else:
    from typing_extensions import TypedDict  # pydantic asks for it


class State(Enum):
    OPEN = "open"
    SENT = "sent"


class Address(TypedDict):
    street: str
    city: str


@dataclass
class Line:
    """One article of an order."""

    sku: str
    count: int = 1


class Order(BaseModel):
    id: int
    state: State
    placed: datetime
    lines: list[Line] = Field(default_factory=list)
