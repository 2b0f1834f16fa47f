"""A training's plan while it starts, and when it has run out of memory. Imports no planner."""

from __future__ import annotations

import multiprocessing
import os
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device

from .devices import Device, this_device


def announce(config: Config) -> None:
    """Print whether a training fits this machine's GPU, from a process beside it.

    The training does not wait for it. Without a GPU nothing is planned.
    """
    if get_device() == 'cuda' and os.environ.get('RANK', '0') == '0':
        work = config, this_device(), _processes()
        multiprocessing.get_context('spawn').Process(target=_tell, args=work, daemon=True).start()


def _tell(config: Config, device: Device, processes: int) -> None:
    os.nice(10)
    torch.set_num_threads(1)
    print(f'plan: {_plan_in_words(config, device, processes)}', flush=True)


def settings_that_fit(config: Any) -> str:
    """The end of a message of a GPU out of memory; empty if nothing can be planned."""
    if get_device() != 'cuda' or not config.get('train_dataloader'):
        return ''
    try:
        return f'. Planned: {_plan_in_words(config, this_device(), _processes())}'
    except Exception:  # the error that is being told matters more
        return ''


def _plan_in_words(config: Config, device: Device, processes: int) -> str:
    from .plan import cheapest, make_plan, remedy, summarize

    plan = make_plan(config, device, processes)
    words = summarize(plan)
    return words if plan.fits else f'{words}; {remedy(cheapest(plan, config), config)}'


def _processes() -> int:
    return int(os.environ.get('WORLD_SIZE', 1))
