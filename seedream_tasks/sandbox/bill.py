"""The bill: what was requested, what was accepted, what it costs. The independent witness in every test about money."""

from decimal import Decimal
from typing import Any

from seedream_tasks.sandbox.clock import iso
from seedream_tasks.sandbox.orders import Task
from seedream_tasks.sandbox.prices import gateways, money
from seedream_tasks.sandbox.world import World


def bill(world: World) -> dict[str, Any]:
    """Everything so far, as `GET /sandbox/bill` answers it."""
    world.clock.run_due()
    tasks = list(world.tasks.values())
    by_gateway = {name: [task for task in tasks if task.gateway == name] for name in gateways()}
    return {
        **_sums(sum(world.submissions.values()), tasks),
        "by_gateway": {name: _sums(world.submissions[name], own) for name, own in by_gateway.items()},
        "requests": dict(sorted(world.requests.items())),
        "entries": [_entry(task) for task in tasks],
    }


def _sums(submissions: int, tasks: list[Task]) -> dict[str, Any]:
    return {
        "submissions": submissions,
        "accepted": len(tasks),
        "images": sum(task.images for task in tasks),
        "usd": money(sum((task.usd for task in tasks), Decimal(0))),
    }


def _entry(task: Task) -> dict[str, Any]:
    return {
        "gateway": task.gateway,
        "task_id": task.task_id,
        "model": task.model,
        "prompt": task.order.prompt,
        "n": task.order.n,
        "images": task.images,
        "usd": money(task.usd),
        "credits": money(task.credits or Decimal(0)),
        "status": task.status,
        "request": task.order.request,
        "callback_url": task.order.callback_url,
        "accepted_at": iso(task.accepted_at),
        "finished_at": None if task.finished_at is None else iso(task.finished_at),
        "downloads": task.downloads,
    }
