"""The ledger as Parquet: every table, every row, amounts and times as what they are."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from runs import products, run
from s3_server import S3
from sandbox_process import Sandbox
from sqlalchemy import func, select

from seedream_tasks.ledger.schema import TABLES
from seedream_tasks.ledger.store import open_ledger
from seedream_tasks.maintenance.export import export


def test_every_table_comes_out_whole(tmp_path: Path, gateways: Sandbox, ledger_url: str) -> None:
    """As many rows as the ledger has, decimals with six places, times in UTC, no link's signature."""
    ran = run(products(tmp_path / "c.csv", 3), tmp_path / "a", gateways=["evolink"], ledger=ledger_url)
    rows = export(ledger_url, str(tmp_path / "out"))
    ledger = open_ledger(ledger_url, create=False, read_only=True)
    counted = ledger.read_now(
        lambda c: {table.name: c.scalar(select(func.count()).select_from(table)) for table in TABLES.sorted_tables}
    )
    ledger.close()
    assert rows == counted
    for table in TABLES.sorted_tables:
        found = pq.read_table(tmp_path / "out" / f"{table.name}.parquet")
        assert found.num_rows == counted[table.name]
        assert found.column_names == [column.name for column in table.columns]
    bought = pq.read_table(tmp_path / "out" / "attempts.parquet")
    assert bought.schema.field("billed_usd").type == pa.decimal128(14, 6)
    assert sum(bought["billed_usd"].to_pylist()) == ran.summary.billed_usd == Decimal("0.093")
    for name in ("submitted_at", "lease_until"):
        assert bought.schema.field(name).type == pa.timestamp("us", tz="UTC")
        assert all(abs((each - datetime.now(UTC)).total_seconds()) < 3600 for each in bought[name].to_pylist())
    links = pq.read_table(tmp_path / "out" / "pictures.parquet")["url"].to_pylist()
    assert len(links) == 3
    assert not any("?" in link for link in links)


def test_one_file_holds_the_attempts_with_their_rows(tmp_path: Path, gateways: Sandbox, s3: S3) -> None:
    """Into a folder's file or an object; what stood there is replaced."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    run(products(tmp_path / "c.csv", 3), tmp_path / "a", gateways=["evolink"], ledger=url)
    for target in (str(tmp_path / "money.parquet"), str(tmp_path / "money.parquet"), "s3://shop/reports/money.parquet"):
        assert export(url, target) == {"attempts": 3}
    found = pq.read_table(tmp_path / "money.parquet").to_pylist()
    assert {each["row_key"] for each in found} == {"p0", "p1", "p2"}
    assert {each["shot"] for each in found} == {"image"}
    assert s3.body("reports/money.parquet") == (tmp_path / "money.parquet").read_bytes()
