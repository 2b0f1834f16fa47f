"""Train, test and draw a small detector on a COCO-format folder; see tools/quickstart.sh."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from mmaddp.utils import UserError, run_tool

ROOT = Path(__file__).resolve().parents[1]
SMALL = 'configs/det/addp/mask-rcnn_addp-vit-tiny_sfp_1xb4-500i_coco-folder.py'
FULL = 'configs/det/addp/mask-rcnn_addp-vit-b_sfp_8xb2-lsj-36e_coco-folder.py'
METRICS = ('bbox_mAP', 'bbox_mAP_50', 'segm_mAP', 'segm_mAP_50')
LAYOUT = 'annotations/instances_train.json, annotations/instances_val.json, train/ and val/'


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='bash tools/quickstart.sh', description='Train, test and draw a small detector.'
    )
    parser.add_argument(
        'coco_dir', nargs='?', type=Path, help=f'folder with {LAYOUT}; drawn shapes when left out'
    )
    parser.add_argument(
        '--max-iters', type=int, help="iterations of four images (the config's 500)"
    )
    parser.add_argument('--work-dir', type=Path, default=ROOT / 'work_dirs/quickstart')
    return parser.parse_args()


def main() -> None:
    """Prepare the data, train, test, and say what came out and what to do next."""
    args = parse_args()
    started = time.monotonic()
    work_dir = args.work_dir.resolve()
    coco_dir = args.coco_dir.resolve() if args.coco_dir else draw_shapes(work_dir)
    environment = dict(COCO_DIR=str(coco_dir), CLASSES=','.join(read_classes(coco_dir)))
    options = []
    if args.max_iters:
        options = [
            f'train_cfg.max_iters={args.max_iters}',
            f'param_scheduler.1.end={args.max_iters}',
        ]
    train(work_dir, environment, options)
    pictures = work_dir / 'pictures'
    shutil.rmtree(pictures, ignore_errors=True)
    test(work_dir, environment, pictures)
    report(work_dir, environment, pictures, time.monotonic() - started)


def draw_shapes(work_dir: Path) -> Path:
    """Draw the set of textured shapes, unless an earlier run has."""
    folder = work_dir / 'shapes'
    if not folder.is_dir():
        run('tools/dataset_converters/draw_shapes.py', folder, '--size', 192, '--num-train', 400)
    return folder


def read_classes(coco_dir: Path) -> list[str]:
    """Names of the categories of a COCO-format folder, in the order of their ids.

    Raises:
        UserError: The training annotations are missing or not COCO's format.
    """
    path = coco_dir / 'annotations/instances_train.json'
    try:
        categories = json.loads(path.read_text())['categories']
        names = [category['name'] for category in sorted(categories, key=lambda c: c['id'])]
    except FileNotFoundError:
        raise UserError(f'{path} is missing: COCO_DIR needs {LAYOUT}') from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'{path} is not in COCO format ({type(error).__name__}: {error}): it needs '
            'images, annotations and categories with id and name'
        ) from None
    if any(',' in name for name in names):
        raise UserError(f'{path}: a category name with a comma; rename it: {names}')
    return names


def train(work_dir: Path, environment: dict[str, str], options: list[str]) -> None:
    """Train the small detector from scratch."""
    arguments = ['tools/train.py', SMALL, '--work-dir', work_dir, '--seed', 0]
    run(*arguments, *(['--cfg-options', *options] if options else []), **environment)


def test(work_dir: Path, environment: dict[str, str], pictures: Path) -> None:
    """Evaluate the last checkpoint, and draw its detections."""
    checkpoint = (work_dir / 'last_checkpoint').read_text().strip()
    arguments = ['tools/test.py', SMALL, checkpoint, '--work-dir', work_dir]
    run(*arguments, '--show-dir', pictures, **environment)


def run(*command: object, **environment: str) -> None:
    """Run a tool of this project; where it fails, its own message is the last word."""
    command = [sys.executable, *map(str, command)]
    status = subprocess.run(command, cwd=ROOT, env=os.environ | environment).returncode
    if status:
        sys.exit(status)


def report(work_dir: Path, environment: dict[str, str], pictures: Path, seconds: float) -> None:
    """Print the metrics, where everything is, and the command for real training."""
    metrics = json.loads((work_dir / 'test_metrics.json').read_text())
    print(f'\nDone in {seconds / 60:.1f} minutes.')
    for name in METRICS:
        # Where nothing at all was detected, COCO's evaluation gives no figures.
        print(f'  {name:12} {metrics.get(f"coco/{name}", 0.0):.3f}')
    log = max(work_dir.glob('*/*.log'), key=lambda path: path.stat().st_mtime)
    found = sorted(pictures.rglob('*.jpg')) + sorted(pictures.rglob('*.png'))
    settings = ' '.join(f'{key}={shlex.quote(value)}' for key, value in environment.items())
    print(f'  pictures     {found[0].parent if found else pictures} ({len(found)} files)')
    print(f'  log          {log}')
    print(f'  weights      {(work_dir / "last_checkpoint").read_text().strip()}')
    print("\nThe same at full size on your GPUs, from the authors' checkpoint in checkpoints/:")
    print(f'  {settings} \\\n  bash tools/dist_train.sh {FULL} 8')


if __name__ == '__main__':
    run_tool(main)
