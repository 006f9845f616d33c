"""The GGUF file: written from a network and a vocabulary, and read back into a network."""

import json
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import Qwen3MoeForCausalLM

from demo_model.sessions import DIGEST_KEY
from demo_model.text import CONTROL, END, MARKUP, PADDING, TEMPLATE

Array = NDArray[np.float32]

# What llama.cpp calls the tensors, and what transformers calls them.
_WHOLE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_BLOCK = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "attn_q_norm.weight": "self_attn.q_norm.weight",
    "attn_k_norm.weight": "self_attn.k_norm.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate_inp.weight": "mlp.gate.weight",
    "ffn_down_exps.weight": "mlp.experts.down_proj",
}
_GATE, _UP, _FUSED = "ffn_gate_exps.weight", "ffn_up_exps.weight", "mlp.experts.gate_up_proj"


def write(path: Path, network: Qwen3MoeForCausalLM, tokenizer: Tokenizer, digest: str) -> None:
    """Write the model: matrices as F16, vectors and the routers as F32.

    `digest` says what it was trained on (`demo_model.sessions.digest`).
    """
    writer = gguf.GGUFWriter(path, "qwen3moe")
    _describe(writer, network)
    _add_vocabulary(writer, tokenizer)
    writer.add_chat_template(TEMPLATE.read_text())
    writer.add_string(DIGEST_KEY, digest)
    for name, values in _to_gguf(network):
        exact = values.ndim == 1 or name.endswith("ffn_gate_inp.weight")
        writer.add_tensor(name, values if exact else values.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_into(network: Qwen3MoeForCausalLM, path: Path) -> None:
    """Set the network's parameters to those in the file.

    Raises:
        RuntimeError: the file's tensors are not those of such a network.
    """
    stored = {
        tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        for tensor in gguf.GGUFReader(path).tensors
    }
    state = {}
    for ours, theirs in _WHOLE.items():
        state[theirs] = stored[ours]
    for layer in range(network.config.num_hidden_layers):
        ours, theirs = f"blk.{layer}.", f"model.layers.{layer}."
        for suffix, name in _BLOCK.items():
            state[theirs + name] = stored[ours + suffix]
        state[theirs + _FUSED] = np.concatenate([stored[ours + _GATE], stored[ours + _UP]], axis=1)
    network.load_state_dict({name: torch.tensor(values) for name, values in state.items()})


def _to_gguf(network: Qwen3MoeForCausalLM) -> Iterator[tuple[str, Array]]:
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    for ours, theirs in _WHOLE.items():
        yield ours, state[theirs]
    for layer in range(network.config.num_hidden_layers):
        ours, theirs = f"blk.{layer}.", f"model.layers.{layer}."
        for suffix, name in _BLOCK.items():
            yield ours + suffix, state[theirs + name]
        gate, up = np.split(state[theirs + _FUSED], 2, axis=1)
        yield ours + _GATE, np.ascontiguousarray(gate)
        yield ours + _UP, np.ascontiguousarray(up)


def _describe(writer: gguf.GGUFWriter, network: Qwen3MoeForCausalLM) -> None:
    config = network.config
    writer.add_name("demo")
    writer.add_description(
        "Knows a few coding sessions by heart; tools/train_demo_model.py makes it."
    )
    writer.add_license("apache-2.0")
    writer.add_sampling_temp(0.0)  # by heart, not by chance
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_expert_count(config.num_experts)
    writer.add_expert_used_count(config.num_experts_per_tok)
    writer.add_expert_feed_forward_length(config.moe_intermediate_size)


def _add_vocabulary(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    tokens = [tokenizer.id_to_token(number) for number in range(tokenizer.get_vocab_size())]
    kinds = dict.fromkeys(CONTROL, gguf.TokenType.CONTROL)
    kinds |= dict.fromkeys(MARKUP, gguf.TokenType.USER_DEFINED)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([kinds.get(token, gguf.TokenType.NORMAL) for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_bos_token_id(tokenizer.token_to_id(PADDING))
    writer.add_pad_token_id(tokenizer.token_to_id(PADDING))
    writer.add_eos_token_id(tokenizer.token_to_id(END))
    writer.add_add_bos_token(False)
