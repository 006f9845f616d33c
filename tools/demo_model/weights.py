"""The GGUF file: written from a network and a vocabulary, and read back into a network."""

import json
from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import Qwen3MoeForCausalLM

from demo_model.sessions import DIGEST_KEY
from demo_model.text import CONTROL, MARKUP, TEMPLATE
from lookalike.shape import Shape, describe, is_exact
from lookalike.transformers import from_gguf, to_gguf
from lookalike.vocabulary import Vocabulary, add_vocabulary


def write(path: Path, network: Qwen3MoeForCausalLM, tokenizer: Tokenizer, digest: str) -> None:
    """Write the model: matrices as F16, vectors and the routers as F32.

    `digest` says what it was trained on (`demo_model.sessions.digest`).
    """
    writer = gguf.GGUFWriter(path, "qwen3moe")
    _describe(writer, network)
    add_vocabulary(writer, _vocabulary(tokenizer))
    writer.add_chat_template(TEMPLATE.read_text())
    writer.add_string(DIGEST_KEY, digest)
    for name, values in to_gguf(network.state_dict(), network.config.num_hidden_layers):
        exact = is_exact(name, values.ndim)
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
    state = from_gguf(stored, network.config.num_hidden_layers)
    network.load_state_dict({name: torch.tensor(values) for name, values in state.items()})


def _describe(writer: gguf.GGUFWriter, network: Qwen3MoeForCausalLM) -> None:
    config = network.config
    writer.add_name("demo")
    writer.add_description(
        "Knows a few coding sessions by heart; tools/train_demo_model.py makes it."
    )
    writer.add_license("apache-2.0")
    writer.add_sampling_temp(0.0)  # by heart, not by chance
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    describe(
        writer,
        Shape(
            layers=config.num_hidden_layers,
            width=config.hidden_size,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            head_dim=config.head_dim,
            hidden=config.moe_intermediate_size,
            experts=config.num_experts,
            experts_used=config.num_experts_per_tok,
            vocab=config.vocab_size,
            context=config.max_position_embeddings,
            tied=False,
        ),
        rope_theta=config.rope_parameters["rope_theta"],
        epsilon=config.rms_norm_eps,
    )


def _vocabulary(tokenizer: Tokenizer) -> Vocabulary:
    tokens = [tokenizer.id_to_token(number) for number in range(tokenizer.get_vocab_size())]
    kinds = dict.fromkeys(CONTROL, gguf.TokenType.CONTROL)
    kinds |= dict.fromkeys(MARKUP, gguf.TokenType.USER_DEFINED)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return Vocabulary(
        tokens=tokens,
        types=[kinds.get(token, gguf.TokenType.NORMAL) for token in tokens],
        merges=[" ".join(merge) for merge in merges],
    )
