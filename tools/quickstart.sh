#!/usr/bin/env bash
# Run the whole pipeline at toy size, from a fresh clone:
#
#   bash tools/quickstart.sh [COCO_DIR]
#
# Creates the environment if it does not exist. Trains a tokenizer, a token predictor and ADDP, and
# generates images. Fine-tunes one small Mask R-CNN from the zoo's DARL encoder and one from scratch.
# Writes work_dirs/quickstart/report.html. The images are those of COCO_DIR (annotations/
# instances_{train,val}.json, train/, val/), or drawn textured shapes by default.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
python=$(bash "$here/setup_env.sh")
exec "$python" "$here/quickstart.py" "$@"
