"""A page of metrics in Prometheus's text format, as a scrape endpoint or a Pushgateway has it."""

from __future__ import annotations

import re
import time

from prometheus_client.parser import text_string_to_metric_families

from gangplank.watch.reading import MOST_SAMPLES, Reading, ReadingError, Sample, is_read

_NAME = re.compile(r"gangplank_[a-zA-Z0-9_]+")
_EXPOSITION = re.compile(r"^# (TYPE|HELP) |^[a-zA-Z_:][\w:]*(\{.*\})? \S+( \d+)?$", re.MULTILINE)


def read(url: str, page: str) -> Reading:
    """Return what a page says of Gangplank.

    Args:
        url: Where it is from, for errors.
        page: The page.

    Raises:
        ReadingError: it is no such page.
    """
    if page.strip() and not _EXPOSITION.search(page):
        raise ReadingError(f"{url} answers, but not with metrics: something else listens there")
    # What others say need not be parsed, and may be a lot; a label can hold what looks to Python like a line's end.
    lines = [line for line in page.split("\n") if (found := _NAME.match(line)) and is_read(found[0])]
    try:
        families = text_string_to_metric_families("".join(f"{line}\n" for line in lines[:MOST_SAMPLES]))
        samples = tuple(
            Sample(one.name, frozenset((name, value) for name, value in one.labels.items() if value), float(one.value))
            for family in families
            for one in family.samples
        )
    except (ValueError, KeyError, IndexError, TypeError):  # what the parser makes of a line that is cut off
        raise ReadingError(f"{url} answers, but what it says of Gangplank is not Prometheus's text format") from None
    return Reading(time.time(), samples, max(0, len(lines) - MOST_SAMPLES))
