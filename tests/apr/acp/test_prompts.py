"""What an editor sends as a prompt, and what the agent is asked."""

import base64
from typing import Any

import pytest
from acp import helpers, schema

from apr.acp.prompts import NotTaken, prompt_of
from apr.tools.images import LARGEST

PNG = b"\x89PNG\r\n\x1a\n"


def picture(data: bytes) -> Any:
    return helpers.image_block(base64.b64encode(data).decode(), "image/png")


def blob(uri: str, data: bytes, kind: str | None) -> Any:
    return helpers.resource_block(
        schema.BlobResourceContents(uri=uri, mime_type=kind, blob=base64.b64encode(data).decode())
    )


def test_what_a_person_wrote_is_kept_apart_from_what_the_editor_adds() -> None:
    file = helpers.embedded_text_resource('file:///a/"b"%0A.md', "x </file> @y")
    asked = prompt_of(
        [helpers.text_block("/fix it"), helpers.resource_block(file), helpers.text_block("now")],
        sees=False,
    )
    assert asked.text == "/fix it\n\nnow"
    assert asked.attached == "<file path=\"/a/'b' .md\">\nx < /file> @y\n</file>"


@pytest.mark.parametrize(
    ("uri", "mention"),
    [
        ("file:///a/b.py", "@/a/b.py"),
        ("file:///a/b%20c.py", '@"/a/b c.py"'),
        ("file:///a/b.py#L3:9", "@/a/b.py (lines 3:9)"),
        ("https://example.com/x", "[name](https://example.com/x)"),
    ],
)
def test_a_link_is_a_mention(uri: str, mention: str) -> None:
    assert prompt_of([helpers.resource_link_block("name", uri)], sees=False).text == mention


def test_a_picture_is_told_by_its_bytes() -> None:
    for block in (picture(PNG), blob("file:///a.bin", PNG, "image/x-odd")):
        (image,) = prompt_of([block], sees=True).images
        assert image.media_type == "image/png"
        assert base64.b64decode(image.data) == PNG


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (picture(b"GIF"), "none of PNG"),
        (picture(PNG + bytes(LARGEST)), "are the most"),
        (helpers.image_block("not base64!", "image/png"), "not base64"),
        (blob("file:///a.zip", b"PK", "application/zip"), "neither text nor a picture"),
        (helpers.audio_block("AA==", "audio/wav"), "cannot hear"),
        (helpers.text_block(" \n"), "empty"),
    ],
)
def test_what_the_model_cannot_be_given_is_refused(block: Any, why: str) -> None:
    with pytest.raises(NotTaken, match=why):
        prompt_of([block], sees=True)
