"""What a check found, as lines that a person reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Verdict(Enum):
    """How a finding is."""

    OK = "ok"
    NOTE = "note"
    WRONG = "WRONG"


@dataclass
class Report:
    """Findings, printed as they come.

    Attributes:
        tentative: What is wrong is only noted, since nobody said that it should be right.
        wrong: How many of them need something done about.
        answered: How many servers answered.
    """

    tentative: bool = False
    wrong: int = 0
    answered: int = 0
    _titles: list[str] = field(default_factory=list)

    def title(self, text: str) -> None:
        """Begin a part."""
        print(f"{chr(10) if self._titles else ''}{text}")
        self._titles.append(text)

    def setting(self, name: str, value: str, source: str) -> None:
        """Show how something is configured, and by what."""
        print(f"  {name:<20} {value}  [{source}]")

    def finding(self, verdict: Verdict, text: str) -> None:
        """Show what was found."""
        if self.tentative and verdict is Verdict.WRONG:
            verdict = Verdict.NOTE
        self.wrong += verdict is Verdict.WRONG
        print(f"  {verdict.value:<5} {text}")

    def answer(self, text: str) -> None:
        """Show that a server answered, and what."""
        self.answered += 1
        self.finding(Verdict.OK, text)
