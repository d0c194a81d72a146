"""What detectors and drift functions find, turned into series."""

from __future__ import annotations

import logging

from gangplank.catalogue import metric
from gangplank.drift.result import Drift, DriftResult
from gangplank.inference import is_in_use
from gangplank.metrics import Phase
from gangplank.series import Counter
from gangplank.telemetry import Telemetry

_logger = logging.getLogger("gangplank.drift")


class DriftSeries:
    """The drift series of one model, as one detector or drift function has it.

    Args:
        telemetry: Where to report.
        model: The name under which the model is exported.
        detector: The detector's name; None for a drift function.
        expected_run_time: Mean number of observations between false alarms that the detector is calibrated to, if any.
        reference_matches: Whether the detector's reference is of the weights that the model has, if that is known.
    """

    def __init__(
        self,
        telemetry: Telemetry,
        model: str,
        detector: str | None = None,
        *,
        expected_run_time: float | None = None,
        reference_matches: bool | None = None,
    ) -> None:
        self._state = telemetry.state
        self._trouble = telemetry.trouble
        self._model = model
        self._labels = {"model": model} if detector is None else {"model": model, "detector": detector}
        self._is_of_an_inference = is_in_use(self._state, model)
        results = ("tested", "dropped", "failed") if detector is None else ("tested", "skipped", "dropped", "failed")
        self._results = {result: self._counter("drift_samples", result=result) for result in results}
        self._time = self._counter("drift_time")
        if detector is not None:
            self._counter("drift_detected")  # from the start, at 0, so that the first one is an increase
            self._observations = self._counter("drift_observations")
        if expected_run_time is not None:
            self._gauge("drift_expected_run_time", expected_run_time)
        if reference_matches is not None:
            self._gauge("drift_reference_matches", float(reference_matches))

    def tested(self, samples: int, drift: Drift | DriftResult | None) -> None:
        """Report what was found in a batch; None for a batch of which there is nothing to say.

        Raises:
            TypeError: it is neither a :class:`~gangplank.Drift` nor looks like one, or a field of it is no number.
            ValueError: a count of drifts is negative, or not finite.
        """
        drift = Drift() if drift is None else drift
        if not all(hasattr(drift, field) for field in Drift._fields):
            raise TypeError(f"a drift function must return a gangplank.Drift, not {drift!r}")
        fields = (getattr(drift, field) for field in Drift._fields)
        detected, p_value, statistic = (None if field is None else float(field) for field in fields)
        if detected is not None:
            self._counter("drift_detected").add(detected)
        for suffix, value in (("drift_p_value", p_value), ("drift_test_statistic", statistic)):
            if value is not None:
                self._gauge(suffix, value)
        skipped = 0
        if "detector" in self._labels:  # one of somebody's own may say nothing unless it detects
            skipped = self._looked(drift if isinstance(drift, DriftResult) else DriftResult(observations=samples))
        self._results["tested"].add(max(samples - skipped, 0))

    def took(self, seconds: float) -> None:
        """Report how long a test took, whatever came of it."""
        self._time.add(seconds)

    def _looked(self, result: DriftResult) -> int:
        """Report what a detector looked at, and return the number of rows that it did not."""
        if result.drift_detected:
            columns = f": {', '.join(result.columns)}" if result.columns else ""
            _logger.info("drift detected in %s by %s%s", self._model, self._labels["detector"], columns)
        self._observations.add(result.observations)
        self._results["skipped"].add(result.skipped)
        for suffix, value in (("drift_threshold", result.threshold), ("drift_window_fill", result.window_fill)):
            if value is not None:
                self._gauge(suffix, value)
        return result.skipped

    def _counter(self, suffix: str, **labels: str) -> Counter:
        return self._state.counter(metric(Phase.PREDICT, suffix), **self._labels, **labels)

    def _gauge(self, suffix: str, value: float) -> None:
        if self._is_shown():
            self._state.gauge(metric(Phase.PREDICT, suffix), **self._labels).set(value)

    def _is_shown(self) -> bool:
        """Whether the model is still there. The last p-value of one that is gone would stand for ever."""
        return not self._is_of_an_inference or is_in_use(self._state, self._model)

    def dropped(self, samples: int) -> None:
        """Report that a batch was not tested for want of room."""
        self._results["dropped"].add(samples)

    def failed(self, samples: int, error: BaseException) -> None:
        """Report that the drift function raised, or returned what it may not."""
        self._results["failed"].add(samples)
        self._trouble.report("test for drift", error, detail=True)
