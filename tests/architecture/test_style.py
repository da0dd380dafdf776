"""The style that a reader relies on, held by a test."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
STORY_LINES_MAX = 90  # a test tells one story from its beginning to its end
BANNED_NAMES = {
    "utils.py",
    "helpers.py",
    "common.py",
    "base.py",
    "misc.py",
    "service.py",
    "manager.py",
}
# Table definitions and revisions are lists: they are long, and nothing is hidden in them.
LISTS = {"shared/tables", "shared/migrations/versions"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b")


def _modules() -> Iterator[tuple[str, str]]:
    for folder in ("services", "shared", "tests", "loadtests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text()


MODULES = dict(_modules())


@pytest.mark.parametrize("name", MODULES)
def test_module_reads_in_one_sitting(name: str) -> None:
    text = MODULES[name]
    if any(name.startswith(folder) for folder in LISTS):
        return
    assert len(text.splitlines()) <= MODULE_LINES_MAX, f"{name} is too long"
    most = STORY_LINES_MAX if name.startswith("tests/") else FUNCTION_LINES_MAX
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= most, f"{name}:{node.name} has {lines} lines"


def test_modules_are_named_for_what_they_do() -> None:
    drawers = [name for name in MODULES if name.rsplit("/", 1)[-1] in BANNED_NAMES]
    assert drawers == []


def test_nothing_is_left_unfinished() -> None:
    this = "tests/architecture/test_style.py"
    left = [name for name, text in MODULES.items() if name != this and UNFINISHED.search(text)]
    assert left == []


def test_only_use_cases_open_transactions() -> None:
    """`commit(` appears nowhere in the services: a transaction ends where its use case ends."""
    committing = [
        name
        for name, text in MODULES.items()
        if name.startswith("services/") and re.search(r"\.commit\(", text)
    ]
    assert committing == []
    routes = [name for name in MODULES if re.fullmatch(r"services/\w+/\w*routes\.py", name)]
    assert {name.split("/")[1] for name in routes} >= {"campaign", "claim", "redeem", "ledger"}
    assert [name for name in routes if re.search(r"\.(begin|transaction)\(", MODULES[name])] == []


def test_sql_is_never_put_together_from_values() -> None:
    """Values are bound; the f-strings that run are roles and schemas, from constants."""
    formatted = re.compile(r"\b(execute|fetch\w*|text)\(\s*f[\"'](?!.*/\{)")  # a path is no SQL
    allowed = {"shared/migrations/migrate.py"}
    found = [
        name
        for name, text in MODULES.items()
        if name.startswith(("services/", "shared/")) and formatted.search(text)
    ]
    assert set(found) <= allowed
