"""prefect.yaml, read strictly: Prefect ignores what it does not know, so a misspelt key would do nothing, silently."""

import importlib.util
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect import Flow
from prefect.cli.deploy._models import (
    ConcurrencyLimitSpec,
    DeploymentConfig,
    PrefectYamlModel,
    RawScheduleConfig,
    WorkPoolConfig,
)
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.utilities.callables import parameter_schema
from pydantic import BaseModel

from seedream_tasks.config.process import FLOWS

ROOT = Path(__file__).parents[2]
WHOLE: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
DEPLOYMENTS: dict[str, dict[str, Any]] = {each["name"]: each for each in WHOLE["deployments"]}
# These buy, or make others buy.
BUYING = {"catalog-images-weekly", "watch-uploads"}
# Started by runs, with all of its parameters.
_OPTIONS = {"catalog": "c.csv", "archive": "a", "ledger": None}
STARTED_BY_RUNS = {"process-shard": {"run_id": "run", "options": _OPTIONS, "start": 0, "stop": 1}}


def unknown_keys(given: dict[str, Any], model: type[BaseModel]) -> set[str]:
    """Keys that this part of the file has and Prefect would pass over."""
    known = set(model.model_fields)
    return set(given) - known - {field.alias for field in model.model_fields.values() if field.alias}


def flow_of(deployment: dict[str, Any]) -> Flow[Any, Any]:
    """The flow behind an entrypoint."""
    file, _, name = deployment["entrypoint"].partition(":")
    spec = importlib.util.spec_from_file_location(Path(file).stem, ROOT / file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, name)
    assert isinstance(found, Flow)
    return found


def test_it_has_the_deployments_that_the_documentation_names() -> None:
    """Each deployment once, and nothing at the top that Prefect does not read; `definitions` holds anchors only."""
    assert len(DEPLOYMENTS) == len(WHOLE["deployments"])
    assert set(DEPLOYMENTS) == {
        *("catalog-images", "catalog-images-weekly", "catalog-images-on-upload"),
        *("collect-images", "watch-uploads", "process-shard"),
    }
    assert unknown_keys(WHOLE, PrefectYamlModel) == {"definitions"}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_every_key_is_one_that_prefect_reads(name: str) -> None:
    """Deployment, pool, limit, schedules and triggers hold no key that would be ignored."""
    deployment = DEPLOYMENTS[name]
    assert not unknown_keys(deployment, DeploymentConfig)
    assert not unknown_keys(deployment["work_pool"], WorkPoolConfig)
    assert not unknown_keys(deployment.get("concurrency_limit", {}), ConcurrencyLimitSpec)
    for schedule in deployment.get("schedules", []):
        assert not unknown_keys(schedule, RawScheduleConfig)
        RawScheduleConfig.model_validate(schedule)
    for trigger in deployment.get("triggers", []):
        assert not unknown_keys(trigger, DeploymentEventTrigger)
        DeploymentEventTrigger.model_validate({"name": "checked", **trigger})


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_parameters_exist_are_enough_and_fit_their_types(name: str) -> None:
    """What a schedule starts must not fail on its own parameters; a trigger's parameters exist too."""
    deployment = DEPLOYMENTS[name]
    flow = flow_of(deployment)
    known = set(parameter_schema(flow).properties)
    assert set(deployment["parameters"]) <= known
    for trigger in deployment.get("triggers", []):
        assert set(trigger["parameters"]) <= known
    flow.validate_parameters(STARTED_BY_RUNS.get(name, deployment["parameters"]))
    for field in ("shots", "catalog"):
        if field in deployment["parameters"]:
            assert (ROOT / deployment["parameters"][field]).is_file()


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_form_says_what_every_parameter_means(name: str) -> None:
    """The docstring becomes the form: no parameter without a description."""
    properties = parameter_schema(flow_of(DEPLOYMENTS[name])).properties
    assert not [field for field, shown in properties.items() if not shown.get("description")]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_limits_and_schedules_are_as_intended(name: str) -> None:
    """Real cron lines, real zones and strategies; a fresh checkout buys nothing by itself; runs are set up as on a terminal."""
    deployment = DEPLOYMENTS[name]
    assert deployment["work_pool"] == {
        "name": "seedream",
        "job_variables": {"env": FLOWS},
    }
    assert deployment["enforce_parameter_schema"] is True
    limit = deployment.get("concurrency_limit")
    if limit:
        assert limit["limit"] == 1
        ConcurrencyLimitStrategy(limit["collision_strategy"])
    for schedule in deployment.get("schedules", []):
        assert schedule["active"] is (name not in BUYING)
        if "cron" in schedule:
            CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
            assert ZoneInfo(schedule["timezone"])
    if "catalog" in deployment["parameters"]:
        assert deployment["parameters"]["sandbox"] is True


def test_recurring_runs_do_not_pile_up() -> None:
    """The weekly run waits for the one before it; looks that come too early are dropped."""
    strategies = {
        name: each["concurrency_limit"]["collision_strategy"]
        for name, each in DEPLOYMENTS.items()
        if "concurrency_limit" in each
    }
    assert strategies == {
        "catalog-images-weekly": "ENQUEUE",
        "collect-images": "CANCEL_NEW",
        "watch-uploads": "CANCEL_NEW",
    }
