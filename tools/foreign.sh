#!/bin/sh
# Installs agents of other makers into a directory of their own, in the versions that docs/record.md
# tells of. What cannot be installed is said, and its test is then skipped.
#   usage: tools/foreign.sh DIRECTORY
set -eu
mkdir -p "$1"
directory=$(cd "$1" && pwd)

npm_agents='@openai/codex@0.169.0 @qwen-code/qwen-code@0.15.10 opencode-ai@1.18.33
    @earendil-works/pi-coding-agent@0.74.2'
# Its model client imports `mcp` without requiring it.
pip_agents='mini-swe-agent==2.4.6 mcp'

stamp="$directory/.installed"
wanted=$(cksum <"$0")
[ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] || exit 0
failed=
echo "foreign: installing into $directory (this happens once)" >&2
if command -v npm >/dev/null; then
    for agent in $npm_agents; do
        npm install --prefix "$directory" --no-audit --no-fund --silent "$agent" || failed="$failed $agent"
    done
else
    failed="$npm_agents (npm is missing: install Node.js)"
fi
[ -x "$directory/venv/bin/python" ] || python3 -m venv "$directory/venv"
# shellcheck disable=SC2086
"$directory/venv/bin/python" -m pip install --quiet --disable-pip-version-check $pip_agents ||
    failed="$failed $pip_agents"
if [ -n "$failed" ]; then
    echo "foreign: not installed: $failed" >&2
else
    printf '%s' "$wanted" >"$stamp"
fi
