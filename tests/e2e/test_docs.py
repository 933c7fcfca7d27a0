"""Every example of docs/ is run, and prints what the page shows.

In a fenced block `console`, a line that begins with `# ` is typed into one shell for the whole page; what follows is its
output. `…` stands for any text, on a line of its own for any lines. Numbers of steps, descriptors, ids and times are
compared as numbers only, whatever they are.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.daemon import BIN, Daemon

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "```console" in path.read_text())
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
END = "\x1e"
LOOSE = (
    (r"\d+ µs", r"\d+ µs"),
    (r"^ *[DMI]\d+ ", r" *[DMI]\d+ "),
    (r"\b\d+<", r"\d+<"),
    (r"\) = \d+  ", r"\) = \d+  "),
)
"""What is compared as any number."""


@dataclass(frozen=True)
class Example:
    command: str
    expected: list[str]


def examples(page: Path) -> list[Example]:
    found: list[Example] = []
    for block in BLOCK.findall(page.read_text()):
        for line in block.splitlines():
            if line.startswith("# "):
                found.append(Example(line[2:], []))
            else:
                found[-1].expected.append(line)
    return found


def pattern(lines: list[str]) -> str:
    """A regular expression for the whole output."""
    return "".join(r"(?:.*\n)*?" if line.strip() == "…" else f"{_line(line)}\n" for line in lines)


def _line(line: str) -> str:
    loose = re.compile("|".join(f"({what})" for what, _ in LOOSE))
    parts, at = [], 0
    for match in loose.finditer(line):
        assert match.lastindex is not None
        parts += [_text(line[at : match.start()]), LOOSE[match.lastindex - 1][1]]
        at = match.end()
    return "".join(parts) + _text(line[at:]) + r"[ \t]*"


def _text(text: str) -> str:
    return re.escape(text).replace("…", ".*")


def run(daemon: Daemon, commands: list[str], directory: Path) -> list[str]:
    """What each command printed, on stdout and stderr together."""
    script = "".join(f"{{ {command}\n}} 2>&1; printf '{END}'\n" for command in commands)
    environment = {**daemon.environment, "PATH": f"{BIN}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["bash"],
        input=script,
        capture_output=True,
        text=True,
        cwd=directory,
        env=environment,
        timeout=100,
        check=False,
    )
    return done.stdout.split(END)[:-1]


@pytest.mark.parametrize("page", PAGES, ids=[path.stem for path in PAGES])
def test_the_examples_of_a_page_print_what_it_shows(daemon: Daemon, page: Path, tmp_path: Path) -> None:
    found = examples(page)
    before = set(daemon.aethel("ps", "-aq").out.split())
    printed = run(daemon, [example.command for example in found], tmp_path)
    ids = [each for each in daemon.aethel("ps", "-aq").out.split() if each not in before]
    if ids:
        daemon.aethel("rm", "-f", *ids)
    assert len(printed) == len(found)
    wrong = [
        f"# {example.command}\n{output}"
        for example, output in zip(found, printed, strict=True)
        if not re.fullmatch(pattern(example.expected), output)
    ]
    assert not wrong, "\n".join(wrong)
    assert ids == [], "the page leaves containers behind"


def test_there_are_examples_in_every_chapter() -> None:
    chapters = sorted((ROOT / "docs" / "how-it-works").glob("*.md"))
    assert len(chapters) == 12
    assert [page.name for page in chapters if page not in PAGES] == []


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (["a …"], "a b c\n", True),
        (["a", "…", "d"], "a\nb\nc\nd\n", True),
        (["a", "…", "d"], "a\nd\n", True),
        (["  I9 x  f(5</p>) = 3  7 µs"], " I10 x  f(12</p>) = 4  999 µs\n", True),
        (["  I9 x  f(5</p>) = 3  7 µs"], " I10 x  f(12</q>) = 4  999 µs\n", False),
        (["uid=0"], "uid=1\n", False),
        (["a"], "a\nb\n", False),
    ],
)
def test_what_counts_as_the_same(shown: list[str], printed: str, same: bool) -> None:
    assert bool(re.fullmatch(pattern(shown), printed)) is same
