"""Which tests ran and passed, by the report that the run itself has written (JUnit XML)."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from ccpa.errors import CcpaError

_LARGEST = 64 << 20
_NOT_PASSED = frozenset({"failure", "error", "skipped"})


class TestReport:
    """What a run of tests, or several, came to.

    Args:
        outcomes: by class name and name, without parameters, whether each run of it passed.
    """

    __test__ = False  # what pytest takes for a test by its name

    def __init__(self, outcomes: dict[tuple[str, str], list[bool]]) -> None:
        self._outcomes = outcomes

    def passed(self, test: str) -> bool:
        """Whether a test ran, with all its parameters, and never failed or was skipped.

        `test` is pytest's name for it: `tests/a/test_b.py::test_c`, with a class between them where
        it is in one. Raises ValueError for anything else.
        """
        runs = self._outcomes.get(key(test), [])
        return bool(runs) and all(runs)


def key(test: str) -> tuple[str, str]:
    """Return by what a report knows a test.

    Raises:
        ValueError: it is not the name of a test, or names one parameter of it.
    """
    path, *inner = test.split("::")
    if not path.endswith(".py") or not inner or not all(inner) or "[" in test:
        raise ValueError(f"not a test: {test!r} (tests/PATH.py::test_name, without parameters)")
    parts = PurePosixPath(path.removesuffix(".py")).parts
    return ".".join([*parts, *inner[:-1]]), inner[-1]


def read_reports(paths: Iterable[Path]) -> TestReport:
    """Read the reports of one run, which may have been made in parts.

    Raises:
        CcpaError: one cannot be read, is no report, or tells of no test.
    """
    outcomes: dict[tuple[str, str], list[bool]] = {}
    for path in paths:
        cases = _cases(path)
        if not cases:
            raise CcpaError(f"{path}: tells of no test: make it with pytest --junitxml={path}")
        for known_as, passed in cases:
            outcomes.setdefault(known_as, []).append(passed)
    return TestReport(outcomes)


class _Cases:
    """What a parser tells of a report; only its cases are kept, so no size of it does harm."""

    def __init__(self) -> None:
        self.found: list[tuple[tuple[str, str], bool]] = []
        """By what each case is known, and whether it passed."""
        self._case: tuple[str, str] | None = None
        self._passed = True

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse what declares entities, before one is: bombs are made of them."""
        raise ValueError("it declares a document type")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "testcase":
            name = attributes.get("name", "").partition("[")[0]
            self._case, self._passed = (attributes.get("classname", ""), name), True
        elif tag in _NOT_PASSED:
            self._passed = False

    def end(self, tag: str) -> None:
        if tag == "testcase" and self._case is not None:
            self.found.append((self._case, self._passed))
            self._case = None


def _cases(path: Path) -> list[tuple[tuple[str, str], bool]]:
    """Return by what each case is known, and whether it passed."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise CcpaError(f"{path}: has more than {_LARGEST:,} bytes")
        cases = _Cases()
        parser = ElementTree.XMLParser(target=cases)  # noqa: S314 - see there
        parser.feed(data)
        parser.close()
    except OSError as error:
        raise CcpaError(f"{path}: cannot be read: {error.strerror}") from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise CcpaError(f"{path}: is no report: {error}") from None
    return cases.found
