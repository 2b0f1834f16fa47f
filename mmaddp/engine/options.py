"""Options of ``--cfg-options``, checked against the config before they are merged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmaddp.utils import UserError, listed

from .validation import nearest, settings

_MOST_SHOWN = 4
# A test with --tta reads it; no config needs it.
_OF_TESTS = {'tta_pipeline'}


def check_option(config: Any, key: str) -> None:
    """Refuse an option that nothing reads: a misspelt key, or a variable of the config file.

    :func:`validate` finds other misspelt options once they are merged.
    """
    if key.split('.')[0] not in settings() | _OF_TESTS:
        _check_variable(config, key)
    for step in key.split('.'):
        if isinstance(config, (list, tuple)) and step.isdigit() and int(step) < len(config):
            config = config[int(step)]
        elif isinstance(config, dict) and step in config:
            config = config[step]
        else:
            break
    else:
        return
    if isinstance(config, dict) and 'type' not in config and step not in settings() | _OF_TESTS:
        close = nearest(step, config, cutoff=0.8)
        if close:
            meant = key.replace(step, close)
            raise UserError(f'--cfg-options {key}: no such key: did you mean {meant}?')


def _check_variable(config: dict, key: str) -> None:
    name = key.split('.')[0]
    if name in config:
        copies = list(_copies(config[name], config, name))
        if copies:
            reason = (
                f'{name} has an effect only in the config file: set {listed(copies, _MOST_SHOWN)}'
            )
            raise UserError(f'--cfg-options {key}: {reason}')
        return
    similar = [place for place in _places(config) if place.endswith(f'.{name}')]
    hint = (
        listed(similar, _MOST_SHOWN)
        if similar
        else nearest(name, {*settings(), *config}, cutoff=0.75)
    )
    if hint:
        raise UserError(f'--cfg-options {key}: no such setting: did you mean {hint}?')
    raise UserError(
        f'--cfg-options {key}: no such setting: define {name} in the config file if your code '
        'reads it'
    )


def _copies(value: Any, config: dict, name: str) -> Iterator[str]:
    """Where else a config has the value of a variable of its file."""
    for place, other in _places(config).items():
        # Numbers are equal by chance. Those of the same name are not.
        is_named = place.endswith(f'.{name}')
        is_sure = is_named or (isinstance(value, (str, list, tuple, dict)) and value)
        if place.split('.')[0] in settings() and other == value and is_sure:
            yield place


def _places(config: Any, key: str = '') -> dict[str, Any]:
    """All values of nested dicts and lists by dotted key, the dicts and lists too."""
    if not isinstance(config, (Mapping, list, tuple)):
        return {}
    items = config.items() if isinstance(config, Mapping) else enumerate(config)
    found = {}
    for name, value in items:
        place = f'{key}.{name}' if key else str(name)
        found |= {place: value, **_places(value, place)}
    return found
