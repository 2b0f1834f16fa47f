"""The file that keeps the results of a robustness evaluation between runs."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from mmengine.config import Config, ConfigDict

from mmaddp.datasets import RobustnessPart
from mmaddp.evaluation import summarize
from mmaddp.utils import UserError, atomic_write


def identify_model(config: Config, pipeline: list, checkpoint: str | os.PathLike) -> dict:
    """Name a model by hashes of all that decides its predictions.

    Args:
        config: Its config; ``model`` and ``data_preprocessor`` are taken, as they stand after all
            changes.
        pipeline: Its test pipeline.
        checkpoint: File of its weights.

    Returns:
        ``config`` and ``checkpoint`` (paths), ``config_hash`` and ``checkpoint_hash`` (SHA-256).

    Raises:
        UserError: The checkpoint cannot be read.
    """
    deciding = ConfigDict(
        model=config.model, data_preprocessor=config.get('data_preprocessor'), pipeline=pipeline
    )
    text = json.dumps(deciding.to_dict(), sort_keys=True, default=str)
    return {
        'config': str(config.filename),
        'config_hash': hashlib.sha256(text.encode()).hexdigest(),
        'checkpoint': str(checkpoint),
        'checkpoint_hash': hash_file(checkpoint),
    }


def hash_file(path: str | os.PathLike) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        UserError: The file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, 'rb') as file:
            for block in iter(lambda: file.read(1 << 20), b''):
                digest.update(block)
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror}); check the path') from error
    return digest.hexdigest()


class ResultsFile:
    """Results of one model for each test set, in a JSON file that is whole at any moment.

    The file has ``model`` (see :func:`identify_model`), ``parts`` (for keys such as 'imagenet-a'
    and 'imagenet-c/fog/3': ``top1`` in percent, ``images``, ``classes``, ``folder``) and
    ``summary`` (see :func:`mmaddp.evaluation.summarize`).

    Args:
        path: The file; results in it are continued.
        model: What :func:`identify_model` gives.

    Raises:
        UserError: The file is of another model, or no file of results.
    """

    def __init__(self, path: str | os.PathLike, model: dict) -> None:
        self.path = Path(path)
        self.model = model
        self.parts: dict[str, dict] = self._read_parts() if self.path.exists() else {}

    def has(self, part: RobustnessPart) -> bool:
        """Whether the test set, in the same folder with as many images, is evaluated already."""
        known = self.parts.get(part.key)
        return known is not None and known == self._record(part, known['top1'])

    def add(self, part: RobustnessPart, top1: float) -> None:
        """Keep the accuracy (percent) on a test set, and write the file anew."""
        self.parts[part.key] = self._record(part, top1)
        content = {'model': self.model, 'summary': summarize(self.parts), 'parts': self.parts}
        with atomic_write(self.path) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + '\n')

    @staticmethod
    def _record(part: RobustnessPart, top1: float) -> dict:
        return {
            'top1': top1,
            'images': part.images,
            'classes': part.classes,
            'folder': str(part.folder),
        }

    def _read_parts(self) -> dict[str, dict]:
        try:
            content = json.loads(self.path.read_text())
            model, parts = content['model'], content['parts']
            differing = [kind for kind in ('config', 'checkpoint') if self._differs(model, kind)]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f'{self.path}: not a results file of this tool; give another path with --out'
            ) from error
        if differing:
            raise UserError(
                f'{self.path}: holds results of another {" and ".join(differing)}; '
                f'give another path with --out, or remove the file'
            )
        return parts

    def _differs(self, model: dict, kind: str) -> bool:
        return model[f'{kind}_hash'] != self.model[f'{kind}_hash']
