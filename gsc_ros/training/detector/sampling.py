"""How often each training picture is drawn: more often if the teacher finds objects on it."""
from __future__ import annotations

from pathlib import Path

import cv2
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.training.data import PictureSet
from gsc_ros.training.detector.pictures import GREY
from gsc_ros.training.detector.teacher import Teacher
import numpy as np
from tqdm import tqdm

SIZE = 320
SEEN = 0.3         # class score from which a class counts as present
EMPTY = 0.25       # weight of a picture without objects; they teach what is no object


def picture_weights(pictures: PictureSet, teacher: Teacher, coco_ids: tuple[int, ...],
                    cache: Path) -> np.ndarray:
    """
    Probability of each picture, float64 (n,), sums to one.

    Rare classes weigh more: each class present adds the inverse square root of its share.

    :param cache: .npy file; the teacher looks at all pictures once only.
    :raises InvalidInputError: if the cache was made of other pictures.
    """
    if not cache.is_file():
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.save(cache, np.stack([best_scores(p, teacher, coco_ids) for p in tqdm(
            pictures.pictures, desc='teacher looks', unit='pic', mininterval=5)]))
    scores = np.load(cache)
    if len(scores) != len(pictures):
        raise InvalidInputError('cache', f'{cache} of {len(scores)} pictures',
                                f'one of {len(pictures)}; delete it')
    present = scores > SEEN
    share = present.mean(0).clip(1 / len(pictures))
    worth = EMPTY + present @ np.minimum(4.0, np.sqrt(np.median(share) / share))
    weights = worth * pictures.sampling_weights()
    return weights / weights.sum()


def best_scores(picture: np.ndarray, teacher: Teacher, coco_ids: tuple[int, ...]) -> np.ndarray:
    """Ask the teacher for its best score of each class on a picture, float32 (classes,)."""
    scale = SIZE / max(picture.shape[:2])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[
        :SIZE, :SIZE]
    canvas = np.full((SIZE, SIZE, 3), GREY, np.uint8)
    canvas[:small.shape[0], :small.shape[1]] = small
    planes = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32) / 255
    logits = teacher(planes).scores[0, list(coco_ids)].amax(1)
    return np.asarray(logits.sigmoid().numpy(), np.float32)
