"""Who asks for a page, and who for metrics: by the header ``Accept``."""

from __future__ import annotations

_PAGE = "text/html"
_METRICS = ("text/plain", "application/openmetrics-text")


def prefers_page(accept: str | None) -> bool:
    """Whether a client asks for HTML by name, and rather than for metrics.

    Browsers do. curl asks for anything, and Prometheus for metrics. Of two that are wanted equally, the first one named
    counts.

    Args:
        accept: The header, if the request has it.
    """
    ranges = _ranges(accept or "")
    if _PAGE not in ranges:
        return False
    page, place = ranges[_PAGE]
    if page == 0:
        return False
    return all((page, -place) > _wanted(kind, ranges) for kind in _METRICS)


def _wanted(kind: str, ranges: dict[str, tuple[float, int]]) -> tuple[float, int]:
    """Return how much a type is wanted, by the most specific range that it is in, and how early that is named."""
    for one in (kind, f"{kind.partition('/')[0]}/*", "*/*"):
        if one in ranges:
            quality, place = ranges[one]
            return quality, -place
    return -1.0, 0


def _ranges(accept: str) -> dict[str, tuple[float, int]]:
    """Return for each media range its quality and its place; what is no quality counts as 0."""
    found: dict[str, tuple[float, int]] = {}
    for place, part in enumerate(accept.split(",")):
        kind, *parameters = (one.strip().lower() for one in part.split(";"))
        if kind and kind not in found:
            found[kind] = _quality(parameters), place
    return found


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                return 0.0
            return quality if 0 <= quality <= 1 else 0.0
    return 1.0
