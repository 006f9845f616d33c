"""The architectures that the pinned llama.cpp knows by name (its `llama-arch.cpp`).

Told here, an unknown one is named in milliseconds. The library itself would have to be loaded, and
a test asks it about every name in these lists.
"""

from collections.abc import Iterator

LIBRARY = "2026.10.11549"
"""The version of `xllamacpp` that the lists are of."""

TEXT = frozenset(
    """
    afmoe apertus arcee arctic arwkv7 baichuan bailingmoe bailingmoe2 bailingmoe3 bitnet bloom
    chameleon chatglm clef codeshell cogvlm cohere2 cohere2moe command-r dbrx deci deepseek
    deepseek2 deepseek2-ocr deepseek32 deepseek4 dots1 dots3note dream ernie4_5 ernie4_5-moe exaone
    exaone-moe exaone4 falcon falcon-h1 gemma gemma2 gemma3 gemma3n gemma4 glm-dsa glm4 glm4moe
    glm5-next gpt-oss gpt2 gptneox granite granite_swa granitehybrid granitemoe graniteswitch grok
    grovemoe hrm_text hunyuan-dense hunyuan-moe hunyuan_vl hy_v3 hy_v4 internlm2 jais jais2 jamba
    k2-horizon kimi-k3 kimi-linear laguna lfm2 lfm2moe llada llada-moe llama llama4 maincoder mamba
    mamba2 maple mellum mimo2 minicpm minicpm3 minimax-01 minimax-m2 minimax-m3 mistral3 mistral4
    mpt muse-glimmer nanbeige nemotron nemotron_h nemotron_h_moe olmo olmo2 olmoe openelm orion
    paddleocr pangu-embedded phi2 phi3 phimoe plamo plamo2 plamo3 plm qwen qwen2 qwen2moe qwen2vl
    qwen3 qwen35 qwen35moe qwen3moe qwen3next qwen3vl qwen3vlmoe qwen4exp refact rnd1 rwkv6
    rwkv6qwen2 rwkv7 seed_oss smallthinker smollm3 spark2_5 stablelm starcoder starcoder2 step35 t5
    talkie xverse
    """.split()  # noqa: SIM905 - a list to read
)
"""Those that generate text."""

OTHER = {
    **dict.fromkeys(
        """
        bert eurobert gemma-embedding gemma-embedding2 jina-bert-v2 jina-bert-v3 llama-embed
        modern-bert neo-bert nomic-bert nomic-bert-moe t5encoder
        """.split(),  # noqa: SIM905
        "embeds text, and generates none",
    ),
    **dict.fromkeys(["pockettts", "qwen3tts", "wavtokenizer-dec"], "makes sounds, not text"),
    **dict.fromkeys(["dflash", "eagle3", "gemma4-assistant"], "only drafts for another model"),
    "clip": "sees or hears for another model, and generates no text",
}
"""Those that are no models to talk to, and what they do instead."""

_ATTENTION = ("attn_norm", "attn_q|attn_qkv", "attn_k|attn_qkv", "attn_v|attn_qkv", "attn_output")
_NORMED = (*_ATTENTION, "attn_q_norm", "attn_k_norm")
_DENSE = ("ffn_norm", "ffn_gate", "ffn_up", "ffn_down")
_EXPERTS = ("ffn_norm", "ffn_gate_inp", "ffn_up_exps|ffn_gate_up_exps", "ffn_down_exps")
_GATED = (*_EXPERTS, "ffn_gate_exps|ffn_gate_up_exps")

_BLOCKS = {
    "llama": (_ATTENTION + _DENSE, _ATTENTION + _EXPERTS),
    "qwen2": (_ATTENTION + _DENSE, ()),
    "qwen3": (_NORMED + _DENSE, ()),
    "qwen3moe": ((), _NORMED + _GATED),
}
"""What every layer has, of a dense model and of one of experts: of architectures that are plain
enough to say so. `a|b`: the one or the other. What the rest lack, the engine says as it loads."""


def needed(architecture: str, layers: int, experts: int) -> Iterator[tuple[str, ...]]:
    """Yield the tensors that a model cannot do without, each with those that can stand for it."""
    if architecture not in _BLOCKS:
        return
    yield ("output_norm.weight",)
    for layer in range(layers):
        for kinds in _BLOCKS[architecture][1 if experts else 0]:
            yield tuple(f"blk.{layer}.{kind}.weight" for kind in kinds.split("|"))
