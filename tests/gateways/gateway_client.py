"""Gateway clients as tests use them: each call in an event loop of its own, with its own connections."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from on_offer import BY_OFFER, DIALECTS, SEEDREAM_45
from sandbox_process import Sandbox
from servers import Behaviour, Server

from seedream_tasks.core.jobs import Job
from seedream_tasks.core.outcomes import SubmitOutcome, TaskStatus
from seedream_tasks.gateways.client import Account, GatewayClient
from seedream_tasks.gateways.http import HttpClients

T = TypeVar("T")
GATEWAYS = tuple(DIALECTS)
ASYNCHRONOUS = tuple(name for name in GATEWAYS if not DIALECTS[name].synchronous)
KEY = "a-secret-key"


def read(gateway: str, body: dict[str, Any]) -> Any:
    """A status body as the gateway's dialect reads it, after the way over JSON."""
    return DIALECTS[gateway].read_status(json.loads(json.dumps(body)))


def job(**fields: Any) -> Job:
    """A job; any field can be given, and what a gateway would be asked for by it is made whether a user could say it or not."""
    return Job.made(
        **{
            "row_key": "sku",
            "shot": "image",
            "model": SEEDREAM_45,
            "operation": "generate",
            "prompt": "A red shoe",
            **fields,
        }
    )


def body_of(
    gateway: str,
    wanted: Job | None = None,
    images: int = 1,
    references: Sequence[str] = (),
    callback: str | None = None,
) -> dict[str, Any]:
    """The submit body as the gateway's dialect makes it."""
    asked = wanted or job()
    return DIALECTS[gateway].encode(asked, BY_OFFER[gateway, asked.model], images, references, callback)


def ask(gateway: str, base_url: str, question: Callable[[GatewayClient], Awaitable[T]], key: str = KEY) -> T:
    """Put one question to an account."""

    async def go() -> T:
        async with HttpClients() as http:
            return await question(GatewayClient(Account(gateway, base_url, key), http))

    return asyncio.run(go())


def submit(sandbox: Sandbox, gateway: str, body: dict[str, Any] | None = None) -> SubmitOutcome:
    """Submit to the sandbox."""
    return ask(gateway, sandbox.bases[gateway], lambda client: client.submit(body or body_of(gateway)))


def fetch(sandbox: Sandbox, gateway: str, task_id: str) -> TaskStatus:
    """The status of a task at the sandbox."""
    return ask(gateway, sandbox.bases[gateway], lambda client: client.fetch(task_id))


def at_server(
    gateway: str, behaviour: Behaviour, question: Callable[[GatewayClient], Awaitable[T]], **more: Any
) -> tuple[T, Server]:
    """Put one question to a server of our own; returns the answer and the server with what it was sent."""

    async def go() -> tuple[T, Server]:
        async with Server(behaviour, **more) as server, HttpClients() as http:
            return await question(GatewayClient(Account(gateway, server.url, KEY), http)), server

    return asyncio.run(go())


def submit_to(gateway: str, behaviour: Behaviour, **more: Any) -> tuple[SubmitOutcome, Server]:
    """Submit to a server of our own."""
    return at_server(gateway, behaviour, lambda client: client.submit(body_of(gateway)), **more)
