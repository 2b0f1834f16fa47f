import pytest

from mmaddp.datasets import find_parts
from mmaddp.utils import UserError

GOLDFISH, HEN = 'n01443537', 'n01514859'


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_all_data_sets_that_are_there(tmp_path):
    touch(
        tmp_path, f'sketch/{HEN}/0.JPEG', f'ImageNet_R/{HEN}/0.jpg', f'ImageNet_R/{GOLDFISH}/0.jpg'
    )
    touch(tmp_path, f'ImageNet_R/{HEN}/notes.txt', f'imagenet/{HEN}/0.jpg')
    parts = find_parts(tmp_path)
    assert [(p.key, p.images, p.classes) for p in parts] == [
        ('imagenet-r', 2, 2),
        ('imagenet-sketch', 1, 1),
    ]
    assert [p.key for p in find_parts(tmp_path, ['imagenet-sketch'])] == ['imagenet-sketch']


@pytest.mark.parametrize('group', ['', 'weather/'])
def test_both_layouts_of_imagenet_c(tmp_path, group):
    touch(
        tmp_path,
        *(f'imagenet-c/{group}{c}/{s}/{HEN}/0.JPEG' for c in ('snow', 'fog') for s in (2, 1)),
    )
    touch(tmp_path, f'imagenet-c/extra/spatter/1/{HEN}/0.JPEG')
    parts = find_parts(tmp_path)
    assert [(p.corruption, p.severity) for p in parts] == [
        ('snow', 1),
        ('snow', 2),
        ('fog', 1),
        ('fog', 2),
    ]
    assert parts[-1].key == 'imagenet-c/fog/2'
    assert parts[-1].folder == (tmp_path / f'imagenet-c/{group}fog/2').resolve()


def test_data_set_that_is_asked_for_must_be_there(tmp_path):
    touch(tmp_path, f'imagenet-r/{HEN}/0.jpg')
    with pytest.raises(UserError, match='no folder imagenet-a;'):
        find_parts(tmp_path, ['imagenet-r', 'imagenet-a'])


def test_empty_root(tmp_path):
    with pytest.raises(UserError, match='no folder imagenet-a or imagenet-r or'):
        find_parts(tmp_path)
    with pytest.raises(UserError, match='no folder imagenet-a or imagenet-r or'):
        find_parts(tmp_path / 'absent')


def test_imagenet_c_without_its_folders(tmp_path):
    touch(tmp_path, f'imagenet-c/{HEN}/0.jpg')
    with pytest.raises(UserError, match='none of the 15 corruptions'):
        find_parts(tmp_path)
