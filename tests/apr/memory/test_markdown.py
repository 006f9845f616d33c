"""What a file imports, and what in it is code or a comment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.memory.markdown import frontmatter, imports, spans, uncommented


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("See @docs/a.md.", ["docs/a.md"]),
        ("@a.md and @a.md, @./b.md", ["a.md", "./b.md"]),
        ("- @~/.claude/mine.md", ["~/.claude/mine.md"]),
        (r"@my\ notes.md", ["my notes.md"]),
        ("(@a.md)", []),
        ("mail me@example.com", []),
        ("`@a.md` and ``x ` @b.md`` and @c.md", ["c.md"]),
        ("a ` lone tick @a.md", ["a.md"]),
        ("a ` tick\n\n@a.md ` of two paragraphs", ["a.md"]),
        ("```\n@a.md\n```\n@b.md", ["b.md"]),
        ("~~~~\n@a.md\n~~~\n@b.md\n~~~~\n@c.md", ["c.md"]),
        ("```\n@a.md never closed", []),
        ("<!-- @a.md -->\n@b.md", ["b.md"]),
        ("<!-- never closed @a.md", ["a.md"]),
        ("<!-- ` --> @a.md `", ["a.md"]),
        ("`x`@a.md", []),
        ("@`x` and @a`x`", ["a"]),
        ("@ alone, @. too", []),
    ],
)
def test_imports_are_found_in_prose_alone(text: str, found: list[str]) -> None:
    assert imports(text) == found


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a\n<!-- b -->\nc\n", "a\nc\n"),
        ("<!-- b\nc -->", ""),
        ("a <!-- in a line --> b", "a <!-- in a line --> b"),
        ("```\n<!-- code -->\n```\n", "```\n<!-- code -->\n```\n"),
        ("<!-- open", "<!-- open"),
    ],
)
def test_comments_on_lines_of_their_own_are_not_for_the_model(text: str, left: str) -> None:
    assert uncommented(text) == left


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("---\npaths: src/**/*.{ts,tsx}\n---\nx", ("src/**/*.{ts,tsx}",)),
        ("---\npaths: [a, 'b']\n---\nx", ("a", "b")),
        (
            '---\nname: n\npaths:\n  - **/*.go\n  - "c d" # why\nother:\n  - e\n---\nx',
            ("**/*.go", "c d"),
        ),
        ("---\n---\nx", ()),
        ("x", ()),
    ],
)
def test_globs_of_a_rule_are_read_as_people_write_them(text: str, paths: tuple[str, ...]) -> None:
    assert frontmatter(text) == (paths, "x")


@given(st.text(st.sampled_from("`~<!->@a.\n \\"), max_size=120))
def test_any_text_is_split_in_order_and_without_overlap(text: str) -> None:
    at = 0
    for span in spans(text):
        assert at <= span.start < span.end <= len(text)
        at = span.end
    assert all(f"@{name}" in text.replace("\\ ", " ") for name in imports(text))
    assert len(uncommented(text)) <= len(text)


@given(st.lists(st.from_regex(r"[a-z]+(/[a-z]+)?\.md", fullmatch=True), unique=True, max_size=5))
def test_what_is_written_as_imports_is_found(names: list[str]) -> None:
    text = "".join(f"Read @{name}, then\n`@not-{name}`.\n" for name in names)
    assert imports(text) == names
