"""A small agent on the public `openai` client and its Responses API.

`python responses_agent.py PROMPT [--whole] [--stored]`: `--stored` has the server keep the history.
Its tools are Bash and Write. It finds its server where every such client does: OPENAI_BASE_URL.
"""

import json
import sys
from typing import Any

from openai import OpenAI

from tests.ccpa.record.messages_agent import use

TOOLS: list[Any] = [
    {"type": "function", "name": name, "parameters": {"type": "object"}, "strict": False}
    for name in ("Bash", "Write")
]


def ask(client: OpenAI, given: list[Any], previous: str | None, stream: bool) -> Any:
    asked: Any = {"model": "m", "input": given, "tools": TOOLS}
    if previous is not None:
        asked["previous_response_id"] = previous
    if not stream:
        return client.responses.create(**asked)
    with client.responses.stream(**asked) as events:
        return events.get_final_response()


def main() -> None:
    client = OpenAI()
    stored = "--stored" in sys.argv
    given: list[Any] = [{"role": "user", "content": sys.argv[1]}]
    previous = None
    while True:
        answer = ask(client, given, previous, stream="--whole" not in sys.argv)
        results = []
        for item in answer.output:
            if item.type == "function_call":
                said, failed = use(item.name, json.loads(item.arguments))
                output = f"Exit code: 1\nOutput:\n{said}" if failed else said
                result = {"type": "function_call_output", "call_id": item.call_id}
                results.append({**result, "output": output})
        if not results:
            return
        kept = [item.model_dump(exclude_none=True) for item in answer.output]
        given = results if stored else [*given, *kept, *results]
        previous = answer.id if stored else None


if __name__ == "__main__":
    main()
