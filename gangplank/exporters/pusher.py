"""Pushes a state to a gateway whenever it is worth it: one push at a time, and the newest state wins."""

from __future__ import annotations

import logging
import os
import threading
import time

from gangplank.catalogue import Phase, metric
from gangplank.errors import ExportError
from gangplank.exporters.gateway import Gateway
from gangplank.exporters.groups import Group, groups
from gangplank.exporters.transport import RefusedError
from gangplank.state import State
from gangplank.trouble import Trouble

_logger = logging.getLogger("gangplank.exporters.pushgateway")

_PUSHES = metric(Phase.EXPORT, "pushes")
_TIME = metric(Phase.EXPORT, "time")
_LAST_SUCCESS = metric(Phase.EXPORT, "last_success_timestamp")


class Pusher:
    """A Pushgateway that is being pushed to.

    Args:
        gateway: Where to push.
        state: What to push.
        trouble: Takes pushes that failed.
        interval: Seconds between pushes while the state changes and nothing else asks for one.
        synchronous: Push on the thread that notifies, and raise when a push fails; else on a thread of its own.
    """

    def __init__(self, gateway: Gateway, state: State, trouble: Trouble, *, interval: float, synchronous: bool) -> None:
        self._gateway = gateway
        self._interval = interval
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
        if not synchronous:
            self._thread = threading.Thread(target=self._work, name="gangplank-pushgateway", daemon=True)
            self._thread.start()

    def __repr__(self) -> str:
        return f"<Pusher to {self._gateway!r}>"

    def notify(self) -> None:
        """Have the present state pushed soon; on this thread and now, if this is synchronous.

        Raises:
            ExportError: this is synchronous and the push failed.
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
                raise ExportError(f"{self._gateway!r} did not answer within {timeout:.3g} s")
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
            _logger.warning("%r did not answer within %.3g s: its last push may be lost", self._gateway, timeout)
        else:
            self._gateway.close()

    def _is_forked(self) -> bool:
        # A forked child has a copy of its parent's state, and no business to push it over the parent's.
        return os.getpid() != self._pid

    def _is_working(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _work(self) -> None:
        closing = False
        while not closing:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._closing, self._interval)
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
        for group in groups(self._state):
            try:
                self._push_group(group)
            except RefusedError as error:
                refusal = refusal or error
        if refusal is not None:
            raise refusal

    def _push_group(self, group: Group) -> None:
        started = time.perf_counter()
        try:
            self._gateway.send(group)
        except ExportError as error:
            self._results["failure"].add(1)
            self._trouble.report(f"push to {self._gateway!r}", error)
            raise
        else:
            self._results["success"].add(1)
            self._state.gauge(_LAST_SUCCESS).set(time.time())
        finally:
            self._seconds.add(time.perf_counter() - started)
