"""The push exit: a Prometheus Pushgateway, for jobs that end before anyone can scrape them.

A gateway keeps what it was last sent, for ever, and a PUT replaces a whole group. So that nothing stays on show that is
no longer true, and nothing is erased that still is, a state goes to several groups:

- ``{job, phase="train"}`` and ``{job, phase="test"}``, by PUT: all that a run says of itself. A newer run replaces it
  whole, a metric that it no longer has included; evaluating leaves training alone, also from another process.
- ``{job}``, by POST, which replaces metric by metric: what outlives a run, such as the time of the last success, and
  the export's own numbers.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError

from prometheus_client import push_to_gateway, pushadd_to_gateway

from gangplank import checks
from gangplank.catalogue import Phase, metric
from gangplank.errors import ConfigurationError, ExportError
from gangplank.exporters.exposition import Families
from gangplank.exporters.transport import Handler, RefusedError, SessionHandler, redacted, without_credentials
from gangplank.state import Family, State
from gangplank.trouble import Trouble

_logger = logging.getLogger("gangplank.exporters.pushgateway")

_PUSHES = metric(Phase.EXPORT, "pushes")
_TIME = metric(Phase.EXPORT, "time")
_LAST_SUCCESS = metric(Phase.EXPORT, "last_success_timestamp")
_RUN_PHASES = (Phase.TRAIN, Phase.TEST)
_OURS = ("job", "phase", "model")


@dataclass(frozen=True, slots=True)
class Group:
    """What goes to one group of a gateway.

    Attributes:
        push: prometheus_client's function that replaces the group, or the one that adds to it.
        labels: The group's labels beside ``job`` and the user's grouping key.
        families: What is in it.
    """

    push: Callable[..., None]
    labels: dict[str, str]
    families: list[Family]


class PushgatewayExporter:
    """Pushes metrics to a Pushgateway, from a daemon thread.

    The newest state wins: there is one push at a time, and what happened during a push goes with the next.

    Args:
        address: ``host:port`` or a URL. ``https://user:password@host`` authenticates.
        job: The ``job`` label, which names the group at the gateway.
        grouping_key: More labels of the group, to keep processes of one job apart.
        interval: Seconds between pushes while a run changes its state and nothing else asks for one.
        timeout: Seconds to wait for the gateway, to connect and between bytes of its answer.
        handler: A prometheus_client push handler, which then does the HTTP.
        synchronous: Push on the thread that reports, and raise when a push fails.

    Raises:
        TypeError: an argument has the wrong type.
        ConfigurationError: an argument has a value that is not allowed.
    """

    def __init__(
        self,
        address: str,
        job: str,
        *,
        grouping_key: Mapping[str, str] | None = None,
        interval: float = 15.0,
        timeout: float = 5.0,
        handler: Handler | None = None,
        synchronous: bool = False,
    ) -> None:
        self.url = checks.http_url("address", address)
        self.job = checks.text("job", job)
        self.grouping_key = _grouping_key(grouping_key)
        self.interval = checks.seconds("interval", interval)
        self.timeout = checks.seconds("timeout", timeout)
        self.handler: Handler = SessionHandler() if handler is None else checks.function("handler", handler)
        self.synchronous = synchronous

    def __repr__(self) -> str:
        return f"PushgatewayExporter({without_credentials(self.url)!r}, job={self.job!r})"

    def start(self, state: State, trouble: Trouble) -> Pusher:
        """Start to push ``state``; the gateway need not be there yet."""
        return Pusher(self, state, trouble)

    def send(self, group: Group) -> None:
        """Send ``group``.

        Raises:
            ExportError: it was not accepted.
        """
        try:
            group.push(
                self.url,
                self.job,
                Families(group.families),
                grouping_key={**self.grouping_key, **group.labels},
                timeout=self.timeout,
                handler=self.handler,
            )
        except ExportError:
            raise
        except Exception as error:  # noqa: BLE001 - a user's handler raises what it likes, with the password in it
            kind = RefusedError if isinstance(error, HTTPError) else ExportError
            raise kind(redacted(f"{type(error).__name__}: {error}", self.url)) from None

    def close(self) -> None:
        """Let go of the connection, if the HTTP is done here."""
        if isinstance(self.handler, SessionHandler):
            self.handler.close()


class Pusher:
    """A Pushgateway that is being pushed to."""

    def __init__(self, exporter: PushgatewayExporter, state: State, trouble: Trouble) -> None:
        self._exporter = exporter
        self._state = state
        self._trouble = trouble
        self._pid = os.getpid()
        self._delivered = 0
        self._changed = threading.Condition()
        self._wanted = False
        self._closing = False
        self._begun = self._ended = 0
        self._error: ExportError | None = None
        self._results = {result: state.counter(_PUSHES, result=result) for result in ("success", "failure")}
        self._seconds = state.counter(_TIME)
        self._thread: threading.Thread | None = None
        if not exporter.synchronous:
            self._thread = threading.Thread(target=self._work, name="gangplank-pushgateway", daemon=True)
            self._thread.start()

    def __repr__(self) -> str:
        return f"<Pusher of {self._exporter!r}>"

    def notify(self) -> None:
        """Have the present state pushed soon; on this thread and now, if the exporter is synchronous.

        Raises:
            ExportError: the exporter is synchronous and the push failed.
        """
        if self._is_forked():
            return
        if self._thread is None:
            self._push()
            return
        with self._changed:
            self._wanted = True
            self._changed.notify_all()

    def flush(self, timeout: float) -> None:
        """Push the present state and wait for the gateway's answer.

        Raises:
            ExportError: the push failed, or took longer than ``timeout`` seconds.
        """
        if self._thread is None or self._is_forked():
            self.notify()
            return
        with self._changed:
            number = self._begun + 1
            self._wanted = True
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: self._ended >= number or not self._is_working(), timeout):
                raise ExportError(f"{self._exporter!r} did not answer within {timeout:.3g} s")
            if self._error is not None:
                raise self._error

    def close(self, timeout: float = 5.0) -> None:
        """Push what was not delivered yet, give up after ``timeout`` seconds, and end the thread."""
        if self._closing or self._is_forked():
            return
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is None:
            self._push_if_changed()
        else:
            self._thread.join(timeout)
        if self._is_working():
            _logger.warning("%r did not answer within %.3g s: its last push may be lost", self._exporter, timeout)
        else:
            self._exporter.close()

    def _is_forked(self) -> bool:
        # A forked child has a copy of its parent's state, and no business to push it over the parent's.
        return os.getpid() != self._pid

    def _is_working(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _work(self) -> None:
        closing = False
        while not closing:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._closing, self._exporter.interval)
                asked, self._wanted = self._wanted, False
                closing = self._closing
            self._push_if_changed(even_so=asked)

    def _push_if_changed(self, *, even_so: bool = False) -> None:
        if not even_so and self._state.version == self._delivered:
            return
        try:
            self._push()
        except ExportError:
            pass  # counted and logged where it happened; the state stays undelivered, and is tried again
        except Exception as error:  # noqa: BLE001 - a bug of ours must not end the thread
            self._trouble.report("push", error, detail=True)

    def _push(self) -> None:
        with self._changed:
            self._begun += 1
        version = self._state.version
        error: ExportError | None = None
        try:
            self._push_groups()
            self._delivered = version
        except ExportError as failure:
            error = failure
            raise
        finally:
            with self._changed:
                self._ended = self._begun
                self._error = error
                self._changed.notify_all()

    def _push_groups(self) -> None:
        """Push every group; a gateway that refuses one is still sent the others, one that is silent is not."""
        refusal: RefusedError | None = None
        for group in _groups(self._state):
            try:
                self._push_group(group)
            except RefusedError as error:
                refusal = refusal or error
        if refusal is not None:
            raise refusal

    def _push_group(self, group: Group) -> None:
        started = time.perf_counter()
        try:
            self._exporter.send(group)
        except ExportError as error:
            self._results["failure"].add(1)
            self._trouble.report(f"push to {without_credentials(self._exporter.url)}", error)
            raise
        else:
            self._results["success"].add(1)
            self._state.gauge(_LAST_SUCCESS).set(time.time())
        finally:
            self._seconds.add(time.perf_counter() - started)


def _groups(state: State) -> Iterator[Group]:
    """Yield the groups that have something in them."""
    families = state.read()
    for phase in _RUN_PHASES:
        members = [one for one in families if one.metric.phase is phase and not one.metric.durable]
        if members:
            yield Group(push_to_gateway, {"phase": phase.value}, members)
    # Read anew, so that the export's own numbers count the pushes that were made of the groups above.
    lasting = [one for one in state.read() if one.metric.durable or one.metric.phase not in _RUN_PHASES]
    if lasting:
        yield Group(pushadd_to_gateway, {}, lasting)


def _grouping_key(value: Any) -> dict[str, str]:  # noqa: ANN401 - checked here
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"grouping_key must be a mapping of label names to values, not {value!r}")
    for name, label in value.items():
        checks.label_name("grouping_key", name)
        if name in _OURS:
            raise ConfigurationError(f"grouping_key must not hold {name!r}: that label is set by Gangplank")
        if not isinstance(label, str):
            raise TypeError(f"grouping_key[{name!r}] must be a string, not {label!r}")
    return dict(value)
