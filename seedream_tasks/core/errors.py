"""Every error of the project, as one tree.

    SeedreamError
    ├── InputError                 the catalog, shot list, price file or options are wrong: exit 2, nothing was spent
    │   ├── ConfigurationError     gateways, keys, archive or ledger do not fit together
    │   │   ├── KindMismatch       real and simulated would mix
    │   │   └── LedgerMismatch     an archive names another ledger, or a used archive has none
    │   │       └── LedgerBehind   the archive knows of more than the ledger does
    │   └── RowError               one catalog row cannot become a job: its record is `invalid`, the run goes on
    ├── LedgerRefusal              the ledger refuses before anything is written
    │   ├── SlotsTaken             another attempt holds the slots: nothing to buy here
    │   ├── UploadGone             a reference that was uploaded for this attempt is deleted: upload it again
    │   ├── OverCap                the reservation does not fit under a cap
    │   └── AttemptMoved           the attempt is no longer in a state that this record may follow
    │       └── UnknownAttempt     the ledger has no such attempt: the ledger was replaced by a copy, or it was never claimed


    ├── NotBought                  nothing could be bought of a single job
    │   ├── NoGateway              no gateway of this run can do it, or those that can are unavailable
    │   ├── NoPrice                no source prices it
    │   └── GatewayRefused         the gateways that were asked refused it
    ├── NothingDelivered           none of the attempts that were waited for gave an image
    ├── NothingArchived            none of the attempts has an image in the archive
    ├── LedgerFault                the ledger cannot be read or written
    ├── ArchiveFault               the archive cannot be read or written
    ├── UndecodableImage           a paid image's bytes are not an image
    ├── ResourceFault              this machine lacks what decoding an image takes; the image may be good
    ├── ReferenceFault             a reference cannot be read or does not fit
    ├── IncompleteRun              a run with `fail_on_incomplete` has records that are neither archived nor skipped
    └── GatewayFault               a gateway did not answer a free request (status, balance, upload)
        └── NotThisGateway         something answered, but it is not the gateway that was expected

An outcome of a *paid* request is never an exception: it is a `SubmitOutcome` (see `core.outcomes`), which no handler can lose.
"""

from typing import Any

from .secrets import without_secrets


class SeedreamError(Exception):
    """Base class of the project's errors.

    `code` is stable and machine-readable; the message says what happened and what to do next, and holds no secret of an address
    (it goes to terminals, logs, manifests and Prefect's states). Instances survive pickling.
    """

    code = "fault"

    def __init__(self, message: str, **facts: Any) -> None:
        self.message = without_secrets(message)
        super().__init__(self.message)
        self.facts = facts
        if facts.get("hint"):
            self.facts["hint"] = without_secrets(facts["hint"])

    def __str__(self) -> str:
        """The message and, in parentheses, what to do: all that logs and Prefect's UI show of an error."""
        hint = self.facts.get("hint")
        return f"{self.message} ({hint})" if hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.facts))

    def as_json(self) -> dict[str, Any]:
        """The `error` object of `--json`: code, message, row_number, line, field, hint."""
        return {
            "code": self.facts.get("code", self.code),
            "message": self.message,
            "row_number": self.facts.get("row_number"),
            "line": self.facts.get("line"),
            "field": self.facts.get("field"),
            "hint": self.facts.get("hint"),
        }


def _rebuild(kind: type[SeedreamError], message: str, facts: dict[str, Any]) -> SeedreamError:
    return kind(message, **facts)


class InputError(SeedreamError):
    """The input is wrong; nothing was spent. Facts: code, row_number, line, field, hint."""

    code = "bad_input"


class ConfigurationError(InputError):
    """Gateways, keys, archive or ledger do not fit together; nothing was spent."""

    code = "bad_configuration"


class KindMismatch(ConfigurationError):
    """Real and simulated purchases would mix."""

    code = "kind_mismatch"


class LedgerMismatch(ConfigurationError):
    """The archive belongs to another ledger, or was used without this one."""

    code = "ledger_mismatch"


class LedgerBehind(LedgerMismatch):
    """The archive has runs, or records of runs, that the ledger lacks: the ledger was restored from a backup, or lags."""

    code = "ledger_behind"


class RowError(InputError):
    """One row cannot become a job. Facts: field, error_code."""

    code = "invalid"


class LedgerRefusal(SeedreamError):
    """The ledger refuses; raised before anything is written, so a batch of records can continue."""

    code = "refused"


class SlotsTaken(LedgerRefusal):
    """Another attempt holds one of the slots."""

    code = "slots_taken"


class UploadGone(LedgerRefusal):
    """An upload that the request links to was deleted to make room."""

    code = "upload_gone"


class OverCap(LedgerRefusal):
    """The reservation does not fit. Facts: budget, cap_usd, held_usd, wanted_usd, reserved_usd."""

    code = "over_cap"


class AttemptMoved(LedgerRefusal):
    """The attempt's state does not allow this record. Facts: attempt_id, state."""

    code = "attempt_moved"


class UnknownAttempt(AttemptMoved):
    """The ledger does not have this attempt, or its images. Facts: attempt_id, state (None)."""

    code = "unknown_attempt"


class NotBought(SeedreamError):
    """Nothing could be bought of a single job; `OverCap` where a cap was in the way. Facts: row_key, shot."""

    code = "not_bought"


class NoGateway(NotBought):
    """No gateway of this run can do the job, or those that can are unavailable."""

    code = "no_gateway"


class NoPrice(NotBought):
    """No source prices the job at a gateway that can do it."""

    code = "no_price"


class GatewayRefused(NotBought):
    """The gateways that were asked refused the job. Facts: also error_code."""

    code = "gateway_refused"


class NothingDelivered(SeedreamError):
    """None of the attempts that were waited for gave an image. Facts: attempt_ids."""

    code = "nothing_delivered"


class NothingArchived(SeedreamError):
    """None of the attempts has an image in the archive. Facts: attempt_ids."""

    code = "nothing_archived"


class LedgerFault(SeedreamError):
    """The ledger cannot be read or written."""

    code = "ledger_unusable"


class ArchiveFault(SeedreamError):
    """The archive cannot be read or written."""

    code = "archive_unusable"


class UndecodableImage(SeedreamError):
    """The bytes behind a link are not an image that can be decoded in full."""

    code = "undecodable"


class ResourceFault(SeedreamError):
    """This machine lacks memory, file handles, threads or disk space for the operation; it is retried later."""

    code = "no_resources"


class ReferenceFault(SeedreamError):
    """A reference image cannot be read, or is not an image. Facts: uri, error_code."""

    code = "reference_unreadable"


class IncompleteRun(SeedreamError):
    """A run with `fail_on_incomplete` has records that are neither archived nor skipped. Facts: result, only_invalid."""

    code = "incomplete"

    @property
    def result(self) -> dict[str, Any]:
        """The run's figures, those of `run --json`."""
        result: dict[str, Any] = self.facts["result"]
        return result

    @property
    def may_be_mended_by_a_retry(self) -> bool:
        """Whether anything other than invalid rows is missing."""
        return not self.facts["only_invalid"]


class GatewayFault(SeedreamError):
    """A free request (status, balance, upload) got no usable answer. Facts: gateway, status, retry_after_s."""

    code = "gateway_fault"


class NotThisGateway(GatewayFault):
    """A readable answer, but not the documented one: the base URL or the key belongs to another service."""

    code = "not_this_gateway"


class BadValue(ValueError):
    """A field's value is not allowed; the message says what is allowed."""
