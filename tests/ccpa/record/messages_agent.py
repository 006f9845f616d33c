"""A small agent on the public `anthropic` client: `python messages_agent.py PROMPT`.

Its tools are Bash and Write. It finds its server where every such client does: ANTHROPIC_BASE_URL.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

from anthropic import Anthropic

TOOLS: list[Any] = [
    {"name": name, "description": name, "input_schema": {"type": "object"}}
    for name in ("Bash", "Write")
]


def use(name: str, given: Any) -> tuple[str, bool]:
    """Use a tool; return what it says and whether it failed."""
    if name == "Write":
        Path(given["file_path"]).write_text(given["content"])
        return "Written.", False
    done = subprocess.run(["bash", "-c", given["command"]], capture_output=True, text=True)
    return done.stdout or "[no output]", done.returncode != 0


def ask(client: Anthropic, history: list[Any]) -> Any:
    asked: Any = {"model": "m", "max_tokens": 999, "messages": history, "tools": TOOLS}
    with client.messages.stream(**asked) as events:
        return events.get_final_message()


def main() -> None:
    client = Anthropic()
    history: list[Any] = [{"role": "user", "content": sys.argv[1]}]
    while True:
        answer = ask(client, history)
        history.append({"role": "assistant", "content": answer.content})
        results = []
        for block in answer.content:
            if block.type == "tool_use":
                said, failed = use(block.name, block.input)
                result = {"type": "tool_result", "tool_use_id": block.id, "content": said}
                results.append({**result, "is_error": failed})
        if not results:
            return
        history.append({"role": "user", "content": results})


if __name__ == "__main__":
    main()
