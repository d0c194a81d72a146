"""Several detectors that look at the same batches: each is heard, and what one does is no matter of the others."""

from __future__ import annotations

from typing import Any

import pytest

from gangplank import Drift, DriftResult, Telemetry
from gangplank.drift.monitor import Monitor
from gangplank.drift.panel import Member, Panel
from gangplank.drift_series import DriftSeries
from gangplank.testing import InMemoryExporter

PREFIX = "gangplank_predict_drift"


def shown(memory: InMemoryExporter, suffix: str) -> dict[str, Any]:
    """Return a metric of the model by detector; that of a drift function is under the empty name."""
    return {labels.get("detector", ""): value for labels, value in memory.series(f"{PREFIX}_{suffix}")}


def results(memory: InMemoryExporter, detector: str) -> dict[str, Any]:
    """Return a detector's samples by what became of their test, those that are 0 left out."""
    return {
        labels["result"]: value
        for labels, value in memory.series(f"{PREFIX}_samples_total")
        if labels.get("detector", "") == detector and value
    }


def panel(telemetry: Telemetry, **functions: Any) -> Panel:
    """Return a panel of detectors by name; the one called ``function`` is a drift function."""
    return Panel(
        [
            Member(function, DriftSeries(telemetry, "net", None if name == "function" else name))
            for name, function in functions.items()
        ]
    )


def run(panel: Panel, samples: int = 4) -> None:
    """Have a panel look at a batch."""
    Monitor(panel, panel).run("x", "y", samples)


def test_each_detector_has_series_of_its_own(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """Told apart by the label detector; those of a drift function are as they always were."""
    found = DriftResult(
        drift_detected=2,
        p_value=0.01,
        test_statistic=9.0,
        threshold=7.5,
        observations=3,
        skipped=1,
        window_fill=0.25,
    )
    run(panel(telemetry, function=lambda _x, _y: Drift(1, 0.5, 0.25), mmd=lambda _x, _y: found))
    assert shown(memory, "detected_total") == {"": 1, "mmd": 2}
    assert shown(memory, "p_value") == {"": 0.5, "mmd": 0.01}
    assert shown(memory, "test_statistic") == {"": 0.25, "mmd": 9.0}
    assert shown(memory, "threshold") == {"mmd": 7.5}
    assert shown(memory, "window_fill") == {"mmd": 0.25}
    assert shown(memory, "observations_total") == {"mmd": 3}
    assert results(memory, "") == {"tested": 4}
    assert results(memory, "mmd") == {"tested": 3, "skipped": 1}
    assert shown(memory, "time_seconds_total").keys() == {"", "mmd"}


def test_a_detector_begins_at_zero(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """So that the first detection is an increase, and the expected run time can be divided by."""
    DriftSeries(telemetry, "net", "mmd", expected_run_time=500)
    assert shown(memory, "detected_total") == {"mmd": 0}
    assert shown(memory, "observations_total") == {"mmd": 0}
    assert shown(memory, "expected_run_time") == {"mmd": 500}
    assert shown(memory, "p_value") == {}


@pytest.mark.parametrize("wrong", [RuntimeError("broken"), "no result"], ids=str)
def test_one_that_fails_fails_alone(
    telemetry: Telemetry, memory: InMemoryExporter, caplog: pytest.LogCaptureFixture, wrong: Any
) -> None:
    """Whether it raises or returns what is none; those before and behind it are heard."""

    def fail(_x: Any, _y: Any) -> Any:
        if isinstance(wrong, Exception):
            raise wrong
        return wrong

    def fine(_x: Any, _y: Any) -> DriftResult:
        return DriftResult(drift_detected=1)

    run(panel(telemetry, first=fine, second=fail, third=fine))
    assert shown(memory, "detected_total") == {"first": 1, "second": 0, "third": 1}
    assert results(memory, "second") == {"failed": 4}
    assert results(memory, "third") == {"tested": 4}
    assert len(caplog.records) == 1


def test_a_batch_that_is_dropped_is_dropped_for_all(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """None of them looked at it."""
    panel(telemetry, a=lambda _x, _y: None, b=lambda _x, _y: None).dropped(5)
    assert results(memory, "a") == results(memory, "b") == {"dropped": 5}


def test_all_see_the_same(telemetry: Telemetry) -> None:
    """The very inputs and predictions."""
    seen: list[Any] = []
    x, y = object(), object()
    several = panel(telemetry, a=lambda *given: seen.append(given), b=lambda *given: seen.append(given))
    Monitor(several, several).run(x, y, 1)
    assert seen == [(x, y), (x, y)]


def test_what_a_test_costs_is_counted_whatever_comes_of_it(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """A detector that takes long to fail takes as long as one that does not."""

    def fail(_x: Any, _y: Any) -> Any:
        raise ValueError

    run(panel(telemetry, failing=fail))
    assert shown(memory, "time_seconds_total")["failing"] > 0
