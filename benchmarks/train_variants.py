"""What the benchmark of training compares: no callback, Gangplank's, Keras's own, and what instruments Keras."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import IO, NamedTuple, cast

import keras

from gangplank import HISTOGRAM_WEIGHT_BUCKETS_1_0 as BUCKETS
from gangplank import PrometheusExporter, Telemetry, TelemetryCallback, TrainTestExporter

# In a process of its own, as a gateway is: in this one it would compete with the training for the interpreter.
GATEWAY = """
import sys, gangplank.testing
with gangplank.testing.FakeGateway() as gateway:
    print(gateway.address, flush=True)
    sys.stdin.read()
"""

Callbacks = Callable[[], list[keras.callbacks.Callback]]


class Variant(NamedTuple):
    """A way to watch a training.

    Attributes:
        callbacks: Returns fresh callbacks for a ``fit``.
        around: What is on while a ``fit`` is; to begin and to end it is not timed.
    """

    callbacks: Callbacks = list
    around: Callable[[], AbstractContextManager[object]] = nullcontext

    @property
    def is_callbacks_only(self) -> bool:
        """Whether the callbacks are all there is, so that their hooks can be called without a ``fit``."""
        return self.around is nullcontext


@contextmanager
def gateway() -> Iterator[str]:
    """Run a gateway that accepts everything, and give its address."""
    command = [sys.executable, "-c", GATEWAY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        yield cast("IO[str]", process.stdout).readline().strip()


def variants(stack: ExitStack) -> dict[str, Variant]:
    """Return what to compare, the baseline first; ``stack`` closes what it needs."""
    bare = stack.enter_context(Telemetry())
    scraped = stack.enter_context(Telemetry(exporters=[PrometheusExporter(port=0)]))
    address = stack.enter_context(gateway())
    stack.callback(TrainTestExporter(address, "benchmark").telemetry.close)
    return {
        "no callback": Variant(),
        "no callback, again": Variant(),
        "TelemetryCallback": Variant(lambda: [TelemetryCallback(bare)]),
        "... with histogram_buckets": Variant(lambda: [TelemetryCallback(bare, histogram_buckets=BUCKETS)]),
        "... with PrometheusExporter": Variant(lambda: [TelemetryCallback(scraped)]),
        **_with_sdk(stack),
        **_instrumented(),
        "TrainTestExporter": Variant(lambda: [TrainTestExporter(address, "benchmark")]),
        **_tensorboards(stack),
        **_with_mlflow(stack),
    }


def _with_sdk(stack: ExitStack) -> dict[str, Variant]:
    if _lacks("... with the OpenTelemetry SDK", "opentelemetry.sdk"):
        return {}
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: PLC0415 - need not be there

    telemetry = stack.enter_context(Telemetry(exporters=[InMemoryMetricReader()]))
    return {"... with the OpenTelemetry SDK": Variant(lambda: [TelemetryCallback(telemetry)])}


def _instrumented() -> dict[str, Variant]:
    if _lacks("KerasInstrumentor", "opentelemetry.sdk", "opentelemetry.instrumentation"):
        return {}
    return {
        "KerasInstrumentor": Variant(around=partial(_instrumentor, has_spans=False)),
        "... with a TracerProvider": Variant(around=partial(_instrumentor, has_spans=True)),
    }


@contextmanager
def _instrumentor(*, has_spans: bool) -> Iterator[None]:
    """Have Keras instrumented, with providers whose metrics and spans go nowhere."""
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 - need not be there
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    from gangplank import KerasInstrumentor  # noqa: PLC0415

    reader = InMemoryMetricReader()
    meters, tracers = MeterProvider([reader]), TracerProvider() if has_spans else None
    KerasInstrumentor().instrument(meter_provider=meters, tracer_provider=tracers)
    try:
        yield
        if "gangplank_train_steps" not in str(reader.get_metrics_data()):
            raise SystemExit("KerasInstrumentor has seen no training.")
    finally:
        KerasInstrumentor().uninstrument()
        meters.shutdown()
        if tracers is not None:
            tracers.shutdown()


def _tensorboards(stack: ExitStack) -> dict[str, Variant]:
    if _lacks("TensorBoard", "tensorflow", "tensorboard"):
        return {}
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    return {
        "TensorBoard": Variant(lambda: [keras.callbacks.TensorBoard(folder)]),
        'TensorBoard, update_freq="batch"': Variant(lambda: [keras.callbacks.TensorBoard(folder, update_freq="batch")]),
    }


def _with_mlflow(stack: ExitStack) -> dict[str, Variant]:
    if _lacks("mlflow.keras.autolog", "mlflow", "pandas", "sqlalchemy", "alembic"):
        return {}
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # it would tell its makers of each run
    import mlflow.keras  # noqa: PLC0415 - need not be there

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = mlflow.create_experiment("benchmark", artifact_location=folder.as_uri())
    return {"mlflow.keras.autolog": Variant(around=partial(_autolog, experiment))}


@contextmanager
def _autolog(experiment: str) -> Iterator[None]:
    """Have Keras logged in a run of MLflow's own store, in which the run is begun and ended outside of ``fit``.

    ``fit`` would end a run that it began, and for that now and then wait the rest of a second for a thread that polls.
    """
    import mlflow.keras  # noqa: PLC0415 - need not be there

    mlflow.keras.autolog(log_models=False, log_datasets=False)
    try:
        with mlflow.start_run(experiment_id=experiment) as run:
            yield
        mlflow.flush_async_logging()
    finally:
        mlflow.keras.autolog(disable=True)
    if "loss" not in mlflow.get_run(run.info.run_id).data.metrics:
        raise SystemExit("MLflow has seen no training.")


def _lacks(variant: str, *modules: str) -> bool:
    if missing := [module for module in modules if find_spec(module) is None]:
        print(f"Skipped: {variant}, for want of {' and '.join(missing)}.\n")
    return bool(missing)
