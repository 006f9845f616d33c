"""A corpus's result as a JUnit report: one test case a fixture."""

from xml.etree.ElementTree import Element, SubElement, tostring

from ccpa.console import one_line
from ccpa.corpus import CorpusResult, FixtureResult, Thresholds


def report(found: CorpusResult, thresholds: Thresholds) -> bytes:
    """Return the report as XML. A fixture below the floor fails; one without a score is skipped.

    The mean is a test case too: it can fail where every fixture passes.
    """
    suite = Element("testsuite", name="ccpa corpus")
    for one in found.fixtures:
        _case(suite, one.fixture, one.judged, _message(one, thresholds))
    mean = "none" if found.score is None else f"{found.score:.4f}"
    _case(suite, "(mean)", found.judged, f"mean {mean}, needs {thresholds.mean}")
    for name in ("failure", "skipped"):
        key = "failures" if name == "failure" else name
        suite.set(key, str(len(suite.findall(f"testcase/{name}"))))
    suite.set("tests", str(len(suite)))
    text: bytes = tostring(suite, encoding="utf-8", xml_declaration=True)
    return text


def _case(suite: Element, name: str, judged: str, message: str) -> None:
    case = SubElement(suite, "testcase", classname="ccpa", name=one_line(name))
    if judged != "pass":
        kind = "failure" if judged == "fail" else "skipped"
        SubElement(case, kind, message=one_line(message))


def _message(one: FixtureResult, thresholds: Thresholds) -> str:
    if one.score is None:
        return "nothing to compare: no score"
    drifts = ", ".join(
        f"{name} {count}" for run in one.runs for name, count in run.categories.items()
    )
    return f"parity score {one.score:.4f}, needs {thresholds.each}; {drifts}"
