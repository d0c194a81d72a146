"""The table of the push exits' settings, from which arguments, environment variables and documentation are made."""

from __future__ import annotations

from gangplank import checks, environment
from gangplank import environment_variables as variables
from gangplank.exporters.pushgateway import allowed
from gangplank.settings import Others, Setting

SETTINGS = (
    Setting(
        "address",
        variables.OTEL_EXPORTER_PUSHGATEWAY_ENDPOINT,
        "The gateway, as `host:port` or as a URL. `https://user:password@host` authenticates.",
        checks.http_url,
        default="http://localhost:9091",
    ),
    Setting(
        "job",
        variables.OTEL_EXPORTER_PUSHGATEWAY_JOB,
        "The label `job` of everything pushed. Without it, OpenTelemetry's `service.name`.",
        allowed.job,
    ),
    Setting(
        "grouping_key",
        variables.OTEL_EXPORTER_PUSHGATEWAY_GROUPING_KEY,
        "More labels of the groups, such as `instance=a,team=ml`, to keep processes of one job apart.",
        allowed.grouping_key,
        environment.pairs,
    ),
    Setting(
        "method",
        variables.OTEL_EXPORTER_PUSHGATEWAY_METHOD,
        "`PUT` replaces what a group held before, `POST` only metrics of the same name.",
        allowed.method,
        default="PUT",
    ),
    Setting(
        "interval",
        variables.OTEL_EXPORTER_PUSHGATEWAY_INTERVAL,
        "Milliseconds between pushes that nothing else asks for.",
        checks.seconds,
        environment.milliseconds,
        default="15000",
    ),
    Setting(
        "timeout",
        variables.OTEL_EXPORTER_PUSHGATEWAY_TIMEOUT,
        "Milliseconds that one push may take, from the connection to the answer's end.",
        checks.seconds,
        environment.milliseconds,
        default="5000",
    ),
    Setting("username", variables.OTEL_EXPORTER_PUSHGATEWAY_USERNAME, "For basic authentication.", allowed.username),
    Setting(
        "password",
        variables.OTEL_EXPORTER_PUSHGATEWAY_PASSWORD,
        "For basic authentication.",
        allowed.password,
        secret=True,
    ),
    Setting(
        "bearer_token",
        variables.OTEL_EXPORTER_PUSHGATEWAY_BEARER_TOKEN,
        "Goes out as `Authorization: Bearer ...`.",
        allowed.bearer_token,
        secret=True,
    ),
    Setting(
        "headers",
        variables.OTEL_EXPORTER_PUSHGATEWAY_HEADERS,
        "More HTTP headers, such as `X-Scope-OrgID=team`, values percent-encoded.",
        allowed.headers,
        environment.pairs,
        secret=True,
    ),
    Setting(
        "certificate",
        variables.OTEL_EXPORTER_PUSHGATEWAY_CERTIFICATE,
        "A PEM file of the authorities to trust, in place of the usual ones.",
        allowed.authorities,
    ),
    Setting(
        "client_certificate",
        variables.OTEL_EXPORTER_PUSHGATEWAY_CLIENT_CERTIFICATE,
        "A PEM file with the certificate to show to the gateway.",
        allowed.file,
    ),
    Setting(
        "client_key",
        variables.OTEL_EXPORTER_PUSHGATEWAY_CLIENT_KEY,
        "A PEM file with that certificate's key, unencrypted, if the certificate's file does not hold it.",
        allowed.file,
    ),
    Setting(
        "compression",
        variables.OTEL_EXPORTER_PUSHGATEWAY_COMPRESSION,
        "`gzip` or `none`.",
        allowed.compression,
        default="none",
    ),
    Setting(
        "at_end",
        variables.OTEL_EXPORTER_PUSHGATEWAY_AT_END,
        "When the process ends: `keep` what is at the gateway, or `delete` the groups that it pushed.",
        allowed.at_end,
        default="keep",
    ),
    Setting(
        "delete_delay",
        variables.OTEL_EXPORTER_PUSHGATEWAY_DELETE_DELAY,
        "Milliseconds to wait before deleting, for Prometheus to see the last values; the process waits with them.",
        allowed.delay,
        environment.milliseconds_or_none,
        default="0",
    ),
    Setting(
        "handle_sigterm",
        variables.OTEL_EXPORTER_PUSHGATEWAY_HANDLE_SIGTERM,
        "`true`: on SIGTERM, push for the last time before who handled it otherwise does.",
        checks.flag,
        environment.boolean,
        default="false",
    ),
)


OF_READER: Others = {
    "fallbacks": {"interval": ("OTEL_METRIC_EXPORT_INTERVAL",), "timeout": ("OTEL_METRIC_EXPORT_TIMEOUT",)},
    "defaults": {"interval": "60000"},  # the SDK's
}
