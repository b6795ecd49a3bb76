"""
Whether new weights may replace the shipped ones: by every judge, on the same pictures.

They may if no judge prefers the old ones beyond its 95 % interval, and at least two that they were
not trained to please prefer the new.
"""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isnan

from gsc_ros.evaluation.judges.registry import KINDS
from gsc_ros.evaluation.report.intervals import Draws, Interval
import numpy as np

LEAST_BETTER = 2
# Of detectors: matched, found and wanted objects; F1 is pooled over pictures.
COUNTS = ('matched', 'found', 'wanted')

Figures = Mapping[str, float]       # of one picture, by judge; COUNTS as ``DETECTOR:COUNT``


@dataclass(frozen=True)
class Verdict:
    """What one judge says: values of both, and how much better the new is (interval)."""

    judge: str
    old: float
    new: float
    gain: Interval
    trained_on: bool = False

    @property
    def better(self) -> bool:
        """Whether the new is better beyond the interval."""
        return self.gain.low > 0

    @property
    def worse(self) -> bool:
        """Whether the old is better beyond the interval."""
        return self.gain.high < 0


def compare(old: Sequence[Figures], new: Sequence[Figures], blocks: Sequence[str],
            detectors: Sequence[str], trained_on: Collection[str] = ()) -> list[Verdict]:
    """
    Compare old and new weights by every judge on the same pictures.

    :param old: figures of each picture as the old weights made it, ``new`` likewise.
    :param blocks: what each picture was made from: those of one source are drawn together.
    :param detectors: their names.
    :param trained_on: judges and detectors that one of the two was trained to please, beside those
        that the registry marks.
    :raises InvalidInputError: if there is no picture.
    """
    verdicts = []
    for name, kind in KINDS.items():
        pairs = [(a[name], b[name], block) for a, b, block in zip(old, new, blocks, strict=True)
                 if name in a and name in b and not isnan(a[name] + b[name])]
        if pairs and name != 'grain':   # of which more is neither better nor worse
            values = np.array([pair[:2] for pair in pairs])
            draws = Draws([pair[2] for pair in pairs])
            means = draws.means(values)
            gain = draws.interval(kind.better * (means[:, 1] - means[:, 0]))
            verdicts.append(Verdict(name, means[0, 0], means[0, 1], gain,
                                    kind.trained_on or name in trained_on))
    return verdicts + [_detection(name, old, new, blocks, name in trained_on)
                       for name in detectors]


def _detection(name: str, old: Sequence[Figures], new: Sequence[Figures], blocks: Sequence[str],
               trained_on: bool) -> Verdict:
    draws = Draws(blocks)
    first, second = (_f1(draws.sums(np.array([[row[f'{name}:{c}'] for c in COUNTS]
                                              for row in rows]))) for rows in (old, new))
    return Verdict(f'F1 {name}', first[0], second[0], draws.interval(second - first), trained_on)


def _f1(sums: np.ndarray) -> np.ndarray:
    matched, found, wanted = sums.T
    return np.asarray(2 * matched / np.maximum(found + wanted, 1))


def passes(verdicts: Sequence[Verdict]) -> bool:
    """Tell whether the new weights may ship."""
    independent = [v for v in verdicts if v.better and not v.trained_on]
    return not any(v.worse for v in verdicts) and len(independent) >= LEAST_BETTER


def played_to(verdicts_of_controls: Sequence[Sequence[Verdict]]) -> set[str]:
    """Names of the judges that prefer a control candidate to the plain picture."""
    return {v.judge for verdicts in verdicts_of_controls for v in verdicts if v.better}


def table(verdicts: Sequence[Verdict], doubtful: set[str]) -> str:
    """Write the verdicts in Markdown; ``*`` marks the doubtful judges, ``t`` those trained on."""
    lines = ['| judge | old | new | gain [95 %] | verdict |', '| --- ' * 5 + '|']
    for v in verdicts:
        marks = '*' * (v.judge in doubtful) + 't' * v.trained_on
        word = 'better' if v.better else 'worse' if v.worse else 'equal'
        lines.append(f'| {v.judge} {marks} | {v.old:.3f} | {v.new:.3f} | {v.gain} | {word} |')
    return '\n'.join(lines)
