"""The whole pipeline on a CPU, from images to a detector and a report; see tools/quickstart.sh."""

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

from quickstart_report import (
    METRICS,
    NUM_SAMPLES,
    PROBES,
    TRAINED_ADDP,
    metrics_of,
    write_report,
)

from mmaddp.utils import UserError, refuse_if, run_tool

ROOT = Path(__file__).resolve().parents[1]
DETECTOR = 'configs/det/darl/mask-rcnn_darl-vit-toy_sfp_1xb4-500i_coco-folder.py'
FULL = 'configs/det/addp/mask-rcnn_addp-vit-b_sfp_8xb2-lsj-36e_coco-folder.py'
LAYOUT = 'annotations/instances_train.json, annotations/instances_val.json, train/ and val/'

ADDP = 'configs/pretrain/addp/addp_vit-toy_1xb64-3000i_image-folder-64px.py'
PROBE = 'configs/seg/ddae/ddae-edm_dit-toy_probe_1xb8-300i_drawn-shapes-classes-64x64.py'
ENCODER = 'zoo://darl-toy'

# Steps and images of a step.
PRETRAINING, PRETRAINING_BATCH = 60, 32
DETECTION, DETECTION_BATCH = 200, 8
LAYER_DECAY = 0.7  # ViTDet's
SMALLEST_SCORE = 0.4  # of a detection that is drawn
PROBING = 100
LOGGED_EVERY = 20
# Fewer validation images would hide the difference between the detectors in noise.
NUM_TRAIN, NUM_VAL = 400, 100
# The configs read them. Values of earlier work would change what the report says was trained.
VARIABLES = (
    *('ENCODER', 'TOKENIZER', 'TOKEN_PREDICTOR'),
    *('COCO_DIR', 'CLASSES', 'TRAIN_ANN', 'VAL_ANN', 'IMAGE_SIZE', 'IMAGE_DIR'),
)
# It marks a work folder whose results may be replaced.
MARK = '.quickstart'
# What the detectors' encoders start from, by folder, and the options. The config takes the zoo's.
DETECTORS = {
    'pre-trained': (ENCODER, []),
    'from_scratch': ('random weights', ['model.backbone.init_cfg=None']),
}


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='bash tools/quickstart.sh',
        description='Fine-tune a detector from an encoder of the zoo and one from random weights, '
        "continue the pre-training of the zoo's ADDP on the same images, probe a DDAE, and write a "
        'report.',
    )
    parser.add_argument(
        'coco_dir', nargs='?', type=Path, help=f'folder with {LAYOUT}; default: drawn shapes'
    )
    parser.add_argument('--max-iters', type=int, help='maximum iterations per training')
    parser.add_argument('--work-dir', type=Path, default=ROOT / 'work_dirs/quickstart')
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Prepare the data, train everything, and print the results and the next steps."""
    args = parse_args(arguments)
    started = time.monotonic()
    prepare_environment()
    work_dir = args.work_dir.resolve()
    claim(work_dir)
    coco_dir = args.coco_dir.resolve() if args.coco_dir else draw_shapes(work_dir)
    environment = dict(COCO_DIR=str(coco_dir), CLASSES=','.join(read_classes(coco_dir)))
    environment['IMAGE_DIR'] = str(coco_dir / 'train')
    for name, (_, options) in DETECTORS.items():
        train_detector(work_dir / name, environment, args.max_iters, options)
    pretrain(work_dir / 'addp', environment, args.max_iters)
    generate_samples(work_dir, environment)
    for name, weights in PROBES.items():
        probe(work_dir / name, weights, args.max_iters)
    command, seconds = full_command(environment), time.monotonic() - started
    starts = {name: start for name, (start, _) in DETECTORS.items()}
    report = write_report(work_dir, environment, ADDP, starts, command, seconds)
    say_what_came_out(work_dir, report, command, seconds)


def prepare_environment() -> None:
    """Set up the environment that all tools inherit."""
    for name in VARIABLES:
        os.environ.pop(name, None)
    # Threads that spin while they wait stall where other work uses the cores too.
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')


def claim(work_dir: Path) -> None:
    """Mark the work folder as the quickstart's.

    Raises:
        UserError: It has files of something else.
    """
    mark = work_dir / MARK
    if work_dir.is_dir() and any(work_dir.iterdir()) and not mark.exists():
        raise UserError(
            f'{work_dir}: not empty and not of a quickstart, which replaces what it finds: '
            'give another --work-dir'
        )
    work_dir.mkdir(parents=True, exist_ok=True)
    mark.touch()


def draw_shapes(work_dir: Path) -> Path:
    """Draw the data set of textured shapes, unless an earlier run did."""
    folder = work_dir / f'shapes-{NUM_TRAIN}-{NUM_VAL}'
    if not folder.is_dir():
        count = ('--num-train', NUM_TRAIN, '--num-val', NUM_VAL)
        run('tools/dataset_converters/draw_shapes.py', folder, '--size', 192, *count)
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
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'{path}: {type(error).__name__}: {error}: COCO_DIR needs {LAYOUT} in COCO format'
        ) from None
    refuse_if(
        (not names, f'{path}: no categories: list the classes under "categories"'),
        (
            not all(isinstance(name, str) and ',' not in name for name in names),
            f'{path}: category names must be strings without commas: {names}',
        ),
    )
    return names


def pretrain(work_dir: Path, environment: dict[str, str], most: int | None) -> None:
    """Continue the pre-training of the zoo's ADDP on the images, without labels."""
    iterations = min(PRETRAINING, most or PRETRAINING)
    start = f"dict(type='Pretrained',checkpoint='{TRAINED_ADDP}')"
    options = [
        *fitted_schedule(iterations),
        *(f'model.{part}.init_cfg={start}' for part in ('encoder', 'decoder')),
        # Incomplete batches are dropped, so at least one batch must be complete.
        f'train_dataloader.batch_size={min(PRETRAINING_BATCH, count_images(environment))}',
    ]
    train_config(ADDP, iterations, work_dir, environment, options)


def fitted_schedule(iterations: int) -> list[str]:
    """Options that fit warm-up and cosine to a number of iterations."""
    return [
        f'param_scheduler.0.end={max(1, iterations // 10)}',
        f'param_scheduler.1.begin={iterations // 10}',
        f'param_scheduler.1.end={iterations}',
    ]


def count_images(environment: dict[str, str]) -> int:
    """Number of training images; 1 if there are none, since the training reports that itself."""
    from mmaddp.datasets import ImageFolder

    try:
        return len(ImageFolder(data_root=environment['IMAGE_DIR'], with_label=False))
    except (RuntimeError, OSError):
        return 1


def train_config(
    config: str, iterations: int, work_dir: Path, environment: dict[str, str], options: list[str]
) -> None:
    """Train a config for a number of iterations with a fixed seed."""
    arguments = ['tools/train.py', config, '--work-dir', work_dir, '--seed', 0]
    length = [
        f'train_cfg.max_iters={iterations}',
        f'default_hooks.checkpoint.interval={iterations}',
        # Log at least once, so that the report has a curve.
        f'default_hooks.logger.interval={min(LOGGED_EVERY, iterations)}',
    ]
    run(*arguments, '--cfg-options', *length, *options, **environment)


def last_checkpoint(work_dir: Path) -> str:
    """The last checkpoint of a training."""
    return (work_dir / 'last_checkpoint').read_text().strip()


def generate_samples(work_dir: Path, environment: dict[str, str]) -> None:
    """Generate images with the zoo's ADDP."""
    folder = work_dir / 'samples'
    shutil.rmtree(folder, ignore_errors=True)
    arguments = [ADDP, TRAINED_ADDP, '--out-dir', folder]
    settings = ['--num-images', NUM_SAMPLES, '--steps', 16, '--grid', NUM_SAMPLES]
    run('tools/generate.py', *arguments, *settings, **environment)


def probe(work_dir: Path, weights: str, most: int | None) -> None:
    """Probe every block of the toy DDAE at three noise levels, on drawn rooms."""
    iterations = min(PROBING, most or PROBING)
    shutil.rmtree(work_dir, ignore_errors=True)
    options = [
        f'train_cfg.max_iters={iterations}',
        f'train_cfg.val_interval={iterations}',
        *fitted_schedule(iterations),
        f'param_scheduler.1.T_max={iterations - iterations // 10}',
    ]
    arguments = ['tools/probe.py', PROBE, weights, '--work-dir', work_dir, '--seed', 0]
    run(*arguments, '--cfg-options', *options)


def train_detector(
    work_dir: Path, environment: dict[str, str], most: int | None, options: list[str]
) -> None:
    """Train the toy detector with the options of its start; test it and write detections."""
    iterations = min(DETECTION, most or DETECTION)
    options = [
        f'param_scheduler.1.end={iterations}',
        f'train_dataloader.batch_size={DETECTION_BATCH}',
        f'optim_wrapper.paramwise_cfg.layer_decay_rate={LAYER_DECAY}',
        # tools/test.py evaluates it.
        f'train_cfg.val_begin={iterations + 1}',
        *options,
    ]
    train_config(DETECTOR, iterations, work_dir, environment, options)
    images = work_dir / 'images'
    shutil.rmtree(images, ignore_errors=True)
    arguments = ['tools/test.py', DETECTOR, last_checkpoint(work_dir), '--work-dir', work_dir]
    drawn = f'default_hooks.visualization.score_thr={SMALLEST_SCORE}'
    run(*arguments, '--show-dir', images, '--cfg-options', drawn, **environment)


def run(*command: object, **environment: str) -> None:
    """Run a tool of this project. If it fails, exit with its status; it printed its own error."""
    command = [sys.executable, *map(str, command)]
    status = subprocess.run(command, cwd=ROOT, env=os.environ | environment).returncode
    if status:
        sys.exit(status)


def full_command(environment: dict[str, str]) -> str:
    """How to train a detector of full size on the same images."""
    settings = ' '.join(f'{k}={shlex.quote(environment[k])}' for k in ('COCO_DIR', 'CLASSES'))
    return f'{settings} \\\n  bash tools/dist_train.sh {FULL} 8'


def say_what_came_out(work_dir: Path, report: Path, command: str, seconds: float) -> None:
    """Print the metrics, the location of the results, and the command for real training."""
    print(f'\nDone in {seconds / 60:.1f} minutes.')
    for name in DETECTORS:
        figures = zip(METRICS.values(), metrics_of(work_dir / name))
        print(f'  {name:12} {"  ".join(map(" ".join, figures))}')
    print(f'  report       {report}')
    print(f'  samples      {work_dir / "samples"}')
    print(f'  detections   {work_dir / "pre-trained/images"}')
    print("\nTo train a full-size detector on GPUs, from the authors' checkpoint in checkpoints/:")
    print(f'  {command}')


if __name__ == '__main__':
    run_tool(main)
