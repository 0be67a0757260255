"""The contributor's door: what CONTRIBUTING, the index of the docs, the issue forms and the commit hooks say is there."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def test_the_index_names_every_page_once() -> None:
    """docs/index.md leads to each page of docs, by the question that it answers."""
    linked = re.findall(r"\]\(([^)#]+\.md)\)", (DOCS / "index.md").read_text("utf-8"))
    pages = [str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if page.name != "index.md"]
    assert sorted(linked) == sorted(pages)


@pytest.mark.parametrize("page", [ROOT / "CONTRIBUTING.md", DOCS / "architecture.md"], ids=lambda page: page.stem)
def test_the_map_names_what_is_there(page: Path) -> None:
    """Every folder and module in code marks exists: in the package, or in the checkout."""
    named = re.findall(r"`((?:[a-z_]+/)+(?:[a-z_]+\.py)?)`", page.read_text("utf-8"))
    of_an_archive = {"thumbnails/", "quarantine/", "trash/"}
    assert named
    assert [
        each
        for each in named
        if each not in of_an_archive and not (ROOT / "seedream_tasks" / each).exists() and not (ROOT / each).exists()
    ] == []


def test_no_page_names_a_module_that_is_not_there() -> None:
    """A module in code marks, in whatever page, exists: in the package, or in the checkout."""
    pages = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
    named = [
        (page.name, each)
        for page in pages
        for each in re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", page.read_text("utf-8"))
    ]
    assert named
    assert [
        (page, each)
        for page, each in named
        if "atelier" not in each and not (ROOT / "seedream_tasks" / each).exists() and not (ROOT / each).exists()
    ] == []


def test_commit_hooks_fetch_nothing() -> None:
    """All hooks are local, and run the tools that the tests run: no repository of hooks is cloned when they run."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    assert [each["repo"] for each in hooks["repos"]] == ["local"]
    for hook in hooks["repos"][0]["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].startswith(".venv/bin/")


@pytest.mark.parametrize("form", [form for form in FORMS if form.name != "config.yml"], ids=lambda form: form.stem)
def test_an_issue_form_asks_for_the_version_and_never_for_a_key(form: Path) -> None:
    """Each form can be shown (name, description, body), warns about secrets first, and must have the version."""
    asks = yaml.safe_load(form.read_text("utf-8"))
    assert asks["name"]
    assert asks["description"]
    assert "Never paste a key" in asks["body"][0]["attributes"]["value"]
    required = {each["id"] for each in asks["body"] if each.get("validations", {}).get("required")}
    assert "version" in required
    ids = [each["id"] for each in asks["body"][1:]]
    assert len(ids) == len(set(ids))
    assert all(each["attributes"]["label"] for each in asks["body"][1:])
