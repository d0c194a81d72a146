"""The callback of gangplank 0.5.0: training and evaluation, to a Pushgateway."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from gangplank import checks
from gangplank.exporters.pushgateway import PushgatewayExporter
from gangplank.exporters.transport import Handler
from gangplank.telemetry import Telemetry
from gangplank_keras.callback import TelemetryCallback

_telemetries: dict[tuple[str, str, int, bool], Telemetry] = {}
_lock = threading.Lock()


class TrainTestExporter(TelemetryCallback):
    """Reports ``fit`` and ``evaluate`` to a Prometheus Pushgateway.

    Pushes happen at the begin and end of a run, after each epoch and every 15 seconds in between, on a thread of
    their own: the gateway can be slow, or down, and training goes on as if nothing were. Exporters for the same
    gateway and job in one process push together, so that none replaces what another pushed.

    Args:
        pgw_addr: The gateway, as ``host:port`` or as a URL.
        job: The ``job`` label of everything pushed.
        metrics: Which of the model's metrics to export; all that are numbers in Keras's logs, if None.
        histogram_buckets: Upper-inclusive bounds for the histogram of the trainable weights, such as
            ``gangplank.HISTOGRAM_WEIGHT_BUCKETS_1_0``, which is sent at the end of a run; none if None.
        handler: A prometheus_client push handler, ``(url, method, timeout, headers, data) -> callable``, for a gateway
            that wants authentication.
        ignore_exceptions: If False, pushes happen on the training thread, and one that fails ends the run with a
            :class:`gangplank.ExportError`.

    Raises:
        TypeError: an argument has the wrong type.
        ConfigurationError: an argument has a value that is not allowed.
    """

    def __init__(
        self,
        pgw_addr: str,
        job: str,
        metrics: Iterable[str] | None = None,
        histogram_buckets: Iterable[float] | None = None,
        handler: Handler | None = None,
        ignore_exceptions: bool = True,
    ) -> None:
        url = checks.http_url("pgw_addr", pgw_addr)
        checks.text("job", job)
        if handler is not None:
            checks.function("handler", handler)
        checks.flag("ignore_exceptions", ignore_exceptions)
        super().__init__(
            _shared_telemetry(url, job, handler, synchronous=not ignore_exceptions),
            metrics=metrics,
            histogram_buckets=histogram_buckets,
        )


def _shared_telemetry(url: str, job: str, handler: Any, *, synchronous: bool) -> Telemetry:  # noqa: ANN401
    with _lock:
        key = (url, job, id(handler), synchronous)  # the exporter keeps the handler, and so its id, alive
        telemetry = _telemetries.get(key)
        if telemetry is None or telemetry.is_closed:
            exporter = PushgatewayExporter(url, job, handler=handler, synchronous=synchronous)
            telemetry = _telemetries[key] = Telemetry(exporters=[exporter])
        return telemetry
