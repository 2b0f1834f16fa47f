"""Training steps of several forms of one model, timed in turn beside its plain formulation."""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Callable

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from torch import nn

from mmaddp.engine.setup import add_config_arguments
from mmaddp.utils import UserError, atomic_write

PLAIN = 'plain'
Runs = dict[str, list[dict[str, float]]]
Figures = dict[str, dict[str, Any]]


def add_form_arguments(parser: argparse.ArgumentParser, config: str, batch_size: int) -> None:
    """Add what all of these benchmarks take.

    Args:
        parser: Gets the arguments.
        config: The config that is measured where none is named.
        batch_size: Images of a batch where nothing is said.
    """
    add_config_arguments(parser)
    for action in parser._actions:
        if action.dest == 'config':
            action.nargs, action.default = '?', config
    parser.add_argument('--batch-size', type=int, default=batch_size, help='images of a batch')
    parser.add_argument('--runs', type=int, default=3, help='steps of each form that count')
    parser.add_argument('--warmup', type=int, default=1, help='steps before that do not')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--amp', choices=['bfloat16', 'float16'], help='precision of the step')
    parser.add_argument('--out', help='write the figures to this JSON file too')


def check_counts(args: argparse.Namespace) -> None:
    """Refuse a measurement of nothing.

    Raises:
        UserError: Names the option.
    """
    for name, least in (('batch_size', 1), ('runs', 1), ('warmup', 0)):
        if getattr(args, name) < least:
            raise UserError(f'--{name.replace("_", "-")}: must be {least} or more')


def plain_optimizer(model: nn.Module, config: Config) -> OptimWrapper:
    """The config's optimizer without its mixed precision: the benchmark casts by itself."""
    settings = {key: value for key, value in config.optim_wrapper.items() if key != 'dtype'}
    return build_optim_wrapper(model, {**settings, 'type': 'OptimWrapper'})


def take_turns(
    steps: Mapping[str, Callable[[int], dict[str, float]]], warmup: int, runs: int
) -> Runs:
    """What the steps of each form tell.

    The forms take turns, so that a busy machine slows all of them.

    Args:
        steps: A step by form, which is given its number.
        warmup: Steps of each form that do not count.
        runs: Steps of each form that do.
    """
    told: Runs = {form: [] for form in steps}
    for number in range(warmup + runs):
        for form, step in steps.items():
            result = step(number)
            if number >= warmup:
                told[form].append(result)
    return told


def summarize(told: Runs, parts: Sequence[str], batch_size: int) -> Figures:
    """Median seconds of each part and of the step, images a second, and that over the plain form.

    Args:
        told: What :func:`take_turns` gives, with the seconds of each part.
        parts: Names of the parts that make a step.
        batch_size: Images of a step.
    """
    totals = {
        form: statistics.median(sum(run[part] for part in parts) for run in runs)
        for form, runs in told.items()
    }
    return {
        form: dict(
            seconds={part: statistics.median(run[part] for run in runs) for part in parts},
            total_s=totals[form],
            images_per_second=batch_size / totals[form],
            over_plain=totals[PLAIN] / totals[form],
        )
        for form, runs in told.items()
    }


def line(form: str, figures: Mapping[str, Any]) -> str:
    """The figures of one form as a line of text."""
    parts = '  '.join(f'{name} {seconds:.2f}' for name, seconds in figures['seconds'].items())
    speed, ratio = figures['images_per_second'], figures['over_plain']
    return f'{form:13} {speed:.3f} images/s  x{ratio:.2f}  {parts}'


def write_figures(path: str | Path, args: argparse.Namespace, figures: Figures) -> None:
    """Write the settings, the figures and the machine's load to a JSON file."""
    content = {**vars(args), **figures, 'load': os.getloadavg()}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + '\n')
