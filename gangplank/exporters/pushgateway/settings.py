"""The settings of a push exit, from its arguments, the environment and the defaults."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, TypedDict, Unpack
from urllib.parse import urlsplit

from gangplank.exporters.pushgateway import allowed
from gangplank.exporters.pushgateway.address import without_credentials
from gangplank.exporters.pushgateway.table import SETTINGS
from gangplank.ranks import rank
from gangplank.settings import ARGUMENT, DEFAULT, Others, settled

_AUTHENTICATION = ("username", "password", "bearer_token")
_CREDENTIALS = re.compile(r"\b(Basic|Bearer) +[^\s,]+", re.IGNORECASE)
_SHORTEST_SECRET = 4
"""Characters: what is shorter keeps no secret, and would be found in every other word."""


class PushSettings(TypedDict, total=False):
    """The settings that :class:`PushgatewayExporter` and :class:`PushgatewayMetricReader` share. None is not given."""

    grouping_key: Mapping[str, str] | None
    method: str | None
    interval: float | None
    timeout: float | None
    username: str | None
    password: str | None
    bearer_token: str | None
    headers: Mapping[str, str] | None
    certificate: str | PathLike[str] | None
    client_certificate: str | PathLike[str] | None
    client_key: str | PathLike[str] | None
    compression: str | None
    at_end: str | None
    delete_delay: float | None
    handle_sigterm: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings that are allowed, and where they come from.

    Attributes:
        address: The gateway's URL, which may hold a user and a password.
        job: The ``job`` label; None if it is yet to be found out.
        grouping_key: More labels.
        method: ``"PUT"`` or ``"POST"``.
        interval: Seconds.
        timeout: Seconds.
        username: Of basic authentication, also where the address has it.
        password: Of basic authentication, also where the address has it.
        bearer_token: Without the word ``Bearer``.
        headers: More headers.
        certificate: A file of authorities.
        client_certificate: A file.
        client_key: A file.
        compression: ``"gzip"`` or ``"none"``.
        at_end: ``"keep"`` or ``"delete"``.
        delete_delay: Seconds.
        handle_sigterm: Whether to push on SIGTERM.
        sources: For each setting the environment variable that it comes from, ``"argument"`` or ``"default"``.
    """

    address: str = field(repr=False)
    job: str | None = None
    grouping_key: Mapping[str, str] = field(default_factory=dict)
    method: str = "PUT"
    interval: float
    timeout: float
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    bearer_token: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    compression: str = "none"
    at_end: str = "keep"
    delete_delay: float = 0.0
    handle_sigterm: bool = False
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown_address(self) -> str:
        """The address without what it may hold of a user and a password."""
        return without_credentials(self.address)

    def redacted(self, message: str) -> str:
        """Return ``message`` without anything secret that these settings hold, and in one line."""
        userinfo = urlsplit(self.address).netloc.rpartition("@")[0]
        secrets = {userinfo, userinfo.partition(":")[2], self.password, self.bearer_token, *self.headers.values()}
        if self.username is not None:
            secrets.add(base64.b64encode(f"{self.username}:{self.password}".encode()).decode())
        for secret in sorted((one for one in secrets if one and len(one) >= _SHORTEST_SECRET), key=len, reverse=True):
            message = message.replace(secret, "***")
        message = _CREDENTIALS.sub(r"\1 ***", message)  # a proxy's, too
        return "".join(character if character.isprintable() else " " for character in message)


def resolve(given: Mapping[str, Any], **others: Unpack[Others]) -> Settings:
    """Return settings: as they are given, or else as the environment has them, or else as by default.

    Args:
        given: By name; None is not given.
        **others: What else to look at.

    Raises:
        TypeError: an argument has the wrong type, or there is no such setting.
        ConfigurationError: a value that is not allowed; the message names the argument or the variable.
    """
    ignored = _AUTHENTICATION if _authenticates(given) else ()
    return _completed(*settled(SETTINGS, given, in_code=ignored, **others))


def _authenticates(given: Mapping[str, Any]) -> bool:
    """Whether who goes there is said in the code: half of that and half of the environment would be a third person."""
    address = given.get("address")
    in_address = isinstance(address, str) and "@" in address
    return in_address or any(given.get(name) is not None for name in _AUTHENTICATION)


def _completed(values: dict[str, Any], sources: dict[str, str]) -> Settings:
    """Return settings of values that are allowed each by itself."""
    parts = urlsplit(values["address"])
    if sources["at_end"] == ARGUMENT and sources["delete_delay"] != ARGUMENT and values["at_end"] != "delete":
        values["delete_delay"], sources["delete_delay"] = 0.0, DEFAULT  # the environment's goes with its own at_end
    names = {name: name if source in (ARGUMENT, DEFAULT) else source for name, source in sources.items()}
    allowed.together(values, names)
    if parts.username is not None and "username" not in values and "bearer_token" not in values:
        values["username"], values["password"] = allowed.unquoted(parts)
        sources["username"] = sources["password"] = sources["address"]
    found = rank()
    key = dict(values.get("grouping_key", {}))
    if found is not None and "rank" not in key:
        key["rank"] = str(found[0])
        sources["grouping_key"] = (
            f"{sources['grouping_key']} and {found[1]}" if values.get("grouping_key") else found[1]
        )
    values["grouping_key"] = key
    return Settings(**values, sources=sources)
