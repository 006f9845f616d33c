"""`apr verify` agrees where engine and transformers have the same weights, and only there."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra `reference` is not installed")

import numpy as np
from gguf import GGMLQuantizationType as Kind

from apr.cli import verify
from apr.errors import AprError
from apr.verify.reference import Reference
from tests.reference.families import FAMILIES, Array, Change, named, network, save, write

pytestmark = pytest.mark.reference


@pytest.fixture(autouse=True)
def apr_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APR_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Path]]:
    """Return each family's network, and the directory it is saved in."""
    folder = tmp_path_factory.mktemp("reference")
    networks = {family: network(family) for family in FAMILIES}
    return {family: (net, save(net, folder / family)) for family, net in networks.items()}


def run(capsys: pytest.CaptureFixture[str], model: Path, reference: Path, *words: str) -> Any:
    """Run the command; return the exit code and what it printed as JSON."""
    parser = argparse.ArgumentParser()
    verify.configure(parser)
    given = [str(model), "--reference", str(reference), "--json", "--positions", "4", *words]
    code = verify.run(parser.parse_args(given))
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("kind", "least"), [(Kind.F32, 0.9999), (Kind.F16, 0.9999), (Kind.Q8_0, 0.99), (Kind.Q4_K, 0.8)]
)
def test_the_same_weights_agree(
    family: str,
    kind: Kind,
    least: float,
    saved: dict[str, tuple[Any, Path]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    net, reference = saved[family]
    code, report = run(capsys, write(tmp_path / "m.gguf", net, kind), reference)

    agreement = report["agreement"]
    assert (code, report["passed"], report["gated"]) == (0, True, kind in (Kind.F32, Kind.F16))
    # Where two experts are almost as good, a quantised model takes the other one at some positions.
    worst = "mean_cosine" if family == "qwen3moe" and not report["gated"] else "worst_cosine"
    assert agreement[worst] >= least
    assert agreement["positions"] == len(report["positions"]) == 16


def swap_rows(tensors: dict[str, Array]) -> None:
    rows = tensors["output.weight"]
    tensors["output.weight"] = rows[[1, 0, *range(2, len(rows))]]


def swap_experts(tensors: dict[str, Array]) -> None:
    name = named(tensors, "ffn_down_exps.weight")
    tensors[name] = tensors[name][[1, 0, *range(2, len(tensors[name]))]]


def swap_norms(tensors: dict[str, Array]) -> None:
    name = named(tensors, "attn_q.weight")
    tensors[name] = np.roll(tensors[name], 1, axis=0)


def as_it_is(_tensors: dict[str, Array]) -> None:
    pass


@pytest.mark.parametrize(
    ("family", "change", "rope"),
    [
        ("qwen3", swap_rows, 1e6),
        ("qwen3", as_it_is, 1e4),
        ("llama", swap_norms, 1e6),
        ("qwen3moe", swap_experts, 1e6),
    ],
    ids=["two rows", "rope theta", "queries shifted", "two experts"],
)
def test_weights_that_are_subtly_wrong_do_not(
    family: str,
    change: Change,
    rope: float,
    saved: dict[str, tuple[Any, Path]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    net, reference = saved[family]
    model = write(tmp_path / "m.gguf", net, Kind.F16, change=change, rope=rope)

    code, report = run(capsys, model, reference)

    assert (code, report["passed"]) == (1, False)


def test_two_rows_among_many_escape_the_cosine_but_not_the_gate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = network("qwen3", vocabulary=60_000)
    model = write(tmp_path / "m.gguf", net, Kind.F16, change=swap_rows)
    prompt = tmp_path / "prompts"
    prompt.write_text("[5, 6, 7]\n")

    code, report = run(capsys, model, save(net, tmp_path / "net"), "--prompts", str(prompt))

    assert report["agreement"]["worst_cosine"] > 0.9999
    assert (code, report["passed"]) == (1, False)


def test_routers_are_told_of(
    saved: dict[str, tuple[Any, Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, reference = saved["qwen3moe"]
    prompts = tmp_path / "prompts"
    prompts.write_text("read the file\n[1, 2, 3, 500]\n")
    words = ("--experts", "--prompts", str(prompts))

    _, report = run(capsys, write(tmp_path / "m.gguf", net, Kind.F16), reference, *words)

    tokens = sum(map(len, report["prompts"]))
    assert report["prompts"][1] == [1, 2, 3, 500]
    assert len(report["experts"]) == 2
    for layer in report["experts"]:
        assert (layer["experts"], layer["used"], layer["tokens"]) == (8, 2, tokens)
        assert 0 < layer["entropy"] < 1
        assert sum(layer["load"]) == pytest.approx(1, abs=1e-5)
        for load in layer["load"]:
            assert load * tokens * 2 == pytest.approx(round(load * tokens * 2), abs=1e-3)


def test_a_router_without_a_preference_has_all_the_entropy_there_is(tmp_path: Path) -> None:
    net = network("qwen3moe")
    for layer in net.model.layers:
        layer.mlp.gate.weight.data.zero_()

    routings = Reference(save(net, tmp_path / "net")).routing([[1, 2, 3]])

    assert [routing.entropy for routing in routings] == [pytest.approx(1), pytest.approx(1)]


def test_what_cannot_be_compared_is_said(
    saved: dict[str, tuple[Any, Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, reference = saved["qwen3"]
    model = write(tmp_path / "m.gguf", net, Kind.F16)
    other = save(network("qwen3", vocabulary=600), tmp_path / "other")
    (tmp_path / "prompts").write_text("[1, 2, 512]\n")

    for words, said in (
        ((str(other),), "512 tokens and the reference 600"),
        ((str(tmp_path),), "no config.json"),
        ((str(reference), "--experts"), "no router"),
        ((str(reference), "--prompts", str(tmp_path / "prompts")), "line 1: token ids"),
    ):
        with pytest.raises(AprError, match=said):
            run(capsys, model, Path(words[0]), *words[1:])
