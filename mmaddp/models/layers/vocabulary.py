"""The words that VQ tokens share a vocabulary with."""

from __future__ import annotations

from dataclasses import dataclass

NUM_CLASS_WORDS = 1000
CLASS_WORD_OFFSET = 76


@dataclass(frozen=True)
class Vocabulary:
    """K codes, then 1000 words for classes, then the mask: 2025 words with MAGE's 1024 codes.

    Args:
        num_codes: K.
    """

    num_codes: int = 1024

    def __len__(self) -> int:
        return self.num_codes + NUM_CLASS_WORDS + 1

    @property
    def class_word(self) -> int:
        """The word that stands for any class, which MAGE puts at the class position: 1100."""
        return self.num_codes + CLASS_WORD_OFFSET

    @property
    def mask_word(self) -> int:
        """The word of masked places: 2024."""
        return len(self) - 1
