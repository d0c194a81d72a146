"""``gangplank rules`` and ``gangplank dashboards``: what they print, write, and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gangplank.commands import main
from gangplank.mixin import files
from gangplank.mixin.objectives import SUCCESS_WITHIN, Objective

SHIPPED = Path(files.__file__).parent


def test_rules_as_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    """Without arguments, they are the file as it is, in which what can be said stands once."""
    assert main(["rules"]) == 0
    printed = capsys.readouterr().out
    assert printed == (SHIPPED / "rules.yml").read_text()
    default = Objective()
    for once in (f"vector({default.ratio})", f'{{le: "{default.seconds}"}}', f"vector({SUCCESS_WITHIN})"):
        assert printed.count(once) == 1


def test_rules_with_objectives(capsys: pytest.CaptureFixture[str]) -> None:
    """Share, time, rhythm and the address of the runbooks are where they belong, and nothing else has changed."""
    main(["rules"])
    shipped = capsys.readouterr().out.splitlines()
    arguments = ["--objective", "99.95 % in 100 ms", "--success-within", "1w", "--runbooks", "https://docs/books/"]
    assert main(["rules", *arguments]) == 0
    changed = [(old, new) for old, new in zip(shipped, capsys.readouterr().out.splitlines(), strict=True) if old != new]
    assert [new.strip() for old, new in changed if "runbook_url" not in old] == [
        "expr: vector(0.9995)",
        'labels: {le: "0.1"}',
        "expr: vector(604800)",
    ]
    books = [new.strip() for old, new in changed if "runbook_url" in old]
    assert len(books) == sum("runbook_url" in line for line in shipped)
    assert books[0] == "runbook_url: https://docs/books/#trainingdiverged"


def test_a_whole_second_is_written_as_prometheus_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    """The label le of that bucket is 1.0."""
    assert main(["rules", "--objective", "99% in 1s"]) == 0
    assert 'labels: {le: "1.0"}' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--objective", "fast"), "objective must be like '99% in 0.25s', got 'fast'"),
        (("--objective", "94.9% in 1s"), "95% or more"),
        (("--objective", "99% in 0.3s"), "0.25, 0.5, 1,"),
        (("--success-within", "2 fortnights"), "--success-within must be like 90m, 36h, 2d or 1w, got '2 fortnights'"),
        (("--success-within", "0d"), "got '0d'"),
        (("--runbooks", "docs/"), "--runbooks"),
        (("--runbooks", 'http://x"\n- evil: 1'), "--runbooks"),
    ],
)
def test_what_is_not_allowed(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said what is, and nothing is printed."""
    assert main(["rules", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


def test_which_dashboards_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Each has a name, and says what it is for; each can be printed."""
    assert main(["dashboards"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(files.DASHBOARDS)
    for name, line in zip(files.DASHBOARDS, lines, strict=True):
        assert main(["dashboards", name]) == 0
        assert json.loads(capsys.readouterr().out)["description"] in line


def test_written_and_written_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All dashboards and the rules, into a folder that was not there; what is as it should be is left alone."""
    folder = tmp_path / "new" / "mixin"
    assert main(["dashboards", "--to", str(folder)]) == 0
    assert main(["rules", "--to", str(folder)]) == 0
    expected = sorted([f"gangplank-{name}.json" for name in files.DASHBOARDS] + [files.RULES])
    assert sorted(path.name for path in folder.iterdir()) == expected
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == {"wrote"}
    assert main(["dashboards", "drift", "--to", str(folder)]) == 0
    assert capsys.readouterr().out == f"unchanged {folder / 'gangplank-drift.json'}\n"


def test_what_somebody_changed_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing at all is written where one file would be replaced, unless that is asked for."""
    mine = tmp_path / "gangplank-drift.json"
    mine.write_text("mine")
    assert main(["dashboards", "--to", str(tmp_path)]) == 1
    assert str(mine) in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
    assert main(["dashboards", "--to", str(tmp_path), "--replace"]) == 0
    assert mine.read_text() == files.dashboard("drift")


def test_a_folder_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said, in one line."""
    (tmp_path / "file").touch()
    assert main(["rules", "--to", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err.startswith("could not write to")
