"""What somebody means who has typed some letters of a path."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.terminal.file_search import Catalogue, fold

NAMES = [
    "README.md",
    "src/",
    "src/apr/",
    "src/apr/terminal/",
    "src/apr/terminal/app.py",
    "src/apr/terminal/completion.py",
    "src/apr/terminal/file_index.py",
    "src/apr/cli/completion.py",
    "src/apr/models/comparison.py",
    "tests/apr/terminal/test_completion.py",
    "web/LoginForm.tsx",
    "web/formal.tsx",
]


def search(typed: str, names: list[str] = NAMES, **given: object) -> list[str]:
    return asyncio.run(Catalogue(names).search(typed, **given))  # type: ignore[arg-type]


def test_a_last_name_that_begins_so_comes_before_one_that_only_has_it() -> None:
    assert search("completion") == [
        "src/apr/cli/completion.py",
        "src/apr/terminal/completion.py",
        "tests/apr/terminal/test_completion.py",
    ]


def test_of_what_fits_alike_the_shortest_comes_first() -> None:
    assert search("comp")[0] == "src/apr/cli/completion.py"


def test_letters_may_be_left_out_and_those_that_begin_words_count() -> None:
    assert search("fidx")[0] == "src/apr/terminal/file_index.py"
    assert search("lf")[0] == "web/LoginForm.tsx"
    assert search("rdme") == ["README.md"]


def test_letters_that_begin_the_name_count_most() -> None:
    names = ["a/store-loop-config.go", "a/b/loop/store/LoopConfig.js"]
    assert search("loopcfg", names)[0] == "a/b/loop/store/LoopConfig.js"


def test_capitals_begin_words() -> None:
    assert search("form") == ["web/formal.tsx", "web/LoginForm.tsx"]


def test_the_path_counts_where_it_is_typed() -> None:
    assert search("terminal/comp")[:2] == [
        "src/apr/terminal/completion.py",
        "tests/apr/terminal/test_completion.py",
    ]
    assert search("termcomp")[0] == "src/apr/terminal/completion.py"


def test_a_directory_comes_before_what_is_in_it() -> None:
    assert search("terminal")[0] == "src/apr/terminal/"


def test_what_was_typed_in_full_is_not_offered_again() -> None:
    assert "README.md" not in search("README.md")


def test_without_letters_the_top_of_the_project_is_offered() -> None:
    assert search("")[:2] == ["src/", "README.md"]


def test_what_was_worked_on_lately_comes_first() -> None:
    recent = ["src/apr/terminal/completion.py", "tests/apr/terminal/test_completion.py"]
    assert search("", recent=recent)[:2] == recent
    assert search("completion", recent=recent)[0] == recent[0]


def test_what_was_worked_on_lately_counts_though_it_is_not_listed_yet() -> None:
    assert search("brandnew", recent=["src/brand_new.py"]) == ["src/brand_new.py"]


def test_capitals_and_the_form_of_accents_do_not_matter() -> None:
    assert search("readme") == search("READme") == ["README.md"]
    assert search("\u00fcber", ["u\u0308ber.txt"]) == ["u\u0308ber.txt"]
    assert search("STRASSE", ["straße.txt"]) == ["straße.txt"]


def test_nothing_fits() -> None:
    assert search("zzz") == []
    assert search("x", []) == []


def test_no_more_is_returned_than_is_asked_for() -> None:
    assert len(search("e", [f"some{n}.py" for n in range(1000)], most=7)) == 7


@pytest.mark.parametrize("scattered", ["q9z", "q-9-z"])
def test_typing_on_finds_what_typing_at_once_finds(scattered: str) -> None:
    names = [f"d{n % 90}/f{n}.py" for n in range(30_000)] + ["deep/quite/9/zebra", "q/-9-/z"]

    async def both() -> tuple[list[str], list[str]]:
        typed, at_once = Catalogue(names), Catalogue(names)
        for end in range(1, len(scattered)):
            await typed.search(scattered[:end])
        return await typed.search(scattered), await at_once.search(scattered)

    one, other = asyncio.run(both())
    assert one == other != []


def test_going_back_finds_again_what_was_narrowed_away() -> None:
    async def there_and_back() -> list[str]:
        catalogue = Catalogue(NAMES)
        await catalogue.search("rdmeq")
        return await catalogue.search("rdme")

    assert asyncio.run(there_and_back()) == ["README.md"]


path = st.text(st.sampled_from("aAbßé./-_ "), min_size=1, max_size=8)


@given(st.lists(path, unique=True, max_size=19), st.text(st.sampled_from("aBßé/."), max_size=4))
def test_what_is_found_has_the_letters_in_their_order_and_nothing_is_missed(
    names: list[str], typed: str
) -> None:
    def fits(name: str) -> bool:
        letters = iter(fold(name))
        return name != typed and all(letter in letters for letter in fold(typed))

    assert sorted(search(typed, names)) == sorted(filter(fits, names))
