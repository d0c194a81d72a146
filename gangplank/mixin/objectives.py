"""What an operator expects of predictions and of training, as it is said at the command line and in the rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import urlsplit

from gangplank.catalogue import CALL_DURATION_BOUNDS
from gangplank.errors import ConfigurationError

_OBJECTIVE = re.compile(
    r"\s*(?P<percent>\d{1,2}(\.\d{1,6})?)\s*%\s*in\s*(?P<time>\d{1,6}(\.\d{1,6})?)\s*(?P<unit>m?s)\s*"
)
_DURATION = re.compile(r"\s*(?P<count>[1-9]\d{0,5})\s*(?P<unit>[mhdw])\s*")
_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
_LEAST = Decimal(95)
"""Percent. Of a lower objective, all calls could fail without spending what is allowed 14.4 times as fast."""

SUCCESS_WITHIN = 172_800
"""Seconds after which training should have succeeded again, as shipped: two days."""


@dataclass(frozen=True)
class Objective:
    """How many calls succeed, and how many of those that do are in time.

    Attributes:
        ratio: Which share of them, from 0 to 1, in decimals.
        seconds: What is in time: a bound of the histogram of calls, as it is written in Prometheus.
    """

    ratio: str = "0.99"
    seconds: str = "0.25"


def objective(text: str) -> Objective:
    """Return the objective that is written as ``99% in 0.25s``.

    Raises:
        ConfigurationError: it is not written so, is less than 95 %, or its time is no bound of the histogram.
    """
    match = _OBJECTIVE.fullmatch(text)
    if match is None:
        raise ConfigurationError(f"objective must be like '99% in 0.25s', got {text!r}")
    percent, time = Decimal(match["percent"]), Decimal(match["time"])
    if percent < _LEAST:
        raise ConfigurationError(f"objective must be 95% or more and less than 100%, got {text!r}")
    seconds = float(time / 1000 if match["unit"] == "ms" else time)
    if seconds not in CALL_DURATION_BOUNDS:
        allowed = ", ".join(f"{bound:g}" for bound in CALL_DURATION_BOUNDS)
        raise ConfigurationError(
            f"objective: the time must be a bound of gangplank_predict_duration_seconds, got {text!r}: in seconds, "
            f"these are {allowed}"
        )
    return Objective(f"{(percent / 100).normalize():f}", str(seconds))


def duration(argument: str, text: str) -> int:
    """Return the seconds of a duration that is written as ``36h`` or ``2d``.

    Raises:
        ConfigurationError: it is not written so.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ConfigurationError(f"{argument} must be like 90m, 36h, 2d or 1w, got {text!r}")
    return int(match["count"]) * _SECONDS[match["unit"]]


def address(argument: str, text: str) -> str:
    """Return the address of a page.

    Raises:
        ConfigurationError: it is none, or holds what YAML would take for its own.
    """
    try:
        scheme = urlsplit(text).scheme
    except ValueError:  # brackets that are no address of IPv6
        scheme = ""
    if scheme not in ("http", "https") or re.search(r"[\s\"'#{}]", text):
        raise ConfigurationError(f"{argument} must be the address of a page, as http://docs/runbook/, got {text!r}")
    return text


def written(rules: str, objective: Objective, success_within: int) -> str:
    """Return rules with objectives in them, in place of those that are shipped.

    Args:
        rules: The file as it is shipped.
        objective: What is expected of calls.
        success_within: Seconds after which training should have succeeded again.
    """
    default = Objective()
    for shipped, wanted in (
        (f"expr: vector({default.ratio})", f"expr: vector({objective.ratio})"),
        (f'labels: {{le: "{default.seconds}"}}', f'labels: {{le: "{objective.seconds}"}}'),
        (f"expr: vector({SUCCESS_WITHIN})", f"expr: vector({success_within})"),
    ):
        rules = rules.replace(shipped, wanted)
    return rules
