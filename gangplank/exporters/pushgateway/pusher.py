"""Pushes what a feed has whenever it is worth it: one push at a time, and the newest state wins."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Hashable, Iterable, Sequence

from gangplank.catalogue import metric
from gangplank.errors import ExportError
from gangplank.exporters.pushgateway.feed import Feed
from gangplank.exporters.pushgateway.gateway import Gateway
from gangplank.exporters.pushgateway.groups import Group, Member, has_others, members, of_rest, of_runs
from gangplank.exporters.pushgateway.schedule import LAST_RETRIES, Schedule, jittered
from gangplank.exporters.pushgateway.transport import NoAnswerError, RefusedError
from gangplank.metrics import Phase
from gangplank.state import State
from gangplank.trouble import Trouble

_logger = logging.getLogger("gangplank.exporters.pushgateway")

_PUSHES = metric(Phase.EXPORT, "pushes")
_TIME = metric(Phase.EXPORT, "time")
_LAST_SUCCESS = metric(Phase.EXPORT, "last_success_timestamp")

_NUMBERS = 15.0
"""Seconds between pushes of the export's own numbers while nothing fails: a gateway checks all it has at each push."""

_Labels = tuple[tuple[str, str], ...]


class Pusher:
    """A Pushgateway that is being pushed to.

    Args:
        gateway: Where to push.
        feed: What to push.
        state: Takes the export's own numbers, which are pushed too.
        trouble: Takes pushes that failed.
    """

    def __init__(self, gateway: Gateway, feed: Feed, state: State, trouble: Trouble) -> None:
        self._gateway = gateway
        self._settings = gateway.settings
        self._feed = feed
        self._state = state
        self._trouble = trouble
        self._pid = os.getpid()
        self._schedule = Schedule(self._settings.interval)
        # What each group was last sent, by its hash: what the gateway has, and what it would not have.
        self._delivered: dict[str, int] = {}
        self._refused: dict[str, tuple[int, RefusedError]] = {}
        self._touched: dict[_Labels, None] = {}
        self._was_away = False
        self._numbers_due = 0.0
        self._delivered_version: Hashable = 0  # that of a state in which nothing was written
        self._changed = threading.Condition()
        self._wanted = self._waited_for = False
        self._closing = self._is_over = False
        self._begun = self._ended = 0
        self._error: ExportError | None = None
        self._lingers = threading.Event()
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
            if not self._changed.wait_for(lambda: self._ended >= number or self._is_over, timeout):
                raise ExportError(f"{self._gateway!r} did not answer within {timeout:.3g} s")
            if self._ended < number:
                raise ExportError(f"the exporter to {self._gateway!r} is closed")
            if self._error is not None:
                raise self._error

    def begin_close(self) -> None:
        """Have what was not delivered yet pushed, and the thread end. Returns at once."""
        if not self._is_forked():
            with self._changed:
                self._closing = True
                self._changed.notify_all()

    def close(self, timeout: float = 5.0) -> None:
        """Push what was not delivered yet, give up after ``timeout`` seconds, and end the thread.

        Where groups are to be deleted after a delay, that is waited for, too.
        """
        if self._is_forked():
            return
        self.begin_close()
        if not (self._await_end(timeout) or (self._lingers.is_set() and self._await_end(self._time_to_delete()))):
            _logger.warning("%r did not answer in time: the last push to it may be lost", self._gateway)
            return
        self._thread.join()
        self._gateway.close()

    def _time_to_delete(self) -> float:
        return self._settings.delete_delay + self._settings.timeout

    def _await_end(self, seconds: float) -> bool:
        # Not by joining the thread: Python takes one for ended whose join was interrupted, by Ctrl-C (bpo-45274).
        with self._changed:
            return self._changed.wait_for(lambda: self._is_over, seconds)

    def _is_forked(self) -> bool:
        # A forked child has a copy of its parent's state, and no business to push it over the parent's.
        return os.getpid() != self._pid

    def _ask(self) -> None:
        self._wanted = True
        self._changed.notify_all()

    def _work(self) -> None:
        try:
            self._push_until_closed()
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def _push_until_closed(self) -> None:
        closing = delivered = False
        while not closing:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._closing, self._schedule.until_due())
                self._changed.wait_for(lambda: self._waited_for or self._closing, self._schedule.until_allowed())
                asked, again, self._wanted, self._waited_for = self._wanted, self._waited_for, False, False
                closing = self._closing
            if again:
                self._numbers_due = 0.0
            began = time.monotonic()
            delivered = self._push_if_changed(asked=asked, again=again)
            took = time.monotonic() - began
            self._schedule.pushed(took=took, again=not delivered and _may_pass(self._error))
        for pause in LAST_RETRIES:
            if not delivered and _may_pass(self._error):
                time.sleep(jittered(pause))
                delivered = self._push_if_changed()
        if not delivered:
            _logger.warning("the last state was not delivered to %r", self._gateway)
        if self._settings.at_end == "delete":
            self._delete()

    def _push_if_changed(self, *, asked: bool = False, again: bool = False) -> bool:
        """Push if there is something to push, and return whether the gateway has it all now."""
        if not asked and self._feed.version() == self._delivered_version:
            return True
        with self._changed:
            self._begun += 1
        error: ExportError | None = None
        try:
            version = self._feed.version()  # before what it is the version of is read
            self._push_groups(again=again)
            self._delivered_version = version
        except ExportError as failure:
            error = failure  # counted and logged where it happened
        except BaseException as failure:  # noqa: BLE001 - a bug of ours must not end the thread
            self._trouble.report("push", failure, detail=True)
            error = ExportError(f"{type(failure).__name__}: {failure}")
        with self._changed:
            self._ended = self._begun
            self._error = error
            self._changed.notify_all()
        return error is None

    def _push_groups(self, *, again: bool) -> None:
        """Push every group; a gateway that refuses one is still sent the others, one that is silent is not."""
        refusal: RefusedError | None = None
        everything = self._feed.read()
        if everything is None:
            return
        for group in of_runs(everything, self._settings.method):
            refusal = _graver(refusal, self._push_changed(group, again=again))
        if has_others(everything) or ((self._touched or refusal) and time.monotonic() >= self._numbers_due):
            refusal = _graver(refusal, self._push(self._rest(everything)))
        if self._was_away:
            refusal = _graver(refusal, self._restore(everything))
        if refusal is not None:
            raise refusal

    def _rest(self, everything: Iterable[Member]) -> Group:
        """Return the group of the export's own numbers, which count what was sent before, and of what else there is."""
        self._numbers_due = time.monotonic() + _NUMBERS
        own = members(family for family in self._state.read() if family.metric.phase is Phase.EXPORT)
        return of_rest([*everything, *own], self._feed.method, self._trouble)

    def _restore(self, everything: Sequence[Member]) -> RefusedError | None:
        """Push what a gateway has forgotten that was away: it may have begun anew, without what it had been sent."""
        groups = [group for group in of_runs(everything, self._settings.method) if group.part in self._delivered]
        try:
            held = self._gateway.has(groups) or []
        except RefusedError as error:
            self._trouble.report(f"ask {self._gateway!r} what it has", error)
            return error
        refusal: RefusedError | None = None
        for group, is_there in zip(groups, held, strict=False):
            if not is_there:
                self._delivered.pop(group.part)
                refusal = _graver(refusal, self._push(group))
        self._was_away = False
        return refusal

    def _push_changed(self, group: Group, *, again: bool) -> RefusedError | None:
        content = hash(group.body)
        if self._delivered.get(group.part) == content:
            return None
        refused = self._refused.get(group.part)
        if refused is not None and refused[0] == content and not again:
            return refused[1]  # a gateway that said it was asked wrongly is not asked the same again
        return self._push(group)

    def _push(self, group: Group) -> RefusedError | None:
        """Push a group, and return why it was refused, if it was."""
        started = time.perf_counter()
        content = hash(group.body)
        try:
            self._gateway.send(group)
        except ExportError as error:
            self._results["failure"].add(1)
            self._numbers_due = 0.0
            cause = error.cause if isinstance(error, (NoAnswerError, RefusedError)) else ""
            self._trouble.report(f"push to {self._gateway!r}", error, cause=f"{type(error).__name__} {cause}")
            if not isinstance(error, RefusedError):
                self._delivered.pop(group.part, None)  # without an answer, it may have arrived or not
                self._touched[group.labels] = None
                self._was_away = True
                raise
            if error.may_pass:
                self._delivered.pop(group.part, None)  # as behind a proxy that answers 504
            if error.is_for_good:
                self._refused[group.part] = content, error
            return error
        else:
            self._delivered[group.part] = content
            self._touched[group.labels] = None
            self._results["success"].add(1)
            self._state.gauge(_LAST_SUCCESS).set(time.time())
            return None
        finally:
            self._seconds.add(time.perf_counter() - started)

    def _delete(self) -> None:
        """Delete the groups that were pushed, after the delay in which the last values can be scraped."""
        if self._settings.delete_delay:
            self._lingers.set()
            time.sleep(self._settings.delete_delay)
        for labels in self._touched:
            try:
                self._gateway.delete(labels)
            except ExportError as error:
                self._trouble.report(f"delete at {self._gateway!r}", error)
                if not isinstance(error, RefusedError):
                    return


def _graver(one: RefusedError | None, other: RefusedError | None) -> RefusedError | None:
    """Return the one of two refusals after which a push is tried again soon, if one is such."""
    return one if one is not None and (other is None or one.may_pass) else other


def _may_pass(error: ExportError | None) -> bool:
    """Whether a push that failed so may succeed unchanged."""
    return not isinstance(error, RefusedError) or error.may_pass
