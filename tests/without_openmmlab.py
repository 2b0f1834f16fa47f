"""Pre-trains, probes, generates and extracts features where MMEngine is all there is of OpenMMLab.

python tests/without_openmmlab.py FOLDER
"""

import sys
from pathlib import Path

ABSENT = ('mmcv', 'mmdet', 'mmseg', 'mmpretrain')


class Absent:
    """Packages that are not installed, for all imports from now on."""

    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ABSENT:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)


sys.meta_path.insert(0, Absent())

import numpy as np  # noqa: E402
import torch  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.registry import DATASETS  # noqa: E402
from mmengine.structures import BaseDataElement  # noqa: E402
from tiny_ddae import SIDE, ddae  # noqa: E402

from mmaddp import apis  # noqa: E402


@DATASETS.register_module()
class Noise:
    """Four images of noise, of two classes."""

    metainfo = {'classes': ('one', 'other')}

    def __len__(self):
        return 4

    def __getitem__(self, index):
        sample = BaseDataElement(
            metainfo=dict(sample_idx=index), gt_label=torch.tensor([index % 2])
        )
        inputs = torch.randint(0, 256, (3, SIDE, SIDE), dtype=torch.uint8)
        return dict(inputs=inputs, data_samples=sample)


def settings(folder, model):
    """A config of one epoch."""
    sampler = dict(type='DefaultSampler', shuffle=True)
    return Config(
        dict(
            default_scope='mmaddp',
            custom_imports=dict(imports=['mmaddp']),
            runner_type='mmaddp.Runner',
            work_dir=str(folder),
            model=model,
            train_dataloader=dict(
                dataset=dict(type='Noise'), batch_size=2, num_workers=0, sampler=sampler
            ),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-3)),
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook'), guard=dict(type='FiniteLossHook')
            ),
        )
    )


def probe_settings(folder, encoder):
    """A probe of it, tested on what it has trained on."""
    head = dict(type='LinearClassifier', num_classes=2)
    config = settings(folder, dict(type='GridProbe', encoder=encoder, head=head, levels=[1]))
    config.val_dataloader = dict(config.train_dataloader, sampler=dict(type='DefaultSampler'))
    config.val_cfg, config.val_evaluator = dict(), dict(type='NamedAccuracy')
    return config


def main(folder):
    """Everything that needs MMEngine alone."""
    pretraining = settings(folder / 'pretraining', ddae())
    apis.train(pretraining)
    checkpoint = folder / 'pretraining/epoch_1.pth'
    apis.train(probe_settings(folder / 'probe', ddae()))
    model = apis.load_pretrainer(pretraining, checkpoint, 'cpu')
    assert apis.generate(model, 1, steps=2).shape == (1, SIDE, SIDE, 3)
    images = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    assert apis.extract_features(model, images, level=1)[0].shape[0] == 1
    apis.convert_file(checkpoint, folder / 'backbone.pth')


if __name__ == '__main__':
    main(Path(sys.argv[1]))
