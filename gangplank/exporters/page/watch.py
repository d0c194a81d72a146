"""What the page of a registry has to show: a history of what is shown there, for as long as the page is served."""

from __future__ import annotations

import functools
import math
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry

from gangplank.exporters import exposition
from gangplank.forks import in_child
from gangplank.history.inference import Reading
from gangplank.history.recorder import History, Runs
from gangplank.history.report import report
from gangplank.history.sampler import Sampler
from gangplank.locks import Lock
from gangplank.merging import Run, Source, merge, run_of
from gangplank.state import State
from gangplank.trouble import Trouble


class Watch:
    """The history of what a registry shows.

    Args:
        registry: The registry.
        trouble: Takes what goes wrong.

    Attributes:
        trouble: As given.
        pages: How many servers show it.
        is_parents: Whether this is a forked child's copy.
    """

    def __init__(self, registry: CollectorRegistry, trouble: Trouble) -> None:
        self.trouble = trouble
        self.pages = 0
        self.is_parents = False
        self._registry = registry
        self._history = History()
        self._last: list[Reading] | None = None
        self._sampler = Sampler(self.sample, self._history.settle, trouble)
        _all.add(self)

    def sample(self) -> None:
        """Take what there is now."""
        self._history.sample(*self._read())

    def note(self, state: State) -> None:
        """Take what there is of a training run, at the end of an epoch, say."""
        self._history.note(state)
        if self._history.is_crowded:
            self._sampler.wake()

    def report(self, boot: str, since: float) -> dict[str, Any]:
        """Return what is to be drawn.

        Args:
            boot: The ``boot`` of the last report; if it was none of this history's, all is returned.
            since: The ``now`` of the last report: points that were in it are left out.
        """
        readings = self._readings() if self._last is None else self._last
        return report(self._history, readings, since if boot == self._history.boot else -math.inf)

    def stop(self) -> None:
        """Take no more. What is shown now is what is reported from now on."""
        with self.trouble.contained("read metrics for the page"):
            self._last = self._readings()
        self._sampler.stop()

    def leave_to_parent(self) -> None:
        """Take nothing in a forked child, which has no thread for it, and serves nothing."""
        self.is_parents = True

    def _readings(self) -> list[Reading]:
        finite, undefined, _ = self._read()
        return [*finite, *undefined]

    def _read(self) -> tuple[list[Reading], list[Reading], Runs]:
        """Return all series, those whose value is not finite, and the newest runs."""
        sources = exposition.shown(self._registry)
        runs = _runs(sources)
        finite = [(family.metric, point.labels, point.value) for family in merge(sources) for point in family.points]
        return finite, _undefined(sources, runs), runs


_watches: weakref.WeakKeyDictionary[CollectorRegistry, Watch] = weakref.WeakKeyDictionary()
_changing = Lock()
_all = in_child(Watch.leave_to_parent)


def begin(registry: CollectorRegistry, trouble: Trouble) -> tuple[Watch, Callable[[], None]]:
    """Watch what a registry shows, from now on if not before.

    Returns:
        What watches it, and a function that takes this one request back.
    """
    with _changing:
        watch = _watches.get(registry)
        if watch is None or watch.is_parents:
            watch = _watches[registry] = Watch(registry, trouble)
        watch.pages += 1
    return watch, functools.partial(_end, registry, watch)


def note(registry: CollectorRegistry, state: State) -> None:
    """Take what there is of a training run, if the registry is watched."""
    watch = _watches.get(registry)
    if watch is not None and not watch.is_parents:
        watch.note(state)


def _end(registry: CollectorRegistry, watch: Watch) -> None:
    with _changing:
        watch.pages -= 1
        is_last = watch.pages == 0
        if is_last and _watches.get(registry) is watch:
            del _watches[registry]
    if is_last:
        watch.stop()


def _each(sources: list[Source]) -> Iterator[Source]:
    for source in sources:
        yield source
        yield from source.includes


def _runs(sources: list[Source]) -> dict[Run, int]:
    """Return the number of the newest run of each model."""
    newest: dict[Run, int] = {}
    for source in _each(sources):
        for run, number in dict(source.runs).items():
            newest[run] = max(number, newest.get(run, 0))
    return newest


def _undefined(sources: list[Source], runs: dict[Run, int]) -> list[Reading]:
    """Return the values of the newest runs that are not finite, as far as this process knows them."""
    found: list[Reading] = []
    for source in _each(sources):
        for metric, labels, value in source.undefined() if isinstance(source, State) else ():
            run = run_of(metric, dict(labels))
            if run is not None and source.runs.get(run) == runs.get(run):
                found.append((metric, labels, value))
    return found
