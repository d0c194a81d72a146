"""One port for several processes: one of them serves, and when it is gone another does."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from processes import Process, Processes, scrape
from realservers import free_port, wait_for

from gangplank import ConfigurationError, PrometheusExporter, ServerStartError, Telemetry
from gangplank.catalogue import metric, model_metric
from gangplank.metrics import Phase
from gangplank.testing import ManualClock

LOSS = model_metric(Phase.TRAIN, "loss")
IS_SERVING = "service.telemetry.handles[0].is_serving"


@pytest.fixture
def served(workers: Path, port: int) -> str:
    """What has a process stand for election."""
    return f"service = Service(telemetry_in({str(workers)!r}, {port}))"


def is_answering(port: int) -> bool:
    """Whether somebody serves the port."""
    try:
        scrape(port)
    except OSError:
        return False
    return True


def the_serving_one(processes: list[Process]) -> Process:
    """Wait until one of them serves, and return it."""

    def found() -> Process | None:
        serving = [process for process in processes if process.do(IS_SERVING)]
        assert len(serving) <= 1
        return serving[0] if serving else None

    return wait_for(found)


def replace(serving: Process, standing_by: Process, foreign: Process, port: int) -> None:
    """Kill the one that serves, and have somebody else take its port before the other one can."""
    os.kill(standing_by.pid, signal.SIGSTOP)
    os.waitpid(standing_by.pid, os.WUNTRACED)  # until all of its threads have stopped
    serving.kill()
    foreign.do(f"taken = socket.create_server(('127.0.0.1', {port}))")
    os.kill(standing_by.pid, signal.SIGCONT)


@pytest.mark.parametrize("ending", [Process.kill, Process.end])
def test_another_takes_over_the_same_port(processes: Processes, served: str, port: int, ending: Any) -> None:
    """Each time that the one that serves is killed, or comes to its end, until there is none."""
    alive = [processes.start(served) for _ in range(3)]
    assert the_serving_one(alive) is alive[0]  # who came first
    for left in (2, 1, 0):
        serving = the_serving_one(alive)
        assert scrape(port).values("in_flight") == [0]
        ending(serving)
        alive.remove(serving)
        assert len(alive) == left
    assert not is_answering(port)


def test_one_that_stands_by_and_is_gone_is_not_missed(processes: Processes, served: str, port: int) -> None:
    """It is not the next to serve, and the one that serves goes on."""
    first, second, third = (processes.start(served) for _ in range(3))
    second.do("service.telemetry.close()")
    assert second.do("[thread.name for thread in threading.enumerate() if 'election' in thread.name]") != []
    assert the_serving_one([first, third]) is first
    first.kill()
    assert the_serving_one([third]) is third
    assert scrape(port).values("in_flight") == [0]
    assert wait_for(lambda: not second.do("any('election' in one.name for one in threading.enumerate())"))


def test_ports_of_one_directory_are_served_each_by_itself(processes: Processes, served: str, port: int) -> None:
    """By whichever process came first, and all show the same."""
    other = free_port()
    first = processes.start(served)
    second = processes.start(served.replace(str(port), str(other)))
    first.do("service.serve(2)")
    second.do("service.serve(1)")
    assert [scrape(one).values("total") for one in (port, other)] == [[6], [6]]


def test_a_preloaded_parent_that_is_killed_leaves_nothing_locked(
    processes: Processes, served: str, port: int, workers: Path
) -> None:
    """Its children have neither its port nor its locks, so that the next one can have them; and what they do counts."""
    parent = processes.start(served)
    children = [parent.fork() for _ in range(2)]
    assert [child.do("service.telemetry.handles[0].is_serving") for child in children] == [False, False]
    parent.do("service.hold()")
    assert scrape(port).values("in_flight") == [1]
    parent.kill()
    assert not is_answering(port)
    successor = processes.start(served)
    assert the_serving_one([successor]) is successor
    for child in children:
        child.do("service.serve(5)")
    assert scrape(port).values("in_flight", "total") == [0, 20]


def test_a_forked_child_that_closes_what_is_its_parents_leaves_it_open(
    processes: Processes, served: str, port: int
) -> None:
    """And so does one that ends."""
    parent = processes.start(served)
    child = parent.fork()
    child.do("service.serve(1)")
    child.do("service.telemetry.close()")
    assert scrape(port).values("total") == [2]
    child.do("[handle.close() for handle in service.telemetry.handles]")
    assert scrape(port).values("total") == [2]
    child.end()
    assert scrape(port).values("total") == [2]
    assert parent.do(IS_SERVING)


def test_somebody_elses_port_is_an_error_for_the_first(workers: Path) -> None:
    """As without a directory; and when it is free, the same telemetry can have it."""
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        port = foreign.getsockname()[1]
        telemetry = Telemetry(exporters=[PrometheusExporter(port, multiprocess_dir=workers)])
        for _ in range(2):
            with pytest.raises(ServerStartError, match=f"127.0.0.1:{port}"):
                telemetry.start()
    telemetry.start()
    assert is_answering(port)
    telemetry.close()
    assert not is_answering(port)


def test_somebody_elses_port_is_trouble_for_a_successor(processes: Processes, served: str, port: int) -> None:
    """It is logged once, and tried again until the port is free."""
    first = processes.start(served)
    second = processes.start(
        "import logging, logging.handlers",
        "seen = logging.handlers.BufferingHandler(1000); logging.getLogger('gangplank').addHandler(seen)",
        served,
    )
    foreign = processes.start("import socket, time")
    replace(first, second, foreign, port)
    (logged,) = wait_for(lambda: second.do("[record.getMessage() for record in seen.buffer]"))
    assert re.match(rf"could not take over the scrape: ServerStartError: .*127.0.0.1:{port}", logged)
    tries = "service.telemetry.state.counter(gangplank.telemetry._ERRORS, error_type='ServerStartError').current()"
    second.do("import gangplank.telemetry")
    assert wait_for(lambda: second.do(tries) > 2)
    foreign.do("taken.close()")
    assert the_serving_one([second]) is second
    assert second.do("len(seen.buffer)") == 1
    assert scrape(port).values("in_flight") == [0]


def test_one_that_is_closed_while_it_tries_gives_up(processes: Processes, served: str, port: int) -> None:
    """It does not take the port afterwards, nor keep others from it."""
    first, second = (processes.start(served) for _ in range(2))
    foreign = processes.start("import socket")
    replace(first, second, foreign, port)
    second.do("import gangplank.telemetry")
    errors = "service.telemetry.state.counter(gangplank.telemetry._ERRORS, error_type='ServerStartError').current()"
    assert wait_for(lambda: second.do(errors) > 0)
    second.do("service.telemetry.close()")
    assert wait_for(lambda: not second.do("any('election' in one.name for one in threading.enumerate())"))
    foreign.do("taken.close()")
    third = processes.start(served)
    assert the_serving_one([third]) is third


def test_two_telemetries_of_one_process_share_a_port(workers: Path, port: int) -> None:
    """One serves, and when it is closed the other does; handles tell where, whichever it is."""
    with Telemetry() as first, Telemetry() as second:
        handles = [one.attach(PrometheusExporter(port, multiprocess_dir=workers)) for one in (first, second)]
        assert [handle.url for handle in handles] == [f"http://127.0.0.1:{port}/metrics"] * 2
        assert [repr(handle) for handle in handles] == [
            f"<ElectedServer {handles[0].url}, {state}>" for state in ("serving", "standing by")
        ]
        first.state.gauge(LOSS, model="a").set(0.5)
        second.state.gauge(LOSS, model="b").set(0.25)

        def losses() -> list[float | None]:
            return [scrape(port).value("gangplank_train_loss", model=model) for model in ("a", "b")]

        assert losses() == [0.5, 0.25]
        for handle in handles:
            handle.notify()
            handle.flush(1.0)
            handle.begin_close()
        first.close()
        handles[0].close()
        assert wait_for(lambda: "serving" in repr(handles[1]))
        assert losses() == [None, 0.25]
    assert not is_answering(port)


def test_a_computed_value_of_the_one_that_serves_is_shown(workers: Path, port: int) -> None:
    """As it is at each scrape: elapsed time goes on."""
    clock = ManualClock()
    with Telemetry(exporters=[PrometheusExporter(port, multiprocess_dir=workers)]) as telemetry:
        elapsed = metric(Phase.TRAIN, "elapsed_time")
        telemetry.state.gauge(elapsed, model="net").follow(clock.monotonic)
        for _ in range(2):
            assert scrape(port).value("gangplank_train_elapsed_time_seconds") == clock.monotonic()
            clock.advance(5)


def test_the_environment_says_where(monkeypatch: pytest.MonkeyPatch, workers: Path, tmp_path: Path, port: int) -> None:
    """As for prometheus_client; an argument has precedence, and an empty variable is none."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    PrometheusExporter(port=0)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(workers))
    with Telemetry(exporters=[PrometheusExporter(port)]) as telemetry:
        telemetry.state.gauge(LOSS, model="net").set(0.5)
        assert scrape(port).value("gangplank_train_loss") == 0.5
    assert list(workers.glob("*.gangplank"))
    PrometheusExporter(port, multiprocess_dir=tmp_path / "other")
    assert (tmp_path / "other" / "lock").is_file()


def test_wrong_settings_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At construction: port 0, since each process would take another, and what is no directory to write to."""
    with pytest.raises(ConfigurationError, match=r"^port must not be 0 with multiprocess_dir"):
        PrometheusExporter(port=0, multiprocess_dir=tmp_path)
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "below", "/proc/self/below"):
        with pytest.raises(ConfigurationError, match=rf"^multiprocess_dir .* got '{path}'"):
            PrometheusExporter(multiprocess_dir=path)
    with pytest.raises(TypeError, match=r"^multiprocess_dir .* must be a path, not 3"):
        PrometheusExporter(multiprocess_dir=3)  # type: ignore[arg-type]
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(file))
    with pytest.raises(ConfigurationError, match="PROMETHEUS_MULTIPROC_DIR"):
        PrometheusExporter()
