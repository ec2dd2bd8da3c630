"""Sealing a worker process: what the kernel takes away from it before it meets any program."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationLayer:
    """One layer of a worker's isolation by its kernel; ``detail`` says what it does, or why it is not active."""

    name: str
    is_active: bool
    detail: str


def probe_isolation() -> tuple[IsolationLayer, ...]:
    """Report the layers that a worker on this machine gets, by sealing a process and trying what it must not do."""
    raise NotImplementedError
