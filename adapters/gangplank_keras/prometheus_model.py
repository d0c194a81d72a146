"""The proxy of gangplank 0.5.0: inference, in a Prometheus scrape."""

from __future__ import annotations

from os import PathLike
from typing import Any

from gangplank import checks
from gangplank.drift.monitor import DriftFunction
from gangplank.drift.naming import Detectors, named
from gangplank.exporters.prometheus import REGISTRY, CollectorRegistry, PrometheusExporter
from gangplank.locks import Lock
from gangplank.telemetry import Telemetry
from gangplank_keras.model import TelemetryModel, check_arguments


class PrometheusModel(TelemetryModel):
    """A Keras model whose predictions are measured, for Prometheus to scrape. See :class:`TelemetryModel`.

    All models of one registry report together, told apart by the label ``model``, and share their ports.

    Args:
        model: The Keras model, on any backend.
        registry: The prometheus_client registry to show the metrics in. By default the one that prometheus_client has
            for the process.
        port: Also serve that registry on this TCP port, at any path; 0 takes a free one.
        get_drift_metrics_func: Called with the inputs and the outputs of each ``predict`` and ``predict_on_batch``;
            returns a :class:`gangplank.Drift`. See :class:`TelemetryModel`.
        host: The address to serve on. The default can be reached from this machine only; ``"0.0.0.0"`` from wherever
            the network allows.
        name: The label ``model``, by default the model's name.
        drift: Detectors of drift. See :class:`TelemetryModel`.
        drift_inline: Whether detectors and the drift function run before ``predict`` returns.
        multiprocess_dir: A directory that the workers of a pre-fork server share: a scrape of any of them shows all. By
            default what the environment variable ``PROMETHEUS_MULTIPROC_DIR`` says, if it is set.
        page: Whether a browser that opens the port gets a page that draws what is measured.

    Raises:
        TypeError: an argument has the wrong type.
        ConfigurationError: an argument has a value that is not allowed.
        ServerStartError: the port is taken, by something other than this registry.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - Keras is untyped
        registry: CollectorRegistry = REGISTRY,
        port: int | None = None,
        get_drift_metrics_func: DriftFunction | None = None,
        *,
        host: str = "127.0.0.1",
        name: str | None = None,
        drift: Detectors | None = None,
        drift_inline: bool = False,
        multiprocess_dir: str | PathLike[str] | None = None,
        page: bool = True,
    ) -> None:
        check_arguments(model, name, get_drift_metrics_func, drift_inline)
        detectors = named(drift)
        if not isinstance(registry, CollectorRegistry):
            raise TypeError(f"registry must be a prometheus_client.CollectorRegistry, not {registry!r}")
        if port is not None:
            checks.port("port", port)
        checks.text("host", host)
        checks.flag("page", page)
        telemetry = _served(registry, port, host, multiprocess_dir, page=page)
        super().__init__(
            model,
            telemetry,
            name=name,
            get_drift_metrics_func=get_drift_metrics_func,
            drift=detectors,
            drift_inline=drift_inline,
        )


_Places = set[tuple[str, int]]
_telemetries: dict[CollectorRegistry, tuple[Telemetry, _Places]] = {}
_lock = Lock()


def _served(
    registry: CollectorRegistry,
    port: int | None,
    host: str,
    multiprocess_dir: str | PathLike[str] | None,
    *,
    page: bool,
) -> Telemetry:
    """Return the telemetry of a registry, which is served on that port if any."""
    with _lock:
        telemetry, places = _telemetries.get(registry, (None, set[tuple[str, int]]()))
        if telemetry is None or telemetry.is_closed:
            exporter = PrometheusExporter(None, registry=registry, multiprocess_dir=multiprocess_dir)
            telemetry, places = Telemetry(exporters=[exporter]), set[tuple[str, int]]()
            telemetry.start()
            _telemetries[registry] = telemetry, places
        if port is not None and (host, port) not in places:
            telemetry.attach(
                PrometheusExporter(port, host, registry=registry, multiprocess_dir=multiprocess_dir, page=page)
            )
            if port:
                places.add((host, port))
        return telemetry
