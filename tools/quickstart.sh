#!/usr/bin/env bash
# From a fresh clone through the whole road at toy size:
#
#   bash tools/quickstart.sh [COCO_DIR]
#
# Makes the environment if it is not there. On the images of COCO_DIR (annotations/
# instances_{train,val}.json, train/, val/), or of a set of textured shapes that it draws, it trains
# a tokenizer, a token predictor and ADDP; generates images; fine-tunes a small Mask R-CNN from that
# encoder and another from scratch; and writes all that to work_dirs/quickstart/report.html.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
python=$(bash "$here/setup_env.sh")
exec "$python" "$here/quickstart.py" "$@"
