"""`seedream plan`: what was understood of a catalog, and what it would cost, before anyone pays."""

import json
from pathlib import Path

import pytest
from command_line import seedream
from runs import products, run, write_catalog
from sandbox_process import Sandbox

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
FORECAST = {"rows", "jobs", "by_status", "by_gateway", "usd", "unpriced_jobs", "unchecked_references"}


def plan(*arguments: str, cwd: Path, code: int = 0) -> tuple[str, str]:
    """Run the command; its stdout and stderr."""
    ended = seedream("plan", *arguments, cwd=cwd)
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout, ended.stderr


def test_plan_says_what_it_understood(tmp_path: Path) -> None:
    """Format, encoding, delimiter, key, columns, rows, and the first rows rendered with price and references."""
    told, _ = plan(str(SAMPLES / "catalog.csv"), "--shots", str(SAMPLES / "shots.yaml"), "--sandbox", cwd=tmp_path)
    lines = {line[:24].strip(): line[24:] for line in told.splitlines() if len(line) > 24}
    assert lines["catalog"] == "CSV, UTF-8, delimiter comma"
    assert lines["columns"].startswith("sku, title, description")
    assert (lines["key"], lines["preset"], lines["rows"]) == ("the column sku", "none", "24")
    assert "line 2  HM-1001  hero  (1 at apiin, $0.024)\n  Studio photograph of Dune Stoneware Mug" in told
    assert "reference photos/stoneware-mug.jpg (JPEG, 1200x1200 px)" in told
    assert list(tmp_path.iterdir()) == []


def test_show_prints_that_many_prompts(tmp_path: Path) -> None:
    """Five are five, none is none."""
    arguments = (str(SAMPLES / "catalog.csv"), "--shots", str(SAMPLES / "shots.yaml"), "--sandbox", "--show")
    for count in (0, 5):
        told, _ = plan(*arguments, str(count), cwd=tmp_path)
        assert told.count("\n  Studio") + told.count("\n  Place this") == count


def test_json_is_the_forecast_and_nothing_else(tmp_path: Path) -> None:
    """Its keys are fixed; a guess about the encoding goes to stderr."""
    (tmp_path / "c.csv").write_bytes("sku;prompt\na;Größe\n".encode("cp1252"))
    told, said = plan("c.csv", "--sandbox", "--json", cwd=tmp_path)
    assert set(json.loads(told)) == FORECAST
    assert "Windows-1252" in said
    told, said = plan("c.csv", "--sandbox", cwd=tmp_path)
    assert "CSV, Windows-1252 (guessed), delimiter semicolon" in told
    assert "  Größe\n" in told


def test_an_export_without_a_preset_is_recognised(tmp_path: Path) -> None:
    """Before its templates fail on every row."""
    (tmp_path / "s.yaml").write_text("shots: [{name: a, prompt: '{{ name }}'}]")
    told, _ = plan(str(SAMPLES / "woocommerce.csv"), "--shots", "s.yaml", "--sandbox", cwd=tmp_path, code=3)
    assert "none (this looks like a WooCommerce export: --preset woocommerce)" in told


@pytest.mark.parametrize(
    ("name", "preset", "rows", "jobs"),
    [("woocommerce.csv", "woocommerce", 8, 8), ("merchant.tsv", "merchant", 6, 6), ("merchant.xml", "merchant", 6, 6)],
)
def test_the_sample_exports(name: str, preset: str, rows: int, jobs: int, tmp_path: Path) -> None:
    """Each row is an image on white, with the product's photo found."""
    arguments = (str(SAMPLES / name), "--preset", preset, "--shots", str(SAMPLES / "export-shots.yaml"), "--sandbox")
    answer = json.loads(plan(*arguments, "--json", cwd=tmp_path)[0])
    assert (answer["rows"], answer["by_status"], answer["unchecked_references"]) == (rows, {"planned": jobs}, 0)


def test_the_feed_as_tsv_and_xml_is_one_catalog(tmp_path: Path) -> None:
    """The same prompts, row for row."""
    told = []
    for name in ("merchant.tsv", "merchant.xml"):
        arguments = (
            str(SAMPLES / name),
            "--preset",
            "merchant",
            "--shots",
            str(SAMPLES / "export-shots.yaml"),
            "--sandbox",
        )
        shown = plan(*arguments, "--show", "9", cwd=tmp_path)[0]
        told.append([line for line in shown.splitlines() if line.startswith("  ")])
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("prompt", "code", "says"),
    [
        ("{{ colour }}", "undefined_name", "prompt: 'colour' is undefined; no column has that name"),
        ("{{ note }}", "empty_prompt", "the prompt is empty"),
        ("{{ title * 900 }}", "prompt_length", "prompt: "),
        ("{{ title.upper(1, 2) }}", "template_error", "prompt: "),
    ],
)
def test_a_prompt_that_cannot_be_sent_is_told_with_row_and_field(
    prompt: str, code: str, says: str, tmp_path: Path
) -> None:
    """Missing fields, empty results and over-long prompts are invalid before payment."""
    write_catalog(tmp_path / "c.csv", {"sku": "a", "title": "Lamp", "note": ""})
    (tmp_path / "s.yaml").write_text(json.dumps({"shots": [{"name": "hero", "prompt": prompt}]}))
    # The gateways that document no greatest length would be asked for the longest.
    told, _ = plan("c.csv", "--shots", "s.yaml", "--sandbox", "--gateway", "evolink", cwd=tmp_path, code=2)
    assert "invalid: line 2 (a), shot hero: " in told
    assert says in told
    if code == "prompt_length":
        assert "3600 characters, at most" in told
    assert "forecast                $0.00 (simulated)" in told


def test_the_obstacle_of_the_named_gateway_is_told(tmp_path: Path) -> None:
    """Not that the others were ruled out by the shot itself."""
    write_catalog(tmp_path / "c.csv", {"sku": "a", "prompt": "A lamp", "tier": "1K", "gateways": "evolink"})
    told, _ = plan("c.csv", "--sandbox", cwd=tmp_path, code=2)
    assert "tier: evolink: 1K is not among" in told
    assert "names only" not in told


def test_plan_refuses_to_mix_real_and_simulated_as_run_does(gateways: Sandbox, tmp_path: Path) -> None:
    """An archive that is simulated stays so, and says it to a plan that is not; the other way round as well."""
    catalog = products(tmp_path / "c.csv", 1)
    run(catalog, tmp_path / "out", gateways=("evolink",))
    told, _ = plan(str(catalog), "--archive", "out", "--gateway", "evolink", "--json", cwd=tmp_path)
    assert json.loads(told)["by_status"] == {"archived": 1}
    marker = tmp_path / "out" / "archive.json"
    marker.write_text(marker.read_text().replace("simulated", "real"))
    for arguments in (("--sandbox",), ("--gateway", "evolink")):
        told, _ = plan(str(catalog), "--archive", "out", *arguments, "--json", cwd=tmp_path, code=2)
        assert json.loads(told)["error"]["code"] == "kind_mismatch"


def test_equal_reasons_are_one_line_and_the_exit_code_says_that_rows_are_invalid(tmp_path: Path) -> None:
    """3 when a row is invalid, 2 when none can be planned; five reasons at most, the rest counted."""
    good = {"sku": "good", "prompt": "A cup"}
    ratios = [{"sku": f"r{n}", "prompt": "A cup", "ratio": "9:99"} for n in range(40)]
    others = [{"sku": f"o{n}", "prompt": "A cup", "n": f"{n}x"} for n in range(7)]
    write_catalog(tmp_path / "c.csv", good, *ratios, *others)
    told, _ = plan("c.csv", "--sandbox", cwd=tmp_path, code=3)
    lines = [line for line in told.splitlines() if line.startswith("invalid: ")]
    assert len(lines) == 6
    assert lines[0].startswith("invalid: line 3 (r0), shot image: ratio: ")
    assert lines[0].endswith("(and 39 more like it, up to line 42)")
    assert lines[-1] == "invalid: 3 more for other reasons"
    assert json.loads(plan("c.csv", "--sandbox", "--json", cwd=tmp_path, code=3)[0])["by_status"]["invalid"] == 47
    write_catalog(tmp_path / "none.csv", *ratios)
    told, said = plan("none.csv", "--sandbox", cwd=tmp_path, code=2)
    assert told.count("invalid: ") == 1
    assert "none.csv: no row can be planned: line 2 (r0)" in said
    error = json.loads(plan("none.csv", "--sandbox", "--json", cwd=tmp_path, code=2)[0])["error"]
    assert error["code"] == "nothing_to_plan"
