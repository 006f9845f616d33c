"""The least an agent can be: ask, read the file that is named, ask again. Standard library only.

usage: bare_loop.py BASE_URL PROMPT
"""

import http.client
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit


def main() -> None:
    """Run the loop until the model makes no call."""
    url = urlsplit(sys.argv[1])
    connection = http.client.HTTPConnection(url.hostname or "", url.port)
    messages: list[dict[str, object]] = [{"role": "user", "content": sys.argv[2]}]
    while True:
        body = json.dumps({"model": "m", "messages": messages, "stream": True})
        connection.request("POST", "/v1/chat/completions", body)
        calls = []
        response = connection.getresponse()
        for line in response.read().splitlines():
            if not line.startswith(b"data: {"):
                continue
            for choice in json.loads(line[6:])["choices"]:
                calls += choice["delta"].get("tool_calls", [])
        if not calls:
            return
        messages.append({"role": "assistant", "tool_calls": calls})
        for call in calls:
            path = json.loads(call["function"]["arguments"])["file_path"]
            text = Path(path).read_text()
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": text})


if __name__ == "__main__":
    main()
