# Sourced by the launchers with $here set. Sets $python to MMADDP_PYTHON, to the Python of .venv, or to
# the one on the PATH.
python=${MMADDP_PYTHON:-$here/../.venv/bin/python}
if [ -z "${MMADDP_PYTHON:-}" ] && [ ! -x "$python" ]; then python=python; fi
export PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}"
