"""The callback of gangplank 0.5.0: training and evaluation, to a Pushgateway."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from gangplank import checks
from gangplank.exporters.pushgateway.exporter import PushgatewayExporter, push_settings
from gangplank.exporters.pushgateway.transport import Exchange, Handler, Headers, SessionHandler
from gangplank.locks import Lock
from gangplank.telemetry import Telemetry
from gangplank_keras.callback import TelemetryCallback

_PATIENCE = 30.0
"""Seconds that training waits for a push with ignore_exceptions=False, whatever the gateway does."""

_telemetries: dict[tuple[int, str, str], tuple[Telemetry, _Relay]] = {}
_lock = Lock()


class TrainTestExporter(TelemetryCallback):
    """Reports ``fit`` and ``evaluate`` to a Prometheus Pushgateway.

    Pushes happen at the begin and end of a run, after each epoch and every 15 seconds in between, on a thread of
    their own: the gateway can be slow, or down, and training goes on as if nothing were. Exporters for the same
    gateway and job in one process push together, by the handler that was given last, so that none replaces what another
    pushed.

    Args:
        pgw_addr: The gateway, as ``host:port`` or as a URL.
        job: The ``job`` label of everything pushed.
        metrics: Which of the model's metrics to export; all that are numbers in Keras's logs, if None.
        histogram_buckets: Upper-inclusive bounds for the histogram of the trainable weights, such as
            ``gangplank.HISTOGRAM_WEIGHT_BUCKETS_1_0``, which is sent at the end of a run; ``"auto"`` chooses bounds
            that fit; none if None.
        handler: A prometheus_client push handler, ``(url, method, timeout, headers, data) -> callable``, for a gateway
            that wants authentication.
        ignore_exceptions: If False, training waits for each push at the begin, after an epoch and at the end, and one
            that fails ends the run with a :class:`gangplank.ExportError`.

    Raises:
        TypeError: an argument has the wrong type.
        ConfigurationError: an argument has a value that is not allowed.
    """

    def __init__(
        self,
        pgw_addr: str,
        job: str,
        metrics: Iterable[str] | None = None,
        histogram_buckets: Iterable[float] | str | None = None,
        handler: Handler | None = None,
        ignore_exceptions: bool = True,
    ) -> None:
        url = checks.http_url("pgw_addr", pgw_addr)
        checks.text("job", job)
        if handler is not None:
            checks.function("handler", handler)
        checks.flag("ignore_exceptions", ignore_exceptions)
        telemetry, relay = _shared(url, job)
        if handler is not None:
            relay.handler = handler
        super().__init__(telemetry, metrics=metrics, histogram_buckets=histogram_buckets)
        self._waits = not ignore_exceptions

    def _announce(self) -> None:
        if self._waits:
            self.telemetry.flush(_PATIENCE)
        else:
            super()._announce()


class _Relay:
    """The handler of a shared telemetry: hands on to the one that an exporter was given last."""

    def __init__(self, session: SessionHandler) -> None:
        self._session = session
        self.handler: Handler = self._session

    def __call__(
        self, url: str, method: str, timeout: float | None, headers: Headers, data: bytes
    ) -> Callable[[], None]:
        """Return what the handler returns."""
        return self.handler(url=url, method=method, timeout=timeout, headers=headers, data=data)

    @property
    def exchange(self) -> Exchange | None:
        """What asks the gateway, unless a user's handler does the HTTP."""
        return self._session.exchange if self.handler is self._session else None

    def close(self) -> None:
        """Close the connection of the exporter's own handler; a later push opens it again."""
        self._session.close()


def _shared(url: str, job: str) -> tuple[Telemetry, _Relay]:
    with _lock:
        key = (os.getpid(), url, job)  # a forked child has no use for what its parent started
        shared = _telemetries.get(key)
        if shared is None or shared[0].is_closed:
            relay = _Relay(SessionHandler(push_settings(url, job)))
            telemetry = Telemetry(exporters=[PushgatewayExporter(url, job, handler=relay)])
            shared = _telemetries[key] = telemetry, relay
        return shared
