"""What is printed is printed as it is."""

import ast
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

import agrilape
from agrilape import console
from agrilape.cli.tables import print_facts

TEXTS = [
    "pip install 'agrilape[cubes]'", "maize [silage]", "[/x]", "[bold]", "[link=http://x]y[/link]", r"a\[b]",
    ":smile:", "\udce9.tif",
]  # fmt: skip


def written(monkeypatch, name, call):
    file = io.StringIO()
    plain = Console(file=file, width=400, highlight=False, soft_wrap=True, markup=False, emoji=False)
    monkeypatch.setattr(console, name, plain)
    call()
    return file.getvalue()


@pytest.mark.parametrize("text", TEXTS)
def test_lines_warnings_facts_and_progress_hold_any_text(text, capsys):
    console.say(text)
    console.say(text, "bold")
    console.warn(text)
    print_facts({text: text})
    with console.progress(text, 1) as track:
        track(1, text)
    said = capsys.readouterr()
    shown = console.printable(text)
    assert said.out.splitlines()[:2] == [shown, shown]
    assert said.out.count(shown) == 4
    assert said.err.count(shown) == 3


@given(st.text(alphabet="[]/\\ab=:#@ '\"", max_size=20))
def test_any_text_with_brackets_is_shown_whole(text):
    for shown in (console.out, console.err):
        twin = Console(
            file=io.StringIO(), width=400, highlight=False, soft_wrap=True, markup=shown._markup,
            emoji=shown._emoji,
        )  # fmt: skip
        twin.print(text)
        table = Table("a", text, box=None, pad_edge=False)
        table.add_row("b", text)
        twin.print(table)
        assert twin.file.getvalue().count(text.strip()) >= 1 + bool(text.strip()) * 2


def test_a_progress_bar_on_a_terminal_holds_any_text(monkeypatch):
    screen = Console(
        file=io.StringIO(), width=200, force_terminal=True, highlight=False, markup=False, emoji=False
    )
    monkeypatch.setattr(console, "err", screen)
    with console._bar("maize [silage] [/x]", 2, "chips") as track:
        track(2, "note [bold]")
    assert "maize [silage] [/x]" in screen.file.getvalue()
    assert "note [bold]" in screen.file.getvalue()


def test_nobody_prints_past_the_console():
    """Markup is off in its two consoles; another console, or rich's own `print`, would have it on."""
    source = Path(agrilape.__file__).parent
    for file in source.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rich"):
                names = {name.name for name in node.names}
                assert not names & {"print", "escape", "inspect", "Panel"}, file
                assert "Console" not in names or file.name == "console.py", file
            if isinstance(node, ast.Attribute) and node.attr == "from_markup":
                raise AssertionError(f"{file}:{node.lineno}")
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "TextColumn"
            ):
                assert any(one.arg == "markup" for one in node.keywords), f"{file}:{node.lineno}"
