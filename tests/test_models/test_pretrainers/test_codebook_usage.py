import pytest
import torch

from mmaddp.models.pretrainers.codebook_usage import CodebookUsage


def test_perplexity_counts_codes_that_are_equally_frequent():
    usage = CodebookUsage(8)
    assert usage.count(torch.arange(8).view(2, 4)).item() == pytest.approx(8)
    assert usage.count(torch.tensor([[1, 1], [5, 5]])).item() == pytest.approx(2)
    assert usage.count(torch.zeros(3, 4, dtype=torch.long)).item() == pytest.approx(1)


def test_the_first_batch_puts_all_codes_on_features():
    usage, codebook, features = CodebookUsage(8), torch.zeros(8, 3), torch.rand(2, 5, 3)
    usage.revive(codebook, features)
    distances = torch.cdist(codebook, features.flatten(0, 1))
    assert distances.min(1).values.max() < 1e-6
    before = codebook.clone()
    usage.revive(codebook, torch.rand(2, 5, 3))
    assert torch.equal(codebook, before)


def test_a_code_that_is_not_used_starts_anew_and_others_stay():
    usage, codebook = CodebookUsage(4, trained=True, decay=0.5, dead_below=0.1), torch.rand(4, 3)
    before, features = codebook.clone(), torch.full((1, 1, 3), 7.0)
    for _ in range(4):
        usage.count(torch.tensor([[0, 1, 3, 3]]))
        usage.revive(codebook, features)
        # 1/4 * 0.5^n falls below 0.1 / 4 after the fourth batch.
    assert torch.equal(codebook[2], features[0, 0])
    assert torch.equal(codebook[[0, 1, 3]], before[[0, 1, 3]])
    # It has the time of a new code before it starts anew again.
    usage.count(torch.tensor([[0, 1, 3, 3]]))
    usage.revive(codebook, -features)
    assert torch.equal(codebook[2], features[0, 0])


def test_a_trained_codebook_is_left_alone():
    usage, codebook = CodebookUsage(8, trained=True), torch.rand(8, 3)
    before = codebook.clone()
    usage.revive(codebook, torch.rand(2, 5, 3))
    assert torch.equal(codebook, before)
    assert 'share' in usage.state_dict()
