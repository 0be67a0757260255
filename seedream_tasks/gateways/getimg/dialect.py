"""getimg.ai: Seedream 4.5. Synchronous: the answer to the paid request holds the image's link and the exact cost.

There is no way to ask for a finished image again, so an answer that is lost leaves the attempt unknown.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from urllib.parse import urlencode

from ...core.capabilities import Capability
from ...core.jobs import Job
from ...core.money import reported
from ...core.outcomes import Fate, Finished, SubmitOutcome
from ..dialect import Balance, Dialect, ModelInForce
from ..ids import id_at
from ..reading import JSON, Unreadable, made_links, model_in, text_at
from .offers import ERROR_CODES, GATEWAY

_MODELS_SOURCE = "getimg.ai models endpoint, at run time"
_RESULTS = ("data", "images", "output", "result", "results")


class GetImg(Dialect):
    """The dialect."""

    name = GATEWAY
    default_base_url: str | None = "https://api.getimg.ai"
    synchronous = True
    submit_path = "/v2/images/generations"
    error_codes = ERROR_CODES

    def encode(
        self, job: Job, row: Capability, images: int, references: Sequence[str], callback_url: str | None
    ) -> JSON:
        body: JSON = {
            "model": row.wire_models.value[0],
            "prompt": job.prompt,
            "aspect_ratio": job.ratio,
            "resolution": job.tier,
        }
        if job.output_format:
            body["output_format"] = job.output_format
        if references:
            body["images"] = [{"url": reference} for reference in references]
        return body

    def read_accepted(self, body: JSON) -> SubmitOutcome:
        links = made_links(*(body.get(name) for name in _RESULTS))
        task_id = id_at(body, "id")
        if not task_id and not links:
            raise Unreadable("no id, and no list data with an image")
        usage = body.get("usage")
        cost = reported(usage.get("total_cost")) if isinstance(usage, dict) else None
        # Its id is never asked for: without one the images are there all the same.
        return SubmitOutcome(
            Fate.ACCEPTED, task_id=task_id or None, finished=Finished(links, usd=cost, model=model_in(body))
        )

    def probe_path(self) -> str:
        return "/v2/billing/balance"

    def read_probe(self, status: int, body: JSON) -> bool:
        return status == 200 and "balance" in body and "currency" in body

    def read_balance(self, body: JSON) -> Balance | None:
        return Balance(usd=reported(body.get("balance"))) if body.get("currency") == "USD" else Balance()

    def costs_path(self, start: datetime, end: datetime) -> str | None:
        return "/v2/billing/costs?" + urlencode({"start": start.isoformat(), "end": end.isoformat()})

    def read_costs(self, body: JSON) -> dict[date, Decimal]:
        buckets = body.get("data")
        if body.get("currency") != "USD" or not isinstance(buckets, list):
            raise Unreadable("no costs in USD")
        found: dict[date, Decimal] = {}
        for bucket in buckets:
            cost = reported(bucket.get("cost")) if isinstance(bucket, dict) else None
            if cost is None:
                raise Unreadable("a day without a cost")
            found[date.fromisoformat(text_at(bucket, "date")[:10])] = cost
        return found

    def model_path(self, row: Capability) -> str | None:
        return f"/v2/models/{row.wire_models.value[0]}"

    def read_model(self, body: JSON) -> ModelInForce:
        ratios, tiers = body.get("supported_aspect_ratios"), body.get("supported_resolutions")
        counts = body.get("supported_references")
        count = counts.get("reference_image") if isinstance(counts, dict) else None
        prices: dict[str, Decimal] = {}
        pricing = body.get("pricing")
        if isinstance(pricing, dict) and pricing.get("currency") == "USD":
            for rate in pricing.get("rates") or []:
                amount = reported(rate.get("unit_price")) if isinstance(rate, dict) else None
                if amount is not None and rate.get("billable_unit") == "image":
                    prices[str(rate.get("resolution") or "*")] = amount
        return ModelInForce(
            _MODELS_SOURCE,
            frozenset(map(str, ratios)) if isinstance(ratios, list) and ratios else None,
            frozenset(map(str, tiers)) if isinstance(tiers, list) and tiers else None,
            count if isinstance(count, int) and not isinstance(count, bool) else None,
            prices,
        )


DIALECT = GetImg()
