#!/bin/sh
# Runs the tests of the agent and those of the meter at the same time: most of them wait for processes.
#   usage: tools/side_by_side.sh COMMAND...      e.g. tools/side_by_side.sh python -m pytest
set -u
cd "$(dirname "$0")/.."
other=$(mktemp)
trap 'rm -f "$other"; kill "$meter" 2>/dev/null' EXIT
"$@" tests --ignore=tests/apr >"$other" 2>&1 &
meter=$!
"$@" tests/apr
agent_failed=$?
wait "$meter"
meter_failed=$?
cat "$other"
exit $((agent_failed || meter_failed))
