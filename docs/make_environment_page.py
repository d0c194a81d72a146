"""Writes docs/reference/environment.md from the table of settings: python docs/make_environment_page.py [--check]."""

from __future__ import annotations

import sys
from pathlib import Path

from gangplank.exporters.pushgateway.table import OF_READER, SETTINGS
from gangplank.settings import Setting
from gangplank_keras.settings import SETTINGS as OF_KERAS

PAGE = Path(__file__).parent / "reference" / "environment.md"

_HEAD = """# Environment variables

An argument in code comes before a variable, and a variable before the default. A variable that is empty is not set.
As OpenTelemetry has it, times are in milliseconds, truth is `true` or `false`, and lists are `name=value,name=value`
with `%2C` for a comma in a value. A value that is not allowed raises `gangplank.ConfigurationError`, which names the
variable.

`gangplank check` shows what is set and by which variable.

## The Pushgateway

For `OTEL_METRICS_EXPORTER=pushgateway` and `PushgatewayMetricReader`, for `PushgatewayExporter`, and for what
`TrainTestExporter` has no argument for. Under `opentelemetry-instrument` each is a flag too, as in
`--exporter_pushgateway_job mnist`.

| variable | argument | default | meaning |
|---|---|---|---|"""

_SDK = "https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/"
_TAIL = f"""
What authenticates is taken from the environment only if the code gives no part of it: neither a user in the address,
nor `username`, `password` or `bearer_token`.

Where a launcher runs a job as several processes, each has the label `rank` in its groups, unless the grouping key has
one: from `RANK` if `WORLD_SIZE` is above 1 (`torchrun`), `OMPI_COMM_WORLD_RANK` (`mpirun`), `SLURM_PROCID` (`srun`)
or `TF_CONFIG`.

`http_proxy`, `https_proxy` and `no_proxy` are honoured, for a gateway on this machine too.

## Keras

For programs [instrumented with no code](../guides/zero-code.md), and for `KerasInstrumentor().instrument()`. Each is a
flag too, as in `--instrumentation_keras_disabled predict`.

| variable | argument | meaning |
|---|---|---|
{{keras}}

A value that is not allowed is an error in the log there, and Keras is not instrumented; the program runs.

## Others

| variable | meaning |
|---|---|
| `PROMETHEUS_MULTIPROC_DIR` | The directory that [processes of one service share](../explanation/multiprocess.md). |
| `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | The label `job` at a Pushgateway, if nothing else says it. |
| `TRACEPARENT`, `TRACESTATE`, `BAGGAGE` | The trace that [runs are in](../explanation/traces.md). |
| `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` | With `keras` in it, Keras is not instrumented. |
| `OTEL_METRICS_EXPORTER` and the SDK's others | [OpenTelemetry's]({_SDK}). |
"""


def page() -> str:
    """Return the page."""
    keras = "\n".join(f"| `{row.variable}` | `{row.name}` | {row.about} |" for row in OF_KERAS)
    return "\n".join([_HEAD, *map(_row, SETTINGS), _TAIL.replace("{keras}", keras)])


def _row(setting: Setting) -> str:
    defaults = [setting.default, OF_READER.get("defaults", {}).get(setting.name, "")]
    default = f"`{defaults[0]}`" if defaults[0] else ""
    if defaults[1]:
        default += f"; of an OpenTelemetry reader `{defaults[1]}`"
    also = "".join(f", else `{name}`" for name in OF_READER.get("fallbacks", {}).get(setting.name, ()))
    where = f" (of a reader{also})" if also else ""
    return f"| `{setting.variable}`{where} | `{setting.name}` | {default} | {setting.about} |"


if __name__ == "__main__":
    if "--check" not in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page():
        sys.exit(f"{PAGE} is not what the table says: run python docs/make_environment_page.py")
