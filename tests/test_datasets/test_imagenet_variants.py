import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmpretrain.datasets.categories import IMAGENET_CATEGORIES
from timm.data import ImageNetInfo

from mmaddp.datasets import ImageNetVariant, imagenet_wnids, variant_wnids
from mmaddp.registry import DATASETS
from mmaddp.utils import UserError

# Class indices as the authors of ImageNet-A and ImageNet-R list them in their evaluation code.
# fmt: off
AUTHORS_A = [
    6, 11, 13, 15, 17, 22, 23, 27, 30, 37, 39, 42, 47, 50, 57, 70, 71, 76, 79, 89, 90, 94, 96, 97,
    99, 105, 107, 108, 110, 113, 124, 125, 130, 132, 143, 144, 150, 151, 207, 234, 235, 254, 277,
    283, 287, 291, 295, 298, 301, 306, 307, 308, 309, 310, 311, 313, 314, 315, 317, 319, 323, 324,
    326, 327, 330, 334, 335, 336, 347, 361, 363, 372, 378, 386, 397, 400, 401, 402, 404, 407, 411,
    416, 417, 420, 425, 428, 430, 437, 438, 445, 456, 457, 461, 462, 470, 472, 483, 486, 488, 492,
    496, 514, 516, 528, 530, 539, 542, 543, 549, 552, 557, 561, 562, 569, 572, 573, 575, 579, 589,
    606, 607, 609, 614, 626, 627, 640, 641, 642, 643, 658, 668, 677, 682, 684, 687, 701, 704, 719,
    736, 746, 749, 752, 758, 763, 765, 768, 773, 774, 776, 779, 780, 786, 792, 797, 802, 803, 804,
    813, 815, 820, 823, 831, 833, 835, 839, 845, 847, 850, 859, 862, 870, 879, 880, 888, 890, 897,
    900, 907, 913, 924, 932, 933, 934, 937, 943, 945, 947, 951, 954, 956, 957, 959, 971, 972, 980,
    981, 984, 986, 987, 988,
]
AUTHORS_R = [
    1, 2, 4, 6, 8, 9, 11, 13, 22, 23, 26, 29, 31, 39, 47, 63, 71, 76, 79, 84, 90, 94, 96, 97, 99,
    100, 105, 107, 113, 122, 125, 130, 132, 144, 145, 147, 148, 150, 151, 155, 160, 161, 162, 163,
    171, 172, 178, 187, 195, 199, 203, 207, 208, 219, 231, 232, 234, 235, 242, 245, 247, 250, 251,
    254, 259, 260, 263, 265, 267, 269, 276, 277, 281, 288, 289, 291, 292, 293, 296, 299, 301, 308,
    309, 310, 311, 314, 315, 319, 323, 327, 330, 334, 335, 337, 338, 340, 341, 344, 347, 353, 355,
    361, 362, 365, 366, 367, 368, 372, 388, 390, 393, 397, 401, 407, 413, 414, 425, 428, 430, 435,
    437, 441, 447, 448, 457, 462, 463, 469, 470, 471, 472, 476, 483, 487, 515, 546, 555, 558, 570,
    579, 583, 587, 593, 594, 596, 609, 613, 617, 621, 629, 637, 657, 658, 701, 717, 724, 763, 768,
    774, 776, 779, 780, 787, 805, 812, 815, 820, 824, 833, 847, 852, 866, 875, 883, 889, 895, 907,
    928, 931, 932, 933, 934, 936, 937, 943, 945, 947, 948, 949, 951, 953, 954, 957, 963, 965, 967,
    980, 981, 983, 988,
]
# fmt: on


def indices(variant):
    index = {wnid: i for i, wnid in enumerate(imagenet_wnids())}
    return [index[wnid] for wnid in variant_wnids(variant)]


def test_classes_are_those_of_the_authors():
    assert indices('imagenet-a') == AUTHORS_A
    assert indices('imagenet-r') == AUTHORS_R
    assert indices('imagenet-sketch') == indices('imagenet-c') == list(range(1000))


def test_class_order_is_that_of_timm_and_of_mmpretrain():
    info = ImageNetInfo()
    assert list(imagenet_wnids()) == info.label_names() == sorted(info.label_names())
    assert len(IMAGENET_CATEGORIES) == 1000
    for index, category in enumerate(IMAGENET_CATEGORIES):
        first = {word.strip().lower() for word in re.split(r'[,:]', category)}
        second = {word.strip().lower() for word in info.index_to_description(index).split(',')}
        assert first & second, (index, category, second)


def write_image(folder: Path, wnid: str, name: str = '0.JPEG', size: int = 8) -> Path:
    path = folder / wnid / name
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((size, size, 3), np.uint8))
    return path


def build(folder: Path, variant: str, **kwargs) -> ImageNetVariant:
    return DATASETS.build(
        {'type': 'mmaddp.ImageNetVariant', 'variant': variant, 'data_root': str(folder), **kwargs}
    )


def test_labels_are_indices_of_imagenet_1k(tmp_path):
    # Goldfish (1), great white shark (2) and hen (8) are in -R; only some folders are there.
    for wnid, count in {'n01514859': 1, 'n01443537': 2, 'n01484850': 1}.items():
        for i in range(count):
            write_image(tmp_path, wnid, f'{i}.jpg')
    (tmp_path / 'README.txt').touch()
    dataset = build(tmp_path, 'imagenet-r')
    assert dataset.get_gt_labels().tolist() == [1, 1, 2, 8]
    assert dataset.metainfo['class_indices'] == AUTHORS_R
    assert dataset.metainfo['classes'][8].startswith('hen')


def test_foreign_classes_are_refused(tmp_path):
    write_image(tmp_path, 'n01440764')
    with pytest.raises(UserError, match='n01440764'):
        build(tmp_path, 'imagenet-a')
    assert build(tmp_path, 'imagenet-sketch').get_gt_labels().tolist() == [0]


def test_folder_without_images_is_refused(tmp_path):
    with pytest.raises(UserError, match='no image in class folders'):
        build(tmp_path, 'imagenet-sketch')
    (tmp_path / 'n01440764').mkdir()
    with pytest.raises(UserError, match='no image in class folders'):
        build(tmp_path, 'imagenet-sketch')


def test_unknown_variant():
    with pytest.raises(UserError, match='imagenet-v2'):
        variant_wnids('imagenet-v2')


def test_other_files_among_the_images(tmp_path):
    """Files of macOS and folders of notebooks are passed over; all types of images are taken."""
    write_image(tmp_path, 'n01514859', '0.webp')
    for name in ('n01514859/._0.webp', 'n01514859/.ipynb_checkpoints/0.jpg', '__MACOSX/0.jpg'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    dataset = build(tmp_path, 'imagenet-r')
    assert [Path(dataset[0]['img_path']).name, len(dataset)] == ['0.webp', 1]
