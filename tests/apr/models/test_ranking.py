"""Which model is used where none is named."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.models.discovery import Found
from apr.models.header import ModelInfo
from apr.models.ranking import Preferred, Ranked, best, normal, preferences, rank, why

PREFERRED = (Preferred("first-30b", ("first",)), Preferred("second.5-14b"))


def model(
    name: str, *, size: int = 1, mtime: float = 0, own_name: str = "", broken: bool = False
) -> Found:
    """Return a model that was found."""
    path = Path(f"/models/{name}.gguf")
    info = ModelInfo(
        path=path, size=size, architecture="qwen3", name=own_name or "x", parameters=1, layers=1,
        experts=0, experts_used=0, context_length=1, vocabulary=1, quantisation="Q4_K_M",
        kv_bytes_per_token=1, chat_template=None, license=None,
    )  # fmt: skip
    return Found(
        path=path, parts=(path,), store="apr's models", name=name, also=(), size=size, mtime=mtime,
        info=None if broken else info, problem="cut short" if broken else None,
    )  # fmt: skip


def ranked(*models: Found, memory: int = 10) -> list[Ranked]:
    return rank(models, lambda info: info.size <= memory, PREFERRED)


def order(*models: Found) -> list[str]:
    return [one.model.name for one in ranked(*models)]


def chosen(*models: Found) -> tuple[str, str]:
    """Return the name of the model that is used, and why."""
    places = ranked(*models)
    one = best(places)
    assert one is not None
    return one.model.name, why(one, places)


def test_the_preferred_models_of_the_product() -> None:
    assert [entry.name for entry in preferences()] == [
        "qwen3-coder-30b-a3b", "qwen3-coder-next", "qwen2.5-coder-32b", "qwen2.5-coder-14b",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("Qwen3-Coder-30B-A3B-Instruct-Q4_K_M", 0),
        ("unsloth/Qwen3-Coder-30B-A3B-Instruct-GGUF:UD-Q2_K_XL", 0),
        ("qwen3-coder:30b", 0),
        ("QWEN3_CODER_NEXT.IQ4_XS", 1),
        ("Qwen/Qwen2.5-Coder-32B-Instruct-GGUF:Q8_0", 2),
        ("qwen2.5-coder:14b-instruct-q6_K", 3),
        ("Qwen2.5-Coder-1.5B", None),
        ("qwen2.5-coder-320b", None),
        ("notqwen3-coder-next", None),
    ],
)
def test_preferred_names_are_recognised_however_they_are_spelled(
    name: str, place: int | None
) -> None:
    (one,) = rank([model(name)], lambda _: True, preferences())
    assert one.preferred == (None if place is None else preferences()[place])


def test_what_a_model_calls_itself_counts() -> None:
    assert order(model("a", mtime=9), model("sha256-77", own_name="First 30B")) == [
        "sha256-77", "a",
    ]  # fmt: skip


def test_working_then_preferred_then_fitting_then_newest() -> None:
    best_to_worst = [
        model("first", mtime=1),
        model("first-30b-q8", size=99, mtime=9),
        model("second.5-14b", mtime=1),
        model("newer", mtime=2),
        model("older", mtime=1),
        model("huge", size=99, mtime=9),
        model("first-broken", mtime=9, broken=True),
    ]
    names = [one.name for one in best_to_worst]
    assert order(*best_to_worst) == order(*best_to_worst[::-1]) == names


def test_the_choice_says_what_decided() -> None:
    assert chosen(model("a")) == ("a", "the only model that works")
    assert chosen(model("a"), model("b", broken=True)) == ("a", "the only model that works")
    assert chosen(model("first"), model("second.5-14b"), model("c")) == (
        "first", "the most preferred of 3 models that work",
    )  # fmt: skip
    assert chosen(model("a", mtime=2), model("b")) == ("a", "the newest of 2 models that work")
    assert chosen(model("a"), model("b", size=99)) == (
        "a", "the only one of 2 models that fits in memory",
    )  # fmt: skip


def test_what_does_not_fit_is_passed_over_however_preferred() -> None:
    assert chosen(model("first", size=99), model("second.5-14b"), model("c")) == (
        "second.5-14b", "the most preferred of 2 models that work and fit in memory",
    )  # fmt: skip
    name, _ = chosen(model("first", size=99), model("c", size=99))
    assert name == "first"  # the engine will say what is wrong, with figures


def test_nothing_is_chosen_of_broken_models() -> None:
    assert best(ranked()) is None
    assert best(ranked(model("a", broken=True))) is None


def test_every_place_has_its_reason() -> None:
    reasons = [one.reason for one in ranked(model("first"), model("b", size=99, broken=False))]
    assert reasons[0].startswith("preferred as first-30b; fits in memory; changed 19")
    assert reasons[1].startswith("not a preferred name; does not fit in the memory that is free;")
    assert ranked(model("a", broken=True))[0].reason == "broken: cut short"


@given(st.permutations(range(16)))
def test_the_order_does_not_depend_on_where_models_were_found(numbers: list[int]) -> None:
    kinds = list(itertools.product(("first", "other"), (1, 99), (1.0, 2.0), (False, True)))
    models = [
        model(f"{kind}-{number}", size=size, mtime=mtime, broken=broken)
        for number, (kind, size, mtime, broken) in enumerate(kinds)
    ]
    assert order(*(models[number] for number in numbers)) == order(*models)


@given(st.text())
def test_normal_names_are_normal(name: str) -> None:
    assert normal(normal(name)) == normal(name)
