# Sourced by the launchers, with $here set: $python is MMADDP_PYTHON, or that of .venv, or the one in
# the path.
python=${MMADDP_PYTHON:-$here/../.venv/bin/python}
if [ -z "${MMADDP_PYTHON:-}" ] && [ ! -x "$python" ]; then python=python; fi
export PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}"
