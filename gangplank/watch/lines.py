"""What there is to say as lines that a program reads: ``name=value``, with a space between."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from gangplank.watch.facts import facts
from gangplank.watch.history import History, Key, Subject
from gangplank.watch.reading import Reading
from gangplank.watch.views import View, views

_BARE = re.compile(r"[^\s\"'=\\]+")


class Lines:
    """Makes lines of what has changed."""

    def __init__(self) -> None:
        self._said: dict[tuple[Key, View], str] = {}
        self._problem = ""

    def changed(self, history: History, reading: Reading) -> list[str]:
        """Return a line for each view of each model of which there is something new."""
        self._problem = ""
        moment = _moment(reading.time)
        found: list[str] = []
        for subject in history.subjects:
            for view in views(subject):
                line = self._line(history, subject, view, reading.time)
                if self._said.get((subject.key, view)) != line:
                    self._said[subject.key, view] = line
                    found.append(f"time={moment} {line}")
        return found

    def problem(self, url: str, text: str, moment: float) -> list[str]:
        """Return a line on why there is nothing new, unless the last line said so."""
        if text == self._problem:
            return []
        self._problem = text
        return [f"time={_moment(moment)} source={_value(url)} problem={_value(text)}"]

    def _line(self, history: History, subject: Subject, view: View, now: float) -> str:
        pairs = [("model", subject.key.model), *sorted(subject.key.origin), ("view", view.value)]
        if not subject.is_present:
            pairs.append(("gone", "true"))
        else:
            found = facts(subject, view, now, history.process_of(subject))
            pairs += [(fact.key.replace(" ", "_"), _text(fact.value)) for fact in found]
        return " ".join(f"{_value(name)}={_value(value)}" for name, value in pairs)


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def _value(text: str) -> str:
    """Return a value; as JSON if anything in it could be taken for the end of it, or for more than text."""
    is_bare = _BARE.fullmatch(text) and text.isascii() and text.isprintable()
    return text if is_bare else json.dumps(text).replace("\x7f", "\\u007f")


def _moment(moment: float) -> str:
    try:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{moment:.0f}"
