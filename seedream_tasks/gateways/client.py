"""One account at one gateway: submit, fetch, probe, balance, upload, with every error mapped."""

import asyncio
import hashlib
import json
import logging
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import aiohttp
import httpx

from ..core.capabilities import Capability
from ..core.errors import GatewayFault, NotThisGateway
from ..core.outcomes import (
    AnswerExcerpt,
    ErrorClass,
    ErrorInfo,
    Fate,
    SubmitOutcome,
    TaskStatus,
    class_of_status,
)
from ..core.storable import short
from .acceptance import keep, read_submit, unknown
from .dialect import Balance, ModelInForce, Uploaded
from .fitting import fitted_outcome, fitted_status
from .http import Answer, HttpClients, SendWitness
from .patience import within
from .reading import (
    Unreadable,
    has_error,
    named_status,
    read_error,
    tells_status,
)
from .registry import dialect

logger = logging.getLogger("seedream_tasks.gateways")

SUBMIT_TIMEOUT_S = 60.0
# A synchronous gateway generates the image before it answers.
SYNCHRONOUS_TIMEOUT_S = 300.0
# Delay before retrying a connection that could not be made.
RECONNECT_S = 2.0
# Between checks whether the gateway knows a task named by an unclear answer.
KNOWN_AFTER_S = (0.5, 1.5)


@dataclass(frozen=True, slots=True)
class Account:
    """Who is billed: a gateway, its base URL, and a key. The key never appears in its text forms."""

    gateway: str
    base_url: str
    key: str
    place: str | None = (
        None  # names the account instead of the base URL where that changes (the embedded sandbox's port)
    )

    @property
    def name(self) -> str:
        """Gateway, base URL and the first 8 hex digits of the key's sha256: safe to store and to show."""
        return f"{self.gateway}@{self.place or self.base_url}#{hashlib.sha256(self.key.encode()).hexdigest()[:8]}"

    def __repr__(self) -> str:
        return f"Account({self.name})"


@dataclass(frozen=True, slots=True)
class Unread:
    """An unreadable answer to a status request: the reason and the content."""

    why: str
    kept: AnswerExcerpt


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of a free request about an account."""

    simulated: bool
    balance: Balance | None


class GatewayClient:
    """Speaks one dialect with one account's key. Safe for concurrent use."""

    def __init__(self, account: Account, http: HttpClients) -> None:
        self.account = account
        self.dialect = dialect(account.gateway)
        self._http = http

    @property
    def gateway(self) -> str:
        """The gateway's name."""
        return self.account.gateway

    @property
    def submit_timeout_s(self) -> float:
        """How long a submit may take."""
        return SYNCHRONOUS_TIMEOUT_S if self.dialect.synchronous else SUBMIT_TIMEOUT_S

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.account.key}", "Accept": "application/json"}

    async def submit(self, body: dict[str, Any]) -> SubmitOutcome:
        """Send one paid request, once. Always returns an outcome; only cancellation raises (then the outcome is unknown)."""
        return fitted_outcome(await self._submit(body))

    async def _submit(self, body: dict[str, Any]) -> SubmitOutcome:
        witness = SendWitness()
        try:
            content = json.dumps(body, ensure_ascii=False).encode()
        except ValueError as error:  # a lone surrogate: it cannot be sent to any gateway, and was not
            return SubmitOutcome(Fate.REFUSED, error=ErrorInfo("not_sendable", str(error), ErrorClass.PARAMETERS))
        headers = {**self._headers(), "Content-Type": "application/json"}
        url = self.account.base_url + self.dialect.submit_path
        try:
            answer = await within(self.submit_timeout_s, self._http.send_paid(url, content, headers, witness))
        except Exception as error:  # noqa: BLE001 - whatever it is, the request may have left
            # The exception type is not proof (see gateways.http); whether there was a connection is.
            why = f"{type(error).__name__}: {error}"
            if witness.connected:
                what = f"the connection broke after sending: {why}"
                return await self._settled(unknown(what, witness.status or None, bytes(witness.content)))
            info = ErrorInfo("no_connection", why, class_of_status(503))
            return SubmitOutcome(Fate.NOT_SENT, error=info, retry_after_s=RECONNECT_S)
        try:
            outcome = read_submit(self.dialect, answer)
        except Exception as error:  # noqa: BLE001 - whatever an answer breaks in us, it was an answer to a paid request
            why = f"an answer that cannot be read: {type(error).__name__}: {error}"
            outcome = unknown(why, answer.status, answer.content)
        return await self._settled(outcome)

    async def _settled(self, outcome: SubmitOutcome) -> SubmitOutcome:
        """The outcome with our key masked; accepted if a status request finds one of its pending ids."""
        if not self.dialect.synchronous:
            for task_id in outcome.ask_for:
                if await self.knows(task_id):
                    return SubmitOutcome(Fate.ACCEPTED, task_id=task_id, status=outcome.status)
        if outcome.error is not None:
            outcome = replace(outcome, error=replace(outcome.error, message=self._masked(outcome.error.message)))
        if outcome.kept is not None:
            outcome = replace(outcome, kept=replace(outcome.kept, text=self._masked(outcome.kept.text)))
        return outcome

    async def knows(self, task_id: str) -> bool:
        """Whether the gateway knows this task: a readable status proves it. Asked a few times, since a new task may take a moment
        to reach every server of the gateway.
        """
        for wait_s in (*KNOWN_AFTER_S, None):
            try:
                await self.fetch(task_id)
            except GatewayFault as fault:
                logger.info("task %s: %s", task_id, fault.message)
            else:
                return True
            if wait_s is not None:
                await asyncio.sleep(wait_s)
        return False

    def _masked(self, text: str) -> str:
        """A gateway's text with our key masked, in case it repeats it."""
        return text.replace(self.account.key, "***") if len(self.account.key) >= 8 else text

    async def fetch(self, task_id: str) -> TaskStatus:
        """A task's status. Raises GatewayFault with `status` and `own_body` for anything but a readable answer."""
        answer = await self._get(self.dialect.status_path(task_id))
        body = answer.json_object()
        if 200 <= answer.status < 300 and body is not None and not self._is_refusal(body):
            try:
                return fitted_status(self.dialect.read_status(body))
            except Unreadable as error:
                raise self._unreadable(f"an unreadable status: {error}", answer) from None
        if 200 <= answer.status < 300 and body is None:
            raise self._unreadable("no status", answer)
        raise self._fault("no status", answer)

    def _unreadable(self, what: str, answer: Answer) -> GatewayFault:
        fault = self._fault(what, answer)
        kept = keep(answer.content)
        fault.facts["unreadable"] = Unread(short(what), replace(kept, text=self._masked(kept.text)))
        return fault

    def _is_refusal(self, body: dict[str, Any]) -> bool:
        # A failed task carries an `error` too; only an error without a task is a refusal to answer.
        return has_error(body) and not tells_status(body)

    async def probe(self) -> Probe:
        """Whether base URL and key are right, and whether it is the sandbox. Costs nothing.

        Raises NotThisGateway (a readable answer of another kind), or GatewayFault: `key_refused` among its facts where the
        gateway says so; else for what may pass (no answer, 429, 5xx, a page of somebody in between).
        """
        answer = await self._get(self.dialect.probe_path())
        body = answer.json_object()
        status = answer.status
        if body is not None and status == 200 and has_error(body):
            status = named_status(body) or status
        if status in (401, 403, 429) or status >= 500:
            fault = self._fault("the check of the account failed", answer, status)
            # A page of an intermediate CDN or firewall has not checked the key.
            fault.facts["key_refused"] = status in (401, 403) and body is not None
            raise fault
        if body is None or not self.dialect.read_probe(status, body):
            raise NotThisGateway(
                f"{self.account.base_url} answers, but not as {self.gateway} does (HTTP {answer.status})",
                gateway=self.gateway,
                status=answer.status,
                hint=f"check SEEDREAM_{self.gateway.upper()}_BASE_URL",
            )
        try:
            balance = self.dialect.read_balance(body)
        except Unreadable:
            balance = None
        return Probe(answer.simulated, balance)

    async def model_in_force(self, row: Capability) -> ModelInForce | None:
        """Limits and prices from a models endpoint, where the gateway has one. Raises GatewayFault."""
        path = self.dialect.model_path(row)
        if path is None:
            return None
        answer = await self._get(path)
        body = answer.json_object()
        if answer.status != 200 or body is None:
            raise self._fault("no model description", answer)
        return self.dialect.read_model(body)

    async def costs(self, start: datetime, end: datetime) -> dict[date, Decimal] | None:
        """USD by day (UTC) as reported by the gateway; None when it reports none. Raises GatewayFault."""
        path = self.dialect.costs_path(start, end)
        if path is None:
            return None
        answer = await self._get(path)
        body = answer.json_object()
        if answer.status != 200 or body is None or has_error(body):
            raise self._fault("no costs", answer)
        try:
            return self.dialect.read_costs(body)
        except (Unreadable, ValueError) as error:
            raise self._fault(f"unreadable costs: {error}", answer) from None

    async def upload(self, content: bytes, name: str, mime_type: str) -> Uploaded:
        """Upload a reference to the gateway's file service. Raises GatewayFault; its fact `full`: the service is full."""
        url = self.dialect.upload_url(self.account.base_url)
        if url is None:
            raise GatewayFault(f"{self.gateway} has no file service", gateway=self.gateway)
        answer = await self._send("POST", url, timeout_s=120.0, files={"file": (name, content, mime_type)})
        body = answer.json_object()
        if answer.status not in (200, 201) or body is None or has_error(body):
            fault = self._fault("the upload of a reference was refused", answer)
            fault.facts["full"] = body is not None and self.dialect.is_full(body)
            raise fault
        try:
            return self.dialect.read_upload(body)
        except Unreadable as error:
            raise self._fault(f"an unreadable answer to an upload: {error}", answer) from None

    async def delete_upload(self, file_id: str) -> None:
        """Delete an uploaded file; a missing one counts as deleted. Raises GatewayFault."""
        url = self.dialect.delete_url(self.account.base_url, file_id)
        if url is None:
            raise GatewayFault(f"{self.gateway} deletes no files", gateway=self.gateway)
        answer = await self._send("DELETE", url)
        body = answer.json_object()
        if answer.status != 404 and (answer.status not in (200, 204) or (body is not None and has_error(body))):
            raise self._fault("an uploaded reference was not deleted", answer)

    async def _get(self, path: str) -> Answer:
        return await self._send("GET", self.account.base_url + path)

    async def _send(self, method: str, url: str, timeout_s: float = 30.0, **more: Any) -> Answer:
        try:
            async with asyncio.timeout(timeout_s + 10):
                return await self._http.send_free(method, url, timeout_s, headers=self._headers(), **more)
        except (httpx.HTTPError, aiohttp.ClientError, OSError, ValueError) as error:
            why = short(f"{self.gateway} did not answer: {type(error).__name__}: {error}")
            raise GatewayFault(why, gateway=self.gateway, status=None) from error

    def _fault(self, what: str, answer: Answer, status: int | None = None) -> GatewayFault:
        body = answer.json_object()
        own_body = body is not None and has_error(body)
        detail = "" if body is not None else f", not in the gateway's own words: {_begins(answer)}"
        if body is not None and own_body:
            error = read_error(body, answer.status, self.dialect.error_codes)
            detail = f": {error.code}: {self._masked(error.message)}"
            if answer.status == 200:
                status = status or named_status(body)
        return GatewayFault(
            short(f"{self.gateway}: {what} (HTTP {answer.status}){detail}"),
            gateway=self.gateway,
            status=status or answer.status,
            own_body=own_body,
            retry_after_s=answer.retry_after_s(),
        )


def _begins(answer: Answer) -> str:
    text = " ".join(answer.content[:400].decode("utf-8", "replace").split())
    return repr(text[:80]) if text else "an empty body"
