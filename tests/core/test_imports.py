"""The front door: it is cheap to open, and what is behind it comes when it is asked for."""

from __future__ import annotations

import importlib
import subprocess
from collections.abc import Callable
from importlib.metadata import version

import needs
import pytest

import gangplank

Script = Callable[..., "subprocess.CompletedProcess[str]"]

HEAVY = "('keras', 'tensorflow', 'jax', 'torch', 'numpy', 'opentelemetry.sdk', 'prometheus_client', 'requests')"

WITHOUT = """
import importlib.abc, sys


class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Missing())
import gangplank
"""


def loaded(script: Script, source: str) -> str:
    """Return which of the heavy packages are loaded once the source has run."""
    process = script(f"import sys\n{source}\nprint(sorted(name for name in {HEAVY} if name in sys.modules))")
    assert process.stderr == ""
    return process.stdout.strip()


@pytest.mark.parametrize(
    "source",
    [
        "import gangplank",
        "import gangplank, gangplank.telemetry",
        "from gangplank import Telemetry, Drift, ConfigurationError; Telemetry().start()",
        "import gangplank.runs, gangplank.testing",
        "import gangplank.environment_variables",
    ],
)
def test_the_core_loads_nothing_heavy(script: Script, source: str) -> None:
    """No framework, no SDK, no HTTP client: a program that measures nothing pays for nothing."""
    assert loaded(script, source) == "[]"


@pytest.mark.parametrize(
    ("source", "packages"),
    [
        ("from gangplank import HISTOGRAM_WEIGHT_BUCKETS_1_0, Weights", "[]"),
        ("from gangplank import summarize_weights", "['numpy']"),
        ("from gangplank import PrometheusExporter", "['prometheus_client']"),
        ("from gangplank import PushgatewayExporter", "['prometheus_client', 'requests']"),
    ],
)
def test_each_name_loads_what_it_needs_and_no_more(script: Script, source: str, packages: str) -> None:
    """Neither exit brings a framework or the SDK with it."""
    assert loaded(script, source) == packages


def test_everything_can_be_imported_at_once(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """The predecessor raised TypeError here."""
    needs.module("keras")
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    process = script("""
        import warnings
        warnings.simplefilter("ignore")  # what the frameworks warn of while they load is theirs
        from gangplank import *
        import gangplank
        print(all(globals()[name] is getattr(gangplank, name) for name in gangplank.__all__))
    """)
    assert process.stdout == "True\n", process.stderr


def test_dir_lists_what_there_is() -> None:
    """All public names, loaded or not, and no more."""
    assert dir(gangplank) == sorted([*gangplank.__all__, "__version__"])
    assert {"Telemetry", "TrainTestExporter", "ServerStartError"} <= set(dir(gangplank))


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As with any module."""
    with pytest.raises(AttributeError, match="module 'gangplank' has no attribute 'TrianTestExporter'"):
        gangplank.TrianTestExporter  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name"):
        from gangplank import nothing_of_this_name  # noqa: F401, PLC0415
    assert not hasattr(gangplank, "__path_to_nowhere__")


def test_a_name_is_loaded_once() -> None:
    """And is what its module has."""
    assert gangplank.Telemetry is gangplank.Telemetry
    assert gangplank.Telemetry is importlib.import_module("gangplank.telemetry").Telemetry


def test_the_version_is_the_distributions() -> None:
    """What pip shows."""
    assert gangplank.__version__ == version("gangplank")


@pytest.mark.parametrize(
    ("name", "missing", "extra"),
    [
        ("TelemetryCallback", "keras", "keras"),
        ("TrainTestExporter", "keras", "keras,pushgateway"),
        ("TrainTestExporter", "requests", "keras,pushgateway"),
        ("summarize_weights", "numpy", "keras"),
        ("PrometheusExporter", "prometheus_client", "prometheus"),
        ("PushgatewayExporter", "prometheus_client", "pushgateway"),
        ("PushgatewayExporter", "requests", "pushgateway"),
        ("PushgatewayMetricReader", "requests", "opentelemetry"),
        ("PushgatewayMetricReader", "opentelemetry.sdk", "opentelemetry"),
        ("PushgatewayMetricReader", "opentelemetry.exporter.prometheus", "opentelemetry"),
    ],
)
def test_a_missing_extra_is_named_with_the_command_that_brings_it(
    script: Script, monkeypatch: pytest.MonkeyPatch, name: str, missing: str, extra: str
) -> None:
    """The message can be pasted into a shell."""
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    process = script(
        WITHOUT
        + f"""
import warnings
warnings.simplefilter("ignore")
try:
    gangplank.{name}
except gangplank.MissingDependencyError as error:
    print(isinstance(error, ImportError), error.name, error)
""",
        missing,
    )
    assert process.stdout == (
        f"True {missing} gangplank.{name} needs {missing}, which is not installed: pip install 'gangplank[{extra}]'\n"
    ), process.stderr


def test_what_an_extra_itself_misses_surfaces_as_it_is(script: Script) -> None:
    """A broken installation of prometheus_client is no missing extra of ours."""
    process = script(
        WITHOUT
        + """
try:
    gangplank.PrometheusExporter
except ImportError as error:
    print(type(error).__name__, error.name)
""",
        "prometheus_client.registry",
    )
    assert process.stdout == "ModuleNotFoundError prometheus_client.registry\n"


def test_the_errors_are_what_their_docstring_says() -> None:
    """One base class to catch, and Python's own where they stand for it."""
    for error, python in (
        (gangplank.ConfigurationError, ValueError),
        (gangplank.MissingDependencyError, ImportError),
        (gangplank.ServerStartError, OSError),
        (gangplank.ExportError, OSError),
    ):
        assert issubclass(error, gangplank.GangplankError)
        assert issubclass(error, python)
