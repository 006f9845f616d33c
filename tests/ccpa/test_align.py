import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ccpa.align import EXACT_CELLS, Alignment, Move, align
from ccpa.equivalence import Malformed

STREAMS = st.lists(st.sampled_from("abcd"), max_size=12)


def longest_common(left: list[str], right: list[str]) -> int:
    """Return its length by the textbook's table, to compare with."""
    row = [0] * (len(right) + 1)
    for a in left:
        above = 0
        for j, b in enumerate(right, 1):
            above, row[j] = row[j], above + 1 if a == b else max(row[j], row[j - 1])
    return row[-1]


def test_equal_streams_cost_nothing() -> None:
    assert align("abc", "abc") == Alignment([(0, 0), (1, 1), (2, 2)], [], [], [], [])
    assert align("", "").cost == 0


def test_one_item_before_ten_equal_ones_is_one_extra() -> None:
    found = align("aaaaaaaaaa", "baaaaaaaaaa")
    assert found.extra == [0]
    assert len(found.matched) == 10
    assert found.cost == 1


def test_an_item_in_anothers_place_is_replaced() -> None:
    assert align("abc", "axc").replaced == [(1, 1)]
    assert align("abc", "axc").cost == 2


def test_items_are_replaced_at_more_than_one_place() -> None:
    assert align("abcde", "xbcye").replaced == [(0, 0), (3, 3)]


def test_two_neighbours_that_change_places_are_one_move() -> None:
    found = align("xaby", "xbay")
    assert len(found.moved) == 1
    assert len(found.matched) == 3
    assert found.cost == 1


def test_two_items_that_change_places_are_one_move() -> None:
    for found in (align("xaybz", "xbyaz"), align("xbyaz", "xaybz")):
        assert found.moved == [Move(1, 3, exchanged=(3, 1))]
        assert found.matched == [(0, 0), (2, 2), (4, 4)]


def test_an_exchange_is_found_among_other_changes() -> None:
    found = align("qxaybzw", "xbyazwk")
    assert len(found.moved) == 1
    assert found.moved[0].exchanged is not None
    assert (found.missing, found.extra) == ([0], [6])


def test_several_exchanges_are_as_many_moves() -> None:
    found = align("a1b2c3d", "b1a2d3c")
    assert len(found.moved) == 2


def test_an_item_that_moves_far_is_one_move() -> None:
    assert align("abcX", "Xabc").moved == [Move(3, 0)]


def test_of_several_replaced_items_like_is_paired_with_like() -> None:
    found = align("ab", "xyz", ["read", "bash"], ["grep", "bash", "read"])
    assert found.replaced == [(0, 0), (1, 1)]
    assert found.extra == [2]


def test_between_like_ones_replaced_items_are_paired_in_order() -> None:
    found = align("ab", "xyz", ["glob", "read"], ["grep", "bash", "read"])
    assert found.replaced == [(0, 0), (1, 2)]
    assert found.extra == [1]
    found = align("abc", "wxyz", ["glob", "read", "glob"], ["grep", "bash", "read", "bash"])
    assert found.replaced == [(0, 0), (1, 2), (2, 3)]
    assert found.extra == [1]


def test_like_is_not_paired_with_like_where_that_leaves_out_a_pair() -> None:
    found = align("ab", "xy", ["read", "glob"], ["bash", "read"])
    assert found.replaced == [(0, 0), (1, 1)]


def test_an_item_that_equals_nothing_matches_nothing() -> None:
    found = align([Malformed(), "a"], [Malformed(), "a"])
    assert found.matched == [(1, 1)]
    assert found.replaced == [(0, 0)]


def test_the_result_does_not_depend_on_where_an_object_lies() -> None:
    left, right = [Malformed(), "a", "b"], [Malformed(), "b", "a"]
    there, back = align(left, right), align(right, left)
    assert there.matched == [(j, i) for i, j in back.matched]
    kept: list[Malformed] = []  # so that each is at an address of its own
    results = set()
    for _ in range(20):
        kept += Malformed(), Malformed()
        results.add(str(align([kept[-1], "a", "b"], [kept[-2], "b", "a"]).matched))
        results.add(str(align([kept[-2], "a", "b"], [kept[-1], "b", "a"]).matched))
    assert len(results) == 1


def test_keys_whose_hashes_collide_are_told_apart() -> None:
    assert hash(-1) == hash(-2)
    assert align([-1], [-2]).matched == []


@given(STREAMS, STREAMS)
def test_cost_is_symmetric_and_the_result_mirrored(left: list[str], right: list[str]) -> None:
    there, back = align(left, right), align(right, left)
    assert there.cost == back.cost
    assert there.matched == [(j, i) for i, j in back.matched]
    assert there.replaced == [(j, i) for i, j in back.replaced]
    assert (there.missing, there.extra) == (back.extra, back.missing)
    assert {pair for move in there.moved for pair in move.pairs} == {
        (j, i) for move in back.moved for i, j in move.pairs
    }


@given(STREAMS, STREAMS)
def test_cost_is_zero_only_for_equal_streams(left: list[str], right: list[str]) -> None:
    assert (align(left, right).cost == 0) is (left == right)


@given(STREAMS, st.lists(st.tuples(st.integers(0, 20), st.sampled_from("abcdxyz")), max_size=6))
def test_putting_in_k_items_costs_exactly_k(
    stream: list[str], inserted: list[tuple[int, str]]
) -> None:
    longer = list(stream)
    for at, item in inserted:
        longer.insert(at, item)
    found = align(stream, longer)
    assert found.cost == len(inserted) == len(found.extra)
    assert align(longer, stream).cost == len(inserted)


@given(STREAMS, STREAMS)
def test_as_many_items_match_as_possible(left: list[str], right: list[str]) -> None:
    assert len(align(left, right).matched) == longest_common(left, right)


def test_as_many_items_match_as_possible_in_streams_that_share_little_order() -> None:
    draw = random.Random(5)
    for _ in range(100):
        left, right = (draw.choices("abcdefgh", k=draw.randrange(20, 40)) for _ in range(2))
        assert len(align(left, right).matched) == longest_common(left, right)


@given(STREAMS, STREAMS)
def test_every_item_is_accounted_for_once(left: list[str], right: list[str]) -> None:
    found = align(left, right)
    pairs = found.matched + found.replaced + [p for move in found.moved for p in move.pairs]
    assert sorted([i for i, _ in pairs] + found.missing) == list(range(len(left)))
    assert sorted([j for _, j in pairs] + found.extra) == list(range(len(right)))
    assert found.matched == sorted(found.matched)
    equal = found.matched + [p for move in found.moved for p in move.pairs]
    assert all(left[i] == right[j] for i, j in equal)
    assert all(left[i] != right[j] for i, j in found.replaced)


@given(STREAMS, STREAMS)
def test_nothing_is_missing_that_is_extra(left: list[str], right: list[str]) -> None:
    found = align(left, right)
    gone = Counter(left[i] for i in found.missing)
    come = Counter(right[j] for j in found.extra)
    assert not gone & come


def test_a_long_stream_is_cut_without_losing_a_match() -> None:
    draw = random.Random(7)
    left = [draw.randrange(50) for _ in range(6000)]
    right = [item for item in left if draw.random() > 0.01]
    assert len(left) * len(right) > EXACT_CELLS
    found = align(left, right)
    assert len(found.matched) == len(right)
    assert found.cost == len(left) - len(right)


def test_a_long_stream_is_cut_in_the_middle_of_what_is_equal() -> None:
    draw = random.Random(9)
    left = [draw.randrange(40) for _ in range(9000)]
    right = left.copy()
    for _ in range(60):
        right.insert(draw.randrange(len(right)), draw.randrange(40))
    for _ in range(60):
        del right[draw.randrange(len(right))]
    found = align(left, right)
    assert found.matched == sorted(found.matched)
    assert all(left[i] == right[j] for i, j in found.matched)
    assert len(found.matched) >= len(left) - 60


def test_between_the_cuts_of_a_long_stream_as_many_match_as_possible() -> None:
    # To replace three is the shorter script; to keep one of them matches more.
    middle = [str(n) for n in range(6000)]
    left = [*"pqx", *middle, *"rsy"]
    right = [*"xrs", *middle, *"ypq"]
    assert len(left) * len(right) > EXACT_CELLS
    assert len(align(left, right).matched) == len(middle) + 2


def test_an_item_that_moves_from_one_end_of_a_long_stream_to_the_other_is_one_move() -> None:
    left = list(range(6000))
    right = [*left[1:], 0]
    assert align(left, right).moved == [Move(0, 5999)]
    assert align(right, left).moved == [Move(5999, 0)]


def test_a_long_stream_without_a_place_to_cut_is_aligned_all_the_same() -> None:
    runs = [[f"{n}.{k}" for k in range(8)] for n in range(700)]
    between = [f"between {n}" for n in range(700)]
    left, right = (
        [item for run, other in zip(runs, side, strict=True) for item in [*run, other]]
        for side in (between, between[::-1])
    )
    assert len(left) * len(right) > EXACT_CELLS
    found = align(left, right)
    assert len(found.matched) >= 700 * 8
    assert found.matched == sorted(found.matched)
    assert all(left[i] == right[j] for i, j in found.matched)


def test_long_streams_with_nothing_in_order_are_aligned_all_the_same() -> None:
    draw = random.Random(8)
    left = list(range(5000))
    right = draw.sample(left, len(left))
    found = align(left, right)
    assert not found.missing
    assert not found.extra
    assert found.matched == sorted(found.matched)
    assert all(left[i] == right[j] for i, j in found.matched)
    assert len(found.matched) > 1
    assert len(found.matched) + sum(len(move.pairs) for move in found.moved) == len(left)
