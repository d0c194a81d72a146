"""Train, an epoch for each line of input: stepwise.py exporter | keras | reader GATEWAY.

By an exporter, without a framework; by Keras and a ``TrainTestExporter``; or by Keras and whatever provider there is.
"""

import sys
from typing import Any

from gangplank import PushgatewayExporter, Telemetry
from gangplank.training import TrainingRun

how, gateway = sys.argv[1:]


def without_framework() -> None:
    """Report epochs."""
    with Telemetry(exporters=[PushgatewayExporter(gateway, "mnist")]) as telemetry:
        run = TrainingRun(telemetry, "net")
        for epoch, _ in enumerate(sys.stdin, 1):
            run.begin_epoch()
            run.step_to(1)
            run.end_epoch(epoch, [("loss", 1 / epoch)])
            telemetry.notify()
            print(epoch, flush=True)  # noqa: T201
        run.end()


def with_keras(callback: Any) -> None:
    """Train, and stop at the end of input."""
    import keras  # noqa: PLC0415 - slow, and not always needed
    import numpy as np  # noqa: PLC0415

    class Wait(keras.callbacks.Callback):
        """Begins an epoch when it is told to, and says when it has ended."""

        def on_train_begin(self, logs: object = None) -> None:
            """Wait for the first line."""
            sys.stdin.readline()

        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            """Say so, and wait for the next line."""
            print(epoch + 1, flush=True)  # noqa: T201
            if not sys.stdin.readline():
                self.model.stop_training = True

    x = np.ones((8, 3), "float32")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)], name="net")
    model.compile("sgd", "mse")
    model.fit(x, x[:, :1], epochs=1000, verbose=0, callbacks=[callback, Wait()])


if how == "exporter":
    without_framework()
elif how == "keras":
    from gangplank import TrainTestExporter

    with_keras(TrainTestExporter(gateway, "mnist"))
else:
    from gangplank import TelemetryCallback

    with_keras(TelemetryCallback())
