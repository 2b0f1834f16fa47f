"""Time several forms of one computation in turn and compare them with a baseline."""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Mapping
from typing import Any, Callable

import torch

from mmaddp.experiments.speed import now
from mmaddp.utils import atomic_write, check_range

Seconds = dict[str, float]  # of each part of a run
Run = Callable[[int], Seconds]


def parse_arguments(
    parser: argparse.ArgumentParser,
    arguments: list[str] | None = None,
    batch_size: int = 1,
    runs: int = 3,
    warmup: int = 1,
) -> argparse.Namespace:
    """Add what every benchmark takes, and read the command line.

    Args:
        parser: With the benchmark's own arguments.
        arguments: The command line; the process's own when None.
        batch_size: Default of ``--batch-size``.
        runs: Default of ``--runs``.
        warmup: Default of ``--warmup``.

    Raises:
        UserError: Nothing would be measured.
    """
    parser.add_argument('--batch-size', type=int, default=batch_size, help='images of a batch')
    parser.add_argument('--runs', type=int, default=runs, help='runs of each form that count')
    parser.add_argument('--warmup', type=int, default=warmup, help='runs before them that do not')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--amp', choices=['bfloat16', 'float16'], help='autocast to this type')
    parser.add_argument('--out', help='write the figures to this JSON file too')
    args = parser.parse_args(arguments)
    check_range('--batch-size', args.batch_size, 1)
    check_range('--runs', args.runs, 1)
    check_range('--warmup', args.warmup, 0)
    return args


def autocast(args: argparse.Namespace) -> torch.autocast:
    """The precision that ``--amp`` asks for."""
    dtype = getattr(torch, args.amp) if args.amp else None
    return torch.autocast(torch.device(args.device).type, dtype=dtype, enabled=bool(dtype))


class Stopwatch:
    """Seconds between calls, by the part that each call ends."""

    def __init__(self, device: str) -> None:
        self.device, self.seconds, self.last = device, {}, now(device)

    def __call__(self, part: str) -> None:
        """End a part."""
        ended = now(self.device)
        self.seconds[part], self.last = ended - self.last, ended


def compare(forms: Mapping[str, Run], args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Run all forms in turn and print a line for each.

    A busy machine slows all forms alike, since each run of one is followed by a run of the next.

    Args:
        forms: A run by form, the baseline first. A run gets its number, so that equal numbers can
            mean equal random draws.
        args: What :func:`parse_arguments` gives.

    Returns:
        For each form the median ``seconds`` of each part, ``total_s`` of the median run,
        ``images_per_second`` and ``speedup`` over the baseline.
    """
    told: dict[str, list[Seconds]] = {form: [] for form in forms}
    for number in range(args.warmup + args.runs):
        for form, run in forms.items():
            seconds = run(number)
            if number >= args.warmup:
                told[form].append(seconds)
    totals = {form: statistics.median(sum(s.values()) for s in told[form]) for form in forms}
    baseline = totals[next(iter(forms))]
    figures = {
        form: dict(
            seconds={part: statistics.median(s[part] for s in runs) for part in runs[0]},
            total_s=totals[form],
            images_per_second=args.batch_size / totals[form],
            speedup=baseline / totals[form],
        )
        for form, runs in told.items()
    }
    for form, each in figures.items():
        parts = '  '.join(f'{part} {seconds:.3f}' for part, seconds in each['seconds'].items())
        speed, speedup = each['images_per_second'], each['speedup']
        print(f'{form:14} {speed:.3f} images/s  x{speedup:.2f}  {parts}', flush=True)
    return figures


def write(args: argparse.Namespace, figures: Mapping[str, Any]) -> None:
    """Write settings, figures and the machine's load to ``--out``, if it is given."""
    if args.out:
        with atomic_write(args.out) as temporary:
            content = dict(settings=vars(args), load=os.getloadavg(), forms=figures)
            temporary.write_text(json.dumps(content, indent=2, default=str) + '\n')
