"""What stands above the charts, as text that holds nothing but itself: names from outside have no effect in it."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from gangplank import words
from gangplank.watch.facts import Fact
from gangplank.watch.history import Subject
from gangplank.watch.run_state import Tone
from gangplank.watch.views import View, views

_STYLES = {Tone.PLAIN: "bold", Tone.GOOD: "bold green", Tone.POOR: "bold yellow", Tone.BAD: "bold red"}
_FACT_WIDTH = 38


def source_line(url: str, read: float, *, is_old: bool, is_held: bool) -> Text:
    """Return where it is from, and of when."""
    text = Text("gangplank watch ", style="bold", no_wrap=True, overflow="ellipsis")
    text.append(words.plain(url), style="not bold")
    if read:
        text.append(f"  {'OLD, of' if is_old else 'at'} {words.clock(read)}", style="red" if is_old else "not bold")
    if is_held:
        text.append("  held: space goes on", style="yellow")
    return text


def problem_line(problem: str, left_out: int, *, is_empty: bool, was_read: bool) -> Text:
    """Return what is not as it should be; empty if all is well."""
    if problem:
        return Text(f"{words.printable(problem)}; trying again", style="red")
    if left_out:
        return Text(f"{left_out:,} series are left out: there are too many", style="yellow")
    if is_empty:
        return Text("there is nothing of a model yet" if was_read else "reading ...", style="yellow")
    return Text()


def subject_line(subject: Subject, place: tuple[int, int], view: View) -> Text:
    """Return which model is shown, of how many, and which views of it there are."""
    text = Text(no_wrap=True, overflow="ellipsis")
    for number, one in enumerate(views(subject)):
        text.append(" " if number else "")
        text.append(f" {one.value} ", style="reverse" if one is view else "")
    text.append(f"  {words.plain(subject.key.model)}", style="bold")
    text.append(f" {place[0]}/{place[1]}" if place[1] > 1 else "")
    if not subject.is_present:
        text.append(f"  GONE since {words.clock(subject.seen)}", style="bold red")
    origin = ", ".join(f"{words.plain(name)}={words.plain(value)}" for name, value in sorted(subject.key.origin))
    text.append(f"  {origin}" if origin else "")
    return text


def fact_table(facts: list[Fact], width: int) -> Table:
    """Return facts in as many columns as there is room for, to be read downwards."""
    columns = max(1, width // _FACT_WIDTH)
    table = Table.grid(padding=(0, 2))
    for _ in range(columns):
        table.add_column(style="dim", no_wrap=True)
        table.add_column(no_wrap=True, min_width=12)
    rows = -(-len(facts) // columns)
    for row in range(rows):
        cells: list[Text] = []
        for fact in facts[row::rows]:
            cells += [Text(words.plain(fact.label)), Text(words.printable(fact.text), style=_STYLES[fact.tone])]
        table.add_row(*cells)
    return table
