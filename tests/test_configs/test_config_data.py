"""The full-size data pipelines and detectors, on real images."""

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

import mmaddp  # noqa: F401

FOLDER = 'det/addp/mask-rcnn_addp-vit-b_sfp_8xb2-lsj-36e_coco-folder'
CASCADE = 'det/addp/cascade-mask-rcnn_addp-vit-b_sfp_16xb4-lsj-100e_coco'


@pytest.fixture
def cfg(repository, shared, monkeypatch) -> Config:
    monkeypatch.setenv('COCO_DIR', str(shared / 'data' / 'penn_fudan_coco'))
    cfg = Config.fromfile(repository / 'configs' / f'{FOLDER}.py')
    init_default_scope(cfg.default_scope)
    return cfg


def draw_batch(dataset: dict, size: int) -> dict:
    samples = [DATASETS.build(dataset)[i] for i in range(size)]
    return {key: [sample[key] for sample in samples] for key in ('inputs', 'data_samples')}


@pytest.mark.parametrize('split', ['train', 'val'])
def test_every_input_is_a_padded_square(cfg, split):
    preprocessor = MODELS.build(cfg.model.data_preprocessor)
    batch = draw_batch(cfg[f'{split}_dataloader'].dataset, size=3)
    for image, sample in zip(batch['inputs'], batch['data_samples']):
        height, width = image.shape[1:]
        assert (height, width) == sample.img_shape
        # Testing scales the long side to 1024; the jitter may leave less, never more.
        assert max(height, width) == 1024 if split == 'val' else max(height, width) <= 1024
    prepared = preprocessor(batch, training=split == 'train')
    assert prepared['inputs'].shape == (3, 3, 1024, 1024)
    for image, sample in zip(prepared['inputs'], prepared['data_samples']):
        assert sample.batch_input_shape == (1024, 1024)
        height, width = sample.img_shape
        # The padding is the mean color: zero after normalization.
        assert image[:, height:].abs().sum() == image[:, :, width:].abs().sum() == 0
        if split == 'train':
            masks = sample.gt_instances.masks
            assert (len(masks), masks.height, masks.width) == (
                len(sample.gt_instances.bboxes),
                1024,
                1024,
            )


@pytest.mark.parametrize('split', ['train', 'val'])
def test_images_are_resized_as_pillow_does(cfg, split):
    """detectron2 resizes by PIL's bilinear, whose result differs where images shrink."""
    settings = cfg[f'{split}_dataloader'].dataset
    step = 3 if split == 'train' else 1
    settings.pipeline[step].scale = (200, 200)
    if split == 'train':
        settings.pipeline[2].prob = 0.0
        settings.pipeline[step].ratio_range = (1.0, 1.0)
    sample = DATASETS.build(settings)[0]
    with Image.open(sample['data_samples'].img_path) as image:
        height, width = sample['data_samples'].img_shape
        assert max(height, width) == 200
        expected = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    # MMDetection reads BGR.
    assert np.array_equal(sample['inputs'].numpy()[::-1].transpose(1, 2, 0), expected)


def test_crops_without_an_instance_are_background(cfg):
    """As in detectron2, and the losses of such a batch are finite."""
    dataset = cfg.train_dataloader.dataset
    # A hundredth of the image's area seldom holds a person.
    dataset.pipeline[3].update(ratio_range=(2.0, 2.0))
    dataset.pipeline[4].update(crop_size=(100, 100))
    dataset = DATASETS.build(dataset)
    samples = (dataset[i % len(dataset)] for i in range(200))
    empty = next(s for s in samples if not len(s['data_samples'].gt_instances))
    losses = shrunk_detector(cfg).loss(**prepare(empty, cfg))
    assert all(torch.isfinite(torch.as_tensor(v)).all() for v in flatten(losses))


def test_cascade_trains_and_predicts(cfg, load_config):
    dataset = cfg.train_dataloader.dataset
    dataset.pipeline[2].prob = 0.0
    dataset.pipeline[3].update(scale=(256, 256), ratio_range=(1.0, 1.0))
    cfg.model = load_config(CASCADE).model
    cfg.model.train_cfg.rpn_proposal.max_per_img = cfg.model.test_cfg.rpn.max_per_img = 20
    cfg.model.test_cfg.rcnn.score_thr = 0.0
    detector = shrunk_detector(cfg)
    sample = DATASETS.build(dataset)[0]
    losses = detector.loss(**prepare(sample, cfg))
    stages = {f's{i}.loss_{part}' for i in range(3) for part in ('cls', 'bbox', 'mask')}
    assert stages <= set(losses)
    assert all(torch.isfinite(torch.as_tensor(v)).all() for v in flatten(losses))
    detector.eval()
    with torch.no_grad():
        (result,) = detector.predict(**prepare(sample, cfg), rescale=False)
    instances = result.pred_instances
    assert len(instances.masks) == len(instances.bboxes) > 0


def shrunk_detector(cfg: Config) -> torch.nn.Module:
    """The config's detector on an encoder of two narrow blocks."""
    cfg.model.backbone.update(
        arch=dict(embed_dims=32, num_layers=2, num_heads=2),
        global_attn_indexes=(1,),
        init_cfg=None,
    )
    cfg.model.neck.in_channels = 32
    torch.manual_seed(0)
    detector = MODELS.build(cfg.model)
    detector.init_weights()
    return detector.train()


def prepare(sample: dict, cfg: Config) -> dict:
    """One sample at a fraction of the size, as the detector takes it."""
    preprocessor = MODELS.build({**cfg.model.data_preprocessor, 'pad_size_divisor': 32})
    batch = dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']])
    prepared = preprocessor(batch, training=True)
    return dict(batch_inputs=prepared['inputs'], batch_data_samples=prepared['data_samples'])


def flatten(losses: dict) -> list[torch.Tensor]:
    return [v for value in losses.values() for v in (value if isinstance(value, list) else [value])]
