#!/usr/bin/env python3
"""Write docs/reasons.md from the docstrings in netlb/reasons.py; a test compares the two."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEAD = """# Reasons

Every refusal, drop and withdrawal has one of these names: in a status, as the label of a metric, in a log line.
Made by `tools/generate_docs.py` from `netlb/reasons.py`; do not edit.
"""


def reasons(source: str) -> str:
    """Return the page: a table for each enum, a row for each member."""
    lines = [HEAD]
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        lines += [f"## {node.name}", "", ast.get_docstring(node) or "", "", "| name | meaning |", "|---|---|"]
        members = [
            (statement.value.value, following.value.value)
            for statement, following in zip(node.body, node.body[1:], strict=False)
            if isinstance(statement, ast.Assign)
            and isinstance(statement.value, ast.Constant)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ]
        lines += [f"| `{name}` | {' '.join(str(text).split())} |" for name, text in members]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Write the page."""
    (ROOT / "docs" / "reasons.md").write_text(reasons((ROOT / "netlb" / "reasons.py").read_text()))


if __name__ == "__main__":
    main()
