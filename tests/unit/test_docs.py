"""What the documents name is there, and what the README tells to type works (the commands: tests/e2e/test_readme.py)."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
POINTERS = sorted(
    {
        match
        for path in (ROOT / "docs").rglob("*.md")
        for match in re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", path.read_text())
    }
)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CHAPTERS = sorted((ROOT / "docs/how-it-works").glob("*.md"))


@pytest.mark.parametrize(("path", "name"), POINTERS)
def test_a_pointer_into_the_code_leads_somewhere(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert not name or name in defined


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_is_on_the_map() -> None:
    linked = set(re.findall(r"\]\(([^)#:]+)\)", (ROOT / "docs/README.md").read_text()))
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")} - {"README.md"}
    assert pages - linked == set()


@pytest.mark.parametrize("page", CHAPTERS, ids=[page.stem for page in CHAPTERS])
def test_a_chapter_has_its_parts(page: Path) -> None:
    text = page.read_text()
    for part in ("## The question", "## See it", "## Break it", "## Read on"):
        assert part in text, part


def test_the_reference_of_the_steps_is_what_the_plan_says() -> None:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools/reference.py")
    assert spec is not None
    assert spec.loader is not None
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    assert reference.PAGE.read_text() == reference.page(), "`python tools/reference.py` writes it anew"
