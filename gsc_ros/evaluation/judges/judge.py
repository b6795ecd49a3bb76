"""All figures of a decoded picture; what belongs to its source is worked out once."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

from gsc_ros.codec.errors import InvalidInputError, MissingDependencyError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.evaluation.judges import detection
from gsc_ros.evaluation.judges.dino import DinoMetric
from gsc_ros.evaluation.judges.kid import pack_features
from gsc_ros.evaluation.judges.kind import Measure
from gsc_ros.evaluation.judges.metrics import Memo, ms_ssim, MS_SSIM_MIN_SIDE, psnr
from gsc_ros.evaluation.judges.registry import KINDS
import numpy as np

__all__ = ['detection', 'Figures', 'Judge', 'JudgeSettings', 'Measure', 'MEASURES', 'why_missing']

Figures = dict[str, float | None]
DETECTION = 'detection'
MEASURES = (*KINDS, DETECTION)


@dataclass(frozen=True)
class JudgeSettings:
    """What to measure; ``detector`` is an ONNX file, None for the detector node's own."""

    measures: tuple[str, ...] = MEASURES
    detector: Path | None = None
    labels: Path | None = None
    device: str = 'cpu'


def why_missing(measure: str) -> str:
    """
    Say what keeps a measure from being taken, empty if nothing; loads no weights.

    :raises InvalidInputError: if there is no such measure.
    """
    if measure not in MEASURES:
        raise InvalidInputError('measure', measure, ', '.join(MEASURES))
    try:
        if measure != DETECTION:
            KINDS[measure].check()
    except MissingDependencyError as error:
        return str(error)
    return ''


def _structural_distance(picture: np.ndarray, source: np.ndarray) -> float:
    if min(source.shape[:2]) < MS_SSIM_MIN_SIDE:
        return -psnr(picture, source)
    return 1 - ms_ssim(picture, source)


class Judge:
    """Works out the figures of coded pictures; holds the networks, so one a process is enough."""

    def __init__(self, settings: JudgeSettings, threads: int = 2) -> None:
        """
        Load what the settings ask for.

        :raises MissingDependencyError: if a measure's weights are missing (see ``why_missing``).
        """
        self._measures = {name: KINDS[name].load(settings.device, threads)
                          for name in settings.measures if name != DETECTION}
        self._detector: detection.Detects | None = None
        if DETECTION in settings.measures:
            self._detector = detection.load_judge_detector(settings.detector, settings.device,
                                                           threads)
        self._labels = settings.labels
        self._known: Memo[tuple[Figures, dict[str, Any]]] = Memo()
        self._wanted: Memo[list[SceneObject]] = Memo()

    @property
    def distance(self) -> Measure | None:
        """What peers choose their settings by: the VGG distance, where it is measured."""
        return self._measures.get('vgg')

    @property
    def quick_distance(self) -> Measure:
        """What video codecs choose their settings by: hundreds of pictures, so MS-SSIM."""
        return _structural_distance

    def judge(self, picture: np.ndarray, source: np.ndarray, stem: str = ''
              ) -> tuple[Figures, dict[str, Any]]:
        """
        Return metrics and detections (see ``detection.pooled_map``) for a row.

        :param stem: name of the label file, where there may be one.
        """
        return self._known.get(picture, source, lambda: self._judge(picture, source, stem))

    def judge_source(self, source: np.ndarray, stem: str = '') -> tuple[Figures, dict[str, Any]]:
        """Return metrics and detections of a source (H, W, 3) uint8: agreement with its labels."""
        if self._detector is None:
            return {}, {}
        return self._agreement(self._detect(source, source), source, stem)

    def features(self, picture: np.ndarray, source: np.ndarray) -> str | None:
        """Return a picture's features, packed, for the distance of sets; None without DINO."""
        dino = self._measures.get('dino')
        return pack_features(dino.summary(picture, source)) if isinstance(dino, DinoMetric) \
            else None

    def objects(self, source: np.ndarray) -> list[SceneObject]:
        """Return confident detections on a source (H, W, 3) uint8; none without a detector."""
        return detection.confident(self._detect(source, source))

    def _judge(self, picture: np.ndarray, source: np.ndarray, stem: str
               ) -> tuple[Figures, dict[str, Any]]:
        metrics: Figures = {}
        for name, measure in self._measures.items():
            value = measure(picture, source)
            metrics[name] = None if isnan(value) else value
        if self._detector is None:
            return metrics, {}
        agreement, tables = self._agreement(self._detect(picture, source), source, stem)
        return metrics | agreement, tables

    def _agreement(self, found: list[SceneObject], source: np.ndarray, stem: str
                   ) -> tuple[Figures, dict[str, Any]]:
        metrics: Figures = {}
        tables = {}
        for against, wanted, prefix in self._references(source, stem):
            right = detection.matches(found, wanted)
            metrics |= detection.figures(detection.count(right, len(wanted)), prefix)
            tables[against] = {'found': [(c, round(s, 3), r) for c, s, r in right],
                               'wanted': detection.class_counts(wanted)}
        return metrics, tables

    def _references(self, source: np.ndarray, stem: str
                    ) -> Sequence[tuple[str, list[SceneObject], str]]:
        references = [('source', self.objects(source), '')]
        file = self._labels / f'{stem}.txt' if self._labels and stem else None
        if file is not None and file.is_file():
            references.append(('labels', detection.read_labels(file), 'label_'))
        return references

    def _detect(self, picture: np.ndarray, source: np.ndarray) -> list[SceneObject]:
        detector = self._detector
        return self._wanted.get(picture, source, lambda: detector.detect(picture)) \
            if detector is not None else []
