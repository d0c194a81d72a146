"""What the files of a directory are together: those of the living, and what is left of the dead."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from gangplank.catalogue import metric
from gangplank.cells import Labels, Part
from gangplank.distribution import Distribution
from gangplank.exporters.multiprocess import segment
from gangplank.exporters.multiprocess.directory import Directory
from gangplank.merging import merge
from gangplank.metrics import Metric, Phase

SAMPLES, IN_FLIGHT, LAST, P_VALUE, SIZE, OUTCOME = (
    metric(phase, suffix)
    for phase, suffix in (
        (Phase.PREDICT, ""),
        (Phase.PREDICT, "in_flight"),
        (Phase.PREDICT, "last_timestamp"),
        (Phase.PREDICT, "drift_p_value"),
        (Phase.PREDICT, "batch_size"),
        (Phase.TEST, "outcome"),
    )
)
MODEL: Labels = (("model", "net"),)
Record = tuple[Sequence[Part], Sequence[float]]


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    """A directory with nothing in it."""
    return Directory(tmp_path / "workers")


def record(row: Metric, *cells: float, labels: Labels = MODEL) -> Record:
    """Return a record of one series."""
    return [Part(row, labels, 0, row.bounds)], cells


def sizes(first: float, second: float, total: float) -> Record:
    """Return a record of batch sizes: so many of up to 1 and of up to 2, and their sum."""
    return record(SIZE, first, second, *[0.0] * (len(SIZE.bounds) - 1), total)


def dead(directory: Directory, name: str, *records: Record) -> Path:
    """Leave a file as a process does that is killed."""
    path = directory.path / f"{name}.gangplank"
    path.write_bytes(segment.written(records, note=[]))
    return path


@contextmanager
def living(path: Path) -> Iterator[None]:
    """Have a file be that of a process that is alive, until the block ends."""
    lock = os.open(path, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(lock)


def shown(directory: Directory) -> dict[str, float | Distribution]:
    """Return what a scrape shows of the model: values by the names of metrics."""
    families = merge([directory])
    return {family.metric.prometheus_name: point.value for family in families for point in family.points}


def files(directory: Directory) -> list[str]:
    """Return the names of the files that hold series."""
    return sorted(path.name for path in directory.path.glob("*.gangplank"))


def test_an_empty_directory_shows_nothing(directory: Directory) -> None:
    """And there is no archive of nothing."""
    assert shown(directory) == {}
    assert files(directory) == []


def test_counts_outlive_a_process_and_what_it_alone_could_say_does_not(directory: Directory) -> None:
    """Of times the latest stands, whoever it was that told it."""
    records = (record(SAMPLES, 3), record(IN_FLIGHT, 1), record(LAST, 500), record(P_VALUE, 0.5, 400), sizes(1, 2, 5))
    path = dead(directory, "1", *records)
    with living(path):
        alive = shown(directory)
        assert (alive["gangplank_predict_in_flight"], alive["gangplank_predict_drift_p_value"]) == (1, 0.5)
    for _ in range(3):
        left = shown(directory)
        assert left.pop("gangplank_predict_total") == 3
        assert left.pop("gangplank_predict_last_timestamp_seconds") == 500
        sizes_left = left.pop("gangplank_predict_batch_size")
        assert isinstance(sizes_left, Distribution)
        assert (sizes_left.cumulative[:3], sizes_left.count, sizes_left.sum) == ((1, 3, 3), 3, 5)
        assert left == {}
        assert files(directory) == ["archive.gangplank"]


def test_the_living_and_the_dead_are_added_up(directory: Directory) -> None:
    """Counts are summed, calls in flight too; of p-values the newest stands, of times the latest."""
    dead(directory, "1", record(SAMPLES, 100), record(IN_FLIGHT, 7), record(LAST, 900), sizes(1, 0, 1))
    one = dead(directory, "2", record(SAMPLES, 20), record(IN_FLIGHT, 1), record(P_VALUE, 0.1, 50), sizes(0, 2, 4))
    two = dead(directory, "3", record(SAMPLES, 3), record(IN_FLIGHT, 2), record(P_VALUE, 0.9, 40), record(LAST, 800))
    with living(one), living(two):
        for _ in range(2):
            page = shown(directory)
            sizes_now = page.pop("gangplank_predict_batch_size")
            assert isinstance(sizes_now, Distribution)
            assert (sizes_now.cumulative[:2], sizes_now.sum) == ((1, 3), 5)
            assert page == {
                "gangplank_predict_total": 123,
                "gangplank_predict_in_flight": 3,
                "gangplank_predict_drift_p_value": 0.1,
                "gangplank_predict_last_timestamp_seconds": 900,
            }


def test_a_value_that_is_not_there_is_not_shown(directory: Directory) -> None:
    """A p-value that nobody has set is not 0; nor is what was set at 0 left out."""
    path = dead(directory, "1", record(P_VALUE, 0, 0), record(LAST, 0))
    other = dead(directory, "2", record(IN_FLIGHT, 0), record(OUTCOME, 0, 70, labels=(*MODEL, ("outcome", "failed"))))
    with living(path), living(other):
        assert shown(directory) == {"gangplank_predict_in_flight": 0, "gangplank_test_outcome": 0}


def test_threads_of_one_process_are_added_up(directory: Directory) -> None:
    """Their shares are records of their own, in which several series can be."""
    parts = [Part(IN_FLIGHT, MODEL, 1), Part(SAMPLES, MODEL, 0), Part(LAST, MODEL, 2)]
    with living(dead(directory, "1", (parts, (5, 1, 300)), (parts, (6, 0, 200)), (parts[1:2], (7,)))):
        assert shown(directory) == {
            "gangplank_predict_in_flight": 1,
            "gangplank_predict_total": 18,
            "gangplank_predict_last_timestamp_seconds": 300,
        }


def test_a_file_that_was_folded_and_not_deleted_is_not_counted_again(directory: Directory) -> None:
    """Whoever folded it was killed in between."""
    path = dead(directory, "1", record(SAMPLES, 3))
    before = path.read_bytes()
    assert shown(directory)["gangplank_predict_total"] == 3
    for _ in range(3):
        path.write_bytes(before)
        dead(directory, "2", record(SAMPLES, 0))
        assert shown(directory)["gangplank_predict_total"] == 3
        assert files(directory) == ["archive.gangplank"]
    dead(directory, "3", record(SAMPLES, 4))
    assert shown(directory)["gangplank_predict_total"] == 7


def test_an_archive_that_was_not_finished_is_none(directory: Directory) -> None:
    """Whoever wrote it was killed before it could take the place of the one before."""
    dead(directory, "1", record(SAMPLES, 3))
    shown(directory)
    archive = directory.path / "archive.gangplank"
    archive.with_suffix(".new").write_bytes(archive.read_bytes()[:-9])
    dead(directory, "2", record(SAMPLES, 4))
    assert shown(directory)["gangplank_predict_total"] == 7
    assert files(directory) == ["archive.gangplank"]


def cut_off(path: Path) -> None:
    """Leave half of a file."""
    path.write_bytes(path.read_bytes()[:-20])


def emptied(path: Path) -> None:
    """Leave a file of no bytes."""
    path.write_bytes(b"")


def foreign(path: Path) -> None:
    """Leave a file of somebody else."""
    path.write_text("# TYPE node_textfile_scrape_error gauge\n")


def linked(path: Path) -> None:
    """Leave a link to a file elsewhere."""
    path.rename(path.with_suffix(".elsewhere"))
    path.symlink_to(path.with_suffix(".elsewhere"))


def lying(path: Path) -> None:
    """Leave records with fewer cells than their parts are said to have."""
    path.write_bytes(segment.written([record(SIZE, 1.0), record(P_VALUE, 1.0)], note=[]))


def folder(path: Path) -> None:
    """Leave a folder."""
    path.unlink()
    path.mkdir()


DAMAGES = [cut_off, emptied, foreign, linked, lying, folder]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("is_alive", [True, False])
def test_what_cannot_be_read_is_left_out_and_logged_once(
    directory: Directory, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None], is_alive: bool
) -> None:
    """Be it alive or dead, all others are shown, and the scrape goes on."""
    whole, damaged = (dead(directory, name, record(SAMPLES, 3)) for name in "12")
    damage(damaged)
    with living(damaged) if is_alive else living(whole):
        for _ in range(3):
            assert shown(directory) == {"gangplank_predict_total": 3}
    logged = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert [one.name for one in logged] == ["gangplank.exporters.multiprocess"]
    assert damaged.name in logged[0].getMessage()


@pytest.mark.parametrize("damage", [cut_off, emptied, foreign, lying])
def test_a_damaged_archive_costs_what_was_in_it_and_no_more(
    directory: Directory, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    """The next one begins anew."""
    dead(directory, "1", record(SAMPLES, 3))
    shown(directory)
    damage(directory.path / "archive.gangplank")
    dead(directory, "2", record(SAMPLES, 4))
    for _ in range(3):
        assert shown(directory) == {"gangplank_predict_total": 4}
    assert len(caplog.records) == 1


def test_files_of_others_are_left_alone(directory: Directory) -> None:
    """prometheus_client has a directory of the same kind, which may be the same."""
    others = [directory.path / name for name in ("counter_1.db", "gauge_livesum_1.db", "notes.txt")]
    for path in others:
        path.write_bytes(b"theirs")
    dead(directory, "1", record(SAMPLES, 3))
    assert shown(directory) == {"gangplank_predict_total": 3}
    assert [path.read_bytes() for path in others] == [b"theirs"] * 3


def test_only_one_metric_can_be_read(directory: Directory) -> None:
    """As of a state."""
    dead(directory, "1", record(SAMPLES, 3), record(LAST, 1))
    assert [family.metric for family in merge([directory], only=LAST)] == [LAST]
