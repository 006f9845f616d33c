import itertools
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccpa.shell import canonical, meanings, with_root

SAME = [
    ("ls -la", "ls   -la ;"),
    ("ls 'a b'", 'ls "a b"'),
    (r"ls a\ b", "ls 'a b'"),
    ("ls 'a'\"b\"c", "ls abc"),
    ("a; b", "a\n\n\nb\n"),
    ("a && b", "a &&\n  b"),
    ("a | b", "a |\n b"),
    ("ls \\\n  -l", "ls -l"),
    ("ls # all of it", "ls"),
    ("# first\nls; pwd", "ls\npwd"),
    ("cat <<EOF\nx\nEOF", "cat <<'END'\nx\nEND"),
    ("cat <<-EOF\n\tx\n\tEOF", "cat <<-E\nx\nE"),
    ("make >log arg", "make arg > log"),
    ("2>&1 >x make all", "make all 2>&1 >x"),
    ("make 1>log", "make >log"),
    ("echo ${X}", "echo $X"),
    ('echo "${X}"', 'echo "$X"'),
    ("echo `date`", "echo $(date)"),
    ('echo "`date`"', 'echo "$( date )"'),
    (r"find . -exec rm {} \;", "find . -exec rm '{}' ';'"),
    ("(a;b)", "( a\n b )"),
    ("if a; then b; fi", "if a\nthen\n  b\nfi"),
    ("for i in 1 2; do echo $i; done", "for i in 1 2\ndo\n  echo ${i}\ndone"),
    ("case $x in a) b;; esac", "case $x in\n  a) b ;;\nesac"),
    ("[ -f x ] && y", "[   -f x ]&&y"),
    ("A=1 make", "A='1'  make"),
    ("echo 1", "echo '1'"),
    ('echo ""', "echo ''"),
    ("echo caf\u00e9 \U0001f600", "echo 'caf\u00e9' \"\U0001f600\""),
]
DIFFERENT = [
    ("ls", "pwd"),
    ("ls *", "ls '*'"),
    ("ls a?", "ls 'a?'"),
    ("ls [ab]", "ls '[ab]'"),
    ("echo ~", "echo '~'"),
    ("echo {a,b}", "echo '{a,b}'"),
    ("echo {a,b}", "echo {a','b}"),
    ("echo $X", 'echo "$X"'),
    ("echo '$X'", 'echo "$X"'),
    (r"echo \$X", "echo $X"),
    ("echo ${X:-a}", "echo ${X:-b}"),
    ("echo $X", "echo $Y"),
    ("a && b", "a; b"),
    ("a || b", "a && b"),
    ("a | b", "a || b"),
    ("a | b", "a |& b"),
    ("a & b", "a; b"),
    ("a &", "a"),
    ("! a", "a"),
    ("(a)", "a"),
    ("a; b c", "a b; c"),
    ("echo 'x  y'", "echo 'x y'"),
    ("echo 'a b'", "echo a b"),
    ('echo "a\nb"', 'echo "a b"'),
    ('echo " a"', 'echo "a"'),
    ('echo "a ${x}"', 'echo "a${x}"'),
    ('echo "${x} "', 'echo "${x}"'),
    ('echo "${x} ${y}"', 'echo "${x}${y}"'),
    ('echo "it\'s"', "echo its"),
    ("echo ''", "echo"),
    (r"echo 'a\nb'", r"echo 'anb'"),
    (r'echo "a\nb"', 'echo "anb"'),
    (r"echo $'a\nb'", r"echo 'a\nb'"),
    ("cat <<EOF\n$x\nEOF", "cat <<'EOF'\n$x\nEOF"),
    ("cat <<EOF\nx\nEOF", "cat <<EOF\nx \nEOF"),
    ("cat <<EOF\n\tx\nEOF", "cat <<-EOF\n\tx\nEOF"),
    ("cat <<< x", "cat < x"),
    ("make >log 2>&1", "make 2>&1 >log"),
    ("make >log", "make >>log"),
    ("make 2>log", "make >log"),
    ("make >a", "make >b"),
    ("echo $(a; b)", "echo $(a && b)"),
    ('echo "$(ls)"', "echo $(ls)"),
    (r"echo `a \`b\``", "echo `a b`"),
    ("diff <(a) <(b)", "diff <(b) <(a)"),
    ("if a; then b; fi", "if b; then a; fi"),
    ("[[ $a == b* ]]", '[[ $a == "b*" ]]'),
    ("echo $((1+2))", "echo $((1-2))"),
    ("A=1 make", "make A=1"),
    ("echo # a", "echo '#' a"),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_a_different_spelling_is_the_same_command(left: str, right: str) -> None:
    assert canonical(left) is not None
    assert canonical(left) == canonical(right)


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_a_different_meaning_is_another_command(left: str, right: str) -> None:
    assert canonical(left) is not None
    assert canonical(left) != canonical(right)


@pytest.mark.parametrize(
    "command",
    [
        'echo "unfinished',
        "if a; then",
        "ls\n | wc",
        "wc 0<f",
        "((" * 3000,
        "$(" * 5000 + ")" * 5000,
    ],
)
def test_what_the_grammar_does_not_read_has_no_meaning(command: str) -> None:
    assert canonical(command) is None
    assert meanings({command}) == {command: command}


def test_a_megabyte_of_data_is_not_parsed() -> None:
    assert canonical("echo " + "x" * (1 << 20)) is None


def test_meanings_agree_with_parsing_each_command() -> None:
    commands = {command for pair in SAME + DIFFERENT for command in pair}
    found = meanings(commands)
    for left, right in itertools.combinations(sorted(commands), 2):
        same = canonical(left) == canonical(right)
        assert (found[left] == found[right]) is same, (left, right)


# Pieces that make commands which are often, but not always, spellings of each other.
PIECES = st.sampled_from(
    [
        "ls",
        " ",
        "  ",
        "a",
        "1",
        ">",
        "0<",
        "1>",
        "2>",
        "'b'",
        '"b"',
        "b",
        ";",
        "\n",
        "&",
        "#",
        "\\",
        "$x",
        "${x}",
        "# a\n",
        "\\#",
        "a#",
        "|",
        "&&",
        "*",
        "`a`",
        "$(a)",
        "<<E\nb\nE\n",
        "{}",
        "''",
    ]
)
COMMANDS = st.lists(PIECES, max_size=8).map("".join)


@given(st.lists(COMMANDS, min_size=2, max_size=6, unique=True))
def test_meanings_agree_with_parsing_any_command(commands: list[str]) -> None:
    found = meanings(commands)
    for left, right in itertools.combinations(commands, 2):
        meaning = canonical(left)
        same = meaning is not None and meaning == canonical(right)
        assert (found[left] == found[right]) is same


@given(st.text(max_size=60))
@example("{\U000c6935\u75f7")  # the grammar's own scanner does not survive it
def test_any_text_is_survived(text: str) -> None:
    canonical(text)


def test_letters_beyond_ascii_are_letters() -> None:
    assert canonical("echo  'é' ü") == canonical('echo "é"   ü') != canonical("echo 'ü' é")
    assert canonical("é=1 rm x") != canonical("a=1 rm x")
    assert canonical("cat <<é\na\né\n") is None


WORDS = st.text(string.ascii_letters + string.digits + " \"'$*?\\;&|<>(){}#~!`\n\t", min_size=1)


def _single(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def _double(word: str) -> str:
    return '"' + "".join("\\" + c if c in '"$`\\' else c for c in word) + '"'


@given(st.lists(WORDS, min_size=1, max_size=3))
def test_quoting_a_word_either_way_is_the_same(words: list[str]) -> None:
    single = canonical("echo " + " ".join(map(_single, words)))
    double = canonical("echo " + " ".join(map(_double, words)))
    if single is not None and double is not None:  # where the grammar reads both
        assert single == double


@given(st.lists(WORDS, min_size=1, max_size=3), st.lists(WORDS, min_size=1, max_size=3))
def test_other_quoted_words_are_another_command(left: list[str], right: list[str]) -> None:
    ours = canonical("echo " + " ".join(map(_single, left)))
    theirs = canonical("echo " + " ".join(map(_single, right)))
    if ours is not None and theirs is not None:
        assert (ours == theirs) is (left == right)


def test_the_working_directory_is_one_mark() -> None:
    ours = with_root("cat /home/dev/shop/a.py > '/home/dev/shop/b'", ("/home/dev/shop",))
    theirs = with_root("cat /tmp/w/a.py > '/tmp/w/b'", ("/tmp/w",))
    assert ours == theirs


@pytest.mark.parametrize(
    ("command", "root"),
    [
        ("cat /home/dev/shop2/a", "/home/dev/shop"),
        ("cat /srv/home/dev/shop/a", "/home/dev/shop"),
        ("cat /etc/passwd", "/"),
        ("cat /my dir/a", "/my dir"),
        ("cat \ue000/a /w/b", "/w"),
    ],
)
def test_what_only_looks_like_the_working_directory_stays(command: str, root: str) -> None:
    assert with_root(command, (root,)) == command
