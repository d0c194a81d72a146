"""Joins state to an OpenTelemetry MeterProvider, by OpenTelemetry's public API alone.

Everything but durations goes through observable instruments, whose callbacks read the state when the provider
collects: they cost nothing while a model trains, show all there is to a provider that is set late, and let a series
end. A duration is recorded in a real ``Histogram``, which has no observable form.

A provider accepts one callback per instrument and gives none back, so there is one binding per provider for the life
of the process, and it serves every state that joins.
"""

from __future__ import annotations

import functools
import math
import weakref
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from gangplank.cells import Labels
from gangplank.distribution import Distribution
from gangplank.locks import Lock
from gangplank.merging import merge
from gangplank.metrics import Kind, Metric
from gangplank.naming import canonical
from gangplank.state import State

_Read = Callable[[CallbackOptions], Iterable[Observation]]

_all: tuple[Binding, ...] = ()
_bindings: weakref.WeakKeyDictionary[MeterProvider, Binding] = weakref.WeakKeyDictionary()
_bindings_lock = Lock()
_process_binding: Binding | None = None


@functools.cache
def package_version() -> str:
    """Return the installed version of Gangplank."""
    try:
        return version("gangplank")
    except PackageNotFoundError:  # imported from a checkout that was never installed
        return "0+unknown"


def join(state: State, provider: MeterProvider | None) -> None:
    """Show ``state`` to a provider from now on.

    Args:
        state: What to show.
        provider: The provider, or None for the process's own: the one that is set, or the one that will be.
    """
    _binding(provider).join(state)


def _binding(provider: MeterProvider | None) -> Binding:
    # Instruments made before a provider is set are adopted by it once it is. Binding that provider a second time
    # under its own name would register the same instruments again, of which it would drop the callbacks.
    global _all, _process_binding  # noqa: PLW0603 - the process has one provider
    with _bindings_lock:
        current = metrics.get_meter_provider()
        if provider is None or provider is current:
            if _process_binding is not None and _process_binding.provider is current:
                return _process_binding
            provider = current
        binding = _bindings.get(provider)
        if binding is None:
            binding = _bindings[provider] = Binding(provider)
            _all = (*(known for known in _all if known.provider is not None), binding)
        if provider is current:
            _process_binding = binding
        return binding


class Binding:
    """One provider and the states that it shows.

    Args:
        provider: The provider, or OpenTelemetry's stand-in for the one that is yet to be set.
    """

    def __init__(self, provider: MeterProvider) -> None:
        self._provider = weakref.ref(provider)
        self._awaits_provider = _is_stand_in(provider)
        self._meter = provider.get_meter("gangplank", package_version())
        self.states: tuple[State, ...] = ()
        self._lock = Lock()
        self.readable: dict[str, tuple[Metric, ...]] = {}
        self._recorders: dict[str, metrics.Histogram] = {}

    @property
    def provider(self) -> MeterProvider | None:
        """The provider whose instruments these are, by adoption if need be; None once it is gone."""
        if self._awaits_provider and not _is_stand_in(current := metrics.get_meter_provider()):
            self._provider = weakref.ref(current)
            self._awaits_provider = False
        return self._provider()

    def join(self, state: State) -> None:
        """Show ``state`` from now on."""
        with self._lock:
            self.states = (*self.states, state)
        state.listen(self)

    def metric_added(self, metric: Metric) -> None:
        """Make the metric's instruments, unless another state had it before."""
        name = canonical(metric.name)  # to a provider, names that differ in case are one
        with self._lock:
            known = self.readable.get(name, ())
            if metric in known:
                return
            self.readable[name] = (*known, metric)
            if not known:
                self._create(metric, name)

    def observed(self, metric: Metric, labels: Labels, value: float, times: int) -> None:
        """Record a duration in the provider's own histogram."""
        recorder = self._recorders.get(metric.name)
        if recorder is None:  # another thread is about to make it
            return
        attributes = _attributes(labels)
        for _ in range(times):
            recorder.record(value, attributes)

    def _create(self, metric: Metric, name: str) -> None:
        meter, about = self._meter, metric.description
        if metric.kind is Kind.HISTOGRAM:
            self._recorders[metric.name] = meter.create_histogram(
                metric.name, metric.unit, about, explicit_bucket_boundaries_advisory=metric.bounds
            )
        elif metric.kind is Kind.COUNTER:
            meter.create_observable_counter(metric.name, [self._values(name)], metric.unit, about)
        elif metric.kind is Kind.GAUGE:
            meter.create_observable_gauge(metric.name, [self._values(name)], metric.unit, about)
        else:
            # The Histogram instrument refuses negative values, so a distribution of weights goes out as what
            # Prometheus would make of it, in gauges.
            for part, read in _PARTS.items():
                meter.create_observable_gauge(f"{metric.name}_{part}", [self._parts(name, read)], "", about)

    def _values(self, name: str) -> _Read:
        def read(_: CallbackOptions) -> Iterable[Observation]:
            for labels, value in self._points(name):
                # The SDK drops what is not finite, with a warning at every collection.
                if not isinstance(value, Distribution) and math.isfinite(value):
                    yield Observation(value, _attributes(labels))

        return read

    def _parts(self, name: str, part: Callable[[Distribution], Iterable[tuple[Labels, float]]]) -> _Read:
        def read(_: CallbackOptions) -> Iterable[Observation]:
            for labels, value in self._points(name):
                if isinstance(value, Distribution):
                    for more, number in part(value):
                        if math.isfinite(number):
                            yield Observation(number, _attributes(labels + more))

        return read

    def _points(self, name: str) -> Iterable[tuple[Labels, float | Distribution]]:
        # A provider can have two bindings: its own, and one that was waiting when it became the process's. Whichever
        # made an instrument first has the only callback of it, and reads for both.
        provider = self.provider
        bindings = [one for one in _all if one is self or one.provider is provider]
        states = [state for one in bindings for state in one.states]
        for metric in dict.fromkeys(metric for one in bindings for metric in one.readable.get(name, ())):
            for family in merge(states, only=metric):
                for point in family.points:
                    yield point.labels, point.value


def _attributes(labels: Labels) -> dict[str, str]:
    """Return labels as attributes. To Prometheus an empty label is none, and OpenTelemetry leaves it out."""
    return {key: value for key, value in labels if value}


def _buckets(distribution: Distribution) -> Iterable[tuple[Labels, float]]:
    bounds = (*distribution.bounds, math.inf)
    for bound, count in zip(bounds, distribution.cumulative, strict=True):
        yield (("le", "+Inf" if math.isinf(bound) else str(bound)),), count


_PARTS: dict[str, Callable[[Distribution], Iterable[tuple[Labels, float]]]] = {
    "bucket": _buckets,
    "count": lambda distribution: [((), distribution.count)],
    "sum": lambda distribution: [((), distribution.sum)],
}


def _is_stand_in(provider: MeterProvider) -> bool:
    """Whether this is what the API returns while no provider is set; it has no public name."""
    return type(provider).__module__.startswith("opentelemetry.metrics._internal")
