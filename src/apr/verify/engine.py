"""What the engine thinks of every token as the next."""

import numpy as np

from apr.providers.base import ProviderError
from apr.serve.engine import Engine
from apr.verify.compare import FLOOR, Array


async def letter(engine: Engine) -> int:
    """Return a token that is a letter, for `log_probabilities`.

    Raises:
        ProviderError: the engine failed.
    """
    answer = await engine.call("/tokenize", {"content": "a", "add_special": False})
    return int(answer["tokens"][-1])


async def log_probabilities(engine: Engine, ids: list[int], vocabulary: int, *, say: int) -> Array:
    """Return the logarithms of all tokens' probabilities after `ids`: [vocabulary].

    The engine is made to say the token `say`, which changes nothing of what it reports: that is
    from before sampling. Of a token that ends the answer, or is half a character, it reports none.

    Raises:
        ProviderError: the engine failed, or left tokens out.
    """
    answer = await engine.call(
        "/completion",
        {
            "prompt": ids,
            "n_predict": 1,
            "n_probs": vocabulary,
            "post_sampling_probs": False,
            "temperature": 0,
            "logit_bias": [[say, 1e4]],
            "cache_prompt": True,
        },
    )
    (after,) = answer["completion_probabilities"]
    result = np.full(vocabulary, np.nan, np.float32)
    for candidate in after["top_logprobs"]:
        # JSON has no infinity: a probability of 0 comes as null, or as the lowest number there is.
        value = candidate["logprob"]
        result[candidate["id"]] = FLOOR if value is None else max(value, FLOOR)
    missing = int(np.isnan(result).sum())
    if missing:
        raise ProviderError(f"The engine said nothing of {missing:,} of {vocabulary:,} tokens.")
    return result
