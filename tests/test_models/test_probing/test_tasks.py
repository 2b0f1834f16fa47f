"""Tasks of a probe: heads of a grid against each alone, losses by hand, planted signals."""

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from tiny_dense import (
    CLASSES,
    VIT,
    Planted,
    blocky_images,
    dense_probe,
    samples_of,
    train_dense,
)
from torch.nn import functional as F

from mmaddp.experiments.probing import results_of
from mmaddp.models.probing import Cell, KNNClassifier, PatchRetrieval
from mmaddp.models.probing.depth import (
    depth_of_logits,
    gradient_loss,
    log_error,
    scale_invariant_loss,
)
from mmaddp.models.probing.heads import LinearLayer

SEGMENTATION = dict(type='mmaddp.LinearSegmentation', num_classes=CLASSES, dropout=0.1)
DEPTH = dict(type='mmaddp.LinearDepth', num_bins=16, batch_norm=True, warmup=2)
CLASSIFICATION = dict(type='mmaddp.LinearClassifier', num_classes=CLASSES, batch_norm=True)
EVALUATORS = {
    'mmaddp.LinearSegmentation': 'mmaddp.NamedIoU',
    'mmaddp.LinearDepth': 'mmaddp.NamedDepth',
    'mmaddp.LinearClassifier': 'mmaddp.NamedAccuracy',
    'mmaddp.KNNClassifier': 'mmaddp.NamedAccuracy',
    'mmaddp.PatchRetrieval': 'mmaddp.NamedIoU',
}
KNN = dict(type='mmaddp.KNNClassifier', num_classes=CLASSES, k=3)
RETRIEVAL = dict(type='mmaddp.PatchRetrieval', num_classes=CLASSES, k=3, patches_per_image=4)
LAST_TWO = 'block_2+block_3'


@pytest.mark.parametrize('head', [SEGMENTATION, DEPTH, CLASSIFICATION], ids=['seg', 'depth', 'cls'])
def test_a_head_of_a_grid_equals_the_same_head_alone(head):
    """With layers joined, learning rates, dropout, warm-up and clipping."""
    images = blocky_images(4)
    layers, lrs = ['block_1', 'block_2', 'block_3', LAST_TWO], [1e-3, 3e-2]
    together = train_dense(dense_probe(head, layers=layers, lrs=lrs), images, clip=0.1)
    for cell in (Cell('block_1', None, 3e-2), Cell(LAST_TWO, None, 1e-3)):
        alone = dense_probe(head, layers=[cell.layer], lrs=[cell.lr])
        states = [
            model.heads[cell.key].state_dict()
            for model in (train_dense(alone, images, clip=0.1), together)
        ]
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    weights = [together.heads[Cell('block_1', None, lr).key].linear.weight for lr in lrs]
    assert (weights[0] - weights[1]).abs().max() > 1e-2


def measured(model, head, images, start=0):
    """The results of a probe on images, through its evaluator."""
    init_default_scope('mmseg')
    evaluator = Evaluator(dict(type=EVALUATORS[head['type']]))
    evaluator.dataset_meta = dict(classes=('a', 'b', 'c'))
    evaluator.process(model.eval()(images, samples_of(images, start), mode='predict'))
    return results_of(model, evaluator.evaluate(len(images)))


@pytest.mark.parametrize('head', [SEGMENTATION, DEPTH, CLASSIFICATION], ids=['seg', 'depth', 'cls'])
def test_the_cell_that_carries_the_answer_wins(head):
    model = dense_probe(
        dict(head, **(dict(dropout=0) if head is SEGMENTATION else {})),
        encoder=dict(type=Planted),
        layers=['block_2', 'block_3'],
        levels=[1, 2],
    )
    # One color per image, so that its average tells the class too.
    images = blocky_images(48, block=16)
    results = measured(
        train_dense(model, images, steps=50, lr=5e-2), head, blocky_images(24, block=16, seed=1)
    )
    assert (results.best['layer'], results.best['level']) == Planted.cell
    good = results.best['metrics'][results.metric]
    assert good < 0.5 if results.rule == 'less' else good > 85
    others = [
        one[results.metric] for one in results.cells if (one['layer'], one['level']) != Planted.cell
    ]
    assert results.best['stride'] == 4
    assert min(others) > 1 if results.rule == 'less' else max(others) < 60


def test_segmentation_is_a_norm_a_convolution_and_a_resize():
    """Against modules of PyTorch's."""
    model = dense_probe(dict(SEGMENTATION, dropout=0), layers=['block_2'])
    images, head = blocky_images(4), model.task
    samples = samples_of(images)
    samples[0].gt_sem_seg.data[:] = 255
    maps = model.encoder.encoder_module.forward_intermediates(images, ['block_2'])['block_2']
    norm, conv = torch.nn.BatchNorm2d(16), torch.nn.Conv2d(16, CLASSES, 1)
    conv.weight.data, conv.bias.data = (
        head.linear.weight.data[:, :, None, None],
        head.linear.bias.data,
    )
    logits = F.interpolate(conv(norm(maps)), (16, 16), mode='bilinear', align_corners=False)
    labels = torch.cat([sample.gt_sem_seg.data for sample in samples])
    expected = F.cross_entropy(logits, labels, ignore_index=255)
    loss = model(images, samples, mode='loss')['loss']
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(head.linear.weight.grad, conv.weight.grad[:, :, 0, 0])
    torch.testing.assert_close(head.linear.norm.weight.grad, norm.weight.grad)


def test_depth_losses_follow_their_formulas():
    true = torch.tensor([[[1.0, 2.0, 4.0], [0.0, 2.0, 8.0]]])
    predicted, valid = torch.full_like(true, 2.0), true > 0
    error = log_error(predicted, true, valid)
    g = (2.001 / (true[valid] + 1e-3)).log()
    expected = (g.var() + 0.15 * g.mean() ** 2).sqrt()
    torch.testing.assert_close(scale_invariant_loss(error, valid), expected)
    warm = scale_invariant_loss(error, valid, warming=True)
    torch.testing.assert_close(warm, 0.15**0.5 * g.mean().abs())
    # Only the first row has both pixels, two apart; the other strides have none.
    torch.testing.assert_close(gradient_loss(error, valid), (g[0] - g[2]).abs() / 5)
    perfect = scale_invariant_loss(log_error(true, true, valid).requires_grad_(), valid)
    assert perfect == 0
    perfect.backward()


def test_depth_is_the_mean_of_bins():
    head = dense_probe(dict(DEPTH, num_bins=3, min_depth=1, max_depth=3), layers=['block_1']).task
    logits = torch.tensor([-5.0, 0.4, 1.4]).view(1, 3, 1, 1)
    # Weights 0.1, 0.5 and 1.5 of 2.1.
    torch.testing.assert_close(head.at_size(logits, (2, 2)), torch.full((1, 1, 2, 2), 5.6 / 2.1))


def test_windows_and_flips_cover_the_image():
    head = dict(SEGMENTATION, dropout=0)
    whole = dense_probe(head, layers=['block_1']).eval()
    slide = dict(mode='slide', crop_size=(8, 8), stride=(6, 6), flip=True)
    parts = dense_probe(head, layers=['block_1'], test_cfg=slide).eval()
    windows = list(parts.windows((16, 12)))
    assert [(w.top, w.left) for w in windows[::2]] == [
        (0, 0),
        (0, 4),
        (6, 0),
        (6, 4),
        (8, 0),
        (8, 4),
    ]
    assert [w.flip for w in windows[:2]] == [False, True]
    image = torch.rand(1, 3, 16, 12)
    pieces = [window.crop(image) for window in windows]
    head = parts.task
    total = sum(w.place(p.flip(3) if w.flip else p, (16, 12)) for w, p in zip(windows, pieces))
    count = sum(w.place(torch.ones(1, 1, 8, 8), (16, 12)) for w in windows)
    torch.testing.assert_close(total / count, image)
    assert [w.size for w in whole.windows((16, 12))] == [(16, 12)]
    sample = whole(image, samples_of(image), mode='predict')[0]
    assert sample.pred_sem_seg_by_name['block_1'].shape == (16, 12)


def test_predictions_return_to_the_original_size():
    model = dense_probe(dict(SEGMENTATION, dropout=0), layers=['block_1']).eval()
    image = torch.rand(1, 3, 16, 16)
    samples = samples_of(image)
    samples[0].set_metainfo(dict(img_padding_size=(0, 4, 0, 8), ori_shape=(20, 30)))
    logits = torch.zeros(1, CLASSES, 16, 16)
    logits[:, 1, :8, :12] = 1
    (label,) = model.task.predict(logits, samples)
    assert label.shape == (20, 30)
    assert (label == 1).all()


def test_features_of_a_concatenation_have_the_size_of_the_first():
    one, other = torch.rand(1, 2, 4, 4), torch.rand(1, 3, 8, 8)
    head = dense_probe(SEGMENTATION).task
    joined = head.concatenate([one, other])
    assert joined.shape == (1, 5, 4, 4)
    assert torch.equal(joined[:, :2], one)


def test_the_preprocessor_gets_the_pixel_values_of_the_encoder():
    init_default_scope('mmseg')
    own = dict(type='SegDataPreProcessor', size=(16, 16))
    model = dense_probe(SEGMENTATION, VIT, data_preprocessor=own)
    assert model.data_preprocessor.mean.flatten().tolist() == pytest.approx(
        [123.675, 116.28, 103.53]
    )
    assert type(model.data_preprocessor).__name__ == 'SegDataPreProcessor'


def batches(images, size=8):
    """A training set, as a data loader without augmentation gives it."""
    for start in range(0, len(images), size):
        part = images[start : start + size]
        yield dict(inputs=list(255 * part.flip(1)), data_samples=samples_of(part, start))


@pytest.mark.parametrize('head', [KNN, RETRIEVAL], ids=['knn', 'retrieval'])
def test_neighbors_find_the_cell_that_carries_the_answer(head):
    init_default_scope('mmseg')
    model = dense_probe(
        head,
        encoder=dict(type=Planted),
        layers=['block_2', 'block_3'],
        levels=[1, 2],
        data_preprocessor=dict(type='SegDataPreProcessor', size=(16, 16)),
    )
    model.collect(batches(blocky_images(32, block=16)))
    results = measured(model, head, blocky_images(24, block=16, seed=1))
    assert (results.best['layer'], results.best['level']) == Planted.cell
    assert results.best['metrics'][results.metric] > 70
    assert sorted(map(max, results.scores))[0] < 60


def test_neighbors_vote_by_their_similarity():
    """Against a sum by hand."""
    head = KNNClassifier(2, num_classes=2, k=2, temperature=0.5)
    keys = torch.tensor([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
    head.remember(keys * 3, torch.tensor([0, 1, 1]))
    head.finish()
    # Cosines 1, 0.6 and -1; the last is not among the two nearest.
    votes = head(torch.tensor([[2.0, 0.0]]))
    near, far = torch.tensor([1 / 0.5, 0.6 / 0.5]).exp()
    torch.testing.assert_close(votes, torch.stack([near, far])[None] / (near + far))


def test_neighbors_keep_their_precision_in_autocast():
    """The labels are drawn, so that other neighbors would give other votes."""
    generator = torch.Generator().manual_seed(0)
    keys = torch.randn(2000, 64, generator=generator) * 0.1 + 1
    labels = torch.randint(10, (2000,), generator=generator)
    queries = torch.randn(50, 64, generator=generator) * 0.1 + 1
    head = KNNClassifier(64, num_classes=10, k=5)
    head.remember(keys, labels)
    head.finish()
    # By NumPy, in float64.
    known, asked = (x.double().numpy() for x in (keys, queries))
    known, asked = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (known, asked))
    cosines = asked @ known.T
    nearest = np.argsort(-cosines, axis=1)[:, :5]
    weights = np.exp(np.take_along_axis(cosines, nearest, 1) / 0.07)
    weights /= weights.sum(1, keepdims=True)
    expected = (weights[..., None] * np.eye(10)[labels.numpy()[nearest]]).sum(1)
    with torch.autocast('cpu', torch.bfloat16):
        found = head(queries)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


def test_patches_are_remembered_with_the_shares_of_their_classes():
    head = PatchRetrieval(2, num_classes=2, patches_per_image=None)
    labels = torch.tensor([[0, 1, 255, 255], [0, 0, 255, 255]])
    head.remember(torch.arange(4.0).view(1, 2, 1, 2), labels[None])
    head.finish()
    # One patch of the two has a label at all: three quarters of class 0.
    torch.testing.assert_close(head.values, torch.tensor([[0.75, 0.25]]))
    torch.testing.assert_close(head.keys, torch.tensor([[0.0, 1.0]]))
    torch.testing.assert_close(
        head(torch.rand(1, 2, 2, 3)), torch.tensor([0.75, 0.25]).view(1, 2, 1, 1).expand(1, 2, 2, 3)
    )


@pytest.mark.parametrize('offset', [0.0, 50.0])
def test_a_folded_norm_keeps_its_precision_in_autocast(offset):
    """Some channels of a ViT are far from zero. The norm subtracts nearly all of them."""
    layer = LinearLayer(16, 4, torch.nn.BatchNorm2d(16), init_std=0.1)
    maps = torch.randn(4, 16, 8, 8, generator=torch.Generator().manual_seed(0)) + offset
    normalized = F.batch_norm(maps, None, None, training=True)
    expected = F.conv2d(normalized, layer.weight[:, :, None, None], layer.bias)
    with torch.autocast('cpu', torch.bfloat16):
        found = layer(maps)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3 * expected.std().item())


def test_depths_keep_their_precision_in_autocast():
    logits = torch.randn(1, 64, 8, 8, generator=torch.Generator().manual_seed(0))
    bins = torch.linspace(1e-3, 10, 64)
    with torch.autocast('cpu', torch.bfloat16):
        found = depth_of_logits(logits, bins)
    weights = logits.relu() + 0.1
    expected = (weights * bins[:, None, None]).sum(1, keepdim=True) / weights.sum(1, keepdim=True)
    torch.testing.assert_close(found, expected)
