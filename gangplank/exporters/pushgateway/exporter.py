"""The push exit of a telemetry: what :class:`PushgatewayExporter` is told, checked at construction."""

from __future__ import annotations

from typing import Unpack

from gangplank import checks, environment, lifetime
from gangplank.errors import ConfigurationError
from gangplank.exporters.pushgateway.feed import StateFeed
from gangplank.exporters.pushgateway.gateway import Gateway
from gangplank.exporters.pushgateway.pusher import Pusher
from gangplank.exporters.pushgateway.settings import PushSettings, Settings, resolve
from gangplank.exporters.pushgateway.transport import Handler
from gangplank.state import State
from gangplank.trouble import Trouble

_OF_HTTP = ("username", "password", "bearer_token", "headers", "certificate", "client_certificate", "client_key")


class PushgatewayExporter:
    """Pushes metrics to a Pushgateway, from a daemon thread.

    The newest state wins: there is one push at a time, and what happened during a push goes with the next.

    What is not given is as the environment variable ``OTEL_EXPORTER_PUSHGATEWAY_...`` of that name says (for
    ``address``, ``..._ENDPOINT``), in which times are in milliseconds.

    Args:
        address: The gateway, as ``host:port`` or a URL. ``https://user:password@host`` authenticates. By default
            ``localhost:9091``.
        job: The ``job`` label, which names the group at the gateway. By default OpenTelemetry's service name.
        handler: A prometheus_client push handler, which then does the HTTP, and has to know how to authenticate.
        **settings: Any of these:

            - ``grouping_key``: more labels of the group, to keep processes of one job apart. Of a job that a launcher
              runs as several processes, each has the label ``rank`` unasked.
            - ``method``: ``"PUT"``, which replaces what a run left before, or ``"POST"``, which does not.
            - ``interval``: seconds between pushes while a run changes its state and nothing else asks for one; 15.
            - ``timeout``: seconds that one push may take, from the connection to the end of the answer; 5.
            - ``username`` and ``password``, or ``bearer_token``: how to be known to the gateway.
            - ``headers``: more HTTP headers.
            - ``certificate``: a PEM file of the authorities to trust.
            - ``client_certificate``, ``client_key``: PEM files to be known to the gateway by.
            - ``compression``: ``"gzip"`` or ``"none"``.
            - ``at_end``: ``"keep"`` what is at the gateway, or ``"delete"`` the groups that were pushed.
            - ``delete_delay``: seconds in which the last values can be scraped before; the program waits with them.
            - ``handle_sigterm``: on SIGTERM, push for the last time before who handled it otherwise does.

    Raises:
        TypeError: an argument has the wrong type.
        ConfigurationError: an argument or an environment variable has a value that is not allowed, or nothing says
            what the job is.
    """

    def __init__(
        self,
        address: str | None = None,
        job: str | None = None,
        *,
        handler: Handler | None = None,
        **settings: Unpack[PushSettings],
    ) -> None:
        self._settings = push_settings(address, job, **settings)
        self._handler = None if handler is None else checks.function("handler", handler)
        unheard = [name for name in _OF_HTTP if dict(settings).get(name) is not None]
        if handler is not None and unheard:
            raise ConfigurationError(f"handler must not be given with {unheard[0]}: it does the HTTP in its own way")

    def __repr__(self) -> str:
        return f"<PushgatewayExporter to {self._settings.shown_address} (job {self._settings.job!r})>"

    def start(self, state: State, trouble: Trouble) -> Pusher:
        """Start to push ``state``; the gateway need not be there yet."""
        handle_sigterm(self._settings, trouble)
        return Pusher(
            Gateway(self._settings, self._settings.job or "", self._handler), StateFeed(state), state, trouble
        )


def handle_sigterm(settings: Settings, trouble: Trouble) -> None:
    """Handle SIGTERM if that is set. Where it cannot be, as off the main thread, that is no reason not to push."""
    if settings.handle_sigterm:
        try:
            lifetime.handle_sigterm()
        except ConfigurationError as error:
            trouble.report("handle SIGTERM", error)


def push_settings(address: str | None, job: str | None, **settings: Unpack[PushSettings]) -> Settings:
    """Return the settings of a push exit whose job must be known.

    Raises:
        TypeError: an argument has the wrong type.
        ConfigurationError: an argument or an environment variable has a value that is not allowed, or nothing says
            what the job is.
    """
    defaults = {"job": environment.service_name() or ""}
    resolved = resolve({"address": address, "job": job, **settings}, defaults=defaults)
    if resolved.job is None:
        raise ConfigurationError(
            "job must be given, or OTEL_EXPORTER_PUSHGATEWAY_JOB or OTEL_SERVICE_NAME be set: it names what is pushed"
        )
    return resolved
