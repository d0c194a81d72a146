"""A telemetry: quiet until it is started, started and closed once, and never in the way of its host."""

from __future__ import annotations

import io
import logging
import pickle
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, InMemoryMetricReader

from gangplank import (
    ConfigurationError,
    ExportError,
    GangplankError,
    PrometheusExporter,
    PushgatewayExporter,
    ServerStartError,
    Telemetry,
)
from gangplank.catalogue import model_metric
from gangplank.metrics import Phase
from gangplank.state import State
from gangplank.testing import FakeGateway, InMemoryExporter, ManualClock
from gangplank.trouble import Trouble

LOSS = model_metric(Phase.TRAIN, "loss")
ERRORS = "gangplank_export_errors_total"


class Failing(InMemoryExporter):
    """An exit that fails wherever it can."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def notify(self) -> None:
        """Fail."""
        raise self.error

    def close(self, timeout: float) -> None:
        """Fail, though that is not allowed."""
        raise self.error


class Unstartable(InMemoryExporter):
    """An exit that cannot be started at first."""

    def __init__(self) -> None:
        super().__init__()
        self.is_possible = False

    def start(self, state: State, trouble: Trouble) -> InMemoryExporter:
        """Start, if that is possible."""
        if not self.is_possible:
            raise ServerStartError("not now")
        return super().start(state, trouble)


def test_constructing_opens_nothing(fake_gateway: FakeGateway) -> None:
    """No thread, no request, no port: only arguments are checked."""
    before = set(threading.enumerate())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        Telemetry(exporters=[PrometheusExporter(port=port), PushgatewayExporter(fake_gateway.address, "job")])
        Telemetry(exporters=[ConsoleMetricExporter(io.StringIO())])
    assert set(threading.enumerate()) == before
    assert fake_gateway.requests == []


@pytest.mark.parametrize(
    "exporters",
    [None, 3, "console", b"console", InMemoryExporter(), [None], ["console"], [object()], [InMemoryExporter]],
)
def test_what_is_no_exporter_is_refused(exporters: Any) -> None:
    """At construction, by name, and with what was given."""
    with pytest.raises(TypeError, match=r"^exporters"):
        Telemetry(exporters=exporters)


def test_what_is_no_provider_is_refused() -> None:
    """A reader, say, in a provider's place."""
    wrong: Any = InMemoryMetricReader()
    with pytest.raises(TypeError, match=r"^meter_provider must be an OpenTelemetry MeterProvider"):
        Telemetry(meter_provider=wrong)


@pytest.mark.parametrize("wrong", [None, 3, InMemoryExporter, InMemoryMetricReader()])
def test_what_cannot_be_attached_is_refused(wrong: Any) -> None:
    """As at construction, an argument of the wrong type is a TypeError."""
    with Telemetry() as telemetry, pytest.raises(TypeError, match=r"^exporter"):
        telemetry.attach(wrong)


def test_starting_and_closing_twice_is_starting_and_closing_once(fake_gateway: FakeGateway) -> None:
    """A second start makes no second thread, and a second close delivers nothing more."""
    before = set(threading.enumerate())
    telemetry = Telemetry(exporters=[PushgatewayExporter(fake_gateway.address, "job")])
    telemetry.start()
    telemetry.start()
    assert [thread.name for thread in set(threading.enumerate()) - before] == ["gangplank-pushgateway"]
    telemetry.state.gauge(LOSS, model="a").set(0.5)
    telemetry.close()
    delivered = len(fake_gateway.requests)
    assert delivered > 0
    telemetry.close()
    assert len(fake_gateway.requests) == delivered
    assert telemetry.is_closed


def test_closing_what_was_never_started() -> None:
    """Closes it all the same."""
    telemetry = Telemetry(exporters=[InMemoryExporter()])
    telemetry.close()
    with pytest.raises(ExportError, match="closed"):
        telemetry.start()
    with pytest.raises(ExportError, match="closed"):
        telemetry.attach(InMemoryExporter())


def test_an_attached_exit_is_owned() -> None:
    """It shows the state at once, is notified, and is closed with the telemetry."""
    telemetry = Telemetry()
    telemetry.state.gauge(LOSS, model="a").set(0.5)
    server = telemetry.attach(PrometheusExporter(port=0))
    memory = telemetry.attach(InMemoryExporter())
    telemetry.notify()
    assert memory.notifications == 1
    assert memory.value("gangplank_train_loss", model="a") == 0.5
    host, port = server.url.removeprefix("http://").removesuffix("/metrics").split(":")
    telemetry.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


def test_an_exit_that_cannot_be_started_does_not_keep_the_others() -> None:
    """The failure is raised once the others have started, and a second start tries only what failed."""
    broken, working = Unstartable(), InMemoryExporter()
    telemetry = Telemetry(exporters=[broken, working])
    with pytest.raises(ServerStartError, match="not now"):
        telemetry.start()
    broken.is_possible = True
    telemetry.start()
    telemetry.notify()
    assert (broken.notifications, working.notifications) == (1, 1)
    telemetry.close()


def test_a_reader_that_has_a_provider_does_not_keep_the_others() -> None:
    """The SDK refuses it with a bare Exception, which is not what users are told to catch."""
    reader, working = InMemoryMetricReader(), InMemoryExporter()
    theirs = MeterProvider([reader], shutdown_on_exit=False)
    telemetry = Telemetry(exporters=[reader, working])
    with pytest.raises(GangplankError):
        telemetry.start()
    telemetry.notify()
    assert working.notifications == 1
    telemetry.close()
    theirs.shutdown()


def test_a_block_starts_and_closes() -> None:
    """And closes what had started when the start fails."""
    with Telemetry(exporters=[PrometheusExporter(port=0)]) as telemetry:
        assert not telemetry.is_closed
    assert telemetry.is_closed
    failing = Telemetry(exporters=[Unstartable()])
    with pytest.raises(ServerStartError), failing:
        pytest.fail("the block must not be entered")
    assert failing.is_closed


def test_endings_are_called_once_with_what_ended_the_block() -> None:
    """Unless they were taken back; one that fails keeps neither the others nor the close."""
    heard: list[tuple[str, BaseException | None]] = []
    error = RuntimeError("the host's own")
    telemetry = Telemetry()

    def fail(_: BaseException | None) -> None:
        raise ValueError("an ending's own")

    def host() -> None:
        with telemetry:
            telemetry.on_close(lambda cause: heard.append(("first", cause)))
            telemetry.on_close(fail)
            take_back = telemetry.on_close(lambda cause: heard.append(("taken back", cause)))
            telemetry.on_close(lambda cause: heard.append(("last", cause)))
            take_back()
            take_back()
            raise error

    with pytest.raises(RuntimeError, match="the host's own"):
        host()
    telemetry.close()
    assert heard == [("last", error), ("first", error)]  # as what they end is nested


def test_endings_come_before_the_exits_are_closed() -> None:
    """What they write is delivered."""
    memory = InMemoryExporter()
    telemetry = Telemetry(exporters=[memory])
    telemetry.start()
    telemetry.on_close(lambda cause: telemetry.state.gauge(LOSS, model="a").set(0 if cause is None else 1))
    telemetry.close()
    assert memory.value("gangplank_train_loss", model="a") == 0


def test_errors_are_counted_and_logged_once_a_cause(caplog: pytest.LogCaptureFixture) -> None:
    """An exit's fault never reaches the host, and does not fill its log."""
    broken, memory = Failing(ValueError("broken")), InMemoryExporter()
    with caplog.at_level(logging.WARNING), Telemetry(exporters=[broken, memory]) as telemetry:
        for _ in range(3):
            telemetry.notify()
        broken.error = KeyError("also")
        telemetry.notify()
        assert memory.notifications == 4
        assert memory.value(ERRORS, error_type="ValueError") == 3
        assert memory.value(ERRORS, error_type="KeyError") == 1
    assert memory.value(ERRORS, error_type="KeyError") == 2
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        "could not notify an exporter: ValueError: broken",
        "could not notify an exporter: KeyError: 'also'",
        "could not close an exporter: KeyError: 'also'",
    ]


def test_an_exit_may_be_interrupted() -> None:
    """Ctrl-C is the host's, in the middle of an export too."""
    interrupt: Any = KeyboardInterrupt()
    broken = Failing(interrupt)
    telemetry = Telemetry(exporters=[broken])
    telemetry.start()
    with pytest.raises(KeyboardInterrupt):
        telemetry.notify()
    broken.error = ValueError()
    telemetry.close()


def test_names_are_one_table_a_model_and_phase() -> None:
    """A second run of a model finds the names of the first."""
    telemetry = Telemetry()
    assert telemetry.names(Phase.TRAIN, "a") is telemetry.names(Phase.TRAIN, "a")
    assert telemetry.names(Phase.TRAIN, "a") is not telemetry.names(Phase.TRAIN, "b")
    assert telemetry.names(Phase.TRAIN, "a") is not telemetry.names(Phase.TEST, "a")


def test_the_clock_is_the_systems_unless_given(clock: ManualClock) -> None:
    """Unix time is Unix time."""
    assert Telemetry(clock=clock).clock is clock
    before = time.time()
    assert before <= Telemetry().clock.time() <= time.time()


def test_wrong_settings_fail_where_they_are_written() -> None:
    """At the exporter's construction, before any telemetry."""
    with pytest.raises(ConfigurationError):
        PrometheusExporter(port=70000)


def test_with_exits_of_its_own_it_joins_no_provider_unasked(
    script: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """Else a process that has a provider and a gateway would count everything twice."""
    process = script(
        """
        from opentelemetry import metrics
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from gangplank import Telemetry
        from gangplank.catalogue import model_metric
        from gangplank.metrics import Phase
        from gangplank.testing import InMemoryExporter

        reader = InMemoryMetricReader()
        metrics.set_meter_provider(MeterProvider([reader]))
        telemetry = Telemetry(exporters=[InMemoryExporter()])
        telemetry.start()
        telemetry.state.gauge(model_metric(Phase.TRAIN, "loss"), model="net").set(0.5)
        print(reader.get_metrics_data())
        """
    )
    assert process.stdout == "None\n", process.stderr


def test_every_exit_is_flushed_though_one_fails() -> None:
    """The first failure is raised once all have had their turn."""

    class Exit(InMemoryExporter):
        flushed = False

        def flush(self, timeout: float) -> None:
            self.flushed = True
            raise ExportError("no")

    exits = [Exit(), Exit()]
    with Telemetry(exporters=exits) as telemetry, pytest.raises(ExportError, match="no"):
        telemetry.flush()
    assert all(one.flushed for one in exits)


def test_flush_after_close_says_so() -> None:
    """It could not deliver anything any more."""
    telemetry = Telemetry()
    telemetry.close()
    with pytest.raises(ExportError, match="closed"):
        telemetry.flush()


def test_it_says_why_it_cannot_be_pickled() -> None:
    """As when it was made in the program that starts a job, and not in the function that the job's workers run."""
    with pytest.raises(TypeError, match="in the process that uses them"):
        pickle.dumps({"callbacks": [Telemetry()]})


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_timeout_is_a_number_of_seconds(timeout: float) -> None:
    """Anything else is refused by name."""
    with pytest.raises(ValueError, match="timeout"):
        Telemetry().close(timeout)
