"""How long a part that ended waits before it is started again: pure, and never for ever."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_S = 0.5
MAX_S = 30.0
# A part that ran this long was well: its earlier failures count no more.
STABLE_S = 60.0


@dataclass(frozen=True, slots=True)
class Failures:
    """How often a part ended in a row."""

    count: int = 0

    def after_run(self, ran_s: float) -> Failures:
        """Count one more end, after the part ran for some seconds."""
        return Failures(1 if ran_s >= STABLE_S else self.count + 1)

    @property
    def delay_s(self) -> float:
        """The seconds to wait before the next start."""
        return 0.0 if self.count == 0 else float(min(MAX_S, FIRST_S * 2 ** min(self.count - 1, 16)))
