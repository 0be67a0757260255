"""The commands with their archive in S3 and a password in the ledger's URL: nothing they leave or say holds a secret."""

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from command_line import seedream
from runs import products
from s3_server import KEY_ID, S3, SECRET
from sandbox_process import Sandbox
from sqlalchemy import MetaData, create_engine

from seedream_tasks.ledger.urls import parse_url

PASSWORD = "hunter2-of-the-ledger"


class Said:
    """Everything that commands printed, to be searched for secrets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.text = ""

    def command(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Run a command with --json."""
        ended = seedream(*arguments, "--json", cwd=self.folder)
        self.text += ended.stdout + ended.stderr
        assert ended.returncode == code, ended.stderr
        answer: dict[str, Any] = json.loads(ended.stdout)
        return answer


def everything_in(ledger_url: str) -> str:
    """Every cell of a ledger."""
    engine = create_engine(parse_url(ledger_url))
    with engine.connect() as connection:
        tables = MetaData()
        tables.reflect(connection)
        cells = [str(row) for table in tables.sorted_tables for row in connection.execute(table.select())]
    engine.dispose()
    return "\n".join(cells)


def flow_parameters() -> str:
    """What Prefect keeps, and shows, of every flow run."""
    answer = httpx.post(f"{os.environ['PREFECT_API_URL']}/flow_runs/filter", json={"limit": 200})
    return answer.raise_for_status().text


@pytest.fixture
def url_with_password(ledger_url: str) -> str:
    """PostgreSQL's with a password in it; SQLite has none."""
    return ledger_url.replace("seedream@", f"seedream:{PASSWORD}@")


def in_the_query(text: str) -> str:
    """The same ledger, with its password where libpq takes one too; any other text as it is."""
    bare = text.replace(f":{PASSWORD}@", "@")
    return text if bare == text else f"{bare}?password={PASSWORD}"


def test_run_attempts_and_collect_work_in_a_bucket_and_no_secret_is_left_anywhere(
    tmp_path: Path, gateways: Sandbox, s3: S3, url_with_password: str
) -> None:
    """Bought once, taken over with the password in the query; output, bucket, ledger and Prefect have no secret."""
    catalog = products(tmp_path / "catalog.csv", 3)
    said = Said(tmp_path)
    place = ("--archive", "s3://shop/out", "--ledger", url_with_password)
    order = ("run", str(catalog), *place, "--gateway", "evolink")
    first = said.command(*order)
    second = said.command(*(in_the_query(each) for each in order))
    assert (first["by_status"], first["archive"]) == ({"archived": 3}, "s3://shop/out")
    assert (second["reused"], second["billed_usd"]) == (3, "0")
    assert gateways.bill()["submissions"] == 3
    assert said.command("attempts", *place)["by_state"] == {"archived": 3}
    assert said.command("collect", *place)["still_in_flight"] == 0
    refused = said.command("run", str(catalog), "--archive", "s3://shop/other", "--ledger", "postgres//x:y@z", code=2)
    assert refused["error"]["code"] == "bad_configuration"
    leaks = said.command(*order[:2], "--archive", f"s3://{KEY_ID}:{SECRET}@shop/out", *place[2:], code=2)
    assert leaks["error"]["field"] == "archive"
    assert {"out/archive.json", "out/manifest.parquet"} < set(s3.objects())
    stored = b"".join(s3.body(key) for key in s3.objects())
    seen = {
        "output": said.text,
        "bucket": stored.decode("latin-1"),
        "ledger": everything_in(url_with_password),
        "prefect": flow_parameters(),
    }
    keys = [os.environ["SEEDREAM_EVOLINK_API_KEY"], SECRET, KEY_ID, PASSWORD]
    assert [(place, secret) for place, text in seen.items() for secret in keys if secret in text] == []


def test_a_bucket_that_is_not_there_ends_before_anything_is_bought(tmp_path: Path, gateways: Sandbox, s3: S3) -> None:
    """Exit 2 before Prefect starts, one line that names the archive and what is wrong, with the way out."""
    catalog = products(tmp_path / "catalog.csv", 1)
    place = ("--archive", "s3://nobodys/out", "--ledger", f"sqlite:///{tmp_path / 'ledger.db'}")
    error = Said(tmp_path).command("run", str(catalog), *place, "--gateway", "evolink", code=2)["error"]
    assert error["code"] == "archive_unwritable"
    assert "s3://nobodys/out" in error["message"]
    assert "--archive" in error["hint"]
    assert gateways.bill()["submissions"] == 0
