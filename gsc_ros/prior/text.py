"""Caption and objects as conditions: one vector for the words, one map for the boxes."""
from __future__ import annotations

from collections.abc import Sequence
import re
import zlib

from gsc_ros.codec.objects import SceneObject
import torch
from torch import nn, Tensor

_WORD = re.compile(r'[a-z]+')
WORD_BUCKETS = 4096
OBJECT_CLASSES = 80


def word_ids(caption: str, limit: int = 32) -> list[int]:
    """Bucket 1..4095 of each word (hashing trick, Weinberger et al. 2009), at most ``limit``."""
    words = _WORD.findall(caption.lower())[:limit]
    # plural and singular share a bucket
    stems = (w[:-1] if len(w) > 3 and w.endswith('s') else w for w in words)
    return [1 + zlib.crc32(stem.encode()) % (WORD_BUCKETS - 1) for stem in stems]


def word_batch(captions: Sequence[str]) -> Tensor:
    """Ids (B, n) int64 of several captions, padded with 0."""
    ids = [word_ids(caption) for caption in captions]
    batch = torch.zeros(len(ids), max(1, *(len(i) for i in ids)), dtype=torch.long)
    for row, line in zip(batch, ids, strict=True):
        row[:len(line)] = torch.tensor(line, dtype=torch.long)
    return batch


def object_map(objects: Sequence[SceneObject], height: int, width: int) -> Tensor:
    """
    Paint boxes into class scores on the latent grid: (81, height, width), 0..1.

    Channel 80 holds the boxes' outlines, so that two neighbours of a class stay two.
    """
    out = torch.zeros(OBJECT_CLASSES + 1, height, width)
    for item in objects:
        x0, y0, x1, y1 = item.box
        left, top = int(x0 * width), int(y0 * height)
        right, bottom = max(left + 1, round(x1 * width)), max(top + 1, round(y1 * height))
        box = out[item.class_id, top:bottom, left:right]
        box.clamp_(min=item.score)
        outline = out[OBJECT_CLASSES, top:bottom, left:right]
        outline[[0, -1], :] = 1
        outline[:, [0, -1]] = 1
    return out


class TextEncoder(nn.Module):
    """Mean of learned word vectors; no words give the zero vector."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(WORD_BUCKETS, 64, padding_idx=0)
        nn.init.normal_(self.words.weight, std=0.5)
        self.words.weight.data[0] = 0
        self.project = nn.Linear(64, width, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids (B, n), 0 for none -> (B, width)."""
        count = (ids != 0).sum(1, keepdim=True).clamp_min(1)
        return self.project(self.words(ids).sum(1) / count.sqrt())
