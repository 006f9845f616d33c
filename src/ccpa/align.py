"""Two sequences -> the least that must be done to make one of the other.

The sequences are of keys: two items are the same where their keys are equal. As many items as
possible are matched in order (a longest common subsequence). What is left over on both sides with
equal keys has *moved*; what is left over at the same place has been *replaced*; the rest is missing
or extra. The result does not depend on which side is called the teacher: exchange the arguments and
it is mirrored.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

from msgspec import Struct

EXACT_CELLS = 1 << 24  # of the alignment matrix; one bit each, so 2 MB
ANCHOR = 16  # as many equal items in a row are a safe place to cut a longer problem in two

Pair = tuple[int, int]


class Move(Struct, frozen=True):
    """An item that is there on both sides, in another order.

    Args:
        teacher: its index there.
        student: its index here.
        exchanged: the item it changed places with, if that is the whole story.
    """

    teacher: int
    student: int
    exchanged: Pair | None = None

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The one or two pairs of equal items that this is about."""
        first = (self.teacher, self.student)
        return (first,) if self.exchanged is None else (first, self.exchanged)


class Alignment(Struct):
    """What matches, and what it takes beyond that. Indices point into the two sequences.

    Args:
        matched: pairs of equal items, in order on both sides.
        moved: equal items out of order.
        replaced: pairs of different items at the same place.
        missing: items of the teacher with no counterpart.
        extra: items of the student with no counterpart.
    """

    matched: list[Pair]
    moved: list[Move]
    replaced: list[Pair]
    missing: list[int]
    extra: list[int]

    @property
    def cost(self) -> int:
        """Missing, extra and moved items; a replaced one is both missing and extra, so it is two.

        Symmetric, zero only for equal sequences, and exactly k for k items put in.
        """
        moves = sum(len(move.pairs) for move in self.moved)
        return len(self.missing) + len(self.extra) + 2 * len(self.replaced) + moves


def align(
    teacher: Sequence[Hashable],
    student: Sequence[Hashable],
    teacher_names: Sequence[Hashable] | None = None,
    student_names: Sequence[Hashable] | None = None,
) -> Alignment:
    """Align two sequences of keys.

    Args:
        teacher: the keys of one side.
        student: the keys of the other.
        teacher_names: what sort of thing each item is. Where several items were replaced at one
            place, those of one sort are paired first. None: all are of one sort.
        student_names: the same of the other side.
    """
    if teacher == student:
        return Alignment([(i, i) for i in range(len(teacher))], [], [], [], [])
    left_names = teacher_names or [None] * len(teacher)
    right_names = student_names or [None] * len(student)
    if _comes_first(teacher, student):
        return _align(teacher, student, left_names, right_names)
    return _mirrored(_align(student, teacher, right_names, left_names))


def _align(
    left: Sequence[Hashable],
    right: Sequence[Hashable],
    left_names: Sequence[Hashable],
    right_names: Sequence[Hashable],
) -> Alignment:
    matched = _matches(*_numbered(left, right))
    left_gaps = _gaps(len(left), [i for i, _ in matched])
    right_gaps = _gaps(len(right), [j for _, j in matched])
    moved = _moves(left, right, left_gaps, right_gaps)
    for move in moved:
        for i, j in move.pairs:
            del left_gaps[i], right_gaps[j]
    replaced = _replacements(left_gaps, right_gaps, left_names, right_names)
    for i, j in replaced:
        del left_gaps[i], right_gaps[j]
    return Alignment(matched, moved, replaced, list(left_gaps), list(right_gaps))


def _comes_first(left: Sequence[Hashable], right: Sequence[Hashable]) -> bool:
    """Order any two sequences, so that either order of arguments leads to the same problem.

    By what is written in them, for that is the same on every run; objects that differ in nothing
    but that they are two do not count.
    """
    if len(left) != len(right):
        return len(left) < len(right)
    for a, b in zip(left, right, strict=True):
        if a != b and repr(a) != repr(b):
            return repr(a) < repr(b)
    return True


def _mirrored(found: Alignment) -> Alignment:
    return Alignment(
        [(j, i) for i, j in found.matched],
        [_mirrored_move(move) for move in found.moved],
        [(j, i) for i, j in found.replaced],
        found.extra,
        found.missing,
    )


def _mirrored_move(move: Move) -> Move:
    """Return the move with the sides exchanged; of two items the teacher's first is named first."""
    (i, j), *other = sorted((j, i) for i, j in move.pairs)
    return Move(i, j, *other)


def _numbered(left: Iterable[Hashable], right: Iterable[Hashable]) -> tuple[list[int], list[int]]:
    """Give equal keys equal numbers: the C++ code compares hashes, and those may collide.

    What only the right side has is -1.
    """
    numbers: dict[Hashable, int] = {}
    ours = [numbers.setdefault(key, len(numbers)) for key in left]
    return ours, [numbers.get(key, -1) for key in right]


def _matches(left: list[int], right: list[int]) -> list[Pair]:
    """Return the pairs of a longest common subsequence."""
    both = set(left) & set(right)  # what only one side has matches nothing, whatever the rest does
    left_at = [i for i, key in enumerate(left) if key in both]
    right_at = [j for j, key in enumerate(right) if key in both]
    common = _common([left[i] for i in left_at], [right[j] for j in right_at])
    return [(left_at[i], right_at[j]) for i, j in common]


def _common(left: list[int], right: list[int]) -> list[Pair]:
    shorter = min(len(left), len(right))
    head = 0
    while head < shorter and left[head] == right[head]:
        head += 1
    tail = 0
    while tail < shorter - head and left[-1 - tail] == right[-1 - tail]:
        tail += 1
    middle = _middle(left[head : len(left) - tail], right[head : len(right) - tail])
    pairs = [(i, i) for i in range(head)]
    pairs += [(head + i, head + j) for i, j in middle]
    pairs += [(len(left) - k, len(right) - k) for k in range(tail, 0, -1)]
    return pairs


def _middle(left: list[int], right: list[int]) -> list[Pair]:
    if not left or not right:
        return []
    from rapidfuzz.distance import LCSseq, Levenshtein

    if len(left) * len(right) <= EXACT_CELLS:
        blocks = LCSseq.editops(left, right).as_matching_blocks()
        pairs = [(block.a + k, block.b + k) for block in blocks for k in range(block.size)]
        return _by_index(left, right, len(pairs)) or pairs
    # Too long to keep the whole matrix: another algorithm, of linear memory, says where to cut.
    blocks = Levenshtein.editops(left, right, score_hint=64).as_matching_blocks()
    anchors = [block for block in blocks if block.size >= ANCHOR]
    cuts = [(block.a + block.size // 2, block.b + block.size // 2) for block in anchors]
    if not cuts:
        return [(block.a + k, block.b + k) for block in blocks for k in range(block.size)]
    pairs, from_i, from_j = [], 0, 0
    for to_i, to_j in [*cuts, (len(left), len(right))]:
        piece = _common(left[from_i:to_i], right[from_j:to_j])
        pairs += [(from_i + i, from_j + j) for i, j in piece]
        from_i, from_j = to_i, to_j
    return pairs


def _by_index(left: list[int], right: list[int], best: int) -> list[Pair] | None:
    """Return the matching index by index, if it is as good as the best.

    `a y b` and `b y a` can be matched in several ways; a person calls it an exchange.
    """
    if len(left) != len(right):
        return None
    pairs = [(i, i) for i, key in enumerate(left) if key == right[i]]
    return pairs if len(pairs) == best else None


def _gaps(length: int, matched: list[int]) -> dict[int, int]:
    """Return for each item that is not matched how many matched ones come before it."""
    gaps: dict[int, int] = {}
    at = 0
    for count, index in enumerate([*matched, length]):
        for i in range(at, index):
            gaps[i] = count
        at = index + 1
    return gaps


def _moves(
    left: Sequence[Hashable],
    right: Sequence[Hashable],
    left_gaps: dict[int, int],
    right_gaps: dict[int, int],
) -> list[Move]:
    """Pair leftovers with equal keys, first with first, and join those that changed places."""
    waiting: dict[Hashable, list[int]] = defaultdict(list)
    for j in reversed(right_gaps):
        waiting[right[j]].append(j)
    pairs = [(i, waiting[left[i]].pop()) for i in left_gaps if waiting.get(left[i])]
    alone: dict[Pair, list[int]] = defaultdict(list)  # (from gap, to gap) -> indices of moves
    moves: list[Move] = []
    for i, j in pairs:
        here, there = left_gaps[i], right_gaps[j]
        if here != there and alone[there, here]:
            first = alone[there, here].pop(0)
            moves[first] = Move(moves[first].teacher, moves[first].student, (i, j))
        else:
            alone[here, there].append(len(moves))
            moves.append(Move(i, j))
    return moves


def _replacements(
    left_gaps: dict[int, int],
    right_gaps: dict[int, int],
    left_names: Sequence[Hashable],
    right_names: Sequence[Hashable],
) -> list[Pair]:
    """Pair what is left over at the same place: sort with sort, if that leaves out no pair."""
    by_gap: dict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for side, gaps in enumerate((left_gaps, right_gaps)):
        for index, gap in gaps.items():
            by_gap[gap][side].append(index)
    pairs: list[Pair] = []
    for gap in sorted(by_gap):
        pairs += _paired(*by_gap[gap], left_names, right_names)
    return pairs


def _paired(
    gone: list[int],
    come: list[int],
    left_names: Sequence[Hashable],
    right_names: Sequence[Hashable],
) -> list[Pair]:
    in_order = list(zip(gone, come, strict=False))
    alike = _matches(*_numbered((left_names[i] for i in gone), (right_names[j] for j in come)))
    pairs: list[Pair] = []
    at_i = at_j = 0
    for i, j in alike:
        pairs += zip(gone[at_i:i], come[at_j:j], strict=False)
        pairs.append((gone[i], come[j]))
        at_i, at_j = i + 1, j + 1
    pairs += zip(gone[at_i:], come[at_j:], strict=False)
    return pairs if len(pairs) == len(in_order) else in_order
