"""A program that knows nothing of telemetry, under ``opentelemetry-instrument``, at every exporter."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import needs
import otlp
import pytest
from instrumented import end, pushing_to, start
from processes import Page
from realservers import Gateway, free_port, get

SCRIPT = str(Path(__file__).parent / "scripts" / "unmodified.py")
WAYS = [("jax", "grpc", "environment"), ("tensorflow", "http/protobuf", "script"), ("torch", "grpc", "environment")]
Value = Callable[[str], float | None]


def instrumented(*arguments: str, **variables: str) -> tuple[subprocess.Popen[str], list[str]]:
    """Start the program, and return what it says when it has done its work: the backend and two losses."""
    needs.module("keras")
    process = start([SCRIPT, *arguments], **variables)
    assert process.stdout is not None
    said = process.stdout.readline().split()
    if not said:
        raise AssertionError(end(process).stderr)
    return process, said


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Let the program end, and return how it did."""
    done = end(process)
    assert done.returncode == 0, done.stderr
    return done


def check(value: Value, said: list[str]) -> None:
    """Compare what arrived with what the program knows."""
    assert value("gangplank_train_val_loss") == pytest.approx(float(said[1]))
    assert value("gangplank_test_loss") == pytest.approx(float(said[2]))
    assert value("gangplank_train_epochs_count") == 2
    assert value("gangplank_train_steps_total") == 4
    assert value("gangplank_train_step_duration_seconds_count") == 4
    assert value("gangplank_predict_total") == 64
    assert value("gangplank_predict_call_total") == 5


@pytest.mark.parametrize(("backend", "protocol", "chosen_by"), WAYS)
def test_at_every_exporter(gateway: Gateway, backend: str, protocol: str, chosen_by: str) -> None:
    """At once: pushed, each phase in its group; scraped from OpenTelemetry's own exporter; and sent by OTLP.

    The backend is the environment's choice, or the script's against it.
    """
    needs.module(backend)
    port = free_port()
    with (otlp.over_grpc if protocol == "grpc" else otlp.over_http)() as receiver:
        variables = pushing_to(
            gateway,
            OTEL_METRICS_EXPORTER="pushgateway,prometheus,otlp",
            OTEL_EXPORTER_PROMETHEUS_PORT=str(port),
            OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
            OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"http://{receiver.endpoint.removeprefix('http://')}",
        )
        chosen = {"script": ([backend], "numpy"), "environment": ([], backend)}[chosen_by]
        process, said = instrumented(*chosen[0], **variables, KERAS_BACKEND=chosen[1])
        assert said[0] == backend
        page = Page(get(f"http://127.0.0.1:{port}/metrics"))
        assert "gangplank" not in ended(process).stderr
        received = receiver.values()

    def pushed(name: str) -> float | None:
        return gateway.value(name, job="shop", phase=name.split("_")[1], model="net")

    def scraped(name: str) -> float | None:
        return page.value(name, model="net")

    def sent(name: str) -> float | None:
        [found] = [
            number for (metric, labels), number in received.items() if metric == name and ("model", "net") in labels
        ]
        return found

    for value in (pushed, scraped, sent):
        check(value, said)


def test_at_the_console() -> None:
    """As JSON, at the end."""
    needs.module("jax")
    process, said = instrumented("jax", OTEL_METRICS_EXPORTER="console")
    [resource] = json.loads(ended(process).stdout)["resource_metrics"]
    [scope] = [scope for scope in resource["scope_metrics"] if scope["scope"]["name"] == "gangplank"]
    points = {metric["name"]: metric["data"]["data_points"] for metric in scope["metrics"]}
    assert points["gangplank_train_val_loss"][0]["value"] == pytest.approx(float(said[1]))
    assert points["gangplank_predict"][0]["value"] == 64


def test_disabled(gateway: Gateway) -> None:
    """By OpenTelemetry's own switch, and by phases."""
    needs.module("jax")
    process, _ = instrumented("jax", **pushing_to(gateway), OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="keras")
    assert ended(process).stderr == ""
    assert gateway.value("gangplank_train_epochs_count", job="shop") is None
    process, _ = instrumented("jax", **pushing_to(gateway), OTEL_INSTRUMENTATION_KERAS_DISABLED="test,predict")
    assert ended(process).stderr == ""
    assert gateway.value("gangplank_train_epochs_count", job="shop") == 2
    assert gateway.value("gangplank_test_loss", job="shop") is None
    assert gateway.value("gangplank_predict_total", job="shop") is None


def test_a_wrong_setting(gateway: Gateway) -> None:
    """The program runs, and one line says what is wrong."""
    needs.module("jax")
    process, said = instrumented("jax", **pushing_to(gateway), OTEL_INSTRUMENTATION_KERAS_DISABLED="fit")
    assert said[0] == "jax"
    assert "OTEL_INSTRUMENTATION_KERAS_DISABLED must hold no other than train, test, predict" in ended(process).stderr


def test_a_trace(gateway: Gateway) -> None:
    """In that which the environment carries."""
    needs.module("jax")
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    process, _ = instrumented(
        "jax",
        **pushing_to(gateway),
        OTEL_TRACES_EXPORTER="console",
        TRACEPARENT=f"00-{trace}-{parent}-01",
    )
    out = ended(process).stdout
    decoder, spans = json.JSONDecoder(), []
    while out.strip():
        span, length = decoder.raw_decode(out := out.strip())
        spans.append(span)
        out = out[length:]
    assert {span["context"]["trace_id"] for span in spans} == {f"0x{trace}"}
    tops = [span["name"] for span in spans if span["parent_id"] == f"0x{parent}"]
    assert tops == ["fit net", "evaluate net", "predict net", "__call__ net"]
    assert [span["name"] for span in spans].count("epoch") == 2


@pytest.mark.parametrize(
    "name", ["TelemetryCallback", "TelemetryModel", "TrainTestExporter", "PrometheusModel", "DriftProfileCallback"]
)
def test_a_program_that_imports_ours_first(gateway: Gateway, name: str) -> None:
    """Keras is imported in the middle of that, and instrumented all the same."""
    needs.module("jax")
    use = "keras.Sequential([keras.Input((3,)), keras.layers.ReLU()], name='net')(keras.ops.ones((1, 3)))"
    done = end(
        start(
            ["-c", f"import gangplank; gangplank.{name}; import keras; {use}"],
            **pushing_to(gateway),
            KERAS_BACKEND="jax",
        )
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert gateway.value("gangplank_predict_call_total", job="shop", model="net") is not None


def test_a_program_without_keras(gateway: Gateway) -> None:
    """Does not import it."""
    code = "import sys; assert not [name for name in sys.modules if name.split('.')[0] in ('keras', 'jax', 'numpy')]"
    done = end(start(["-c", code], **pushing_to(gateway)))
    assert (done.returncode, done.stderr) == (0, "")
