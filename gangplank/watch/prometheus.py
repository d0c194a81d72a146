"""A Prometheus server, or what has its HTTP API: the past is there at once, and what was missed can be had later."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from gangplank.watch.reading import MOST_SAMPLES, UNREAD, Labels, Reading, ReadingError, Sample

Get = Callable[[str], str]
"""Returns what a path of the server answers."""

_POINTS = 240
"""Moments that a stretch of the past is asked for in."""

_NAME = re.compile(r"gangplank_[a-zA-Z0-9_]+")
_BUCKETS = "|".join(sorted(UNREAD))
SELECTOR = f'{{__name__=~"gangplank_.+",__name__!~"{_BUCKETS}"}}'


class PrometheusServer:
    """Reads a Prometheus server.

    Args:
        get: Asks it.
        since: Seconds of the past that the first reading goes back.
        interval: Seconds between later ones.
        ahead: Seconds that its clock is before ours.
    """

    def __init__(self, get: Get, *, since: float, interval: float, ahead: float = 0.0) -> None:
        self._get = get
        self._since = since
        self._interval = interval
        self._ahead = ahead
        self._read_to: float | None = None

    def read(self) -> list[Reading]:
        """Return what it has, moment by moment, since it was read last.

        Raises:
            ReadingError: it could not be read.
        """
        now = round(time.time() + self._ahead, 3)  # milliseconds, as Prometheus has it: else the last moment is missed
        step, begin = self._since / _POINTS, now - self._since
        if self._read_to is not None:
            step = max(self._interval, (now - self._read_to) / _POINTS)
            begin = max(begin, self._read_to + step)
        step = max(round(step, 3), 0.001)
        begin = now - math.floor(max(0.0, now - begin) / step) * step
        query = {"query": SELECTOR, "start": f"{begin:.3f}", "end": f"{now:.3f}", "step": f"{step:.3f}"}
        readings = _readings(self._get(f"/api/v1/query_range?{urlencode(query)}"), now)
        self._read_to = now
        return readings


def server_time(answer: str) -> float | None:
    """Return what a server answered to the query ``time()``; None if that is no Prometheus's answer."""
    try:
        result = json.loads(answer)["data"]["result"]
        return float(result[1])
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None


def _readings(answer: str, now: float) -> list[Reading]:
    moments: dict[float, list[Sample]] = {}
    try:
        result: list[Any] = json.loads(answer)["data"]["result"]
        for series in result[:MOST_SAMPLES]:
            name, labels = _identity(series["metric"])
            for moment, value in series.get("values", ()) if _NAME.fullmatch(name) else ():
                moments.setdefault(float(moment), []).append(Sample(name, labels, float(value)))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ReadingError("the answer is not what Prometheus's query_range gives") from None
    left_out = max(0, len(result) - MOST_SAMPLES)
    found = [Reading(moment, tuple(samples), left_out) for moment, samples in sorted(moments.items())]
    # That there is nothing now is a fact too: else what has gone would seem to be as it was.
    return found if found and now - found[-1].time < 1 else [*found, Reading(now, ())]


def _identity(metric: dict[str, str]) -> tuple[str, Labels]:
    labels = {str(name): str(value) for name, value in metric.items()}
    name = labels.pop("__name__")
    return name, frozenset((key, value) for key, value in labels.items() if value)
