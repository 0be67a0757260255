"""Approval of a large purchase: a canary is bought, the run suspends, and resumes where it stopped.

Resuming runs the flow again from the start. That is safe because the run is frozen and the ledger knows what is bought: planning
and canary are already done and cost nothing the second time.
"""

import asyncio
from decimal import Decimal
from typing import Any, Literal

from prefect.artifacts import acreate_markdown_artifact
from prefect.flow_runs import apause_flow_run, asuspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment
from pydantic import Field
from sqlalchemy import Connection

from ..config.settings import amount
from ..core.errors import ConfigurationError, InputError
from ..core.money import ZERO, dollars
from ..core.states import RecordStatus
from ..ledger import attempt_rows, known_runs
from ..planning.forecast import Forecast
from ..runs.contact_sheet import MOST_TILES, Tile, tiles_of
from .artifacts import table, tiles_table
from .session import Session

# Without an answer by then the run fails, and nothing more is bought.
WAIT_S = 7 * 24 * 3600
_KEY = "approval"


class Approval(RunInput):
    """The approver's answer."""

    decision: Literal["approve", "reduce", "reject"] = Field(
        default="approve", description="Approve the forecast, reduce what the run may spend, or reject the rest."
    )
    max_usd: float | None = Field(
        default=None,
        title="Max USD",
        description="With reduce: most that the run may spend in all, the canary included, in USD.",
    )
    note: str = Field(default="", description="Why, for whoever looks at this run later.")


async def approved(run: Session, figures: Forecast, limit: Decimal, canary: list[dict[str, Any]]) -> Approval:
    """Ask, and return the answer; the first call suspends the run instead of returning. Raises InputError."""
    await _show(run, figures, limit, canary)
    if deployment.id is None:
        # Without a deployment nobody could start it again: it waits in its own process.
        answer = await apause_flow_run(wait_for_input=Approval, timeout=WAIT_S, key=_KEY)
    else:
        answer = await asuspend_flow_run(wait_for_input=Approval, timeout=WAIT_S, key=_KEY)
    if answer is None:
        raise InputError("the run was resumed without an answer", field="approve_above_usd", code="no_answer")
    await _show(run, figures, limit, canary, answer)
    return answer


async def abide(run: Session, answer: Approval) -> None:
    """Put the answer into force, for good. Raises ConfigurationError."""
    allowed = run.options.max_usd
    if answer.decision == "reduce":
        asked = amount(answer.max_usd, "max_usd")
        if asked is None:
            raise ConfigurationError("reduce needs max_usd", field="max_usd", hint="start the run again")
        allowed = asked if allowed is None else min(asked, allowed)
    elif answer.decision == "reject":
        allowed = ZERO  # what is bought is kept; nothing more may be spent
    await lift(run, allowed, f"{answer.decision}: {answer.note}")


async def lift(run: Session, allowed: Decimal | None, why: str) -> None:
    """Raise the run's cap to `allowed`, now that no approval is pending."""

    def write(connection: Connection) -> None:
        known_runs.change_cap(connection, run.run_id, allowed)
        attempt_rows.note(connection, "approval", why, run_id=run.run_id)

    await run.around.ledger.write(write)


async def _show(
    run: Session, figures: Forecast, limit: Decimal, canary: list[dict[str, Any]], answer: Approval | None = None
) -> None:
    bought = [record for record in canary if record["status"] == RecordStatus.ARCHIVED and not record["stale"]]

    def looked_at() -> list[Tile]:
        return [tile for record in bought for tile in tiles_of(run.around.archive, record, None, MOST_TILES)]

    text = "\n\n".join(
        [
            *(_question(figures, limit, len(bought)) if answer is None else _answer(figures, answer)),
            table(
                ["gateway", "jobs", "images", "forecast"],
                [
                    [name, each.jobs, each.images, dollars(each.usd)]
                    for name, each in sorted(figures.by_gateway.items())
                ],
            ),
            tiles_table((await asyncio.to_thread(looked_at))[:MOST_TILES]),
        ]
    )
    await acreate_markdown_artifact(
        text, key="seedream-approval", description="What is to be approved, and a canary of it"
    )


def _question(figures: Forecast, limit: Decimal, bought: int) -> list[str]:
    return [
        f"# Approve {dollars(figures.usd)}?",
        f"The forecast is above {dollars(limit)}. {bought} {'record was' if bought == 1 else 'records were'} bought to be"
        " looked at; the rest waits.",
        "Resume this run and say *approve*, *reduce* (with the most it may spend) or *reject*. What is bought stays bought"
        " and is not paid for again.",
    ]


def _answer(figures: Forecast, answer: Approval) -> list[str]:
    said = {"approve": "Approved", "reduce": f"Reduced to ${answer.max_usd}", "reject": "Rejected"}[answer.decision]
    return [f"# {said}", f"The forecast was {dollars(figures.usd)}.", *([f"> {answer.note}"] if answer.note else [])]
