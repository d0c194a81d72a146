"""The push exit of a MeterProvider: a reader of the OpenTelemetry SDK that pushes to a Pushgateway."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, Unpack

from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricReader, MetricsData
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_NAMESPACE, Resource

from gangplank import lifetime
from gangplank.catalogue import metric
from gangplank.errors import ExportError
from gangplank.exits import Exits
from gangplank.exporters.pushgateway.exporter import handle_sigterm
from gangplank.exporters.pushgateway.families import relabelled, united
from gangplank.exporters.pushgateway.gateway import Gateway
from gangplank.exporters.pushgateway.groups import Member
from gangplank.exporters.pushgateway.pusher import Pusher
from gangplank.exporters.pushgateway.recognition import members
from gangplank.exporters.pushgateway.settings import PushSettings, resolve
from gangplank.exporters.pushgateway.table import OF_READER
from gangplank.exporters.pushgateway.translation import families
from gangplank.locks import Lock
from gangplank.metrics import Phase
from gangplank.naming import encodable
from gangplank.state import State
from gangplank.trouble import Trouble

_logger = logging.getLogger("gangplank.exporters.pushgateway")
_INSTRUMENTS = (Counter, UpDownCounter, Histogram, ObservableCounter, ObservableUpDownCounter, ObservableGauge)
_ERRORS = metric(Phase.EXPORT, "errors")


class PushgatewayMetricReader(MetricReader):
    """Pushes what a MeterProvider has to a Prometheus Pushgateway, from a daemon thread of its own.

    It is what ``OTEL_METRICS_EXPORTER=pushgateway`` stands for, and can be given to a MeterProvider:
    ``MeterProvider([PushgatewayMetricReader("localhost:9091", "mnist")])``. Metrics are pushed at each interval and,
    for the last time, when the provider is shut down, which it is when the program ends.

    What Gangplank measures goes to the groups that :class:`~gangplank.PushgatewayExporter` sends it to, everything else
    to the group ``{job}``. Labels of the instrumentation scope are left out, and an attribute that is called as a label
    of the group becomes ``exported_...``.

    Args:
        address: As for :class:`~gangplank.PushgatewayExporter`.
        job: The ``job`` label. By default ``OTEL_EXPORTER_PUSHGATEWAY_JOB``, else the resource's ``service.name``, with
            ``service.namespace`` and a slash before it if there is one.
        **settings: Those of :class:`~gangplank.PushgatewayExporter`, with their environment variables. ``interval`` and
            ``timeout`` are also what ``OTEL_METRIC_EXPORT_INTERVAL`` and ``OTEL_METRIC_EXPORT_TIMEOUT`` say, else 60
            and 5 seconds.

    Raises:
        TypeError: an argument has the wrong type.
        ConfigurationError: an argument or an environment variable has a value that is not allowed.
    """

    def __init__(self, address: str | None = None, job: str | None = None, **settings: Unpack[PushSettings]) -> None:
        resolved = resolve({"address": address, "job": job, **settings}, **OF_READER)
        super().__init__(preferred_temporality=dict.fromkeys(_INSTRUMENTS, AggregationTemporality.CUMULATIVE))
        self._collected: MetricsData | None = None
        self._state = State()
        self._trouble = Trouble(_logger, self._count)
        self._gateway = Gateway(resolved, resolved.job or "")
        handle_sigterm(resolved, self._trouble)
        self._pusher = Pusher(self._gateway, _ReaderFeed(self._read, resolved.method), self._state, self._trouble)
        # For a reader that no provider shuts down, as one that was added to it later.
        self._exits = Exits(self._trouble, Lock(), is_last=True)
        self._exits.open()
        self._exits.add(self._pusher)

    def __repr__(self) -> str:
        return f"<PushgatewayMetricReader to {self._gateway!r}>"

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Push now, and return whether the gateway accepted it within the time."""
        if self._exits.is_closed or timeout_millis <= 0:
            return False
        try:
            self._exits.flush(timeout_millis / 1000)
        except ExportError as error:
            _logger.warning("could not flush: %s", error)
            return False
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:  # noqa: ANN401, ARG002 - as the SDK has it
        """Push for the last time and let go of thread and connection, within five seconds at most."""
        lifetime.close(self._exits, None, min(timeout_millis / 1000, lifetime.AT_EXIT))

    def _receive_metrics(self, metrics_data: MetricsData | None, timeout_millis: float = 10_000, **kwargs: Any) -> None:  # noqa: ANN401, ARG002
        self._collected = metrics_data

    def _read(self) -> list[Member] | None:
        """Return what the provider has; None if it has let go of this reader, which is no news about what it had."""
        attached = getattr(self, "_collect", None) is not None
        if not attached and hasattr(self, "_collect"):  # else the SDK logs that it has no provider
            return None
        self._collected = None
        self.collect()
        collected = self._collected
        if collected is None:
            return [] if attached else None
        if not self._gateway.job:
            self._gateway.job = _job(collected.resource_metrics[0].resource)
        found = self._members(collected)
        # What every process has is no reason to replace what another had to say.
        return found if any(member.metric.type != "info" for member in found) else []

    def _members(self, collected: MetricsData) -> list[Member]:
        """Return metrics as members of groups, without labels that are the group's."""
        taken = {"job", *self._gateway.settings.grouping_key}
        own = taken - {"rank"}  # of what Gangplank measures, that is the group's too, and the same
        metrics = united((relabelled(one, own) for one in families(collected)), self._trouble)
        return [
            replace(member, metric=relabelled(member.metric, taken)) if member.phase is None else member
            for member in members(metrics, self._trouble)
        ]

    def _count(self, error: BaseException) -> None:
        self._state.counter(_ERRORS, error_type=type(error).__name__).add(1)


class _ReaderFeed:
    """What a reader collects."""

    def __init__(self, read: Callable[[], list[Member] | None], method: str) -> None:
        self.read = read
        self.method = method

    def version(self) -> Hashable:
        """Return something new: only collecting tells whether there is news."""
        return object()


def _job(resource: Resource) -> str:
    """Return the job that a resource stands for: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/."""
    name = str(resource.attributes.get(SERVICE_NAME) or "unknown_service")
    namespace = resource.attributes.get(SERVICE_NAMESPACE)
    return encodable(f"{namespace}/{name}" if namespace else name)
