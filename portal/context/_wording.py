"""The sentences and rows that the terminal and the page have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from portal.context._discovery import Discovery
    from portal.context._program import ProgramCost

HOW_LISTS_ARE_COUNTED: Final = (
    "A tool counts as model APIs take it: name, description and input schema. The whole list counts what goes over "
    "the wire, output schemas and annotations included; some clients put that into the context."
)
HOW_PROGRAMS_ARE_COUNTED: Final = (
    "Direct calls are those that the program made, as a model would write and read them; calls that the program had "
    "under way together are one turn. Whether a model would work the answer out of all those texts is not measured. "
    "The question and the closing words are in neither column, and images are not counted."
)

ProgramRow = tuple[str, int, int]


def program_rows(program: ProgramCost) -> tuple[ProgramRow, ...]:
    """Return what is compared, in code mode and by direct calls."""
    code, direct = program.code, program.direct
    return (
        ("tool definitions", code.definitions, direct.definitions),
        ("written by the model in calls", code.written, direct.written),
        ("read by the model in answers", code.read, direct.read),
        ("context at the end", code.context, direct.context),
        ("input over all turns, uncached", code.billed_input, direct.billed_input),
        ("the same, one call a turn", code.billed_input, program.one_by_one.billed_input),
        ("turns that call tools", code.turns, direct.turns),
        ("tool calls by the model", code.calls, direct.calls),
    )


def how_found(found: Discovery) -> str:
    """Say which searches were made and how well they went."""
    count = len(found.queries)
    if not found.is_sampled:
        return f"{count} {'search' if count == 1 else 'searches'} as given."
    return f"{count} searches, each with what one tool says of itself first; {found.found} of them found that tool."


def ratio(part: int, whole: int) -> str:
    """Say how often ``part`` goes into ``whole``: more than once where it costs less, less than once where more."""
    if not part:
        return "-"
    times = whole / part
    return f"{times:,.0f} x" if times >= 100 else f"{times:.1f} x"


def share(part: int, whole: int) -> str:
    """Say which share of ``whole`` ``part`` is."""
    return f"{100 * part / whole:.1f} %" if whole else "-"
