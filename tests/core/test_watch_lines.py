"""A watch as lines, and what names from outside look like in them."""

from __future__ import annotations

import json
import re
import sys

import pytest
from checking import Always, Server
from realservers import free_port
from watching import LOSS, history_of, sample

from gangplank import words
from gangplank.commands import main
from gangplank.watch.history import History
from gangplank.watch.lines import Lines
from gangplank.watch.reading import Reading

EVIL = "\x1b[2J\x07\u202e[red]\u2028=\"a\\\x7f\x9b'"
PAIR = r'(\w+)=("(?:[^"\\]|\\.)*"|[^\s"]+)'


def test_a_line_is_printed_when_something_has_changed() -> None:
    """And says when, of what, and all there is."""
    history, lines = History(), Lines()
    first = Reading(1.0, (sample(LOSS, 0.5, job="a"), sample("gangplank_train_epochs_count", 1.0, job="a")))
    history.take(first)
    (line,) = lines.changed(history, first)
    assert line == "time=1970-01-01T00:00:01Z model=net job=a view=training epochs=1 loss=0.5"
    same = Reading(2.0, first.samples)
    history.take(same)
    assert lines.changed(history, same) == []
    gone = Reading(3.0, ())
    history.take(gone)
    assert lines.changed(history, gone) == ["time=1970-01-01T00:00:03Z model=net job=a view=training gone=true"]


def test_a_problem_is_printed_once_until_it_passes() -> None:
    """The one that comes after it again."""
    lines = Lines()
    assert lines.problem("http://a", "it is gone", 1.0) == [
        'time=1970-01-01T00:00:01Z source=http://a problem="it is gone"'
    ]
    assert lines.problem("http://a", "it is gone", 2.0) == []
    lines.changed(History(), Reading(3.0, ()))
    assert len(lines.problem("http://a", "it is gone", 4.0)) == 1


@pytest.mark.parametrize("name", [EVIL, "a b", "a=b", "Ünï 模型", 'the "net"', "a\nb", "\\"])
def test_names_from_outside_stay_within_their_value(name: str) -> None:
    """Nothing in a line but printable ASCII, and a program reads the name as it is."""
    history = history_of(LOSS, [0.5], model=name, job=name)
    (line,) = Lines().changed(history, Reading(0.0, ()))
    assert line.isascii()
    assert line.isprintable()
    assert re.fullmatch(rf"{PAIR}( {PAIR})*", line)
    found = dict(re.findall(PAIR, line))
    assert [json.loads(found[key]) if found[key][0] == '"' else found[key] for key in ("model", "job")] == [name, name]


def test_names_from_outside_have_no_effect_on_a_terminal() -> None:
    """They are seen, in a form that does nothing, and leave room for others."""
    shown = words.plain(EVIL)
    assert shown.isprintable()
    assert shown.startswith("\\x1b[2J\\x07\\u202e[red]")
    assert len(words.plain("x" * 1000)) == 60


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (1234567.0, "1,234,567"),
        (0.123456, "0.1235"),
        (1e300, "1e+300"),
        (-2.5e-9, "-2.5e-09"),
        (float("nan"), "NaN"),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
    ],
)
def test_numbers(value: float, shown: str) -> None:
    """Short, and never an error."""
    assert words.number(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0 s"),
        (2e-7, "0.2 µs"),
        (0.00123, "1.23 ms"),
        (0.9999, "1 s"),
        (59.0, "59 s"),
        (192.0, "3m 12s"),
        (7500.0, "2h 05m"),
        (273_600.0, "3d 4h"),
        (-5.0, "-5 s"),
        (float("nan"), "NaN"),
        (float("inf"), "inf"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    """In the unit that fits."""
    assert words.duration(seconds) == shown


def test_times_that_are_none_are_numbers() -> None:
    """Of clocks that are far off."""
    assert words.clock(1e300) == "1e+300"


def test_once(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines and no more, with an exit status."""
    server.body = Always(b'gangplank_train_loss{model="net"} NaN\n')
    assert main(["watch", server.address, "--once"]) == 0
    assert capsys.readouterr().out.endswith(" model=net view=training loss=nan\n")
    server.body = Always(b"up 1\n")
    assert main(["watch", server.address, "--once"]) == 1
    assert "nothing of a model yet" in capsys.readouterr().out
    assert main(["watch", f"127.0.0.1:{free_port()}", "--once"]) == 1
    assert "problem=" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ftp://a"], "URL has the scheme 'ftp'"),
        (["a", "--interval", "0"], "--interval must be a number of seconds above 0"),
        (["a", "--since", "soon"], "--since must be a time such as 90s, 30m, 6h or 2d, got 'soon'"),
        (["a", "--certificate", "/nowhere"], "--certificate must be a file that can be read, got '/nowhere'"),
    ],
)
def test_what_is_not_allowed(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Named, with an exit status of its own."""
    assert main(["watch", *arguments]) == 2
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("package", ["textual", "plotext"])
def test_an_extra_that_is_missing(
    package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named, on a terminal alone: lines need none of what draws."""
    monkeypatch.setitem(sys.modules, package, None)
    for module in ("terminal", "drawing"):
        monkeypatch.delitem(sys.modules, f"gangplank.watch.{module}", raising=False)
    address = f"127.0.0.1:{free_port()}"
    assert main(["watch", address, "--once"]) == 1
    capsys.readouterr()
    monkeypatch.setattr("gangplank.commands.watch._is_terminal", Always(value=True))
    assert main(["watch", address]) == 2
    expected = f"gangplank watch needs {package}, which is not installed: pip install 'gangplank[watch]'\n"
    assert capsys.readouterr().out == expected
