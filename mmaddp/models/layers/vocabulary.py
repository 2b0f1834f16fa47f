"""The vocabulary of VQ tokens: codes, classes and the mask."""

from __future__ import annotations

from dataclasses import dataclass

NUM_CLASS_ENTRIES = 1000
CLASS_ENTRY_OFFSET = 76


@dataclass(frozen=True)
class Vocabulary:
    """K codes, then 1000 classes, then the mask: 2025 entries with MAGE's 1024 codes.

    Args:
        num_codes: K.
    """

    num_codes: int = 1024

    def __len__(self) -> int:
        return self.num_codes + NUM_CLASS_ENTRIES + 1

    @property
    def class_entry(self) -> int:
        """The entry at MAGE's class position, whatever the class: 1100."""
        return self.num_codes + CLASS_ENTRY_OFFSET

    @property
    def mask_entry(self) -> int:
        """The entry of masked positions: 2024."""
        return len(self) - 1
