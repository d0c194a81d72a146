"""The watch on a terminal, with keys."""

from __future__ import annotations

from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid
from textual.events import Resize
from textual.message import Message
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Footer, Static

from gangplank.watch import panels
from gangplank.watch.charts import Chart
from gangplank.watch.drawing import draw
from gangplank.watch.facts import facts
from gangplank.watch.heatmap import Heatmap
from gangplank.watch.history import History
from gangplank.watch.poll import Poller, Readable, Update
from gangplank.watch.selection import Selection

_CHART_WIDTH, _CHART_HEIGHT = 70, 13
_MOST_CHARTS = 12
_HELP = """\
m or down       the next model       M or up      the one before
v or tab        the next view        V            the one before
right           the next metric      left         the one before
space           hold what is shown; reading goes on
?               this
q               leave

A model is shown once for each process, or group of a
Pushgateway, that tells of it. Any key closes this."""


class Help(ModalScreen[None]):
    """The keys."""

    def compose(self) -> ComposeResult:
        """Return what is in it."""
        yield Static(Text(_HELP), id="help")

    def on_key(self) -> None:
        """Go."""
        self.dismiss()


class ChartView(Widget):
    """One chart, as large as there is room for."""

    def __init__(self) -> None:
        super().__init__()
        self._chart: Chart | Heatmap | None = None

    def show(self, chart: Chart | Heatmap | None) -> None:
        """Show another chart, or none."""
        self._chart = chart
        self.display = chart is not None
        self.refresh()

    def render(self) -> Text:
        """Return it."""
        if self._chart is None:
            return Text()
        return draw(self._chart, self.size.width, self.size.height, has_colors=not self.app.no_color)


class Charts(Grid):
    """As many charts as there is room for, the first of them first."""

    def __init__(self) -> None:
        self._views = [ChartView() for _ in range(_MOST_CHARTS)]
        super().__init__(*self._views)
        self._charts: list[Chart | Heatmap] = []

    def show(self, charts: list[Chart | Heatmap]) -> None:
        """Show other charts."""
        self._charts = charts
        columns = max(1, self.size.width // _CHART_WIDTH)
        rows = max(1, self.size.height // _CHART_HEIGHT)
        count = min(columns * rows, len(charts), _MOST_CHARTS)
        self.styles.grid_size_columns = min(columns, max(1, count))
        for index, view in enumerate(self._views):
            view.show(charts[index] if index < count else None)

    def on_resize(self, _: Resize) -> None:
        """Have as many as there is room for now."""
        self.show(self._charts)


class Watch(App[None]):
    """Shows what is read of a source.

    Args:
        source: What is read.
        url: Where it is, without what is secret.
        interval: Seconds from one reading to the next.
    """

    class Read(Message):
        """Something was read, or could not be.

        Args:
            update: What came of it.
        """

        def __init__(self, update: Update) -> None:
            super().__init__()
            self.update = update

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { layout: vertical; }
    #source, #subject { height: 1; }
    #problem { height: auto; max-height: 3; color: ansi_red; }
    #facts { height: auto; max-height: 40%; }
    Charts { height: 1fr; grid-gutter: 0 1; }
    ChartView { width: 1fr; height: 1fr; }
    Help { align: center middle; }
    #help { width: auto; height: auto; border: solid ansi_blue; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m,down", "model(1)", "model", key_display="m"),
        Binding("M,up", "model(-1)", show=False),
        Binding("v,tab", "view(1)", "view", key_display="v"),
        Binding("V,shift+tab", "view(-1)", show=False),
        Binding("right", "chart(1)", "metric", key_display="→"),
        Binding("left", "chart(-1)", show=False),
        Binding("space", "hold", "hold"),
        Binding("question_mark,h", "help", "help", key_display="?"),
        Binding("q,ctrl+c", "quit", "quit", key_display="q", priority=True),
    ]

    def __init__(self, source: Readable, url: str, interval: float) -> None:
        super().__init__(ansi_color=True)  # said here too: else NO_COLOR makes what has no colour black on black
        self.theme = "ansi-dark"  # the terminal's own colours, of which sixteen are enough
        self.history = History()
        self.selection = Selection(self.history)
        self._url = url
        self._poller = Poller(source, interval, lambda update: self.post_message(self.Read(update)))
        self._problem = ""
        self._read = 0.0
        self._is_held = False
        self._lines = {name: Static(id=name) for name in ("source", "problem", "subject", "facts")}
        self._charts = Charts()

    def compose(self) -> ComposeResult:
        """Return what is on the screen."""
        yield from self._lines.values()
        yield self._charts
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to read."""
        self._show()
        self._poller.start()

    def on_unmount(self) -> None:
        """Read no more."""
        self._poller.stop()

    def on_watch_read(self, message: Read) -> None:
        """Show what was read."""
        self._problem = message.update.problem
        for reading in message.update.readings:
            self.history.take(reading)
            self._read = reading.time
        if not self._is_held:
            self._show()

    def action_model(self, by: int) -> None:
        """Show another model."""
        self.selection.move_model(by)
        self._show()

    def action_view(self, by: int) -> None:
        """Show another part of its life."""
        self.selection.move_view(by)
        self._show()

    def action_chart(self, by: int) -> None:
        """Show another metric."""
        self.selection.move_chart(by)
        self._show()

    def action_hold(self) -> None:
        """Leave everything as it is, or go on."""
        self._is_held = not self._is_held
        self._show()

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Help())

    def _show(self) -> None:
        selection, subject = self.selection, self.selection.subject
        texts: dict[str, Text | Table] = dict.fromkeys(self._lines, Text())
        texts["source"] = panels.source_line(self._url, self._read, is_old=bool(self._problem), is_held=self._is_held)
        texts["problem"] = panels.problem_line(
            self._problem, self.history.left_out, is_empty=subject is None, was_read=bool(self._read)
        )
        if subject is not None:
            found = facts(subject, selection.view, self._read, self.history.process_of(subject))
            texts["subject"] = panels.subject_line(subject, selection.place, selection.view)
            texts["facts"] = panels.fact_table(found, self.size.width)
        for name, text in texts.items():
            self._lines[name].update(text)
            self._lines[name].display = name == "source" or bool(text)
        self._charts.show(selection.charts)
