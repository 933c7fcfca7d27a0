"""What the documents name is there, and what the README tells to type works (the commands: tests/e2e/test_readme.py)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
POINTERS = sorted(
    {
        match
        for path in (ROOT / "docs").glob("*.md")
        for match in re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", path.read_text())
    }
)


@pytest.mark.parametrize(("path", "name"), POINTERS)
def test_a_pointer_into_the_code_leads_somewhere(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert not name or name in defined


def test_links_of_the_readme_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text())
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
