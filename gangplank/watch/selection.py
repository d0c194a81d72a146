"""Which model, which view of it and which of its charts somebody looks at."""

from __future__ import annotations

from gangplank.watch.charts import Chart, charts
from gangplank.watch.heatmap import Heatmap
from gangplank.watch.history import History, Key, Subject
from gangplank.watch.views import View, views


class Selection:
    """What is looked at; it stays with its model when others come and go.

    Args:
        history: What there is.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._key: Key | None = None
        self._view: View | None = None
        self._chart = ""

    @property
    def subject(self) -> Subject | None:
        """The model; None as long as there is none."""
        subjects = self._history.subjects
        chosen = next((one for one in subjects if one.key == self._key), None)
        return chosen or next((one for one in subjects if one.is_present), subjects[0] if subjects else None)

    @property
    def place(self) -> tuple[int, int]:
        """Which model it is, from 1, and of how many."""
        subjects, subject = self._history.subjects, self.subject
        return (subjects.index(subject) + 1 if subject is not None else 0), len(subjects)

    @property
    def view(self) -> View:
        """The view."""
        found = views(self.subject) if self.subject is not None else [View.TRAINING]
        return self._view if self._view in found else found[0]

    @property
    def charts(self) -> list[Chart | Heatmap]:
        """The view's charts, the chosen one first."""
        if self.subject is None:
            return []
        found = charts(self.subject, self.view)
        begin = next((index for index, chart in enumerate(found) if chart.title == self._chart), 0)
        return found[begin:] + found[:begin]

    def move_model(self, by: int) -> None:
        """Choose another model."""
        subjects, subject = self._history.subjects, self.subject
        if subject is not None:
            self._key = subjects[(subjects.index(subject) + by) % len(subjects)].key

    def move_view(self, by: int) -> None:
        """Choose another view."""
        if self.subject is not None:
            found = views(self.subject)
            self._view = found[(found.index(self.view) + by) % len(found)]

    def move_chart(self, by: int) -> None:
        """Choose another chart."""
        found = self.charts
        if found:
            self._chart = found[by % len(found)].title
