"""Push from many threads: crowd.py GATEWAY FIRST COUNT SECONDS. Says READY, and begins when there is a line of input.

Each thread has a telemetry, and so a client, of its own. What was measured is printed at the end, as JSON.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gangplank import PushgatewayExporter, Telemetry
from gangplank.exporters.pushgateway.exporter import push_settings
from gangplank.exporters.pushgateway.transport import SessionHandler
from gangplank.training import TrainingRun

address, (first, count, seconds) = sys.argv[1], map(int, sys.argv[2:])
PATIENCE = 60.0
"""Seconds that everyone has to close: they close at one moment, on a machine that may be busy with more than this."""
began = threading.Event()
first_pushes: list[float] = []
logging.disable(logging.CRITICAL)


class Watched(SessionHandler):
    """Notes when its first push begins."""

    def __call__(self, *args: Any, **kwargs: Any) -> Callable[[], None]:
        """Return what pushes."""
        if not self.__dict__.get("has_begun"):
            self.has_begun = True
            first_pushes.append(time.monotonic() - start)
        return super().__call__(*args, **kwargs)


def client(number: int) -> None:
    """Report an epoch a second, and end."""
    key = {"client": str(number)}
    began.wait()
    exporter = PushgatewayExporter(
        address, "crowd", grouping_key=key, interval=1, handler=Watched(push_settings(address, "crowd"))
    )
    telemetry = Telemetry(exporters=[exporter])
    telemetry.start()
    run = TrainingRun(telemetry, "net")
    for second in range(seconds):
        run.begin_epoch()
        run.step_to(1)
        run.end_epoch(second + 1, [("loss", number + second / 1000)])
        telemetry.notify()
        time.sleep(max(start + second + 1 - time.monotonic(), 0))
    run.end()
    telemetry.close(PATIENCE)


def memory() -> int:
    """Return the bytes that this process has in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


threads = [threading.Thread(target=client, args=(first + number,)) for number in range(count)]
for thread in threads:
    thread.start()
print("READY", flush=True)  # noqa: T201
sys.stdin.readline()
start = time.monotonic()
began.set()
time.sleep(seconds / 4)
warm = memory()
for thread in threads:
    thread.join()
end = memory()
print(json.dumps({"warm": warm, "end": end, "first": sorted(first_pushes)}))  # noqa: T201
