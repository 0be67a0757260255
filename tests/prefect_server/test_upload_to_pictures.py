"""From a file in a folder to archived images, on a server and a worker as `make server` brings them up."""

import asyncio
from decimal import Decimal

from prefect_place import WITHIN_S, Place
from runs import products, read
from sandbox_process import Sandbox
from waiting import until

from seedream_tasks import collect_images, watch_uploads


def _bill(sandbox: Sandbox) -> Decimal:
    return Decimal(sandbox.bill()["usd"])


def _look(place: Place) -> list[str]:
    """One look at the folder; returns what was announced."""
    state = place.here(watch_uploads, archive=str(place.archive), prefix=str(place.uploads))
    announced: list[str] = asyncio.run(state.aresult())["announced"]
    return announced


def test_a_file_in_a_watched_folder_becomes_images_and_a_killed_worker_loses_none(
    place: Place, gateways: Sandbox
) -> None:
    """Put a file there: it is found, announced, bought, archived, and billed exactly. The same file again: nothing.

    Another file, and the worker is killed while the gateway works: a pass of collect_images finishes it, paying nothing more.
    """
    first = products(place.uploads / "goods.csv", 2)
    assert _look(place) == []  # it may still be written
    assert place.ended(place.start("watch-uploads"))["state"]["message"] == "1 announced"
    (run,) = place.runs_of("catalog-images-on-upload", 1)
    run = place.ended(run["id"])
    assert (run["state_name"], run["parameters"]["catalog"]) == ("Completed", str(first))
    assert {each["status"] for each in read(place.archive, run["id"])} == {"archived"}
    billed = sum((each["billed_usd"] for each in read(place.archive, run["id"])), Decimal(0))
    assert billed == _bill(gateways) == Decimal("0.062")

    first.write_bytes(first.read_bytes())
    assert _look(place) == _look(place) == []

    gateways.faults([{"gateway": "*", "kind": "slow", "rate": 1, "value": 3600}])
    second = products(place.uploads / "more.csv", 3, prompt="A lamp")
    assert (_look(place), _look(place)) == ([], [str(second)])
    killed = place.runs_of("catalog-images-on-upload", 2)[1]["id"]
    until(lambda: gateways.bill()["accepted"] == 5, "three more tasks at the gateway", WITHIN_S)
    assert place.kill_worker() > 1, "no flow run is at work"
    gateways.faults([])
    gateways.advance(4000)
    assert place.here(collect_images, archive=str(place.archive)).name == "Completed"
    records = read(place.archive, killed)
    assert {each["status"] for each in records} == {"archived"}
    assert sum((each["billed_usd"] for each in records), billed) == _bill(gateways) == Decimal("0.155")
    assert gateways.bill()["submissions"] == 5
    assert len(place.runs_of("catalog-images-on-upload", 2)) == 2
