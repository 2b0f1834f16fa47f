"""The networks that figures of generation are of, and the images that they see."""

import numpy as np
import pytest
import torch
from generation_images import draw_colors
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, Resize

from mmaddp.evaluation.generation_features import FeatureNetworks, ImageFiles, find_images
from mmaddp.utils import UserError

pytest.importorskip('torch_fidelity')


@pytest.fixture(scope='module')
def inception_weights(tmp_path_factory):
    """A file of Inception's layout, its weights random ones that keep features of unit size."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Untrained(FeatureExtractorInceptionV3):
        def load_state_dict(self, state):
            pass

    folder = tmp_path_factory.mktemp('inception')
    torch.save({}, folder / 'none.pth')
    torch.manual_seed(0)
    network = Untrained('inception', ['2048'], feature_extractor_weights_path=folder / 'none.pth')
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    torch.nn.init.normal_(network.fc.weight)
    torch.save(network.state_dict(), folder / 'inception.pth')
    return folder / 'inception.pth'


def test_reference_is_cut_to_a_square_of_the_size_asked_for(tmp_path):
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, 10:30] = 255
    Image.fromarray(image).save(tmp_path / 'wide.png')
    images = ImageFiles([tmp_path / 'wide.png'], crop=10)
    assert images.size == (10, 10)
    assert images[0][:, :, 1:-1].min() > 240


def test_reference_is_resized_as_the_authors_do(tmp_path):
    """prepare_imagenet_val.py of ADDP: torchvision's Resize and CenterCrop, bilinear."""
    pixels = np.random.default_rng(0).integers(0, 256, (31, 47, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'noise.png')
    theirs = Compose([Resize(10), CenterCrop(10)])(Image.fromarray(pixels))
    ours = ImageFiles([tmp_path / 'noise.png'], crop=10)[0]
    assert np.array_equal(ours.permute(1, 2, 0).numpy(), np.asarray(theirs))


def test_features_are_the_layers_that_torch_fidelity_takes(inception_weights):
    from torch_fidelity.utils import create_feature_extractor, resolve_feature_layer_for_metric

    chosen = {'feature_extractor': 'inception-v3-compat'}
    layers = [resolve_feature_layer_for_metric(m, **chosen) for m in ('fid', 'isc', 'prc')]
    network = create_feature_extractor(
        'inception-v3-compat',
        layers[:2],
        cuda=False,
        feature_extractor_weights_path=inception_weights,
        verbose=False,
    )
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    theirs = dict(zip(layers, network(images)))
    ours = FeatureNetworks(inception_weights)(images)
    assert ours.pool.std() > 0.1
    for feature, layer in zip(ours, layers):
        torch.testing.assert_close(feature, theirs[layer])


def test_broken_image_is_named(tmp_path):
    folder = draw_colors(tmp_path / 'images', [(1, 2, 3)] * 3)
    (folder / '000001.png').write_bytes((folder / '000000.png').read_bytes()[:40])
    images = ImageFiles(find_images(folder))
    with pytest.raises(UserError, match=r'000001\.png cannot be decoded'):
        images[1]


def test_missing_weights_say_what_to_download_and_where_to_put_it(tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise OSError('no network')

    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', unreachable)
    with pytest.raises(UserError) as told:
        FeatureNetworks()
    message = str(told.value)
    assert 'no network' in message
    assert 'https://github.com/toshas/torch-fidelity/releases/' in message
    assert f'{tmp_path}/hub/checkpoints/weights-inception-2015-12-05-6726825d.pth' in message
    assert '\n' not in message
    with pytest.raises(UserError, match=r'absent\.pth: No such file'):
        FeatureNetworks(tmp_path / 'absent.pth')


def test_weights_of_another_network(tmp_path):
    torch.save({'weight': torch.zeros(3)}, tmp_path / 'other.pth')
    with pytest.raises(RuntimeError, match='in loading state_dict'):
        FeatureNetworks(tmp_path / 'other.pth')


def test_vgg_gives_the_features_of_precision_and_recall(inception_weights, tmp_path, monkeypatch):
    class TinyVGG(torch.nn.Module):
        def __init__(self):
            super().__init__()
            layers = [torch.nn.Linear(3, 5), torch.nn.Identity(), torch.nn.Identity()]
            unused = [torch.nn.Linear(5, 5) for _ in range(3)]
            self.classifier = torch.nn.Sequential(*layers, torch.nn.Linear(5, 4), *unused)

        def forward(self, images):
            return self.classifier(images.mean(dim=(2, 3)))

    monkeypatch.setattr('torchvision.models.vgg16', TinyVGG)
    vgg = TinyVGG()
    torch.save(vgg.state_dict(), tmp_path / 'vgg.pth')
    networks = FeatureNetworks(inception_weights, tmp_path / 'vgg.pth')
    gray = torch.full((1, 3, 32, 32), 128, dtype=torch.uint8)
    mean, std = (torch.tensor(v) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    second_layer = vgg.classifier[:4]((128 / 255 - mean) / std).relu()
    torch.testing.assert_close(networks(gray).manifold[0], second_layer)
    assert networks(gray).pool.shape == (1, 2048)
    assert networks.name != FeatureNetworks(inception_weights).name
