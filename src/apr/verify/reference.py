"""The reference: the same weights in transformers, at 32 bits."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from apr.errors import AprError
from apr.verify.compare import Array


class NoReference(AprError):
    """There is nothing to compare with. The message says why, and what to do."""


class Routing(Struct, frozen=True, kw_only=True):
    """What a layer's router did with the tokens of the prompts."""

    layer: str
    """What transformers calls the router."""
    experts: int
    used: int
    """For each token."""
    tokens: int
    entropy: float
    """Of the router's distribution over the experts, mean over tokens: 0 to 1 (even)."""
    load: list[float]
    """The part of all choices that fell on each expert: 1 / experts where it is even."""


class Reference:
    """A model of a directory of safetensors.

    Raises:
        NoReference: transformers is not installed, or cannot load the model.
    """

    def __init__(self, directory: Path) -> None:
        if not (directory / "config.json").is_file():
            raise NoReference(f"{directory} holds no model of transformers: it has no config.json")
        try:
            import torch
            import transformers
        except ImportError as error:
            raise NoReference(
                f"apr verify needs PyTorch and transformers ({error}).\n"
                "Install them with: pip install 'apr-code[reference]'"
            ) from None
        transformers.utils.logging.disable_progress_bar()
        transformers.utils.logging.set_verbosity_error()
        try:
            self._network = transformers.AutoModelForCausalLM.from_pretrained(
                directory,
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,  # the other form runs code when it is read
                trust_remote_code=False,
            ).eval()
        except Exception as error:  # its ways to fail have no common type
            raise NoReference(f"transformers cannot load {directory}: {error}") from error
        self.vocabulary: int = self._network.get_output_embeddings().weight.shape[0]
        self._torch = torch

    def log_probabilities(self, ids: Sequence[int]) -> Array:
        """Return those of every next token, after each of the prompt's: [len(ids), vocabulary]."""
        with self._torch.no_grad():
            logits = self._network(self._torch.tensor([list(ids)])).logits[0]
            result: Array = logits.float().log_softmax(-1).numpy()
        return result

    def routing(self, prompts: Sequence[Sequence[int]]) -> list[Routing]:
        """Return what each router does with the prompts, in the order of the layers.

        Raises:
            NoReference: the model has no routers of a kind that is known here.
        """
        torch = self._torch
        routers = [(n, m) for n, m in self._network.named_modules() if _is_router(m)]
        if not routers:
            raise NoReference("--experts: transformers has no router in this model (is it dense?)")
        seen: dict[str, list[tuple[Any, Any]]] = {name: [] for name, _ in routers}
        hooks = [m.register_forward_hook(_note(seen[name])) for name, m in routers]
        try:
            with torch.no_grad():
                for ids in prompts:
                    self._network(torch.tensor([list(ids)]))
        finally:
            for hook in hooks:
                hook.remove()
        return [self._sum_up(name, seen[name]) for name, _ in routers]

    def _sum_up(self, name: str, seen: list[tuple[Any, Any]]) -> Routing:
        torch = self._torch
        logits = torch.cat([logits for logits, _ in seen]).float()
        chosen = torch.cat([chosen for _, chosen in seen])
        tokens, experts = logits.shape
        logs = logits.log_softmax(-1)
        entropy = -(logs.exp() * logs).sum(-1).mean() / torch.log(torch.tensor(float(experts)))
        counts = torch.bincount(chosen.flatten(), minlength=experts)
        return Routing(
            layer=name,
            experts=experts,
            used=chosen.shape[-1],
            tokens=tokens,
            entropy=float(entropy),
            load=(counts / counts.sum()).tolist(),
        )


def _is_router(module: Any) -> bool:
    """Whether it is one that softmaxes over all experts and takes the best, as Mixtral's does.

    transformers calls those `…TopKRouter`; they return logits, weights and the experts chosen.
    """
    return type(module).__name__.endswith("TopKRouter")


def _note(seen: list[tuple[Any, Any]]) -> Callable[[Any, Any, Any], None]:
    def hook(_module: Any, _inputs: Any, output: Any) -> None:
        logits, _, chosen = output
        seen.append((logits, chosen))

    return hook
