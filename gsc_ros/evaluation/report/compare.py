"""Rate curves of the peers against ours: Bjøntegaard deltas, and bytes at equal quality."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gsc_ros.evaluation.report.bjontegaard import (
    bd_quality,
    bd_rate,
    Curve,
    curve,
    CurveError,
    rate_for,
    shared_quality,
)
from gsc_ros.evaluation.report.figures import COMPARED, FIGURES
from gsc_ros.evaluation.report.intervals import Draws
from gsc_ros.evaluation.report.rows import block_of, figure, is_ours, Picture, rate, Track
import numpy as np

Table = dict[str, Any]
# Each draw takes two interpolations; the limits move by little from here on.
_SAMPLES = 300
# Fewer draws that can be compared would leave the inconvenient ones out of the interval.
_LEAST_VALID = 0.95


@dataclass(frozen=True)
class Pair:
    """
    Mean curves of two codecs on the same pictures: first the real ones, then those of each draw.

    ``ours`` and ``theirs`` are (rates, qualities), float (1 + samples, targets) each; qualities
    are larger for better pictures.
    """

    ours: tuple[np.ndarray, np.ndarray]
    theirs: tuple[np.ndarray, np.ndarray]
    targets: list[float]      # of ours
    pictures: int
    draws: Draws

    def curves(self, sample: int) -> tuple[Curve, Curve]:
        """
        Ours and theirs in one sample.

        :raises CurveError: if one of them is no curve.
        """
        return curve(self.ours[0][sample], self.ours[1][sample]), self.their_curve(sample)

    def their_curve(self, sample: int) -> Curve:
        """
        Theirs in one sample.

        :raises CurveError: if it is no curve.
        """
        return curve(self.theirs[0][sample], self.theirs[1][sample])


def pair(track: Track, ours: str, other: str, key: str, counted: str = 'bytes') -> Pair:
    """
    Curves over the pictures that both have at all their rates.

    :raises CurveError: if there is no such picture.
    """
    common: set[Picture] | None = None
    for codec in (ours, other):
        for target in _targets(track, codec):
            held = {p for p, row in track.get(target, codec).items()
                    if not np.isnan(figure(row, key))}
            common = held if common is None else common & held
    if not common:
        raise CurveError('no picture was measured with both at all rates')
    pictures = sorted(common)
    first = track.get(_targets(track, ours)[0], ours)
    draws = Draws([block_of(first[picture]) for picture in pictures], _SAMPLES)

    def means(codec: str) -> tuple[np.ndarray, np.ndarray]:
        rows = [[track.get(t, codec)[p] for t in _targets(track, codec)] for p in pictures]
        rates = np.array([[rate(r, track.kind, counted) for r in line] for line in rows])
        values = np.array([[figure(r, key) for r in line] for line in rows])
        return draws.means(rates), draws.means(values * FIGURES[key].better)
    return Pair(means(ours), means(other), _targets(track, ours), len(pictures), draws)


def _targets(track: Track, codec: str) -> list[float]:
    return [target for target in track.targets if track.get(target, codec)]


def bd_table(track: Track, ours: str, figures: Sequence[str]) -> Table:
    """
    Rate and quality of every codec against ours, by figure and codec.

    'rate' above 0: it needs so much more for equal quality. 'quality' below 0: its figure is
    worse at equal rate, whichever direction is the better one. Where curves do not share a range
    or are no curves, 'why' says so.
    """
    return {key: {codec: _bd(track, ours, codec, key) for codec in track.codecs if codec != ours}
            for key in COMPARED if key in figures}


def _bd(track: Track, ours: str, codec: str, key: str) -> Table:
    try:
        both = pair(track, ours, codec, key)
        curves = both.curves(0)
        deltas = [(bd_rate(*curves), bd_quality(*curves))]
    except CurveError as error:
        return {'why': str(error)}
    for sample in range(1, _SAMPLES + 1):
        try:
            drawn = both.curves(sample)
            deltas.append((bd_rate(*drawn), bd_quality(*drawn)))
        except CurveError:
            continue
    known = len(deltas) > _LEAST_VALID * _SAMPLES
    rates, qualities = (_limits(both.draws, np.array(v), known) for v in zip(*deltas, strict=True))
    return {'rate': rates, 'quality': qualities, 'shared': shared_quality(*curves),
            'pictures': both.pictures}


def _limits(draws: Draws, values: np.ndarray, known: bool) -> Table:
    interval = draws.interval(values)
    known = known and not np.isnan(interval.low)
    return {'value': interval.value, 'low': interval.low if known else None,
            'high': interval.high if known else None}


def equal_table(track: Track, ours: str, key: str) -> Table:
    """
    How many times our bytes each peer needs for the quality that we have at each rate.

    ``{counted: {rate: {codec or 'best': {'value', 'side', 'low', 'high', 'beyond'}}}}``. 'side'
    is 1 where the peer does not get there at its highest measured rate: it needs more than 'value'
    times; -1 where it is there at its lowest already. 'beyond' tells that the upper limit of the
    interval lies above what was measured.
    """
    peers = [codec for codec in track.codecs if not is_ours(codec)]
    counts = ('bytes', 'payload_bytes') if track.kind == 'bpp' else ('bytes',)
    return {counted: _equal(track, ours, peers, key, counted) for counted in counts} \
        if peers else {}


def _equal(track: Track, ours: str, peers: Sequence[str], key: str, counted: str) -> Table:
    result: Table = {f'{target:g}': {} for target in _targets(track, ours)}
    samples: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {t: [] for t in result}
    for codec in peers:
        try:
            both = pair(track, ours, codec, key, counted)
            both.curves(0)
        except CurveError as error:
            for table in result.values():
                table[codec] = {'why': str(error)}
            continue
        ratios, sides = _ratios(both)
        for place, target in enumerate(result):
            samples[target].append((ratios[:, place], sides[:, place]))
            result[target][codec] = _ratio_table(both.draws, *samples[target][-1])
    for target, held in samples.items():
        if held:
            result[target]['best'] = _ratio_table(both.draws, *_smallest(held))
    return result


def _ratios(both: Pair) -> tuple[np.ndarray, np.ndarray]:
    """
    Divide the rate that the peer needs for our quality by the rate that we took.

    A row is a sample: row 0 the pictures as they are, the others the bootstrap's draws. A column
    is one of our target rates.

    :return: ratios, float (1 + samples, targets), NaN in a sample where the peer's points are no
        curve; sides, int of the same shape, as in ``Bound``: 1 where the peer needs more than the
        ratio says, -1 where it needs less, 0 where the ratio is the answer.
    """
    our_rates, our_qualities = both.ours
    ratios, sides = np.full(our_rates.shape, np.nan), np.zeros(our_rates.shape, int)
    for sample, (our_rate, our_quality) in enumerate(zip(our_rates, our_qualities, strict=True)):
        # 1. the peer's curve in this sample
        try:
            peer = both.their_curve(sample)
        except CurveError:
            continue
        # 2. where it reaches each of our qualities
        needed = [rate_for(peer, quality) for quality in our_quality]
        # 3. against our own rates
        ratios[sample] = np.array([bound.rate for bound in needed]) / our_rate
        sides[sample] = [bound.side for bound in needed]
    return ratios, sides


def _smallest(held: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """
    Take the best peer of each sample: the one with the smallest ratio.

    :param held: of each peer its ratios and sides, (1 + samples,) each.
    :return: ratios and sides, (1 + samples,) each.
    """
    ratios = np.stack([ratio for ratio, _ in held])     # (peers, 1 + samples)
    sides = np.stack([side for _, side in held])
    best = np.where(np.isnan(ratios), np.inf, ratios).argmin(0)
    samples = np.arange(ratios.shape[1])
    return ratios[best, samples], sides[best, samples]


def _ratio_table(draws: Draws, ratios: np.ndarray, sides: np.ndarray) -> Table:
    """
    Write a ratio with its interval, from (1 + samples,) ratios and sides.

    A bound counts as far as it can lie: 0 where the peer needs less, infinity where it needs more.
    """
    valid = ~np.isnan(ratios)
    low = draws.interval(np.where(sides < 0, 0.0, ratios)[valid])
    high = draws.interval(np.where(sides > 0, np.inf, ratios)[valid])
    known = valid.mean() > _LEAST_VALID and not np.isnan(low.low)
    beyond = bool(known and np.isinf(high.high))
    return {'value': float(ratios[0]), 'side': int(sides[0]), 'low': low.low if known else None,
            'high': high.high if known and not beyond else None, 'beyond': beyond}
