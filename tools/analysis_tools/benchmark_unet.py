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
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from unittest import mock

import torch
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor
from torch.nn import functional as F

from mmaddp.apis.benchmark import now
from mmaddp.apis.benchmark_forms import (
    PLAIN,
    Figures,
    add_form_arguments,
    check_counts,
    line,
    plain_optimizer,
    summarize,
    take_turns,
    write_figures,
)
from mmaddp.engine.explain import clear_errors
from mmaddp.engine.setup import load_config
from mmaddp.utils import UserError, run_tool

FORMS = (PLAIN, 'package', 'channels-last')
STEPS = ('forward', 'backward', 'optimizer')
CONFIG = 'configs/pretrain/ddae/ddae-ddpm_unet_4xb128-amp-2000e_cifar10-32px.py'


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_form_arguments(parser, CONFIG, batch_size=8)
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
        self.formulation = plain_formulation if form == PLAIN else nullcontext
        self.model = model.to(args.device)
        self.wrapper = plain_optimizer(model, config)
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


def compare(args: argparse.Namespace) -> Figures:
    """The figures of each form, and how far its predictions are from the plain ones."""
    steps = {form: TrainingStep(form, args) for form in FORMS}
    images = steps[PLAIN].images(args.batch_size)
    predictions = {form: step.predict(images) for form, step in steps.items()}
    turns = {form: lambda number, step=step: step(images) for form, step in steps.items()}
    figures = summarize(take_turns(turns, args.warmup, args.runs), STEPS, args.batch_size)
    for form, each in figures.items():
        each['difference'] = difference(predictions[form], predictions[PLAIN])
    return figures


def difference(prediction: Tensor, plain: Tensor) -> float:
    """The largest distance between two predictions over the largest value."""
    return ((prediction - plain).abs().max() / plain.abs().max()).item()


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the figures if asked."""
    args = parse_args(arguments)
    check_counts(args)
    with clear_errors():
        figures = compare(args)
    for form, each in figures.items():
        print(f'{line(form, each)}  (off {each["difference"]:.0e})')
    if args.out:
        write_figures(args.out, args, figures)


if __name__ == '__main__':
    run_tool(main)
