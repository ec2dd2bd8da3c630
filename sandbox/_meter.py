"""A budget of processor time that fills up again as time passes."""

from __future__ import annotations


class CpuMeter:
    """Counts use against ``budget_s`` in each ``window_s``: a bucket that leaks as fast as it may be filled."""

    def __init__(self, *, budget_s: float, window_s: float) -> None:
        self.budget_s = budget_s
        self._refill = budget_s / window_s
        self._spent_s = 0.0
        self._counted_at = 0.0

    def spend(self, cpu_s: float, *, now: float) -> None:
        """Count ``cpu_s``. More than twice the budget is forgiven: one mistake must not shut a user out for long."""
        self._spent_s = min(self.spent_s(now) + cpu_s, 2 * self.budget_s)
        self._counted_at = now

    def spent_s(self, now: float) -> float:
        """What has been used and not yet been made up for."""
        return max(0.0, self._spent_s - (now - self._counted_at) * self._refill)

    def wait_s(self, now: float) -> float:
        """How long until there is something to use again; 0 when there is."""
        return max(0.0, self.spent_s(now) - self.budget_s) / self._refill
