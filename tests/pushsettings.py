"""What the tests of settings of the push exits share: their variables, and what they come to."""

from __future__ import annotations

from typing import Any

from gangplank.exporters.pushgateway.exporter import push_settings
from gangplank.exporters.pushgateway.settings import Settings
from gangplank.exporters.pushgateway.table import SETTINGS

SECRET = "hunter2"  # noqa: S105 - no secret of anybody's
PREFIX = "OTEL_EXPORTER_PUSHGATEWAY_"


def variable(name: str) -> str:
    """Return the variable of a setting."""
    return next(setting.variable for setting in SETTINGS if setting.name == name)


def settings(**given: Any) -> Settings:
    """Return the settings of an exporter; a job need not be given."""
    return push_settings(given.pop("address", None), given.pop("job", "mnist"), **given)
