"""The settings of the push exit: what :class:`PushgatewayExporter` is told, checked at construction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gangplank import checks
from gangplank.errors import ConfigurationError
from gangplank.exporters.pushgateway.gateway import Gateway
from gangplank.exporters.pushgateway.pusher import Pusher
from gangplank.exporters.pushgateway.transport import Handler
from gangplank.state import State
from gangplank.trouble import Trouble

_OURS = ("job", "phase", "model")


class PushgatewayExporter:
    """Pushes metrics to a Pushgateway, from a daemon thread.

    The newest state wins: there is one push at a time, and what happened during a push goes with the next.

    Args:
        address: ``host:port`` or a URL. ``https://user:password@host`` authenticates.
        job: The ``job`` label, which names the group at the gateway.
        grouping_key: More labels of the group, to keep processes of one job apart.
        interval: Seconds between pushes while a run changes its state and nothing else asks for one.
        timeout: Seconds to wait for the gateway, to connect and between bytes of its answer.
        handler: A prometheus_client push handler, which then does the HTTP.

    Raises:
        TypeError: an argument has the wrong type.
        ConfigurationError: an argument has a value that is not allowed.
    """

    def __init__(
        self,
        address: str,
        job: str,
        *,
        grouping_key: Mapping[str, str] | None = None,
        interval: float = 15.0,
        timeout: float = 5.0,
        handler: Handler | None = None,
    ) -> None:
        self._gateway = Gateway(
            checks.http_url("address", address),
            _job(job),
            _grouping_key(grouping_key),
            checks.seconds("timeout", timeout),
            None if handler is None else checks.function("handler", handler),
        )
        self._interval = checks.seconds("interval", interval)

    def __repr__(self) -> str:
        return f"<PushgatewayExporter to {self._gateway!r}>"

    def start(self, state: State, trouble: Trouble) -> Pusher:
        """Start to push ``state``; the gateway need not be there yet."""
        return Pusher(self._gateway, state, trouble, interval=self._interval)


def _job(value: Any) -> str:  # noqa: ANN401 - checked here
    job = checks.text("job", value)
    if job in (".", ".."):
        raise ConfigurationError(
            f"job must not be {job!r}: it is part of a URL's path, where that means something else"
        )
    return job


def _grouping_key(value: Any) -> dict[str, str]:  # noqa: ANN401 - checked here
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"grouping_key must be a mapping of label names to values, not {value!r}")
    for name, label in value.items():
        checks.label_name("grouping_key", name)
        if name in _OURS:
            raise ConfigurationError(f"grouping_key must not hold {name!r}: that label is set by Gangplank")
        if not isinstance(label, str):
            raise TypeError(f"grouping_key[{name!r}] must be a string, not {label!r}")
    return dict(value)
