"""Limits Prefect's retries to runs that may succeed the next time.

Prefect retries whatever is raised, and never what is returned as Failed: such a run ends as AwaitingRetry and is not run again.
So a run that should fail raises. Wrong input stays wrong on every retry.
"""

import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec
from uuid import UUID

import httpx
from prefect import Task
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext

from ..core.errors import IncompleteRun, InputError

P = ParamSpec("P")
logger = logging.getLogger("seedream_tasks.orchestration")


def may_help(error: object) -> bool:
    """Whether a run that failed with this error may succeed when retried."""
    if isinstance(error, IncompleteRun):
        return error.may_be_mended_by_a_retry
    return not isinstance(error, InputError)


def worth_retrying(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    """For `retry_condition_fn` of a task."""
    return may_help(state.data)


def retried_if_it_may_help(work: Callable[P, Coroutine[Any, Any, Any]]) -> Callable[P, Coroutine[Any, Any, Any]]:
    """A flow that is retried only if that may help; Prefect has such a condition only for tasks."""

    @wraps(work)
    async def as_often_as_it_may_help(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return await work(*args, **kwargs)
        except (InputError, IncompleteRun) as error:
            if not may_help(error):
                await _no_more_retries()
            raise

    return as_often_as_it_may_help


async def _no_more_retries() -> None:
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or not run.empirical_policy.retries:
        return
    policy = run.empirical_policy.model_copy(update={"retries": 0})
    try:
        async with get_client() as client:
            await client.update_flow_run(UUID(str(run.id)), empirical_policy=policy)
    except httpx.HTTPError as error:
        logger.warning("this run cannot be kept from being retried: %s", type(error).__name__)
