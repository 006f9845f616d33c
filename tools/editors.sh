#!/bin/sh
# Installs the editor of another maker that the tests drive `apr acp` with, into a directory of its
# own. Where it cannot be installed that is said, and its test is skipped.
#   usage: tools/editors.sh DIRECTORY
set -eu
editor='acpx@0.19.1' # https://github.com/openclaw/acpx, MIT

mkdir -p "$1"
stamp="$1/.installed"
[ "$(cat "$stamp" 2>/dev/null)" != "$editor" ] || exit 0
if ! command -v npm >/dev/null; then
    echo "editors: not installed: $editor (npm is missing: install Node.js)" >&2
    exit 0
fi
echo "editors: installing $editor into $1 (this happens once)" >&2
if npm install --prefix "$1" --no-audit --no-fund --silent \
    --fetch-retries=1 --fetch-timeout=20000 "$editor"; then
    printf '%s' "$editor" >"$stamp"
else
    echo "editors: not installed: $editor" >&2
fi
