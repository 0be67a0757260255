"""Single jobs in anyone's flow: submit, wait, archive. One path, whether it is called as tasks or through a gateway's block."""

import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from prefect.blocks.abstract import JobRun
from prefect.runtime import flow_run
from sqlalchemy import Connection

from ..core.advice import advice
from ..core.errors import SeedreamError
from ..core.jobs import Job
from ..core.money import dollars
from ..core.states import AttemptState, RecordStatus
from ..engine.freezing import Request
from ..engine.settings import amount
from ..ledger import archives, views
from .access import Access, access_by, place_of, to_hand_on
from .session import RunSettings, Session, session

if TYPE_CHECKING:
    from .blocks import SeedreamGateway


def own_run_id() -> str:
    """The flow run is the run, so its retries share one cap; outside of one, every call is a run of its own."""
    return str(flow_run.id or uuid.uuid4())


async def settings_for(
    archive: str | None,
    ledger: str | None,
    gateways: Sequence[str] | None,
    prices: str | None,
    max_usd: Decimal | float | str | None,
    wait_s: float,
) -> RunSettings:
    """Settings for single jobs. Raises ConfigurationError."""
    place = await place_of(archive, ledger, simulated=False)
    return RunSettings(
        request=Request(catalog=""),
        archive=place.archive.root,
        ledger=to_hand_on(ledger, place),
        gateways=tuple(gateways or ()),
        prices=prices,
        max_usd=amount(max_usd, "max_usd"),
        wait_s=wait_s,
    )


async def submit(job: Job, run_id: str, settings: RunSettings, access: Access | None = None) -> list[str]:
    """Buy what is not bought yet of a job; returns the ids of its attempts that are live or hold its pictures."""
    async with session(run_id, settings, access) as run:
        await run.begin()
        return await (await run.engine()).submit(job)


async def wait(attempt_ids: list[str], run_id: str, settings: RunSettings, access: Access | None = None) -> list[str]:
    """Follow attempts until the gateway is done with them; returns those that delivered. Raises SeedreamError for none."""
    async with session(run_id, settings, access) as run:
        delivered = await (await run.engine()).wait(attempt_ids)
        if attempt_ids and not delivered:
            raise SeedreamError(
                f"none of these attempts delivered a picture: {await _ends(run, attempt_ids)}", code="nothing_delivered"
            )
    return delivered


async def archive_pictures(
    attempt_ids: list[str], run_id: str, settings: RunSettings, access: Access | None = None
) -> list[str]:
    """Copy and verify what these attempts delivered; returns the URIs of the archived pictures, in the order of the attempts."""
    async with session(run_id, settings, access) as run:
        await (await run.engine()).archive(attempt_ids)
        found = await run.around.ledger.read(
            lambda connection: [each for one in attempt_ids for each in views.pictures_of(connection, one)]
        )
        places = await run.around.ledger.read(archives.places)
    return [f"{places.get(name, name)}/{path}" for each in found for name, path in each.copies.items()]


async def _ends(run: Session, attempt_ids: Sequence[str]) -> str:
    """How these attempts stand, and what to do about it."""
    found = await run.around.ledger.read(lambda connection: views.attempts_by_id(connection, attempt_ids))
    return "; ".join(_end(each) for each in found)


def _end(attempt: views.Attempt) -> str:
    status = _AS_RECORD.get(attempt.state, RecordStatus.FAILED)
    what = f" ({attempt.error_code}: {attempt.error_message})" if attempt.error_code else ""
    risk = f", {dollars(attempt.at_risk_usd)} at risk" if attempt.at_risk_usd else ""
    return f"{attempt.attempt_id} is {attempt.state}{what}{risk}: {advice(status, '', attempt.error_code)}"


_AS_RECORD = {
    AttemptState.INTENT: RecordStatus.IN_FLIGHT,
    AttemptState.ACCEPTED: RecordStatus.IN_FLIGHT,
    AttemptState.DELIVERED: RecordStatus.IN_FLIGHT,
    AttemptState.UNKNOWN: RecordStatus.UNKNOWN,
    AttemptState.EXPIRED: RecordStatus.EXPIRED,
    AttemptState.LOST: RecordStatus.LOST,
    AttemptState.CANCELLED: RecordStatus.CANCELLED,
}


class SeedreamImages(JobRun[list[str]]):
    """The pictures of one job, bought by `SeedreamGateway.trigger`. Its attempts stand in the ledger, not in this object."""

    def __init__(self, attempt_ids: list[str], run_id: str, settings: RunSettings, access: Access) -> None:
        self.attempt_ids = attempt_ids
        self.run_id = run_id
        self._settings = settings
        self._access = access

    async def wait_for_completion(self) -> None:  # type: ignore[override] # Prefect declares a Logger, and returns none either
        """Wait until the gateway is done, at most as long as `trigger` was told. Raises SeedreamError when no picture comes;
        what is still running then is taken up by whoever asks next.
        """
        await wait(self.attempt_ids, self.run_id, self._settings, self._access)

    async def fetch_result(self) -> list[str]:
        """Copy the pictures into the archive, verified; returns their URIs. Raises SeedreamError while there are none."""
        uris = await archive_pictures(self.attempt_ids, self.run_id, self._settings, self._access)
        if not uris:
            async with session(self.run_id, self._settings, self._access) as run:
                ends = await _ends(run, self.attempt_ids)
            raise SeedreamError(f"no picture is archived: {ends}", code="nothing_archived")
        return uris


async def trigger(
    block: "SeedreamGateway",
    job: Job,
    archive: str | None,
    ledger: str | None,
    prices: str | None,
    max_usd: Decimal | float | str | None,
    wait_s: float,
) -> SeedreamImages:
    """`SeedreamGateway.trigger`. The block is at hand, so its key is not looked up by name."""
    name = f"seedream-gateway/{block._block_document_name or block.gateway}"
    settings = await settings_for(archive, ledger, (name,), prices, max_usd, wait_s)
    access = access_by({name: block}, prices)
    run_id = own_run_id()
    attempt_ids = await submit(job, run_id, settings, access)
    if not attempt_ids:
        async with session(run_id, settings, access) as run:
            why = await _why_not(run, job)
        raise SeedreamError(f"{job.row_key} {job.shot} is not bought: {why}", code="not_bought", row_key=job.row_key)
    return SeedreamImages(attempt_ids, run_id, settings, access)


async def _why_not(run: Session, job: Job) -> str:
    def look(connection: Connection) -> str:
        put_off = views.admissions_of(connection, run.run_id, [job.job_key]).get(job.job_key)
        if put_off is not None:
            return f"{put_off.message}: {advice(RecordStatus.DEFERRED, put_off.reason, None)}"
        tried = views.job_views(connection, [job.job_key])[job.job_key].attempts
        return _end(tried[-1]) if tried else "its gateway is out"

    return await run.around.ledger.read(look)
