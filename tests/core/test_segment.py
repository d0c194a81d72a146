"""The format of a file of cells: what is written can be read, by anyone and at any time, and all else is refused."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangplank.catalogue import CATALOGUE, find, metric, model_metric
from gangplank.cells import Labels, Part
from gangplank.exporters.multiprocess import segment
from gangplank.metrics import Kind, Metric, Phase

DURATION = metric(Phase.PREDICT, "duration")
SAMPLES = metric(Phase.PREDICT, "")
IN_FLIGHT = metric(Phase.PREDICT, "in_flight")
WEIGHTS = metric(Phase.TRAIN, "model_weights")
MODEL: Labels = (("model", "net"),)

# Any label that a state lets through: halves of surrogate pairs are replaced there.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def part(row: Metric, *values: str, offset: int = 0, bounds: Sequence[float] | None = None) -> Part:
    """Return a part with these values of the metric's labels, "net" for the model if there are none."""
    labels = tuple(zip(row.attributes, values or ["net"] * len(row.attributes), strict=True))
    return Part(row, labels, offset, row.bounds if bounds is None else tuple(bounds))


@pytest.fixture
def memory() -> Iterator[mmap.mmap]:
    """An empty file, mapped."""
    memory = mmap.mmap(-1, segment.CAPACITY)
    yield memory
    # Views of it may outlive the test, so it is left to the collector of garbage.
    del memory


@pytest.fixture
def writer(memory: mmap.mmap) -> segment.Writer:
    """A writer to it."""
    return segment.Writer(memory, lambda *_: None)


def content(memory: mmap.mmap) -> list[tuple[tuple[Part, ...], list[float]]]:
    """Return what a reader finds: of each record, the parts and the cells."""
    head = memory[: segment.HEAD]
    return [(parts, list(cells)) for parts, cells in segment.read(memory[: segment.size_in_use(head)])]


def test_a_new_file_holds_nothing(memory: mmap.mmap, writer: segment.Writer) -> None:
    """Before the first record it is a file of ours already."""
    assert content(memory) == []
    assert segment.size_in_use(memory[: segment.HEAD]) == segment.HEAD


def test_what_is_written_is_read(memory: mmap.mmap, writer: segment.Writer) -> None:
    """Each cell by itself, also while a later record is there."""
    shared = (part(DURATION, "net", "predict", "", offset=1), part(IN_FLIGHT))
    first = writer.add(shared)
    assert len(first) == 1 + shared[0].width
    second = writer.add([part(SAMPLES)])
    first[0], first[len(first) - 1], second[0] = 2.0, 0.1, 1e300
    assert content(memory) == [(shared, [2.0, *[0.0] * (len(first) - 2), 0.1]), ((part(SAMPLES),), [1e300])]


@given(TEXT, TEXT)
def test_any_label_can_be_told_again(model: str, error_type: str) -> None:
    """Whatever language, quotes, line ends, or nothing at all."""
    parts = (part(DURATION, model, "predict", error_type),)
    assert segment.decoded(segment.encoded(parts)) == parts
    ((read, cells),) = segment.read(segment.written([(parts, [0.5] * parts[0].width)], note=[model]))
    assert (read, set(cells)) == (parts, {0.5})
    assert segment.note(segment.written([], note=[model, error_type])) == [model, error_type]


@pytest.mark.parametrize("row", [*CATALOGUE, model_metric(Phase.TRAIN, "val_größe")], ids=lambda row: row.name)
def test_every_metric_can_be_told_again(row: Metric) -> None:
    """The very row of the catalogue, and one of a model's own metrics."""
    bounds = [-1.0, 0.0, 0.1] if row.kind is Kind.SNAPSHOT else None
    parts = (part(row, bounds=bounds, offset=7),)
    (decoded,) = segment.decoded(segment.encoded(parts))
    assert (decoded,) == parts
    if find(row.phase, row.suffix) is not None:
        assert decoded.metric is row


def test_a_record_that_was_removed_counts_no_more(memory: mmap.mmap, writer: segment.Writer) -> None:
    """The others do."""
    gone = writer.add([part(SAMPLES, "gone")])
    left = writer.add([part(SAMPLES, "left")])
    gone[0] = left[0] = 1
    writer.remove(gone)
    assert content(memory) == [((part(SAMPLES, "left"),), [1.0])]


def test_the_room_of_a_removed_record_is_used_again(memory: mmap.mmap, writer: segment.Writer) -> None:
    """By one of the same series, from 0, however often: a file does not grow by models that come and go."""
    cells = writer.add([part(SAMPLES)])
    used = segment.size_in_use(memory[: segment.HEAD])
    for _ in range(3):
        cells[0] = 5
        writer.remove(cells)
        assert content(memory) == []
        cells = writer.add([part(SAMPLES)])
        assert content(memory) == [((part(SAMPLES),), [0.0])]
    assert segment.size_in_use(memory[: segment.HEAD]) == used
    both = [cells, writer.add([part(SAMPLES)])]
    both[0][0], both[1][0] = 1, 2
    assert [read for _, read in content(memory)] == [[1.0], [2.0]]


def test_a_full_file_says_so_and_stays_as_it_is(memory: mmap.mmap, writer: segment.Writer) -> None:
    """Nothing of a record that does not fit is left in it."""
    large = part(WEIGHTS, bounds=range(700_000))
    writer.add([large])[0] = 1
    with pytest.raises(MemoryError, match="full"):
        writer.add([large])
    writer.add([part(SAMPLES)])[0] = 3  # there still is room for a small one
    assert [cells[0] for _, cells in content(memory)] == [1.0, 3.0]


GOOD = segment.written([([part(DURATION)], [1.0] * part(DURATION).width), ([part(SAMPLES)], [2.0])], note=["1-a"])


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"GANGPLK",
        b"GANGPLK1",
        b"# HELP a textfile collector's\n" * 5,
        GOOD[:-1],
        GOOD[:-64],
        b"GANGPLK2" + GOOD[8:],
        GOOD[:8] + struct.pack("=Q", len(GOOD) - 8) + GOOD[16:],
        GOOD[:8] + struct.pack("=Q", segment.HEAD + 8) + GOOD[16:],
        GOOD[:8] + struct.pack("=Q", 2**60) + GOOD[16:],
        GOOD[:8] + struct.pack("=Q", len(GOOD) + 8) + GOOD[16:] + bytes(8),
        segment.written([([part(DURATION)], [1.0])], note=[]),
        segment.written([([part(SAMPLES, offset=-1)], [1.0])], note=[]),
        GOOD.replace(b'"predict"', b'"predikt"'),
        GOOD.replace(b'"model"', b'"Model"'),
        GOOD.replace(b"0.0005", b"0.0006"),
        GOOD.replace(b'[["predict"', b'[["pre\xff\xfect'),
        GOOD.replace(b'[["predict"', b'{["predict"'),
    ],
)
def test_what_is_no_such_file_is_refused(damaged: bytes) -> None:
    """A file that is cut off, damaged, of another version or of somebody else."""
    with pytest.raises(ValueError, match=r"."):
        list(segment.read(damaged))


@given(st.data())
def test_whatever_is_damaged_is_refused_or_read(data: st.DataObject) -> None:
    """By no other exception than the one that readers expect, and with all the cells that the parts say."""
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(GOOD) - 1))] = data.draw(st.integers(0, 255))
    try:
        records = list(segment.read(bytes(damaged[: data.draw(st.integers(0, len(GOOD)))])))
    except ValueError:
        return
    for parts, cells in records:
        for one in parts:
            assert len(cells[one.offset : one.offset + one.width]) == one.width


@given(st.binary(max_size=64))
def test_a_damaged_note_is_refused(tail: bytes) -> None:
    """As the rest is: an archive may have been cut off too."""
    try:
        names = segment.note(GOOD[:8] + tail)
    except ValueError:
        return
    assert all(isinstance(name, str) for name in names)
