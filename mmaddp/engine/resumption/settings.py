"""What a resumed training takes from its checkpoint, and what from a config that has changed since.

Weights, optimizer state and position are the checkpoint's. Settings are the config's: where those
of the optimizer or the schedule have changed, the schedule is replayed up to the position, as if
they had held from the beginning. Where none has, everything is the checkpoint's, to the bit.
"""

from __future__ import annotations

import inspect
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop
from mmengine.runner import Runner as MMEngineRunner

from mmaddp.engine.optimizers import original_name
from mmaddp.engine.private import is_resuming
from mmaddp.models.inspection import unwrapped
from mmaddp.registry import HOOKS
from mmaddp.utils import listed

# Settings of a run that its result does not depend on.
_INCIDENTAL = {'env_cfg', 'experiment_name', 'launcher', 'load_from', 'log_level', 'log_processor'}
_INCIDENTAL |= {'randomness', 'resume', 'visualizer', 'work_dir'}
_COMPARED = {'labels', *inspect.signature(MMEngineRunner.__init__).parameters} - _INCIDENTAL
# Settings that parameter groups and schedules follow from.
_OF_OPTIMIZATION = ('auto_scale_lr', 'batches_per_epoch', 'model.', 'optim_wrapper', 'processes')
_OF_OPTIMIZATION += ('param_scheduler', 'train_cfg', 'train_dataloader.batch_size')
# Settings that decide what a test gives, and those below them that do not.
_OF_TESTS = re.compile(
    r'model\.(backbone|data_preprocessor)\.|test_dataloader\.dataset\.pipeline\.'
)
_NOT_OF_TESTS = re.compile(r'.*\.(init_cfg|with_cp|frozen\w*|drop\w*|type)(\.|$)')
_MOST_SHOWN = 8


@HOOKS.register_module()
class ChangedSettingsHook(Hook):
    """Lets settings count that were changed in the config after a checkpoint, and names them."""

    # Other hooks see the checkpoint as changed here.
    priority = 'VERY_HIGH'

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Save the settings, and the names by which the optimizer's state can be found again."""
        if 'optimizer' in checkpoint:
            checkpoint['settings'] = settings_of(runner)
            checkpoint['optimized'] = {
                part: _names_of(runner, wrapper) for part, wrapper in _wrappers(runner)
            }

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Change a checkpoint that is resumed from where the config has changed since."""
        if not is_resuming(runner):
            return
        meta, saved, current = checkpoint['meta'], checkpoint.get('settings'), settings_of(runner)
        # MMEngine would execute it as a config, to compare a setting of past versions.
        meta.pop('config', None)
        # MMEngine would return to the checkpoint's.
        meta['seed'] = runner.base_seed
        if saved is None:
            print_log('Learning rates and schedule are those of the checkpoint.', 'current')
            return
        changes = {
            key: (saved.get(key), current.get(key))
            for key in (*current, *(key for key in saved if key not in current))
            if saved.get(key) != current.get(key)
        }
        if not changes:
            return
        print_log(describe(changes), 'current', logging.WARNING)
        lengths = changes.get('batches_per_epoch')
        if lengths and isinstance(runner.train_loop, EpochBasedTrainLoop):
            meta['iter'] = _iteration_in(meta, *map(int, lengths))
        if any(key.startswith(_OF_OPTIMIZATION) for key in changes):
            restart_schedule(runner, checkpoint, changes)


def settings_of(runner: Any) -> dict[str, str]:
    """What decides the result of a run, as text by dotted key."""
    config = {key: value for key, value in runner.cfg.to_dict().items() if key in _COMPARED}
    settings = {key.lstrip('.'): _text(value) for key, value in flatten(config)}
    settings['randomness.seed'] = str(runner.base_seed)
    settings['batches_per_epoch'] = str(len(runner.train_dataloader))
    settings['processes'] = str(runner.world_size)
    return settings


def flatten(config: Any, key: str = '') -> Iterator[tuple[str, Any]]:
    """The values of nested dicts and lists by dotted key."""
    if isinstance(config, (Mapping, list, tuple)) and config:
        items = config.items() if isinstance(config, Mapping) else enumerate(config)
        for name, value in items:
            yield from flatten(value, f'{key}.{name}')
    else:
        yield key, config


def warn_of_other_settings(saved: Mapping[str, str], config: Config) -> None:
    """Warn where a test has an encoder or images that the checkpoint was not trained with.

    Weights may fit images of another size, and give worse results.

    Args:
        saved: The settings in the checkpoint; a published file has none.
        config: The config of the test.
    """
    current = {key.lstrip('.'): _text(value) for key, value in flatten(config.to_dict())}
    changes = [
        f'{key}={value} (trained with {saved[key]})'
        for key, value in current.items()
        if saved.get(key, value) != value
        if _OF_TESTS.match(key) and not _NOT_OF_TESTS.match(key)
    ]
    if changes:
        text = (
            'The config differs from the training of the checkpoint: '
            f'{listed(changes, _MOST_SHOWN)}. Results follow the config'
        )
        print_log(text, 'current', logging.WARNING)


def describe(changes: Mapping[str, tuple[str | None, str | None]]) -> str:
    """One line about settings that have changed, each given as its old and new value."""
    shown = [
        f'{key} unset (was {old})' if new is None else f'{key}={new} (was {old or "unset"})'
        for key, (old, new) in changes.items()
    ]
    return (
        'The config has changed since the checkpoint, and its new values count from here on: '
        f'{listed(shown, _MOST_SHOWN)}. Restore the old ones to go on as before'
    )


def restart_schedule(runner: Any, checkpoint: dict, changes: Mapping[str, Any]) -> None:
    """Put the config's hyperparameters and schedules into a checkpoint, at its position."""
    meta, schedulers = checkpoint['meta'], runner.param_schedulers
    by_part = schedulers if isinstance(schedulers, dict) else {'': schedulers or []}
    replay(
        [scheduler for part in by_part.values() for scheduler in part],
        meta['iter'],
        len(runner.train_dataloader) if isinstance(runner.train_loop, EpochBasedTrainLoop) else 0,
    )
    states = {name: [one.state_dict() for one in part] for name, part in by_part.items()}
    checkpoint['param_schedulers'] = states if isinstance(schedulers, dict) else states['']
    saved = checkpoint['optimizer']
    optimizers = {}
    for part, wrapper in _wrappers(runner):
        other_type = f'optim_wrapper.{part}.optimizer.type'.replace('..', '.') in changes
        optimizers[part] = _optimizer_state(
            saved[part] if part else saved,
            wrapper,
            checkpoint['optimized'][part],
            _names_of(runner, wrapper),
            keep=not other_type,
        )
    checkpoint['optimizer'] = optimizers.get('', optimizers)


def replay(schedulers: list, iterations: int, epoch_length: int) -> None:
    """Step schedules as a training steps them.

    Args:
        schedulers: New ones, which change their optimizer.
        iterations: Iterations from the start of the training on.
        epoch_length: Iterations of an epoch, or 0 where epochs are not counted.
    """
    with warnings.catch_warnings():
        # The optimizer does not step here.
        warnings.simplefilter('ignore')
        for done in range(1, iterations + 1):
            for scheduler in schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
            for scheduler in schedulers if epoch_length and done % epoch_length == 0 else ():
                if scheduler.by_epoch:
                    scheduler.step()


def _optimizer_state(
    saved: dict, wrapper: OptimWrapper, saved_names: list, names: list, keep: bool
) -> dict:
    """The state for a checkpoint: hyperparameters of ``wrapper``, moments of ``saved`` by name."""
    # Sharded training keeps state by name, torch by the parameter's number.
    by_name = any(isinstance(key, str) for key in saved['state'])
    state = wrapper.state_dict()
    old_keys = {name: k for k, name in enumerate(name for group in saved_names for name in group)}
    new_keys = {name: k for k, name in enumerate(name for group in names for name in group)}
    moments, groups = {}, []
    for name, number in new_keys.items():
        old_key = name if by_name else old_keys.get(name)
        if keep and old_key in saved['state']:
            moments[name if by_name else number] = saved['state'][old_key]
    for group, members in zip(state['param_groups'], names):
        keys = members if by_name else [new_keys[name] for name in members]
        groups.append({**group, 'params': keys})
    if state.get('loss_scaler') and saved.get('loss_scaler'):
        state['loss_scaler'] = saved['loss_scaler']
    return {**state, 'state': moments, 'param_groups': groups}


def _iteration_in(meta: Mapping[str, int], old_length: int, new_length: int) -> int:
    """The position in epochs of another length."""
    done = meta['iter'] - meta['epoch'] * old_length
    return meta['epoch'] * new_length + done * new_length // old_length


def _wrappers(runner: Any) -> list[tuple[str, OptimWrapper]]:
    """Optimizer wrappers by part of the model; one for the whole has the name ''."""
    wrapper = runner.optim_wrapper
    return list(wrapper.items()) if isinstance(wrapper, OptimWrapperDict) else [('', wrapper)]


def _names_of(runner: Any, wrapper: OptimWrapper) -> list[list[str]]:
    """The parameters' names in each group of an optimizer."""
    model = unwrapped(runner.model)
    names = {id(p): original_name(name) for name, p in model.named_parameters()}
    groups = wrapper.optimizer.param_groups
    return [[names[id(p)] for p in group['params']] for group in groups]


def _text(value: Any) -> str:
    return value.__qualname__ if callable(value) and hasattr(value, '__qualname__') else repr(value)
