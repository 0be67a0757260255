"""`seedream attempts`: what the ledger knows."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import click

from ..config.pairing import open_pair
from ..config.settings import known_locations
from ..core.errors import InputError
from ..core.money import plain
from ..core.secrets import without_secrets
from ..core.states import AttemptState
from ..ledger import identity, queries, unread_answers, values
from ..ledger.unread_answers import KeptAnswer
from . import options
from .terminal import print_json, say

# Their outcome is open, so their gateways' answers matter.
_UNSETTLED = frozenset({AttemptState.ACCEPTED, AttemptState.UNKNOWN, AttemptState.LOST})


@click.command()
@click.option("--state", metavar="STATE", help="Only attempts in this state. Default: all.")
@click.option("--run", "run_id", metavar="ID", help="Only attempts of this run. Default: of all.")
@options.places
@options.as_json
def attempts(state: str | None, run_id: str | None, archive: str | None, ledger: str | None, json_: bool) -> int:
    """List attempts: what was paid for, where, and what became of it."""
    if state is not None and state not in set(AttemptState):
        raise InputError(f"--state takes {', '.join(AttemptState)}, not {state!r}", field="state")
    place = known_locations(archive, ledger)
    store = open_pair(place, create=False, migrates=False)
    try:
        simulated = store.read_now(identity.kind) == identity.SIMULATED
        found = store.read_now(lambda connection: list(queries.list_attempts(connection, state, run_id)))
        unsettled = [each.attempt_id for each, *_ in found if each.state in _UNSETTLED]
        unread = store.read_now(lambda connection: unread_answers.kept_of(connection, unsettled))
    finally:
        store.close()
    rows = [
        _row(attempt, row_key, shot, simulated, unread.get(attempt.attempt_id, ())) for attempt, row_key, shot in found
    ]
    by_state = Counter(str(row["state"]) for row in rows)
    if json_:
        print_json({"attempts": rows, "by_state": dict(sorted(by_state.items()))})
        return 0
    for row in rows:
        slots = ",".join(str(slot) for slot in row["slots"])
        say(
            f"{row['attempt_id']}  {row['state']:<9} {row['gateway']:<8} {row['row_key']} {row['shot']} [{slots}]"
            f"  quoted {row['quoted_usd']} billed {row['billed_usd']} at risk {row['at_risk_usd']}  {row['task_id'] or '-'}"
        )
        for each in row["unread"]:
            named = f"; ids in it: {', '.join(each['ids'])}" if each["ids"] else ""
            say(f"    unreadable answer to its {each['to']} ({each['at']}): {' '.join(each['text'].split())}{named}")
    say(", ".join(f"{count} {name}" for name, count in sorted(by_state.items())) or "no attempts")
    return 0


def _row(
    attempt: values.Attempt, row_key: str, shot: str, simulated: bool, unread: Iterable[KeptAnswer]
) -> dict[str, Any]:
    return {
        "attempt_id": attempt.attempt_id,
        "job_key": attempt.job_key,
        "row_key": row_key,
        "shot": shot,
        "slots": list(attempt.slots),
        "gateway": attempt.gateway,
        "account": attempt.account,
        "task_id": attempt.task_id,
        "state": attempt.state,
        "quoted_usd": plain(attempt.quoted_usd),
        "billed_usd": plain(attempt.billed_usd),
        "at_risk_usd": plain(attempt.at_risk_usd),
        "submitted_at": attempt.submitted_at.isoformat() if attempt.submitted_at else None,
        "expires_at": attempt.expires_at.isoformat() if attempt.expires_at else None,
        "run_id": attempt.run_id,
        "simulated": simulated,
        "unread": [
            {
                "to": each.kind,
                "at": each.at.isoformat(),
                "text": without_secrets(each.text),
                "ids": list(each.ids),
                "times": each.times,
            }
            for each in unread
        ],
    }
