"""Which row is which: the key column, missing keys, and rows that stand twice."""

from pathlib import Path

import pytest
from catalogs import plan, told, write

from seedream_tasks.core.errors import InputError

HERO = "shots: [{name: hero, prompt: '{{ title }}'}]"


@pytest.mark.parametrize(
    ("header", "key"),
    [("id,sku,handle,title", "2"), ("handle,id,title,x", "2"), ("Handle,title,x,y", "1"), ("title,SKU,x,y", "2")],
)
def test_the_key_is_the_first_of_sku_id_and_handle(header: str, key: str, tmp_path: Path) -> None:
    """Whatever stands first in the file; case does not matter."""
    (record,) = plan(write(tmp_path / "a.csv", f"{header}\n1,2,3,4\n"), HERO)
    assert record.row_key == key


def test_a_named_column_is_the_key(tmp_path: Path) -> None:
    """--key counts above all others."""
    (record,) = plan(write(tmp_path / "a.csv", "sku,title,code\n1,Lamp,X-7\n"), HERO, key="code")
    assert record.row_key == "X-7"


@pytest.mark.parametrize(("header", "key"), [("title,price", None), ("sku,title", "code")])
def test_without_a_key_column_nothing_starts(header: str, key: str | None, tmp_path: Path) -> None:
    """The error names what the catalog has."""
    with pytest.raises(InputError, match="title") as caught:
        plan(write(tmp_path / "a.csv", f"{header}\na,b\n"), HERO, key=key)
    assert caught.value.facts["field"] == "key"


def test_without_shots_and_without_a_prompt_column_nothing_starts(tmp_path: Path) -> None:
    """Column mode needs a prompt; the error says what else there is."""
    with pytest.raises(InputError, match="prompt") as caught:
        plan(write(tmp_path / "a.csv", "sku,title\na,Lamp\n"))
    assert (caught.value.facts["field"], caught.value.facts["hint"]) == ("prompt", "give --shots FILE")


def test_a_row_without_a_key_is_invalid(tmp_path: Path) -> None:
    """An image could never be joined back to it; the message names its line."""
    records = plan(write(tmp_path / "a.csv", "sku,title\n,Lamp\n  ,Chair\nc,Table\n"), HERO)
    assert told(records) == [(None, "invalid", "missing_key"), (None, "invalid", "missing_key"), ("c", None, "new")]
    assert [record.error_code for record in records[:2]] == ["missing_key", "missing_key"]
    assert "line 3" in (records[1].error_message or "")


def test_the_same_row_again_is_skipped(tmp_path: Path) -> None:
    """Same key, same rendered job: bought once, with the first line named, whatever else differs."""
    records = plan(write(tmp_path / "a.csv", "sku,title,stock\na,Lamp,1\nb,Chair,2\na,Lamp,3\n"), HERO)
    assert told(records) == [("a", None, "new"), ("b", None, "new"), ("a", "skipped", "duplicate_row")]
    assert "line 2" in (records[2].error_message or "")
    assert "line 4" in (records[2].error_message or "")


def test_another_row_under_the_same_key_is_invalid(tmp_path: Path) -> None:
    """Nobody can say which of the two was meant; the first one counts."""
    records = plan(write(tmp_path / "a.csv", "sku,title\na,Lamp\na,Chair\na,Table\n"), HERO)
    assert told(records) == [("a", None, "new"), *[("a", "invalid", "duplicate_key")] * 2]
    assert all("line 2" in (record.error_message or "") for record in records[1:])
    assert records[1].error_code == "duplicate_key"


def test_blanks_around_a_key_do_not_make_it_another(tmp_path: Path) -> None:
    """`a` and ` a ` are one product."""
    records = plan(write(tmp_path / "a.csv", "sku,title\na,Lamp\n a ,Lamp\n"), HERO)
    assert told(records) == [("a", None, "new"), ("a", "skipped", "duplicate_row")]


def test_each_shot_is_looked_at_for_itself(tmp_path: Path) -> None:
    """One shot may be the same where another differs."""
    shots = "shots: [{name: hero, prompt: '{{ title }}'}, {name: scene, prompt: '{{ title }}, {{ color }}'}]"
    records = plan(write(tmp_path / "a.csv", "sku,title,color\na,Lamp,red\na,Lamp,blue\n"), shots)
    assert [(record.shot, record.reason.value) for record in records] == [
        ("hero", "new"),
        ("scene", "new"),
        ("hero", "duplicate_row"),
        ("scene", "duplicate_key"),
    ]


def test_column_mode_may_name_several_shots_of_one_key(tmp_path: Path) -> None:
    """A line is unique over key and shot."""
    path = write(tmp_path / "a.csv", "sku,shot,prompt\na,,A lamp\na,scene,A lamp\na,image,A lamp\na,scene,A chair\n")
    assert [(record.shot, record.reason.value) for record in plan(path)] == [
        ("image", "new"),
        ("scene", "new"),
        ("image", "duplicate_row"),
        ("scene", "duplicate_key"),
    ]


def test_another_n_is_another_job_under_one_key(tmp_path: Path) -> None:
    """Two lines that disagree on how many are a contradiction."""
    path = write(tmp_path / "a.csv", "sku,prompt,n\na,A lamp,1\na,A lamp,2\n")
    assert told(plan(path))[1] == ("a", "invalid", "duplicate_key")


def test_a_false_condition_is_a_record_too(tmp_path: Path) -> None:
    """Every (row, shot) has exactly one record; those that are not wanted are skipped."""
    shots = "shots: [{name: hero, prompt: '{{ title }}', when: \"title != 'Lamp'\"}]"
    records = plan(write(tmp_path / "a.csv", "sku,title\na,Lamp\nb,Chair\n"), shots)
    assert told(records) == [("a", "skipped", "condition_false"), ("b", None, "new")]


def test_one_bad_row_does_not_stop_the_others(tmp_path: Path) -> None:
    """Its record is invalid, with the field and the line; the order of the catalog is kept."""
    path = write(tmp_path / "a.csv", "sku,prompt,n\na,A lamp,1\nb,A chair,99\nc,,1\nd,A bed,1\n")
    records = plan(path)
    assert told(records) == [
        ("a", None, "new"),
        ("b", "invalid", "invalid"),
        ("c", "invalid", "invalid"),
        ("d", None, "new"),
    ]
    assert (records[1].error_message or "").startswith("line 3 (b), shot image: n: ")
    assert [record.error_code for record in records[1:3]] == ["bad_field", "empty_prompt"]


def test_a_broken_link_is_one_bad_row(tmp_path: Path) -> None:
    """A cell that only looks like a link ends one record, not the run."""
    path = write(tmp_path / "a.csv", "sku,prompt,references\na,A lamp,https://[half/a.jpg\nb,A chair,\n")
    first, second = plan(path)
    assert (first.settled, second.settled) == ("invalid", None)


def test_what_no_gateway_can_do_is_invalid_and_says_why(tmp_path: Path) -> None:
    """error_code names the limit, the message each gateway's own reason."""
    (record,) = plan(write(tmp_path / "a.csv", "sku,prompt,tier\na,A lamp,1K\n"))
    assert (record.settled, record.reason.value, record.error_code) == ("invalid", "no_gateway", "tier")
    assert all(name in (record.error_message or "") for name in ("evolink", "gccai", "getimg", "apiin"))


def test_only_narrows_what_is_bought_and_not_what_is_recorded(tmp_path: Path) -> None:
    """Every row keeps its record."""
    records = plan(write(tmp_path / "a.csv", "sku,title\na,Lamp\nb,Chair\n"), HERO, only=frozenset({"b"}))
    assert [(record.row_key, record.selected) for record in records] == [("a", False), ("b", True)]


def test_with_a_preset_and_a_named_key_the_key_in_templates_is_the_rows(tmp_path: Path) -> None:
    """Whether the export has its own key in that line or not: one row, one key."""
    path = write(tmp_path / "a.csv", "ID,Type,SKU,Name\n,simple,,Mug\n7,simple,M-7,Bowl\n")
    records = plan(path, "shots: [{name: hero, prompt: '{{ title }} {{ key }}'}]", preset="woocommerce", key="Name")
    assert [(record.row_key, record.job and record.job.prompt) for record in records] == [
        ("Mug", "Mug Mug"),
        ("Bowl", "Bowl Bowl"),
    ]
