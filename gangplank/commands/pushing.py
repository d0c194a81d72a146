"""Whether pushes would arrive at the Pushgateway."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies

from gangplank import environment
from gangplank.commands import dry_run
from gangplank.commands.report import Report, Verdict
from gangplank.errors import ExportError
from gangplank.exporters.pushgateway.inventory import LARGEST_PAGE, inventory
from gangplank.exporters.pushgateway.settings import Settings, resolve
from gangplank.exporters.pushgateway.table import OF_READER, SETTINGS
from gangplank.exporters.pushgateway.transport import RefusedError, SessionHandler
from gangplank.settings import Others

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def check(address: str | None, job: str | None, report: Report, *, of_reader: bool, dry: bool) -> None:
    """Report on the Pushgateway.

    Args:
        address: The gateway, if not as the environment says.
        job: The job, if not as the environment says.
        report: Where to.
        of_reader: OpenTelemetry pushes, by its own defaults.
        dry: Show what would be pushed, too.

    Raises:
        ConfigurationError: a setting has a value that is not allowed.
    """
    report.title("Pushgateway")
    others = OF_READER if of_reader else Others()
    defaults = {**others.get("defaults", {}), "job": environment.service_name() or ""}
    names = {"address": "--gateway", "job": "--job"}
    fallbacks = others.get("fallbacks", {})
    settings = resolve({"address": address, "job": job}, fallbacks=fallbacks, defaults=defaults, names=names)
    _show(settings, report)
    if settings.job is None:
        remedy = "set OTEL_EXPORTER_PUSHGATEWAY_JOB or OTEL_SERVICE_NAME, or say it in code"
        shared = "no job: it will be 'unknown_service', which all nameless programs share and replace each other's; "
        report.finding(Verdict.NOTE, f"{shared if of_reader else 'no job: '}{remedy}")
    _check_exposure(settings, report)
    _check_answer(settings, report)
    if dry:
        dry_run.show(settings, report, of_reader=of_reader)


def _show(settings: Settings, report: Report) -> None:
    for setting in SETTINGS:
        value: Any = getattr(settings, setting.name)
        source = settings.sources[setting.name]
        if setting.name == "address":
            value = settings.shown_address
        if value is None or value == {}:
            continue
        if setting.name == "job" and source == "default":
            source = "OpenTelemetry's service name"
        # A user without a password is a token.
        secret = setting.secret or (setting.name == "username" and not settings.password)
        report.setting(setting.name, "(set, not shown)" if secret else _shown(value), source)


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={text!r}" for name, text in value.items())
    return f"{value:g} s" if isinstance(value, float) else str(value)


def _check_exposure(settings: Settings, report: Report) -> None:
    parts = urlsplit(settings.address)
    is_secret = bool(settings.username or settings.bearer_token or settings.headers)
    if is_secret and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        report.finding(Verdict.NOTE, f"what authenticates goes to {parts.hostname} unencrypted: use https://")
    proxies = get_environ_proxies(settings.shown_address)
    if parts.scheme in proxies:
        report.finding(
            Verdict.NOTE, f"pushes go through the proxy that {parts.scheme}_proxy names, unless no_proxy has the host"
        )


def _check_answer(settings: Settings, report: Report) -> None:
    session = SessionHandler(settings)
    address = settings.shown_address

    def get(path: str) -> str:
        return session.exchange("GET", f"{address}{path}", settings.timeout, most=LARGEST_PAGE)

    try:
        get("/-/ready")
        report.answer(f"{address} answers{_version(get)}")
        if settings.job is not None:
            _show_groups(get("/metrics"), settings.job, report)
    except RefusedError as error:
        reason = {401: "it wants to know who is pushing", 403: "who is pushing may not", 404: "is it a Pushgateway?"}
        report.finding(Verdict.WRONG, f"{error} ({reason.get(error.status, 'is it ready?')})")
    except ExportError as error:
        report.finding(Verdict.WRONG, str(error))
    except ValueError:
        report.finding(Verdict.WRONG, f"{address}/metrics is not Prometheus's text format: is it a Pushgateway?")
    finally:
        session.close()


def _version(get: Callable[[str], str]) -> str:
    try:
        return f", Pushgateway {json.loads(get('/api/v1/status'))['data']['build_information']['version']}"
    except (ExportError, ValueError, KeyError, TypeError):
        return "; what it is, it does not say"


def _show_groups(page: str, job: str, report: Report) -> None:
    """Report when the job's groups were last pushed, and which pushes were refused."""
    found = [group for group in inventory(page) if ("job", job) in group.labels]
    if not found:
        report.finding(Verdict.NOTE, f"it has nothing of the job {job!r} yet")
    for group in sorted(found, key=lambda group: sorted(group.labels)):
        others = "".join(f", {name}={value!r}" for name, value in sorted(group.labels) if name != "job")
        name = f"group {{job={job!r}{others}}}"
        if group.refused > group.pushed:
            report.finding(Verdict.WRONG, f"{name}: the last push, {_moment(group.refused)}, was refused")
        else:
            report.finding(Verdict.OK, f"{name}: last pushed {_moment(group.pushed)}")


def _moment(timestamp: float) -> str:
    try:
        return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"at the Unix time {timestamp:g}"
