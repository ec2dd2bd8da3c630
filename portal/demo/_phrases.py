"""The words that generated issues, comments and events are made of."""

from __future__ import annotations

from typing import Final

# For each component: what goes wrong, and where. A title is one of each.
FAULTS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "sandbox": (
        (
            "Run stops with a memory error",
            "Worker restarts",
            "Timer fires late",
            "CPU limit reached early",
            "Out-of-memory error names no limit",
            "Stack overflow is reported as a trap",
            "Console output is cut",
        ),
        (
            "after a large JSON.parse",
            "when forty runs start at once",
            "under a 32 MiB limit",
            "with deeply nested arguments",
            "when a host call takes a minute",
            "on a kernel without Landlock",
        ),
    ),
    "engine": (
        (
            "Answer repeats a block",
            "Search ranks the wrong tool first",
            "Error position is one line off",
            "Text result is not parsed",
            "Un-awaited call is not reported",
            "Answer is cut in the wrong place",
            "Catalog is rebuilt too often",
        ),
        (
            "for programs with a shebang line",
            "when a server has one tool",
            "with two hundred calls in one run",
            "if the program throws a string",
            "after a tool was renamed",
            "for results with images",
        ),
    ),
    "typegen": (
        (
            "Declaration loses a nullable field",
            "Enum becomes string",
            "Recursive schema becomes unknown",
            "Tuple length is dropped",
            "Two tools share an identifier",
            "Default is missing from the comment",
            "Union is not parenthesised",
        ),
        (
            "under allOf",
            "in an array of unions",
            "for draft-07 schemas",
            "when the description has a backtick",
            "in schemas with $anchor",
            "next to additionalProperties",
        ),
    ),
    "portal": (
        (
            "Upstream stays in waiting",
            "Header is sent twice",
            "Tool list is stale",
            "Connection is not closed",
            "Config error names the wrong line",
            "Sign-in loops",
            "Progress is lost",
        ),
        (
            "after the server was restarted",
            "behind a proxy",
            "with a stdio server that logs to stdout",
            "when two clients connect at once",
            "for servers of the 2024-11-05 era",
            "when the network drops for a second",
        ),
    ),
    "packaging": (
        (
            "Wheel misses a file",
            "Build downloads twice",
            "Image is larger than it was",
            "Lock file is out of date",
            "Version is printed as unknown",
            "Install fails",
        ),
        ("on Python 3.13", "without a compiler cache", "on arm64", "in an offline mirror", "with an editable install"),
    ),
    "docs": (
        (
            "Example does not run",
            "Page has a broken link",
            "Option is not described",
            "Screenshot is old",
            "Reference lists a removed field",
            "Guide skips a step",
        ),
        ("in the quick start", "for self-hosted installs", "in the limits page", "for VS Code", "in the upgrade notes"),
    ),
}

LABELS: Final[tuple[str, ...]] = (
    "bug",
    "regression",
    "performance",
    "usability",
    "security",
    "question",
    "help-wanted",
)

BODIES: Final[tuple[str, ...]] = (
    "Seen on three of our machines since the last release. A restart helps for about an hour.",
    "Steps: start the portal with two servers, run the attached program twice, compare the answers.",
    "Expected the documented behaviour; got the old one. The log shows nothing unusual.",
    "It works with one server and fails with two. We can share a trace on request.",
    "A colleague reported the same last week; closing and reopening the client did not help.",
    "This blocks our rollout. A workaround would do for now.",
)

QUESTIONS: Final[tuple[str, ...]] = (
    "Any news on this? It happened again this morning.",
    "We can reproduce it on the latest build, so the change did not help.",
    "Is there a workaround that we can use until it is fixed?",
    "I have attached the log that you asked for. What else do you need?",
    "It also happens with the default limits.",
)

REPLIES: Final[tuple[str, ...]] = (
    "Thanks, reproduced here. A fix is in review.",
    "Could you attach the log with the failing run?",
    "This looks like the same cause as an earlier report; I will link them.",
    "Fixed on the main branch, will be in the next release.",
    "Not able to reproduce it so far. Which version is this?",
)

MEETINGS: Final[tuple[str, ...]] = (
    "Planning",
    "Design review",
    "Pairing",
    "Interview",
    "Customer call",
    "Office hours",
    "Release check",
)
