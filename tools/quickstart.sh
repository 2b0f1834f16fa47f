#!/usr/bin/env bash
# From a fresh clone to a trained, tested and drawn detector:
#
#   bash tools/quickstart.sh [COCO_DIR]
#
# Makes the environment if it is not there, then fine-tunes a small Mask R-CNN with an ADDP ViT and
# the simple feature pyramid on COCO_DIR (annotations/instances_{train,val}.json, train/, val/), or
# on a set of textured shapes that it draws, and writes COCO's AP and pictures to
# work_dirs/quickstart.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
python=$(bash "$here/setup_env.sh")
exec "$python" "$here/quickstart.py" "$@"
