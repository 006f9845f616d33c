"""Keys are data: what ships, and what a user puts over it."""

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.terminal.keymap import Keymap, KeysError, load, over, strokes

TERMINAL_MD = Path(__file__).parents[3] / "docs/terminal.md"


@pytest.fixture
def shipped(tmp_path: Path) -> Keymap:
    keymap, problem = load(tmp_path)
    assert problem is None
    return keymap


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Ctrl-R", ("c-r",)),
        ("ctrl+r", ("c-r",)),
        ("Shift+Tab", ("s-tab",)),
        ("Alt+Enter", ("escape", "c-m")),
        ("Esc Esc", ("escape", "escape")),
        ("Ctrl-X Ctrl-E", ("c-x", "c-e")),
        ("Ctrl-X e", ("c-x", "e")),
        ("Ctrl-Space", ("c-@",)),
        ("Ctrl-[", ("escape",)),
        ("Ctrl--", None),
        ("Ctrl-_", ("c-_",)),
        ("Ctrl-Shift-Left", ("c-s-left",)),
        ("F12", ("f12",)),
        ("Shift+Enter", None),
        ("Hyper-R", None),
        ("<any>", None),
        ("x", None),
        ("Tab", None),
        ("Alt+Tab", ("escape", "c-i")),
        ("", None),
    ],
)
def test_keys_are_written_as_people_write_them(written: str, meant: tuple[str, ...] | None) -> None:
    if meant is not None:
        assert strokes(written) == meant
        return
    with pytest.raises(KeysError):
        strokes(written)


@given(st.text(max_size=12))
def test_whatever_is_written_is_a_key_or_an_error(written: str) -> None:
    with contextlib.suppress(KeysError):
        assert strokes(written)


def test_every_action_that_ships_says_what_it_does(shipped: Keymap) -> None:
    described = dict(shipped.described())
    assert described["Ctrl-G, Ctrl-X Ctrl-E"] == "opens what is typed in $VISUAL or $EDITOR"
    assert all(does for does in described.values())
    assert len(described) == len(shipped.actions)


def test_the_documentation_lists_the_keys_that_ship(shipped: Keymap) -> None:
    documented = re.findall(r"^\| ([^|]+) \| `(\w+)` \| ", TERMINAL_MD.read_text(), re.MULTILINE)
    assert documented == [(shipped.shown(action), action) for action in shipped.actions]


def test_a_users_keys_stand_over_those_that_ship(shipped: Keymap) -> None:
    keymap = over(shipped, '[history]\nkeys = ["Ctrl-P"]\n\n[picture]\nkeys = []\n', "keys.toml")
    assert keymap.shown("history") == "Ctrl-P"
    assert keymap.actions["history"].does == shipped.actions["history"].does
    assert keymap.actions["undo"] == shipped.actions["undo"]
    assert "adds the picture that is in the clipboard" not in dict(keymap.described()).values()


def test_keys_can_change_places(shipped: Keymap) -> None:
    keymap = over(shipped, '[undo]\nkeys = ["Ctrl-L"]\n[clear]\nkeys = ["Ctrl-_"]\n', "keys.toml")
    assert keymap.shown("undo") == "Ctrl-L"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[undo]\nkeys = [", "k: no TOML: Invalid value (at end of document)"),
        ('\n[fly]\nkeys = ["F1"]\n', "k:2: fly: no such action; there are send,"),
        ('[undo]\nkeys = [\n  "F1",\n  "Ctlr-Z",\n]\n', "k:4: undo: there is no key 'Ctlr-Z'"),
        ('[undo]\nkeys = ["u"]\n', "k:2: undo: 'u' begins with a character"),
        ('[undo]\nkeys = "F1"\n', "k:1: undo: Expected `array`, got `str`"),
        ("[undo]\nkey = []\n", "k:1: undo: Object contains unknown field `key`"),
        (f"undo = {'[' * 10_000}", "k: nested too deeply"),
        ("undo = 3\n", "k:1: undo: Expected `object`, got `int`"),
        (
            '\n[undo]\nkeys = ["Ctrl-R"]\n',
            "k:2: undo: its keys clash with those of history (Ctrl-R)",
        ),
        ('[undo]\nkeys = ["Ctrl-X"]\n', "k:1: undo: its keys clash with those of editor"),
        ('[undo]\nkeys = ["Ctrl-M"]\n', "k:1: undo: its keys clash with those of send (Enter)"),
        ('[undo]\nkeys = ["Ctrl-I"]\n', "k:2: undo: 'Ctrl-I' begins with the key that completes"),
        ("\n[send]\nkeys = []\n", "k:2: send: it needs a key"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(shipped: Keymap, text: str, said: str) -> None:
    with pytest.raises(KeysError) as error:
        over(shipped, text, "k")
    assert said in str(error.value)


def test_a_file_that_cannot_be_used_leaves_the_built_in_keys(
    shipped: Keymap, tmp_path: Path
) -> None:
    path = tmp_path / "keys.toml"
    path.write_text('[undo]\nkeys = ["F5"]\n[history]\nkeys = ["Ctrl-R", "Ctrl-L"]\n')
    keymap, problem = load(tmp_path)
    assert keymap == shipped
    assert problem == (
        f"{path}:3: history: its keys clash with those of clear (Ctrl-L). "
        "The built-in keys are used."
    )
    path.write_bytes(b"\xff\xfe")
    assert load(tmp_path)[1] == f"{path}: not UTF-8. The built-in keys are used."
    path.unlink()
    path.mkdir()
    assert "not a file" in (load(tmp_path)[1] or "")


def test_a_file_that_is_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "dotfiles.toml").write_text('[undo]\nkeys = ["F5"]\n')
    (tmp_path / "keys.toml").symlink_to("dotfiles.toml")
    assert load(tmp_path)[0].shown("undo") == "F5"
