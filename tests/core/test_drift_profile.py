"""Profiles: kept beside the model, and safe to read, whatever the file holds."""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gangplank import ClassDrift, ConfigurationError, DriftProfile, FeatureDrift, MMDDrift

_SMALL: dict[str, Any] = {"window": 20, "ert": 60, "n_streams": 500, "seed": 3}
_RANDOM = np.random.default_rng(0)
_INPUTS = _RANDOM.normal(size=(400, 2, 3)).astype(np.float32)
_PREDICTIONS = _RANDOM.dirichlet(np.ones(4), 400).astype(np.float32)


def _profile() -> DriftProfile:
    return DriftProfile(predictions=_PREDICTIONS, inputs=_INPUTS, fingerprint="abc")


@pytest.mark.parametrize(
    ("given", "beside"),
    [
        ("models/mnist.keras", "models/mnist.drift.npz"),
        ("mnist.weights.h5", "mnist.weights.drift.npz"),
        ("a.b.drift.npz", "a.b.drift.npz"),
        ("mnist", "mnist.drift.npz"),
    ],
)
def test_lies_beside_the_model(given: str, beside: str) -> None:
    """Its name follows the model's."""
    assert DriftProfile.beside(given) == Path(beside)


def test_comes_back_as_it_was(tmp_path: Path) -> None:
    """What is saved is what is loaded."""
    saved = _profile().save(tmp_path / "net.keras")
    found = DriftProfile.load(tmp_path / "net.keras")

    assert saved == tmp_path / "net.drift.npz"
    np.testing.assert_array_equal(found.predictions, _PREDICTIONS)
    np.testing.assert_array_equal(found.inputs, _INPUTS)
    assert found.predictions.dtype == np.float32
    assert found.fingerprint == "abc"
    assert not found.detectors
    assert repr(found) == "<DriftProfile of 400 predictions, with inputs>"


def test_replaces_one_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full leaves the old one."""
    _profile().save(tmp_path / "net.keras")

    def fail(file: Any, **_: Any) -> None:
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="no space"):
        DriftProfile(predictions=_PREDICTIONS[:10]).save(tmp_path / "net.keras")

    assert len(DriftProfile.load(tmp_path / "net.keras").predictions) == 400
    assert list(tmp_path.iterdir()) == [tmp_path / "net.drift.npz"]


def test_there_is_none(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(FileNotFoundError, match=re.escape("net.drift.npz")):
        DriftProfile.load(tmp_path / "net.keras")


class TestReferences:
    """Any detector takes a profile for its reference."""

    def test_of_what_each_looks_at(self) -> None:
        """Thresholds are those that the rows themselves give."""
        profile = _profile()

        for from_profile, from_rows in [
            (MMDDrift(profile, **_SMALL), MMDDrift(_PREDICTIONS, **_SMALL)),
            (ClassDrift(profile, **_SMALL), ClassDrift(_PREDICTIONS, **_SMALL)),
            (FeatureDrift(profile, **_SMALL), FeatureDrift(_INPUTS, **_SMALL)),
            (
                MMDDrift(profile, on=lambda x, y: x[:, 0] * y[:, :1], **_SMALL),
                MMDDrift(_INPUTS[:, 0] * _PREDICTIONS[:, :1], **_SMALL),
            ),
        ]:
            assert from_profile.threshold == from_rows.threshold
            assert from_profile.fingerprint == "abc"
            assert from_rows.fingerprint is None

    def test_inputs_that_were_not_kept(self) -> None:
        """A detector of inputs says that it misses them."""
        with pytest.raises(ConfigurationError, match="without inputs"):
            FeatureDrift(DriftProfile(predictions=_PREDICTIONS), **_SMALL)


class TestWhatIsRefused:
    """What makes no profile, and no file of one."""

    def test_no_numbers(self) -> None:
        """A profile holds numbers."""
        with pytest.raises(TypeError, match="predictions must hold numbers, not <U1"):
            DriftProfile(predictions=np.array(["a"]))

    def test_no_samples(self) -> None:
        """A number alone is none."""
        with pytest.raises(ConfigurationError, match=r"inputs must be of the shape \(samples, ...\)"):
            DriftProfile(predictions=_PREDICTIONS, inputs=np.array(1.0))

    def test_other_than_as_many(self) -> None:
        """Each prediction has its input."""
        with pytest.raises(ConfigurationError, match="as many as predictions, 400, got 3"):
            DriftProfile(predictions=_PREDICTIONS, inputs=_INPUTS[:3])

    def test_too_much(self) -> None:
        """It is bounded."""
        with pytest.raises(ConfigurationError, match=r"at the most, got 400000000: keep fewer rows"):
            DriftProfile(predictions=np.broadcast_to(np.float32(0), (100, 10**6)))

    @pytest.mark.parametrize(
        "damage",
        [
            lambda whole: whole[: len(whole) // 2],
            lambda _: b"",
            lambda _: b"PK\x05\x06" + bytes(18),  # an archive of nothing
            lambda _: pickle.dumps({"predictions": 1}),
            lambda whole: whole[:2000] + bytes(100) + whole[2100:],
            lambda _: _archive(predictions=np.ones(3)),
            lambda _: _archive(predictions=np.array([{}], dtype=object), header=_header()),
            lambda _: _archive(header=_header()),
            lambda _: _archive(predictions=np.ones(3), header=_header(format=2)),
            lambda _: _archive(predictions=np.ones(3), header=np.frombuffer(b"[1]", np.uint8)),
            lambda _: _archive(predictions=np.ones(3), header=_header(detectors={"a": [{}, ["missing"]]})),
            lambda _: _archive(predictions=np.zeros(3 * 10**8, np.uint8), header=_header()),  # a few KB, 300 MB inside
            lambda _: _claiming(10**15),
        ],
        ids=range(13),
    )
    def test_a_file_that_is_none(self, damage: Any, tmp_path: Path) -> None:
        """Whatever the file holds: one kind of error, which names it, and nothing is run or filled."""
        path = _profile().save(tmp_path / "net.keras")
        path.write_bytes(damage(path.read_bytes()))

        with pytest.raises(ConfigurationError, match=re.escape(f"{path} is no drift profile that can be read")):
            DriftProfile.load(path)


def _header(**other: Any) -> Any:
    return np.frombuffer(json.dumps({"format": 1, "fingerprint": None, "detectors": {}, **other}).encode(), np.uint8)


def _archive(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _claiming(samples: int) -> bytes:
    """Return an archive with an array that says to be much larger than it is."""
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(array, {"descr": "<f8", "fortran_order": False, "shape": (samples,)})
    file = io.BytesIO(_archive(header=_header()))
    with zipfile.ZipFile(file, "a") as members:
        members.writestr("predictions.npy", array.getvalue() + bytes(80))
    return file.getvalue()
