"""What a gateway lost while it was away is sent again, also where asking for it, or sending it, is refused first."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from faults import Fault, Visit, status
from faultserver import Exit, Server
from pushes import TRAIN
from realservers import wait_for

from gangplank.catalogue import metric
from gangplank.metrics import Phase

MODEL = "/metrics/job/mnist/model/a"
SUCCESS = metric(Phase.TRAIN, "last_success_timestamp")


class Restarted:
    """A gateway that holds the model's group, is silent for a while and comes back without anything.

    Args:
        refused: What it refuses once when it is back: the path.
        code: With which status.
    """

    def __init__(self, refused: str, code: int) -> None:
        self.seen: list[str] = []
        self.is_away = threading.Event()
        self._refused = [refused]
        self._code = code

    def __call__(self, visit: Visit) -> None:
        """Behave."""
        while not visit.over.is_set() and (request := visit.request()) is not None:
            if self.is_away.is_set():
                visit.over.wait(5)
                return
            self.seen.append(request.path)
            is_back = self.seen.count("/metrics") > 0
            if is_back and request.path in self._refused:
                self._refused.clear()
                visit.say(status(self._code))
            else:
                visit.say(status(200))


def restored(refused: str, code: int, tmp_path: Path) -> list[str]:
    """Return the paths that a gateway which was away is asked for once it is back."""
    gateway = Restarted(refused, code)
    with Server(Fault(gateway), tmp_path) as server:
        pushing = Exit("exporter", server.url, interval=0.2, timeout=0.3)
        pushing.telemetry.state.gauge(SUCCESS, model="a").set(1)
        wait_for(lambda: MODEL in gateway.seen)
        gateway.is_away.set()
        failed = pushing.pushes("failure")
        pushing.write(0.5)
        wait_for(lambda: pushing.pushes("failure") > failed)
        before = len(gateway.seen)
        gateway.is_away.clear()
        wait_for(lambda: "/metrics" in gateway.seen[before:] and TRAIN in gateway.seen[before:])
        pushing.telemetry.flush()
        if code != 403:
            wait_for(lambda: gateway.seen[before:].count(MODEL) >= (2 if refused == MODEL else 1))
        pushing.close()
    return gateway.seen[before:]


def test_the_first_answer_is_no(tmp_path: Path) -> None:
    """As of a gateway that has just started behind a proxy: the group is sent again, and is then there."""
    assert restored(MODEL, 503, tmp_path).count(MODEL) == 2


@pytest.mark.parametrize("code", [503, 429])
def test_it_does_not_say_yet_what_it_has(code: int, tmp_path: Path) -> None:
    """It is asked again."""
    paths = restored("/metrics", code, tmp_path)
    assert paths.count("/metrics") == 2
    assert paths.count(MODEL) == 1


def test_it_never_says_what_it_has(tmp_path: Path) -> None:
    """As where only pushes pass: what it has is not asked again, and nothing is sent that may be there anew."""
    paths = restored("/metrics", 403, tmp_path)
    assert paths.count("/metrics") == 1
    assert MODEL not in paths
