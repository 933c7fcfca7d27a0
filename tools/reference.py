"""Write docs/reference/steps.md from the plan itself. `python tools/reference.py`, in the root of a checkout."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "steps.md"
_HEAD = """\
# Every step

Written by `tools/reference.py` from the steps themselves; do not edit. In the order of the telling: D is the daemon, M the
parent of init, I init itself. For `aethel-run` the parent is the command; there is no D, and M is counted without
`leave_mounts` and `offer_network`. *Only* says when a step applies. `--without` may leave out the steps whose loss is
named; those marked * in a user namespace only.

| | step | what it does | read | only | left out |
| --- | --- | --- | --- | --- | --- |
"""
_EXEC = """
## A process that joins (`exec`)

`aethel_run/init/plan.py` has its list, JOIN_STEPS: the steps above that a process must take for itself.

"""


def page() -> str:
    """The whole page."""
    sys.path.insert(0, str(ROOT))
    from aethel_d.engine.explain import PLAN
    from aethel_run.init import protections
    from aethel_run.init.plan import JOIN_STEPS
    from aethel_run.lifecycle.plan import lines
    from aethel_run.spec.template import default_spec

    rows = []
    for line in lines(PLAN, default_spec()):
        star = "*" if line.name in protections.IN_A_USER_NAMESPACE else ""
        rows.append((line.step, f"`{line.name}`", line.sentence, line.man, line.only, star + line.without))
    names = ", ".join(f"`{step.name}`" for step in JOIN_STEPS)
    return _HEAD + "".join(map(_row, rows)) + _EXEC + names + ".\n"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
