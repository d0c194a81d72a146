"""Train, predict and look for drift until standard input ends: watched.py PORT GATEWAY."""

import sys
import threading

import keras
import numpy as np

import gangplank

x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
y = x.sum(axis=1, keepdims=True)
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)], name="net")
model.compile("sgd", "mse", metrics=["mae"])

scrape = gangplank.PrometheusExporter(port=int(sys.argv[1]))
push = gangplank.PushgatewayExporter(sys.argv[2], "mnist", interval=0.5)
telemetry = gangplank.Telemetry(exporters=[scrape, push])


def drift(inputs: np.ndarray, outputs: np.ndarray) -> gangplank.Drift:
    """Return the mean of what was predicted as the statistic."""
    return gangplank.Drift(drift_detected=0, test_statistic=float(outputs.mean()))


served = gangplank.TelemetryModel(model, telemetry, get_drift_metrics_func=drift)


class Serve(keras.callbacks.Callback):
    """Predicts, once as it should not, and ends when there is nobody left."""

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Predict."""
        served.predict_on_batch(x)
        if epoch == 1:
            try:
                served.predict_on_batch(x[:, :2])
            except Exception:  # noqa: BLE001 - another one on each backend
                sys.stdout.flush()
        over.wait(0.1)
        if over.is_set():
            model.stop_training = True


def wait_for_the_end() -> None:
    """Wait until nobody is there to write to standard input."""
    sys.stdin.read()
    over.set()


over = threading.Event()
threading.Thread(target=wait_for_the_end, daemon=True).start()
callback = gangplank.TelemetryCallback(telemetry)
model.fit(x, y, epochs=100_000, verbose=0, validation_split=0.25, callbacks=[callback, Serve()])
