"""Compare the training step of DDAE's UNets with its authors' formulation of the same network.

`plain` is their formulation, written here anew: attention with its (N, N) weights in memory.
`package` is this package's step, with fused attention, and `channels-last` the same with the
network's `channels_last=True`. All have the same weights; how far their predictions are from the
plain ones is printed too. Nothing is compiled. The forms take turns, so that a busy machine slows
all of them.

    python tools/analysis_tools/benchmark_unet.py --batch-size 8 --out unet.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from unittest import mock

import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor
from torch.nn import functional as F

from mmaddp.apis.benchmark import now
from mmaddp.engine.explain import clear_errors
from mmaddp.engine.setup import add_config_arguments, load_config
from mmaddp.utils import UserError, atomic_write, run_tool

FORMS = ('plain', 'package', 'channels-last')
STEPS = ('forward', 'backward', 'optimizer')
CONFIG = 'configs/pretrain/ddae/ddae-ddpm_unet_4xb128-amp-2000e_cifar10-32px.py'


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    for action in parser._actions:
        if action.dest == 'config':
            action.nargs, action.default = '?', CONFIG
    parser.add_argument('--batch-size', type=int, default=8, help='images of a batch')
    parser.add_argument('--runs', type=int, default=3, help='steps of each form that count')
    parser.add_argument('--warmup', type=int, default=1, help='steps before that do not')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--amp', choices=['bfloat16', 'float16'], help='precision of the step')
    parser.add_argument('--out', help='write the figures to this JSON file too')
    return parser.parse_args(arguments)


def plain_attention(q: Tensor, k: Tensor, v: Tensor, mask: None = None) -> Tensor:
    """Softmax(Q K) V with its weights in memory; both factors are scaled, as the authors do."""
    scale = q.shape[-1] ** -0.25
    weights = torch.einsum('bhid,bhjd->bhij', q * scale, k * scale).softmax(dim=-1)
    return torch.einsum('bhij,bhjd->bhid', weights, v)


@contextmanager
def plain_formulation() -> Iterator[None]:
    """Compute as the authors do."""
    with mock.patch.object(F, 'scaled_dot_product_attention', plain_attention):
        yield


class TrainingStep:
    """One form of a config's model, with its optimizer."""

    def __init__(self, form: str, args: argparse.Namespace) -> None:
        config = load_config(args.config, args.cfg_options)
        init_default_scope(config.get('default_scope') or 'mmaddp')
        network = (config.get('model') or {}).get('network') or {}
        if network.get('type') != 'mmaddp.DDAEUNet':
            raise UserError(f'{args.config}: holds no UNet of DDAE: take one of pretrain/ddae')
        network['channels_last'] = form == 'channels-last'
        torch.manual_seed(0)
        model = MODELS.build(config.model)
        self.formulation = plain_formulation if form == 'plain' else nullcontext
        self.model = model.to(args.device)
        settings = {key: value for key, value in config.optim_wrapper.items() if key != 'dtype'}
        self.wrapper = build_optim_wrapper(model, {**settings, 'type': 'OptimWrapper'})
        self.device, self.dtype = torch.device(args.device), args.amp and getattr(torch, args.amp)

    def images(self, count: int) -> Tensor:
        """A batch: the same for all forms."""
        side = self.model.img_size
        images = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))
        return (2 * images - 1).to(self.device)

    def __call__(self, images: Tensor) -> dict[str, float]:
        """Seconds of each part of one step."""
        self.model.train()
        times = [now(str(self.device))]
        with self.formulation():
            with torch.autocast(self.device.type, dtype=self.dtype, enabled=bool(self.dtype)):
                loss = self.model(images, mode='loss')['loss']
            times.append(now(str(self.device)))
            self.wrapper.backward(loss)
        times.append(now(str(self.device)))
        self.wrapper.step()
        self.wrapper.zero_grad()
        times.append(now(str(self.device)))
        return {name: after - before for name, before, after in zip(STEPS, times, times[1:])}

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """What the network makes of the batch, without dropout."""
        self.model.eval()
        with self.formulation():
            return self.model.predict(images, torch.linspace(0.1, 0.9, len(images)).to(images))


def compare(args: argparse.Namespace) -> dict[str, dict]:
    """Median seconds and images a second of each form, and how far it is from the plain one."""
    steps = {form: TrainingStep(form, args) for form in FORMS}
    images = steps['plain'].images(args.batch_size)
    predictions = {form: step.predict(images) for form, step in steps.items()}
    runs: dict[str, list] = {form: [] for form in FORMS}
    for number in range(args.warmup + args.runs):
        for form, step in steps.items():
            seconds = step(images)
            if number >= args.warmup:
                runs[form].append(seconds)
    totals = {form: statistics.median(sum(r.values()) for r in runs[form]) for form in FORMS}
    return {
        form: dict(
            seconds={name: statistics.median(r[name] for r in runs[form]) for name in STEPS},
            total_s=totals[form],
            images_per_second=args.batch_size / totals[form],
            over_plain=totals['plain'] / totals[form],
            difference=difference(predictions[form], predictions['plain']),
        )
        for form in FORMS
    }


def difference(prediction: Tensor, plain: Tensor) -> float:
    """The largest distance between two predictions over the largest value."""
    return ((prediction - plain).abs().max() / plain.abs().max()).item()


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the figures if asked."""
    args = parse_args(arguments)
    for name, least in (('batch_size', 1), ('runs', 1), ('warmup', 0)):
        if getattr(args, name) < least:
            raise UserError(f'--{name.replace("_", "-")}: must be {least} or more')
    with clear_errors():
        figures = compare(args)
    for form in FORMS:
        each = figures[form]
        parts = '  '.join(f'{name} {seconds:.2f}' for name, seconds in each['seconds'].items())
        speed, ratio = each['images_per_second'], each['over_plain']
        print(
            f'{form:13} {speed:.3f} images/s  x{ratio:.2f}  {parts}  (off {each["difference"]:.0e})'
        )
    if args.out:
        load = os.getloadavg()
        with atomic_write(args.out) as temporary:
            temporary.write_text(
                json.dumps({**vars(args), **figures, 'load': load}, indent=2) + '\n'
            )


if __name__ == '__main__':
    run_tool(main)
