#!/bin/sh
# Makes a virtual environment and installs this project into it. Says which command installs whatever
# the system lacks, instead of failing somewhere in the middle.
#   usage: tools/setup.sh VENV EXTRAS      e.g. tools/setup.sh .venv test
set -eu
venv=$1
extras=$2
cd "$(dirname "$0")/.."

case "$(uname -s)" in
    Darwin) system=macos ;;
    *) system=debian ;;
esac

lacking() { # WHAT, DEBIAN COMMAND, MACOS COMMAND
    if [ "$system" = macos ]; then how=$3; else how=$2; fi
    printf 'setup: %s is missing. Install it with:\n    %s\n' "$1" "$how" >&2
    exit 2
}

find_python() {
    for name in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        [ -n "$name" ] || continue
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
}

command -v git >/dev/null || lacking git 'sudo apt install git' 'xcode-select --install'
python=$(find_python)
[ -n "$python" ] || lacking 'Python 3.11 or later' 'sudo apt install python3 python3-venv' 'brew install python'
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    lacking "the venv module of $python" 'sudo apt install python3-venv' 'brew install python'
if [ "$system" = debian ] && ! ldconfig -p 2>/dev/null | grep -q 'libgomp\.so\.1' &&
    ! /sbin/ldconfig -p 2>/dev/null | grep -q 'libgomp\.so\.1'; then
    lacking 'libgomp.so.1 (the inference engine needs it)' 'sudo apt install libgomp1' ''
fi

# A stamp for each set of extras holds what was installed from; anything else in it means: again.
stamp="$venv/.installed-$extras"
wanted=$(cksum <pyproject.toml)
if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
echo "setup: installing into $venv (this happens once)" >&2
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --no-binary claude-agent-sdk --editable ".${extras:+[$extras]}"
printf '%s' "$wanted" >"$stamp"
