"""The instrument of those who measure context: what lists, searches and programs cost in tokens, on one's own portal.

``measure`` does it; ``show_report`` writes tables and ``page`` a web page. ``bill`` counts any job done by tool calls.
"""

from __future__ import annotations

from portal.context._ledger import Bill, Exchange, bill
from portal.context._page import page
from portal.context._program import ProgramFailed
from portal.context._report import ContextReport, example_program, measure
from portal.context._table import show_report

__all__ = [
    "Bill",
    "ContextReport",
    "Exchange",
    "ProgramFailed",
    "bill",
    "example_program",
    "measure",
    "page",
    "show_report",
]
