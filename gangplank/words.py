"""Numbers, times and names from outside, as people can read them, on a terminal too."""

from __future__ import annotations

import math
import time

_LONGEST = 60
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_UNITS = (("µs", 1e-6), ("ms", 1e-3))
_LARGEST_PLAIN = 1e15


def printable(text: str) -> str:
    """Return text of which nothing can move a cursor, change a colour or turn the direction of writing."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def plain(text: str) -> str:
    """Return a name likewise, shortened if it would leave no room for anything else."""
    shown = printable(text)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def number(value: float) -> str:
    """Return a number in four digits, or as it is if it is whole."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == int(value) and abs(value) < _LARGEST_PLAIN:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def duration(seconds: float) -> str:
    """Return seconds in the unit that fits."""
    if not math.isfinite(seconds):
        return number(seconds)
    if seconds < 0:
        return f"-{duration(-seconds)}"
    return _long(int(seconds)) if seconds >= _MINUTE else _short(seconds)


def _short(seconds: float) -> str:
    unit, scale = next((one for one in _UNITS if 0 < seconds < one[1] * 999.5), ("s", 1.0))
    return f"{seconds / scale:.3g} {unit}"


def _long(seconds: int) -> str:
    if seconds < _HOUR:
        return f"{seconds // _MINUTE}m {seconds % _MINUTE:02d}s"
    if seconds < _DAY:
        return f"{seconds // _HOUR}h {seconds % _HOUR // _MINUTE:02d}m"
    return f"{seconds // _DAY}d {seconds % _DAY // _HOUR}h"


def percent(share: float) -> str:
    """Return a share in per cent."""
    return f"{share * 100:.3g} %" if math.isfinite(share) else number(share)


def clock(moment: float) -> str:
    """Return a Unix time as the hour of this place."""
    try:
        return time.strftime("%H:%M:%S", time.localtime(moment))
    except (ValueError, OverflowError, OSError):
        return number(moment)
