"""What is sent again after a gateway refused it, and what is not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
from faults import Fault, Visit, status
from faultserver import EXITS, Exit, Server
from pushes import BASE, NEVER, TEST_LOSS, TRAIN
from realservers import wait_for


def in_sequence(*answers: bytes) -> Callable[[Visit], None]:
    """Return what gives these answers one by one, and the last one again and again."""
    left = list(answers)

    def behave(visit: Visit) -> None:
        while not visit.over.is_set() and visit.request() is not None:
            visit.say(left[0] if len(left) == 1 else left.pop(0))

    return behave


@pytest.mark.parametrize("kind", EXITS)
def test_503_twice_and_then_200(kind: str, tmp_path: Path) -> None:
    """Tried again after pauses, and not only when an hour is over."""
    unavailable = status(503)
    with Server(Fault(in_sequence(*[unavailable] * 4, status(200))), tmp_path) as server:
        pushing = Exit(kind, server.url, interval=NEVER, timeout=2)
        pushing.write(0.5)
        pushing.ask()
        wait_for(lambda: pushing.pushes("success") >= 2)
        assert pushing.pushes("failure") == 4
        pushing.close()


@pytest.mark.parametrize("kind", EXITS)
@pytest.mark.parametrize(("code", "again"), [(400, False), (413, False), (429, True), (500, True), (503, True)])
def test_what_is_sent_again_unchanged(kind: str, code: int, again: bool, tmp_path: Path) -> None:
    """What a gateway says is wrong is not: not at the next interval, not for other news, not at the end."""
    seen: list[tuple[str, str]] = []

    def refuse(visit: Visit) -> None:
        while not visit.over.is_set() and (request := visit.request()) is not None:
            seen.append((request.path, request.body))
            visit.say(status(code if request.path == TRAIN else 200))

    def reached(goal: int) -> bool:
        return len(seen) >= goal

    with Server(Fault(refuse), tmp_path) as server:
        pushing = Exit(kind, server.url, interval=0.1, timeout=2)
        pushing.write(0.5)
        wait_for(lambda: (pushing.pushes("success") >= 1 and not again) or [path for path, _ in seen].count(TRAIN) >= 3)
        for number in range(3):
            goal = len(seen) + 1
            pushing.telemetry.state.gauge(TEST_LOSS, model="net").set(number)
            pushing.telemetry.notify()
            wait_for(functools.partial(reached, goal))
        pushing.close()
    sent = [body for path, body in seen if path == TRAIN]
    assert len(set(sent)) == 1
    assert (len(sent) > 1) == again


def test_news_of_another_group_does_not_repeat_what_was_refused(tmp_path: Path) -> None:
    """As when an evaluation ends in a program whose training the gateway does not take."""
    seen: list[str] = []

    def refuse(visit: Visit) -> None:
        while not visit.over.is_set() and (request := visit.request()) is not None:
            seen.append(request.path)
            visit.say(status(400))

    with Server(Fault(refuse), tmp_path) as server:
        pushing = Exit("exporter", server.url, interval=NEVER, timeout=2)
        pushing.write(0.5)
        wait_for(lambda: BASE in seen)
        pushing.telemetry.notify()  # with nothing new
        wait_for(lambda: seen.count(BASE) == 2)  # the export's own numbers, which are other ones
        pushing.close()
    assert seen.count(TRAIN) == 1


def test_a_group_that_is_refused_for_good_does_not_keep_others_from_being_tried_again(tmp_path: Path) -> None:
    """Training meets a gateway that is out for a moment, the export's own numbers one that never takes them."""
    trained: list[int] = []

    def behave(visit: Visit) -> None:
        while not visit.over.is_set() and (request := visit.request()) is not None:
            if request.path != TRAIN:
                visit.say(status(400))
                continue
            trained.append(503 if not trained else 200)
            visit.say(status(trained[-1]))

    with Server(Fault(behave), tmp_path) as server:
        pushing = Exit("exporter", server.url, interval=NEVER, timeout=2)
        pushing.write(0.5)
        wait_for(lambda: trained)
        wait_for(lambda: trained == [503, 200], timeout=5)
        pushing.close()


def test_what_a_proxy_gave_up_on_may_have_arrived(tmp_path: Path) -> None:
    """A gateway answers 504 and has it all the same: what it had before counts as sent no more."""
    bodies: list[str] = []
    code = [200]

    def behave(visit: Visit) -> None:
        while not visit.over.is_set() and (request := visit.request()) is not None:
            if request.path == TRAIN:
                bodies.append(request.body.splitlines()[-1].split()[-1])
            visit.say(status(code[0]))

    with Server(Fault(behave), tmp_path) as server:
        pushing = Exit("exporter", server.url, interval=NEVER, timeout=2)
        for loss, answer in ((0.5, 200), (0.75, 504), (0.5, 200)):
            code[0] = answer
            pushing.telemetry.state.gauge(pushing.loss, model="net").set(loss)
            assert pushing.flush() == (answer == 200)
        pushing.close()
    assert bodies == ["0.5", "0.75", "0.5"]
