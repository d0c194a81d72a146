"""Pushes a state to a gateway whenever it is worth it: one push at a time, and the newest state wins."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Hashable

from gangplank.catalogue import metric
from gangplank.errors import ExportError
from gangplank.exporters.pushgateway.gateway import Gateway
from gangplank.exporters.pushgateway.groups import Group, Key, groups
from gangplank.exporters.pushgateway.transport import RefusedError
from gangplank.metrics import Phase
from gangplank.state import State
from gangplank.trouble import Trouble

_logger = logging.getLogger("gangplank.exporters.pushgateway")

_PUSHES = metric(Phase.EXPORT, "pushes")
_TIME = metric(Phase.EXPORT, "time")
_LAST_SUCCESS = metric(Phase.EXPORT, "last_success_timestamp")


_LAST_PAUSES = (0.25, 0.5, 1.0)
"""Seconds between attempts to deliver the last state: one bad answer must not lose it."""
_SPACING = 0.25
"""Seconds between pushes that nobody waits for: epochs that end faster share one, and keep the interpreter."""
_TOO_MANY, _SERVER_ERROR = 429, 500


class Pusher:
    """A Pushgateway that is being pushed to.

    Args:
        gateway: Where to push.
        state: What to push.
        trouble: Takes pushes that failed.
        interval: Seconds between pushes while the state changes and nothing else asks for one.
    """

    def __init__(self, gateway: Gateway, state: State, trouble: Trouble, *, interval: float) -> None:
        self._gateway = gateway
        self._interval = interval
        self._state = state
        self._trouble = trouble
        self._pid = os.getpid()
        self._delivered_groups: dict[Key, Hashable] = {}
        self._delivered = 0
        self._changed = threading.Condition()
        self._wanted = self._waited_for = False
        self._closing = False
        self._not_before = 0.0
        self._begun = self._ended = 0
        self._error: ExportError | None = None
        self._results = {result: state.counter(_PUSHES, result=result) for result in ("success", "failure")}
        self._seconds = state.counter(_TIME)
        self._thread = threading.Thread(target=self._work, name="gangplank-pushgateway", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Pusher to {self._gateway!r}>"

    def notify(self) -> None:
        """Have the present state pushed soon."""
        if not self._is_forked():
            with self._changed:
                self._ask()

    def flush(self, timeout: float) -> None:
        """Push the present state and wait for the gateway's answer. In a forked child it does nothing.

        Raises:
            ExportError: the push failed, or took longer than ``timeout`` seconds.
        """
        if self._is_forked():
            return
        with self._changed:
            number = self._begun + 1
            self._waited_for = True
            self._ask()
            if not self._changed.wait_for(lambda: self._ended >= number or not self._thread.is_alive(), timeout):
                raise ExportError(f"{self._gateway!r} did not answer within {timeout:.3g} s")
            if self._error is not None:
                raise self._error

    def begin_close(self) -> None:
        """Have what was not delivered yet pushed, and the thread end. Returns at once."""
        if not self._is_forked():
            with self._changed:
                self._closing = True
                self._changed.notify_all()

    def close(self, timeout: float = 5.0) -> None:
        """Push what was not delivered yet, give up after ``timeout`` seconds, and end the thread."""
        if self._is_forked():
            return
        self.begin_close()
        self._thread.join(timeout)
        if self._thread.is_alive():
            _logger.warning("%r did not answer within %.3g s: its last push may be lost", self._gateway, timeout)
        else:
            self._gateway.close()

    def _is_forked(self) -> bool:
        # A forked child has a copy of its parent's state, and no business to push it over the parent's.
        return os.getpid() != self._pid

    def _ask(self) -> None:
        self._wanted = True
        self._changed.notify_all()

    def _work(self) -> None:
        closing = delivered = False
        while not closing:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._closing, self._interval)
                early = max(self._not_before - time.monotonic(), 0)
                self._changed.wait_for(lambda: self._waited_for or self._closing, early)
                asked, self._wanted, self._waited_for = self._wanted, False, False
                closing = self._closing
            delivered = self._push_if_changed(even_so=asked)
            self._not_before = time.monotonic() + _SPACING
        for pause in _LAST_PAUSES:
            if not delivered and _may_pass(self._error):
                time.sleep(pause)
                delivered = self._push_if_changed()
        if not delivered:
            _logger.warning("the last state was not delivered to %r", self._gateway)

    def _push_if_changed(self, *, even_so: bool = False) -> bool:
        """Push if there is something to push, and return whether the gateway has it all now."""
        if not even_so and self._state.version == self._delivered:
            return True
        with self._changed:
            self._begun += 1
        error: ExportError | None = None
        try:
            version = self._state.version
            self._push_groups()
            self._delivered = version
        except ExportError as failure:
            error = failure  # counted and logged where it happened
        except Exception as failure:  # noqa: BLE001 - a bug of ours must not end the thread
            self._trouble.report("push", failure, detail=True)
            error = ExportError(f"{type(failure).__name__}: {failure}")
        with self._changed:
            self._ended = self._begun
            self._error = error
            self._changed.notify_all()
        return error is None

    def _push_groups(self) -> None:
        """Push every group; a gateway that refuses one is still sent the others, one that is silent is not."""
        refusal: RefusedError | None = None
        for group in groups(self._state, self._delivered_groups):
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
            status = f" {error.status}" if isinstance(error, RefusedError) else ""
            self._trouble.report(f"push to {self._gateway!r}", error, cause=type(error).__name__ + status)
            raise
        else:
            self._delivered_groups[group.key] = group.version
            self._results["success"].add(1)
            self._state.gauge(_LAST_SUCCESS).set(time.time())
        finally:
            self._seconds.add(time.perf_counter() - started)


def _may_pass(error: ExportError | None) -> bool:
    """Whether a push that failed so may succeed unchanged: what a gateway will not have, it will not have later."""
    return not isinstance(error, RefusedError) or error.status >= _SERVER_ERROR or error.status == _TOO_MANY
