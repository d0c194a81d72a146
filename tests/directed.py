"""A program that does what a test tells it, in a process of its own: directed.py PORT. See ``processes``."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

from gangplank import PrometheusExporter, Telemetry
from gangplank.inference import Inference


class Service:
    """A model that is served: what it takes it returns.

    Args:
        telemetry: Where its calls are reported.
        name: The model's name.
    """

    def __init__(self, telemetry: Telemetry, name: str = "net") -> None:
        self.telemetry = telemetry
        self.inference = Inference(telemetry, name)
        self.call = self._measured(lambda samples: samples)
        self._held: list[tuple[threading.Event, threading.Thread]] = []

    def serve(self, calls: int, threads: int = 1) -> None:
        """Make calls of two samples each, shared out to threads."""

        def work() -> None:
            for _ in range(calls // threads):
                self.call([1, 2])

        running = [threading.Thread(target=work) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()

    def hold(self) -> None:
        """Begin a call that lasts until it is let go, and return once it is under way."""
        is_in, may_end = threading.Event(), threading.Event()

        def model(samples: list[int]) -> list[int]:
            is_in.set()
            may_end.wait()
            return samples

        thread = threading.Thread(target=self._measured(model), args=([1],), daemon=True)
        thread.start()
        is_in.wait()
        self._held.append((may_end, thread))

    def let_go(self) -> None:
        """End the calls that are held."""
        for may_end, thread in self._held:
            may_end.set()
            thread.join()
        self._held.clear()

    def _measured(self, model: Callable[..., Any]) -> Callable[..., Any]:
        return self.inference.measured(model, "predict", is_call=False, sizes={list: len}, is_trace=lambda _: False)


def telemetry_in(directory: str, port: int | None, **settings: Any) -> Telemetry:
    """Return a started telemetry that shares a directory with other processes."""
    telemetry = Telemetry(exporters=[PrometheusExporter(port, multiprocess_dir=directory, **settings)])
    telemetry.start()
    return telemetry


def _obey(port: int, names: dict[str, Any]) -> None:
    """Do what comes over a connection to that port; a forked child has a connection of its own."""
    is_child = True
    while is_child:
        link = socket.create_connection(("127.0.0.1", port))
        lines = link.makefile("rw", encoding="utf-8")
        _answer(lines, os.getpid())
        is_child = False
        for line in lines:
            told = json.loads(line)
            if told is None:
                pid = os.fork()
                if pid == 0:
                    lines.close()
                    link.close()
                    is_child = True
                    break
                _answer(lines, pid)
            else:
                _answer(lines, _done(told, names))


def _answer(lines: Any, answer: object) -> None:
    lines.write(json.dumps(answer) + "\n")
    lines.flush()


def _done(source: str, names: dict[str, Any]) -> object:
    try:
        try:
            code = compile(source, "<test>", "eval")
        except SyntaxError:
            exec(source, names)  # noqa: S102 - the test's own
            return [None, None]
        return [eval(code, names), None]  # noqa: S307 - the test's own
    except Exception as error:  # noqa: BLE001 - raised where the test told it
        return [None, f"{type(error).__name__}: {error}"]


if __name__ == "__main__":
    _obey(int(sys.argv[1]), globals())
