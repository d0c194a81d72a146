"""What a model was like when all was well: a reference that is kept beside the model's file."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from gangplank.errors import ConfigurationError

State = Mapping[str, Any]
"""What a detector knows: arrays of numbers, and what JSON has."""

MOST_BYTES = 256 * 2**20
"""What a profile may take in memory, and so what is read of a file."""
_FORMAT = 1
_HEADER = "header"
_SUFFIX = ".drift.npz"
_EMPTY = np.empty(0, np.uint8)
_UNREADABLE = (
    *(AttributeError, EOFError, KeyError, MemoryError, OSError, OverflowError, RuntimeError, TypeError, ValueError),
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, ConfigurationError),
)
"""What reading a file can raise that is no profile, or none any more."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DriftProfile:
    """What a model was given and what it predicted when nothing drifted: the reference of drift detectors.

    :func:`gangplank.drift_profile` and :class:`gangplank.DriftProfileCallback` capture one. Its file lies beside the
    model's: ``mnist.drift.npz`` beside ``mnist.keras``. It holds numbers alone, and loading it runs nothing.

    Attributes:
        predictions: Of the shape (samples, ...), in single precision if they are floating-point numbers.
        inputs: What they were made of, or None if it was not to be kept.
        fingerprint: Of the weights with which they were made, or None if that is not known.
        detectors: States of detectors that are calibrated to it, by name.

    Raises:
        TypeError: it holds something other than numbers.
        ConfigurationError: inputs and predictions are not as many, or take more than 256 MiB.
    """

    predictions: npt.NDArray[Any]
    inputs: npt.NDArray[Any] | None = None
    fingerprint: str | None = None
    detectors: Mapping[str, State] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "predictions", _samples("predictions", self.predictions))
        if self.inputs is not None:
            object.__setattr__(self, "inputs", _samples("inputs", self.inputs))
            if len(self.inputs) != len(self.predictions):
                raise ConfigurationError(
                    f"inputs must be as many as predictions, {len(self.predictions)}, got {len(self.inputs)}"
                )
        size = sum(array.nbytes for array in _packed(self)[1].values())
        if size > MOST_BYTES:
            raise ConfigurationError(f"a profile must take {MOST_BYTES} bytes at the most, got {size}: keep fewer rows")

    def __repr__(self) -> str:
        inputs = "" if self.inputs is None else ", with inputs"
        return f"<DriftProfile of {len(self.predictions)} predictions{inputs}>"

    @staticmethod
    def beside(path: str | os.PathLike[str]) -> Path:
        """Return where the profile of a model lies that is saved at ``path``; a profile's own path stands as it is."""
        path = Path(path)
        if not path.name:
            raise ConfigurationError(f"path must be that of a model's file, got {str(path)!r}")
        return path if path.name.endswith(_SUFFIX) else path.with_suffix(_SUFFIX)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Save it beside the model that is saved at ``path``, whole or not at all.

        Returns:
            Where it is.

        Raises:
            OSError: that is not possible.
        """
        path = self.beside(path)
        header, arrays = _packed(self)
        arrays[_HEADER] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        part = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with part.open("wb") as file:
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # NumPy's stubs take one for its flag
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Return the profile beside the model that is saved at ``path``.

        Raises:
            OSError: there is none.
            ConfigurationError: the file is no profile, or one too large or of a later version.
        """
        path = cls.beside(path)
        with path.open("rb") as file:
            try:
                return cls._unpacked(*_read(file))
            except _UNREADABLE as error:
                raise ConfigurationError(f"{path} is no drift profile that can be read: {error}") from error

    @classmethod
    def _unpacked(cls, header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        detectors = {
            name: {**plain, **{key: arrays[f"{number}/{key}"] for key in keys}}
            for number, (name, (plain, keys)) in enumerate(header["detectors"].items())
        }
        return cls(
            predictions=arrays["predictions"],
            inputs=arrays.get("inputs"),
            fingerprint=header["fingerprint"],
            detectors=detectors,
        )


def _packed(profile: DriftProfile) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Return what a file has of a profile: what goes into its header, and arrays."""
    arrays = {"predictions": profile.predictions}
    if profile.inputs is not None:
        arrays["inputs"] = profile.inputs
    detectors: dict[str, Any] = {}
    for number, (name, state) in enumerate(profile.detectors.items()):
        keys = [key for key, value in state.items() if isinstance(value, np.ndarray)]
        detectors[name] = {key: value for key, value in state.items() if key not in keys}, keys
        arrays |= {f"{number}/{key}": _numbers(key, state[key]) for key in keys}
    return {"format": _FORMAT, "fingerprint": profile.fingerprint, "detectors": detectors}, arrays


def _read(file: BinaryIO) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    with zipfile.ZipFile(file) as members:
        size = sum(member.file_size for member in members.infolist())
    if size > MOST_BYTES + 2**20:  # for headers
        raise ConfigurationError(f"it takes {size} bytes, where {MOST_BYTES} are allowed")
    file.seek(0)
    with np.load(file, allow_pickle=False) as loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    header = json.loads(arrays.pop(_HEADER, _EMPTY).tobytes() or "{}")
    if header.get("format") != _FORMAT:
        raise ConfigurationError(f"its format is {header.get('format')}, where {_FORMAT} is known")
    return header, arrays


def _samples(argument: str, value: Any) -> npt.NDArray[Any]:  # noqa: ANN401 - what NumPy understands
    array = _numbers(argument, value)
    if array.ndim == 0:
        raise ConfigurationError(f"{argument} must be of the shape (samples, ...), got the shape ()")
    return array


def _numbers(argument: str, value: Any) -> npt.NDArray[Any]:  # noqa: ANN401 - what NumPy understands
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{argument} must hold numbers, not {array.dtype}")
    return array


def named(states: Iterable[State]) -> dict[str, State]:
    """Return states of detectors by the detectors' names.

    Raises:
        ConfigurationError: two have one name.
    """
    found: dict[str, State] = {}
    for state in states:
        if state["name"] in found:
            raise ConfigurationError(f"two detectors are called {state['name']!r}: give one of them a name")
        found[state["name"]] = state
    return found
