"""Detectors of other libraries, and tests that are none, made into detectors. Nothing here imports any of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from gangplank import checks
from gangplank.drift.result import DriftResult
from gangplank.drift.rows import Choice, Rows, Subject, finite, on_host
from gangplank.errors import ConfigurationError


class RiverDrift:
    """A detector of River's, such as ``river.drift.ADWIN()``, on one number of each prediction.

    River's detectors let nobody say how often they may be wrong: their false alarms are as frequent as their own
    settings have it.

    Args:
        detector: What has ``update(number)`` and ``drift_detected``.
        value: Takes the inputs and the predictions of a batch, and returns a number for each sample.
        name: What it is called; by default the detector's kind.

    Raises:
        TypeError: an argument has the wrong type.
    """

    def __init__(
        self,
        detector: Any,  # noqa: ANN401 - not to be imported
        value: Callable[[Any, Any], Iterable[float]],
        *,
        name: str | None = None,
    ) -> None:
        if not (callable(getattr(detector, "update", None)) and hasattr(detector, "drift_detected")):
            raise TypeError(f"detector must have update(number) and drift_detected, as River's have, not {detector!r}")
        self._detector = detector
        self._value = checks.function("value", value)
        self.name = type(detector).__name__.lower() if name is None else checks.text("name", name)

    def update(self, x: Any, y: Any) -> DriftResult:  # noqa: ANN401 - the model's
        """Look at a batch. Numbers that are not finite are skipped."""
        numbers = np.asarray(on_host(self._value(x, y)), dtype=np.float64).reshape(-1)
        kept = numbers[np.isfinite(numbers)]
        detected = 0
        for number in kept.tolist():
            self._detector.update(number)
            detected += bool(self._detector.drift_detected)  # which begins anew by itself
        return DriftResult(
            drift_detected=detected,
            p_value=_number(getattr(self._detector, "p_value", None)),
            observations=len(kept),
            skipped=len(numbers) - len(kept),
        )

    def reset(self) -> None:
        """Begin again, with the detector's own settings."""
        self._detector = self._detector.clone()


class BatchTest:
    """A two-sample test, such as ``scipy.stats.ks_2samp``, of one window after another against a reference.

    Windows do not overlap: each is tested once, when it is full. So a test that is false in ``alpha`` of all cases
    gives a false alarm every ``window / alpha`` observations, which is its expected run time. For tests that look more
    often, and notice sooner, see the detectors that are calibrated for it.

    Args:
        test: Takes the reference and a window, arrays of one row a sample, or of numbers if rows have one; returns a
            p-value, ``(statistic, p_value)``, or what has the attributes ``statistic`` and ``pvalue``.
        reference: What was seen when nothing drifted.
        window: How many observations are tested together.
        alpha: A p-value below which a window has drifted.
        on: What to look at: ``"predictions"``, ``"inputs"``, or a function of both that returns an array.
        name: What it is called; by default what the test is.

    Attributes:
        ert: The expected run time: observations between false alarms, on average.

    Raises:
        TypeError: an argument has the wrong type.
        ConfigurationError: an argument has a value that is not allowed.
    """

    def __init__(
        self,
        test: Callable[[Any, Any], Any],
        reference: Any,  # noqa: ANN401 - what NumPy understands
        *,
        window: int,
        alpha: float = 0.001,
        on: Subject = "predictions",
        name: str | None = None,
    ) -> None:
        self._test = checks.function("test", test)
        self._rows = Rows(reference, on)
        self._window = checks.count("window", window)
        self._alpha = checks.share("alpha", alpha)
        self.on = on
        self.name = str(getattr(test, "__name__", "batch_test")) if name is None else checks.text("name", name)
        self.ert = window / alpha
        self._waiting: deque[npt.NDArray[np.float64]] = deque()
        self._last: tuple[float | None, float | None] = (None, None)

    def update(self, x: Any, y: Any) -> DriftResult:  # noqa: ANN401
        """Look at a batch, and test each window that it fills.

        Raises:
            TypeError: what to look at holds no numbers, or the test returned no p-value, or several.
            ConfigurationError: its rows are not as wide as the reference's, or the p-value is not from 0 to 1.
        """
        rows, skipped = self._rows.of(x, y)
        self._waiting.extend(rows)
        detected = 0
        while len(self._waiting) >= self._window:
            window = np.stack([self._waiting.popleft() for _ in range(self._window)])
            statistic, p_value = self._last = _read(self._test(self._plain(self._rows.reference), self._plain(window)))
            detected += p_value is not None and p_value < self._alpha
        statistic, p_value = self._last
        return DriftResult(
            drift_detected=detected,
            p_value=p_value,
            test_statistic=statistic,
            observations=len(rows),
            skipped=skipped,
            window_fill=len(self._waiting) / self._window,
        )

    def reset(self) -> None:
        """Forget the window that is filling."""
        self._waiting.clear()
        self._last = (None, None)

    def _plain(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return rows[:, 0] if self._rows.width == 1 else rows


class AlibiDrift:
    """An online detector of alibi-detect's, such as ``MMDDriftOnline``, one sample after another.

    alibi-detect has a licence, BSL 1.1, that does not allow use in production to others than non-profit educational
    institutions. It is never installed by Gangplank.

    Args:
        detector: What has ``predict(sample)``, which returns alibi-detect's dictionary, and ``reset_state()``.
        on: What to look at: ``"predictions"``, ``"inputs"``, or a function of both that returns an array.
        name: What it is called; by default the detector's kind.

    Raises:
        TypeError: an argument has the wrong type.
    """

    def __init__(
        self,
        detector: Any,  # noqa: ANN401 - not to be imported
        *,
        on: Subject = "predictions",
        name: str | None = None,
    ) -> None:
        methods = ("predict", "reset_state")
        if not all(callable(getattr(detector, method, None)) for method in methods):
            raise TypeError(
                f"detector must have predict(sample) and reset_state(), as alibi-detect's, not {detector!r}"
            )
        self._choice = Choice(on)
        self._detector = detector
        self.on = on
        self.ert = _number(getattr(detector, "ert", None))
        self.name = type(detector).__name__.lower() if name is None else checks.text("name", name)

    def update(self, x: Any, y: Any) -> DriftResult:  # noqa: ANN401
        """Look at a batch. A detection counts once: the detector then begins anew."""
        # One NaN would be in the detector's window, and in all that it says, for as long as the window is.
        samples, skipped = finite(np.asarray(on_host(self._choice.of(x, y))))
        found: dict[str, Any] = {}
        detected = 0
        for sample in samples:
            found = self._detector.predict(sample)["data"]
            if found["is_drift"]:
                detected += 1
                self._detector.reset_state()
        return DriftResult(
            drift_detected=detected,
            p_value=_number(found.get("p_val")),
            test_statistic=_number(found.get("test_stat")),
            threshold=_number(found.get("threshold")),
            observations=len(samples),
            skipped=skipped,
        )

    def reset(self) -> None:
        """Begin again."""
        self._detector.reset_state()


def _read(result: Any) -> tuple[float | None, float | None]:  # noqa: ANN401 - the test's
    """Return the statistic, if there is one, and the p-value of what a test returned.

    Raises:
        TypeError: it is neither a number nor two, nor looks like one of SciPy's results.
    """
    if hasattr(result, "pvalue"):
        return _number(getattr(result, "statistic", None)), _p_value(result.pvalue)
    if isinstance(result, tuple):
        statistic, p_value = result
        return _number(statistic), _p_value(p_value)
    return None, _p_value(result)


def _p_value(value: Any) -> float:  # noqa: ANN401
    """Return a p-value: what is none must not be taken for no drift."""
    found = _number(value)
    if found is None:
        raise TypeError(
            f"test must return one p-value, not {value!r}: of several columns, the least one times their number, say"
        )
    if not 0 <= found <= 1:  # nor is NaN
        raise ConfigurationError(f"test must return a p-value from 0 to 1, got {found}")
    return found


def _number(value: Any) -> float | None:  # noqa: ANN401
    """Return a number, or None for what is none, such as the statistics of several columns."""
    return float(value) if value is not None and np.size(value) == 1 else None
