"""What a drift function finds, turned into series."""

from __future__ import annotations

from gangplank.catalogue import metric
from gangplank.drift import Drift
from gangplank.inference import is_in_use
from gangplank.metrics import Phase
from gangplank.telemetry import Telemetry


class DriftSeries:
    """The drift series of one model.

    Args:
        telemetry: Where to report.
        model: The name under which the model is exported.
    """

    def __init__(self, telemetry: Telemetry, model: str) -> None:
        self._state = telemetry.state
        self._trouble = telemetry.trouble
        self._model = model
        self._is_of_an_inference = is_in_use(self._state, model)
        row = metric(Phase.PREDICT, "drift_samples")
        self._tested, self._dropped, self._failed = (
            self._state.counter(row, model=model, result=result) for result in ("tested", "dropped", "failed")
        )

    def tested(self, samples: int, drift: Drift | None) -> None:
        """Report what the drift function returned for a batch; None for a batch of which it has nothing to say.

        Raises:
            TypeError: it is no :class:`~gangplank.Drift`, or a field of it is no number.
            ValueError: a count of drifts is negative, or not finite.
        """
        drift = Drift() if drift is None else drift
        if not all(hasattr(drift, field) for field in Drift._fields):
            raise TypeError(f"a drift function must return a gangplank.Drift, not {drift!r}")
        fields = (getattr(drift, field) for field in Drift._fields)
        detected, p_value, statistic = (None if field is None else float(field) for field in fields)
        if detected is not None:
            self._state.counter(metric(Phase.PREDICT, "drift_detected"), model=self._model).add(detected)
        for suffix, value in (("drift_p_value", p_value), ("drift_test_statistic", statistic)):
            if value is not None and self._is_shown():
                self._state.gauge(metric(Phase.PREDICT, suffix), model=self._model).set(value)
        self._tested.add(samples)

    def _is_shown(self) -> bool:
        """Whether the model is still there. The last p-value of one that is gone would stand for ever."""
        return not self._is_of_an_inference or is_in_use(self._state, self._model)

    def dropped(self, samples: int) -> None:
        """Report that a batch was not tested for want of room."""
        self._dropped.add(samples)

    def failed(self, samples: int, error: BaseException) -> None:
        """Report that the drift function raised, or returned what it may not."""
        self._failed.add(samples)
        self._trouble.report("test for drift", error, detail=True)
