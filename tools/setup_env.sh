#!/usr/bin/env bash
# Create the environment if it does not exist, and print the path of its Python.
#
#   PYTHON=$(bash tools/setup_env.sh [--ops])
#
# Installs the versions of requirements.txt into .venv. All messages go to standard error.
#   --ops                          compile mmcv's operators, in about ten minutes on two cores
#   MMADDP_PYTHON=/path/to/python  use that interpreter and its own OpenMMLab; nothing is installed
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "setup: $*" >&2; }
die() { echo "error: $*" >&2; exit 1; }

case ${1:-} in
    --ops) ops=1 ;;
    '') ops=0 ;;
    *) die "unknown argument $1: the only one is --ops" ;;
esac

if [ -n "${MMADDP_PYTHON:-}" ]; then
    "$MMADDP_PYTHON" tools/check_env.py >&2 || exit 1
    echo "$MMADDP_PYTHON"
    exit 0
fi

venv=$PWD/.venv
python=$venv/bin/python
stamp=$venv/mmaddp-requirements.txt

has_ops() {
    "$python" -c 'from importlib.util import find_spec; raise SystemExit(not find_spec("mmcv._ext"))' 2>/dev/null
}

if cmp -s requirements.txt "$stamp" && { [ "$ops" = 0 ] || has_ops; } && "$python" tools/check_env.py --quiet >&2; then
    echo "$python"
    exit 0
fi

find_base_python() {
    local candidate
    for candidate in python3.11 python3.12 python3 python; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    die "no Python 3.11 or 3.12 on the PATH: install one, or set MMADDP_PYTHON=/path/to/python"
}

# Older versions of torch lack NumPy 2. The pinned operators do not compile with newer ones, which need C++20.
fits="
import torch, torchvision
version = tuple(int(part) for part in torch.__version__.split('.')[:2])
raise SystemExit(not (2, 4) <= version < ((2, 13) if $ops else (3,)))"

base=$(find_base_python)
if "$base" -c "$fits" 2>/dev/null; then
    say "keeping the torch of $base"
    own_torch=1
    site_packages=--system-site-packages
else
    own_torch=0
    site_packages=
fi

if [ ! -x "$python" ]; then
    say "creating .venv with $("$base" --version)"
    "$base" -m venv $site_packages "$venv" || die "could not create a virtual environment: install python3-venv"
fi

pins=$(mktemp)
trap 'rm -f "$pins"' EXIT
if [ "$own_torch" = 1 ]; then
    grep -vE '^torch(vision)?==' requirements.txt >"$pins"
else
    cp requirements.txt "$pins"
fi
# Python compiles what it imports. To compile all files here would take longer.
install() {
    "$python" -m pip install --disable-pip-version-check --progress-bar off --no-compile -q -c "$pins" "$@" >&2
}

if [ "$own_torch" = 0 ]; then
    say "1/3 PyTorch"
    install torch torchvision
fi
if [ "$ops" = 0 ]; then
    say "2/3 mmcv without operators: torchvision's take their place"
    # An isolated build does not see torch, so nothing is compiled. A cached build might hold operators.
    install --no-deps --no-cache-dir onedl-mmcv
elif ! has_ops; then
    say "2/3 mmcv, its operators compiled from source: about ten minutes on two cores, cached afterward"
    install setuptools wheel ninja psutil packaging
    build() { install --no-deps --no-build-isolation --force-reinstall "$@" onedl-mmcv; }
    # A cached build might lack operators.
    { build && { has_ops || build --no-cache-dir; }; } ||
        die "mmcv's operators did not compile (see above): install a C++ compiler and Python's headers (Debian: build-essential python3-dev), and on a machine with a GPU also nvcc of torch's CUDA version (CUDA_HOME)"
fi
say "3/3 OpenMMLab and the rest"
install -r "$pins"
# The requirements pull in both builds of OpenCV, which share a folder. The headless one runs anywhere.
install --force-reinstall --no-deps opencv-python-headless
install --no-deps --no-build-isolation -e .

"$python" tools/check_env.py >&2 || exit 1
cp requirements.txt "$stamp"
echo "$python"
