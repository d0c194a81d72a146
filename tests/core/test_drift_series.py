"""What a drift function finds, as series: what it says nothing of is not shown, and its faults are counted."""

from __future__ import annotations

import logging
import math
import threading
from typing import Any, NamedTuple

import numpy as np
import pytest
from pushes import telemetry_to, values

from gangplank import Drift, DriftResult, Telemetry
from gangplank.drift.monitor import Monitor
from gangplank.drift_series import DriftSeries
from gangplank.testing import FakeGateway, InMemoryExporter

DETECTED = "gangplank_predict_drift_detected_total"
P_VALUE = "gangplank_predict_drift_p_value"
STATISTIC = "gangplank_predict_drift_test_statistic"
SAMPLES = "gangplank_predict_drift_samples_total"


@pytest.fixture
def series(telemetry: Telemetry) -> DriftSeries:
    """The drift series of a model called net."""
    return DriftSeries(telemetry, "net")


def shown(memory: InMemoryExporter) -> tuple[Any, ...]:
    """Return detections, p-value and statistic."""
    return tuple(memory.value(name, model="net") for name in (DETECTED, P_VALUE, STATISTIC))


def samples(memory: InMemoryExporter) -> dict[str, Any]:
    """Return samples by what became of their test, those that are 0 left out."""
    return {labels["result"]: count for labels, count in memory.series(SAMPLES) if count}


def test_samples_are_there_before_the_first_batch(series: DriftSeries, memory: InMemoryExporter) -> None:
    """At 0, all three; what a detector may never say is not."""
    assert {labels["result"]: count for labels, count in memory.series(SAMPLES)} == {
        "tested": 0,
        "dropped": 0,
        "failed": 0,
    }
    assert shown(memory) == (None, None, None)


@pytest.mark.parametrize("found", [None, Drift(1), DriftResult(observations=5)])
def test_observations_are_counted_whatever_a_detector_says(
    telemetry: Telemetry, memory: InMemoryExporter, found: Drift | DriftResult | None
) -> None:
    """One of somebody's own may say nothing until it detects. The alert allows it false alarms by what it looked at."""
    DriftSeries(telemetry, "net", "own", expected_run_time=1000).tested(5, found)
    assert memory.value("gangplank_predict_drift_observations_total", model="net", detector="own") == 5


def test_what_was_found_is_shown(series: DriftSeries, memory: InMemoryExporter) -> None:
    """Detections add up; of p-value and statistic the last stands."""
    series.tested(4, Drift(drift_detected=True, p_value=0.01, test_statistic=12.0))
    series.tested(3, Drift(drift_detected=2, p_value=0.75, test_statistic=-0.5))
    series.tested(1, Drift(drift_detected=False))
    assert shown(memory) == (3, 0.75, -0.5)
    assert samples(memory) == {"tested": 8}


@pytest.mark.parametrize(
    ("drift", "expected"),
    [
        (None, (None, None, None)),
        (Drift(), (None, None, None)),
        (Drift(0), (0, None, None)),
        (Drift(p_value=0.0), (None, 0, None)),
        (Drift(test_statistic=1.5), (None, None, 1.5)),
        (Drift(np.bool_(True), np.float32(0.25), np.int64(3)), (1, 0.25, 3)),  # type: ignore[arg-type]
    ],
)
def test_what_it_says_nothing_of_is_not_shown(
    series: DriftSeries, memory: InMemoryExporter, drift: Drift | None, expected: tuple[Any, ...]
) -> None:
    """Nothing is not 0. The batch was tested in any case."""
    series.tested(4, drift)
    assert shown(memory) == expected
    assert samples(memory) == {"tested": 4}


def test_what_it_says_nothing_of_any_more_stays(series: DriftSeries, memory: InMemoryExporter) -> None:
    """A detector that speaks up now and then has said its last word on it until the next."""
    series.tested(4, Drift(1, 0.01, 2.0))
    series.tested(4, None)
    assert shown(memory) == (1, 0.01, 2.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_takes_its_gauge_away(
    series: DriftSeries, memory: InMemoryExporter, value: float
) -> None:
    """A last good p-value does not stand for one that could not be had."""
    series.tested(4, Drift(1, 0.01, 2.0))
    series.tested(4, Drift(0, value, value))
    assert shown(memory) == (1, None, None)
    series.tested(4, Drift(0, 0.5))
    assert shown(memory) == (1, 0.5, None)
    assert samples(memory) == {"tested": 12}


class Found(NamedTuple):
    """A result of the user's own making, as one written for gangplank 0.5.0 has."""

    drift_detected: int
    p_value: float
    test_statistic: float
    more: str


def test_a_result_need_only_look_like_one(series: DriftSeries, memory: InMemoryExporter) -> None:
    """Whatever has the three fields will do."""
    result: Any = Found(1, 0.01, 2.0, "more")
    series.tested(4, result)
    assert shown(memory) == (1, 0.01, 2.0)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (True, TypeError),
        (0.01, TypeError),
        ((1, 0.01, 2.0), TypeError),
        ({"drift_detected": 1}, TypeError),
        (Drift(1, "low", 2.0), ValueError),  # type: ignore[arg-type]
        (Drift(1, 0.01, [2.0]), TypeError),  # type: ignore[arg-type]
        (Drift(-1, 0.01, 2.0), ValueError),
        (Drift(math.nan, 0.01, 2.0), ValueError),  # type: ignore[arg-type]
        (Drift(math.inf, 0.01, 2.0), ValueError),  # type: ignore[arg-type]
    ],
    ids=str,
)
def test_a_wrong_result_is_a_failed_test(
    series: DriftSeries,
    memory: InMemoryExporter,
    caplog: pytest.LogCaptureFixture,
    wrong: Any,
    error: type[Exception],
) -> None:
    """Nothing of it is shown, what was found before stands, and the log says once what is wrong with it."""
    series.tested(1, Drift(1, 0.5, 1.0))
    monitor = Monitor(lambda _x, _y: wrong, series)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            monitor.run("x", "y", 2)
    assert samples(memory) == {"tested": 1, "failed": 6}
    assert shown(memory) == (1, 0.5, 1.0)
    assert memory.value("gangplank_export_errors_total", error_type=error.__name__) == 3
    [record] = caplog.records
    assert record.getMessage().startswith(f"could not test for drift: {error.__name__}: ")


def test_a_detection_is_logged(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    """At level INFO: by which detector, and in which columns if it tells them apart. What is no drift is not."""
    series = DriftSeries(telemetry, "net", "features")
    with caplog.at_level(logging.INFO, "gangplank.drift"):
        series.tested(4, DriftResult(observations=4, test_statistic=0.5))
        series.tested(4, DriftResult(drift_detected=1, observations=4))
        series.tested(4, DriftResult(drift_detected=2, observations=4, columns=("age", "height")))
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "drift detected in net by features"),
        ("INFO", "drift detected in net by features: age, height"),
    ]


def test_drops_are_counted_by_samples(series: DriftSeries, memory: InMemoryExporter) -> None:
    """As everything is that says how much of the traffic was looked at."""
    series.dropped(3)
    series.dropped(4)
    assert samples(memory) == {"dropped": 7}


def test_a_flush_waits_for_what_is_being_tested(fake_gateway: FakeGateway) -> None:
    """What is pushed has the drift of all that was predicted before."""
    telemetry = telemetry_to(fake_gateway)
    at_work, may_go_on = threading.Event(), threading.Event()

    def detect(_x: Any, _y: Any) -> Drift | None:
        at_work.set()
        may_go_on.wait()
        return Drift(1, 0.01, 2.0)

    monitor = Monitor(detect, DriftSeries(telemetry, "net"))
    let_go = telemetry.on_delivery(lambda _: may_go_on.set())  # not before the flush is under way
    take_back = telemetry.on_delivery(monitor.drain)
    for _ in range(3):
        monitor.submit(2, 1, lambda: ("x", "y"))
    assert at_work.wait(30)
    telemetry.flush(timeout=30)
    sent: dict[str, float] = {}
    for request in fake_gateway.requests:
        sent |= values(request)
    assert sent[DETECTED] == 3
    take_back()
    let_go()
    may_go_on.clear()
    at_work.clear()
    monitor.submit(2, 1, lambda: ("x", "y"))
    assert at_work.wait(30)
    telemetry.flush(timeout=30)  # returns, though the function is at work: nobody asked to wait for it any more
    may_go_on.set()
    telemetry.close()


def test_a_close_waits_and_not_for_ever(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """Of a function that hangs the batch at hand is lost, and what waits behind it is counted as dropped."""
    series, may_go_on, at_work = DriftSeries(telemetry, "net"), threading.Event(), threading.Event()

    def hang(_x: Any, _y: Any) -> Drift | None:
        at_work.set()
        may_go_on.wait()
        return None

    monitor = Monitor(hang, series)
    telemetry.on_delivery(monitor.drain)
    for count in (1, 2):
        monitor.submit(count, 1, lambda: ("x", "y"))
    assert at_work.wait(30)
    telemetry.close(timeout=0.1)
    assert samples(memory) == {"dropped": 2}
    may_go_on.set()
