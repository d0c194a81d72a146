"""Several models in one process: each by a name of its own, which it gives up when it goes."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable

import pytest
from calls import TOTALS, echo, measured

from gangplank import Drift, Telemetry
from gangplank.drift_series import DriftSeries
from gangplank.inference import Inference
from gangplank.testing import InMemoryExporter

DRIFT_GAUGES = ("gangplank_predict_drift_p_value", "gangplank_predict_drift_test_statistic")


def test_equal_names_are_made_distinct(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    """In the order in which the models came, and a warning says so; a name that is its own is kept."""
    with caplog.at_level(logging.WARNING):
        models = [Inference(telemetry, name) for name in ("net", "art", "net", "net")]
    assert [model.model for model in models] == ["net", "art", "net_2", "net_3"]
    assert [record.getMessage() for record in caplog.records] == [
        "there is a model 'net' already: another one is exported as 'net_2'",
        "there is a model 'net' already: another one is exported as 'net_3'",
    ]


def test_models_are_counted_apart(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """Each by its own label."""
    one, two = Inference(telemetry, "net"), Inference(telemetry, "net")
    measured(one, echo)([1])
    measured(two, echo)([1, 2])
    assert memory.value(TOTALS[0], model="net") == 1
    assert memory.value(TOTALS[0], model="net_2") == 2


def test_a_name_that_somebody_has_is_passed_over(telemetry: Telemetry) -> None:
    """A model that is really called net_2 is not mistaken for the second net."""
    models = [Inference(telemetry, name) for name in ("net_2", "net", "net", "net_2")]
    assert [model.model for model in models] == ["net_2", "net", "net_3", "net_2_2"]


def test_a_name_is_free_again_once_its_model_is_gone(telemetry: Telemetry) -> None:
    """Also the first one's, while the second still has its own: a name never changes under a model."""
    first, second = Inference(telemetry, "net"), Inference(telemetry, "net")
    del first
    assert Inference(telemetry, "net").model == "net"
    assert second.model == "net_2"
    third = Inference(telemetry, "net")
    del second
    assert [third.model, Inference(telemetry, "net").model] == ["net", "net_2"]


def test_a_model_is_there_for_as_long_as_it_can_be_called(telemetry: Telemetry) -> None:
    """Its methods may be all that is left of it."""
    call = measured(Inference(telemetry, "net"), echo)
    assert Inference(telemetry, "net").model == "net_2"
    call([1])
    del call
    assert Inference(telemetry, "net").model == "net"


def test_a_model_that_is_loaded_anew_counts_on(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """A counter does not go back when the same name is taken again."""
    for size in (1, 2):
        measured(Inference(telemetry, "net"), echo)([0] * size)
    assert memory.value(TOTALS[0], model="net") == 3


def test_an_exact_name_is_shared(
    telemetry: Telemetry, memory: InMemoryExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """Who gives a name means it: the numbers of all that have it are added, without a warning."""
    with caplog.at_level(logging.WARNING):
        models = [Inference(telemetry, "net", is_exact=True) for _ in range(3)]
    for model in models:
        measured(model, echo)([1])
    assert {model.model for model in models} == {"net"}
    assert memory.value(TOTALS[0], model="net") == 3
    assert memory.value("gangplank_predict_in_flight", model="net") == 0
    assert caplog.records == []
    assert Inference(telemetry, "net").model == "net_2"


def test_telemetries_have_names_of_their_own(telemetry: Telemetry) -> None:
    """What is exported elsewhere is in nobody's way."""
    here, there = Inference(telemetry, "net"), Inference(Telemetry(), "net")
    assert here.model == there.model == "net"


def test_drift_of_a_model_that_is_gone_is_gone(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """Its last p-value is not shown for ever; what it counted stays, and so does another model's."""
    one, two = Inference(telemetry, "net"), Inference(telemetry, "net")
    for model in (one, two):
        DriftSeries(telemetry, model.model).tested(4, Drift(1, 0.01, 0.5))
    del one, model
    for gauge in DRIFT_GAUGES:
        assert [labels for labels, _ in memory.series(gauge)] == [{"model": "net_2"}]
    assert memory.value("gangplank_predict_drift_detected_total", model="net") == 1
    assert memory.value("gangplank_predict_drift_samples_total", model="net", result="tested") == 4
    assert memory.value(TOTALS[0], model="net") == 0
    assert two.model == "net_2"


def test_drift_under_a_shared_name_stays_until_the_last_has_gone(
    telemetry: Telemetry, memory: InMemoryExporter
) -> None:
    """A model that is loaded anew takes the place of the old one without a gap."""
    old, new = (Inference(telemetry, "net", is_exact=True) for _ in range(2))
    DriftSeries(telemetry, "net").tested(4, Drift(1, 0.01, 0.5))
    del old
    assert memory.value(DRIFT_GAUGES[0], model="net") == 0.01
    del new
    assert memory.series(DRIFT_GAUGES[0]) == []


def test_drift_of_a_model_whose_name_utf8_cannot_hold(telemetry: Telemetry, memory: InMemoryExporter) -> None:
    """It is exported under a name that it can, and is gone with the model all the same."""
    model = Inference(telemetry, "net\udcff")
    DriftSeries(telemetry, model.model).tested(4, Drift(1, 0.01, 0.5))
    assert memory.value(DRIFT_GAUGES[0], model="net?") == 0.01
    other = Inference(telemetry, "net?")
    assert other.model == "net?_2"
    del model
    assert memory.series(DRIFT_GAUGES[0]) == []


def test_models_that_go_while_others_are_read(script: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Garbage is collected in the middle of anything, a scrape too: no two threads may wait for one another over it."""
    process = script(
        """
        import os, sys, threading
        from gangplank import Telemetry
        from gangplank.inference import Inference

        sys.setswitchinterval(1e-5)
        telemetry = Telemetry()
        models = [Inference(telemetry, "gone")]
        is_read = threading.Event()

        def let_go():
            is_read.wait()
            models.clear()

        def read():
            with telemetry.state.lock:
                is_read.set()
                for _ in range(2000):
                    Inference(telemetry, "collected")

        threads = [threading.Thread(target=work, daemon=True) for work in (let_go, read)]
        for thread in threads:
            thread.start()
        for thread, patience in zip(threads, (10, 1)):
            thread.join(patience)
        print([thread.is_alive() for thread in threads], flush=True)
        os._exit(0)  # threads that wait for one another would hold up a proper end
        """
    )
    assert process.stdout == "[False, False]\n", process.stderr
