# Sourced by the launchers, with $here set: $python is that of .venv, or the one in the path.
python=$here/../.venv/bin/python
if [ ! -x "$python" ]; then python=python; fi
export PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}"
