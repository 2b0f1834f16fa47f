#!/usr/bin/env bash
# Run the whole pipeline at toy size, from a fresh clone:
#
#   bash tools/quickstart.sh [COCO_DIR]
#
# Creates the environment if it does not exist. Starts from the encoders of the zoo: fine-tunes a
# small Mask R-CNN and another one from random weights, continues ADDP's pre-training, generates
# images, and probes a DDAE. Writes work_dirs/quickstart/report.html. The images are those of
# COCO_DIR (annotations/instances_{train,val}.json, train/, val/), or drawn textured shapes.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
python=$(bash "$here/setup_env.sh")
exec "$python" "$here/quickstart.py" "$@"
