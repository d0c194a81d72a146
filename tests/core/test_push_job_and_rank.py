"""What a process pushes as: the job that it is, and the rank that it has among several."""

from __future__ import annotations

import pytest
from pushsettings import PREFIX, settings

from gangplank import ConfigurationError, PushgatewayExporter
from gangplank.settings import DEFAULT

pytestmark = pytest.mark.usefixtures("_one_process")


@pytest.mark.parametrize(
    ("environ", "rank"),
    [
        ({"RANK": "3", "WORLD_SIZE": "4"}, "3"),
        ({"RANK": "0", "WORLD_SIZE": "2"}, "0"),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"RANK": "3"}, None),
        ({"RANK": "x", "WORLD_SIZE": "4"}, None),
        ({"RANK": "-1", "WORLD_SIZE": "4"}, None),
        ({"RANK": "", "WORLD_SIZE": ""}, None),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, "1"),
        ({"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8"}, "5"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, None),  # a batch script, which has not called srun yet
        ({"RANK": "3", "WORLD_SIZE": "4", "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}, "3"),
        ({"RANK": "0", "WORLD_SIZE": "1", "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}, "1"),
    ],
)
def test_a_process_among_several_has_its_rank(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], rank: str | None
) -> None:
    """In its groups, unless the user says otherwise; a process on its own has none."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    found = settings(grouping_key={"team": "ml"})
    assert found.grouping_key == {"team": "ml"} | ({} if rank is None else {"rank": rank})
    assert rank is None or any(name in found.sources["grouping_key"] for name in environ)
    assert settings(grouping_key={"rank": "mine"}).grouping_key == {"rank": "mine"}
    assert settings().sources["grouping_key"] in ({DEFAULT} if rank is None else set(environ))


@pytest.mark.parametrize(
    ("environ", "job"),
    [
        ({"OTEL_SERVICE_NAME": "shop"}, "shop"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "team=ml, service.name=a%20b"}, "a b"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=x,service.namespace=ns"}, "ns/x"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=x,service.namespace=ns", "OTEL_SERVICE_NAME": "shop"}, "ns/shop"),
        ({"OTEL_SERVICE_NAME": "shop", f"{PREFIX}JOB": "mine"}, "mine"),
        ({"OTEL_SERVICE_NAME": "", "OTEL_RESOURCE_ATTRIBUTES": "service.name=x"}, "x"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "nonsense,,=,service.name=x=y"}, "x=y"),
    ],
)
def test_the_job_is_the_services_name(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], job: str) -> None:
    """If nothing else is said."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert settings(job=None).job == job
    assert settings(job="given").job == "given"


@pytest.mark.parametrize("text", [None, "", "  ", "service.namespace=ns"])
def test_without_a_job_there_is_no_exporter(monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    """The error says which variables would do."""
    if text is not None:
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES" if "=" in text else "OTEL_SERVICE_NAME", text)
    with pytest.raises(ConfigurationError, match=r"^job must be given.*OTEL_SERVICE_NAME"):
        PushgatewayExporter("localhost")


def test_a_services_name_that_no_path_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are no UTF-8 come out of the environment as surrogates: the variable is named, and not the default."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "caf\udce9")
    with pytest.raises(ConfigurationError, match=r"OTEL_SERVICE_NAME|service name"):
        PushgatewayExporter("localhost")
