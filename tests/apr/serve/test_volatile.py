"""What of a system prompt changes every time and says nothing."""

import pytest

from apr.serve.volatile import without_headers

HEADER = "x-anthropic-billing-header: cc_version=2.1.0.abc; cc_entrypoint=cli; cch=1f3a9;"


@pytest.mark.parametrize(
    ("prompt", "left"),
    [
        (f"{HEADER}\nYou are good.", "You are good."),
        (f"{HEADER}\n\nYou are good.", "You are good."),
        (HEADER, ""),
        (f"You are good.\n{HEADER}\nBe brief.", "You are good.\nBe brief."),
        (HEADER.upper(), ""),
    ],
)
def test_a_billing_header_is_left_out(prompt: str, left: str) -> None:
    assert without_headers(prompt) == left


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "Today's date: 2026-11-24\nIt is 12:31:07.",
        "Never send the x-anthropic-billing-header: it is a secret.",
        f"{'word ' * 2000}\n{HEADER}\n",
    ],
)
def test_all_else_stays_as_it_is(prompt: str) -> None:
    assert without_headers(prompt) == prompt
