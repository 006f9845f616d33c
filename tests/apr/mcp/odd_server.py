"""A server over stdio, well-behaved but for the one oddity that its argument names."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ODD = sys.argv[1]
MIB = 1 << 20
CALLS: list[str] = []


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def mutter(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def tool(name: str, **more: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    return {"name": name, "description": f"The tool {name}.", "inputSchema": schema, **more}


def tools(cursor: str | None) -> dict[str, Any]:
    if ODD == "many-tools":
        return {"tools": [tool(f"t{n}") for n in range(2_000)]}
    if ODD == "wrong-schema":
        return {"tools": [tool("none", inputSchema={"type": "array"})]}
    if ODD == "endless-pages":
        number = int(cursor or 0)
        return {"tools": [tool(f"t{number}")], "nextCursor": str(number + 1)}
    if ODD == "hostile-names":
        return {
            "tools": [
                tool("a\x1b[2Jb"),
                tool("a_[2Jb"),
                tool("x" * 300),
                tool(""),
                tool("long", description="\x1b]0;owned\x07\u202e" + "d" * 10_000),
                tool(
                    "huge",
                    inputSchema={"type": "object", "properties": {"a": {"enum": ["x" * MIB]}}},
                ),
                tool("same"),
                tool("same", description="another"),
            ]
        }
    if ODD == "changes" and CALLS:
        return {"tools": [tool("echo"), tool("another")]}
    return {"tools": [tool("echo", annotations={"readOnlyHint": True}), tool("count")]}


def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    CALLS.append(name)
    if ODD == "dies-when-called" or (ODD == "dies-once" and not Path("second").exists()):
        Path("second").touch()
        mutter("Traceback: \x1b[31mout of luck")
        os._exit(7)
    if ODD == "hangs-when-called":
        Path("pids.new").write_text(f"{os.getpid()}")
        Path("pids.new").rename("pids")
        time.sleep(600)
    if ODD == "large-result":
        return {"content": [{"type": "text", "text": "x" * 5 * MIB}]}
    if ODD == "too-large-result":
        return {"content": [{"type": "text", "text": "x" * 20 * MIB}]}
    if ODD == "wrong-result":
        return {"content": "no list"}
    if ODD == "environment":
        return {"content": [{"type": "text", "text": json.dumps(dict(os.environ))}]}
    if ODD == "changes":
        say({"method": "notifications/tools/list_changed"})
    return {"content": [{"type": "text", "text": f"{name}: {arguments.get('text')}"}]}


def serve() -> Iterator[None]:
    """Answer; yield when the tools have been listed."""
    for line in sys.stdin:
        request = json.loads(line)
        if "id" not in request or "method" not in request:
            continue
        method, params = request["method"], request.get("params") or {}
        answer: dict[str, Any] = {}
        if method == "initialize":
            if ODD == "modern-only":
                data = {"supported": ["2026-07-28"], "requested": params["protocolVersion"]}
                say({"id": request["id"], "error": {"code": -32022, "message": "no", "data": data}})
                continue
            answer = {
                "protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {"listChanged": True}, "prompts": {}},
                "serverInfo": {"name": ODD, "version": "1"},
            }
        elif method == "server/discover" and ODD == "modern-only":
            answer = {
                "resultType": "complete",
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}},
                "ttlMs": 0,
                "cacheScope": "private",
            }
        elif method == "tools/list":
            answer = tools(params.get("cursor"))
            if ODD == "modern-only":
                answer |= {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
        elif method == "prompts/list":
            arguments = [{"name": "who", "required": True}]
            answer = {"prompts": [{"name": "greet", "arguments": arguments}]}
        elif method == "prompts/get":
            text = f"Say hello to {params['arguments']['who']}."
            said = {"role": "user", "content": {"type": "text", "text": text}}
            answer = {"messages": [said]}
        elif method == "tools/call":
            answer = call(params["name"], params.get("arguments") or {})
            if ODD == "modern-only":
                answer |= {"resultType": "complete"}
        if ODD == "noise":
            sys.stdout.write("Starting up... \x1b[1mready\n")
            sys.stdout.write('{"jsonrpc": "2.0", "id": 1e999, "result": [\n')
        say({"id": request["id"], "result": answer})
        if method == "tools/list":
            yield


def main() -> None:
    if ODD == "dies-at-once":
        mutter("config \x1b[31mmissing")
        sys.exit(3)
    if ODD == "hangs":
        mutter("waiting")
        time.sleep(600)
    if ODD == "no-line-ends":
        while True:
            sys.stdout.write("x" * MIB)
            sys.stdout.flush()
    if ODD == "leaves-children":
        child = subprocess.Popen(["sleep", "600"])
        Path("pids").write_text(f"{os.getpid()} {child.pid}")
    if ODD == "talks-to-stderr":
        mutter("e" * 5 * MIB)
    for _ in serve():
        if ODD == "endless-notifications":
            while True:
                say({"method": "notifications/message", "params": {"level": "info", "data": "x"}})
        if ODD == "endless-requests":
            while True:
                say({"id": f"r{time.monotonic_ns()}", "method": "ping"})
    if ODD == "leaves-children":
        time.sleep(600)  # though nobody speaks any more


main()
