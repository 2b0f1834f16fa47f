"""Time ADDP's generation beside the authors' own code.

`theirs` is the authors' model and loop, out of a checkout. `ours` is this package's sampler with
its defaults. Both decode an image from all tokens at each step. Their loop also encodes the real
images that it reads, and then masks all of their tokens.

    python benchmarks/addp_generation.py --addp CHECKOUT --out generation.json
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Callable

import harness
import torch
from theirs import addp_generation, addp_vit_base

from mmaddp.apis import generate
from mmaddp.apis.models import build_pretrainer
from mmaddp.engine.runs import load_config
from mmaddp.utils import run_tool

CONFIG = 'configs/pretrain/addp/addp_vit-b_64xb64-amp-coslr-1600e_in1k-256px.py'


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config', nargs='?', default=CONFIG, help='config of an ADDP (%(default)s)')
    parser.add_argument('--addp', type=Path, help='checkout of ChangyaoTian/ADDP, for its ViT-B')
    parser.add_argument('--steps', type=int, default=20, help='of the sampler (%(default)s)')
    # A run has many steps, so one is enough.
    return harness.parse_arguments(parser, arguments, batch_size=8, runs=1, warmup=0)


def our_generation(args: argparse.Namespace) -> Callable[[], Any]:
    """Generation of a batch by our model, weights random."""
    config = load_config(args.config)
    config.model.token_predictor = None  # only training needs it
    model = build_pretrainer(config).to(args.device).eval()
    count = args.batch_size
    return lambda: generate(model, count, batch_size=count, steps=args.steps)


def build_generations(args: argparse.Namespace) -> dict[str, Callable[[], Any]]:
    """Generation of a batch by form, the baseline first."""
    forms: dict[str, Callable[[], Any]] = {}
    if args.addp:
        model = addp_vit_base(args.addp).to(args.device).eval()
        forms['theirs'] = addp_generation(args.addp, model, args.batch_size, args.steps)
    return {**forms, 'ours': our_generation(args)}


def timed(generation: Callable[[], Any], args: argparse.Namespace) -> harness.Run:
    """A run of a generation."""

    def run(number: int) -> harness.Seconds:
        torch.manual_seed(number)
        watch = harness.Stopwatch(args.device)
        with harness.autocast(args):
            generation()
        watch('generation')
        return watch.seconds

    return run


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the figures if asked."""
    args = parse_arguments(arguments)
    forms = {form: timed(run, args) for form, run in build_generations(args).items()}
    harness.write(args, harness.compare(forms, args))


if __name__ == '__main__':
    run_tool(main)
