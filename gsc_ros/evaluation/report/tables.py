"""Means, pooled figures and paired differences of every codec at every rate, with intervals."""
from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from gsc_ros.evaluation.judges.detection import pooled_map
from gsc_ros.evaluation.judges.kid import kernel_distance, LEAST, thinned, unpack_features
from gsc_ros.evaluation.report.compare import bd_table, equal_table
from gsc_ros.evaluation.report.figures import HEADLINE, MEANS
from gsc_ros.evaluation.report.intervals import Draws, Interval
from gsc_ros.evaluation.report.rows import (
    ALL,
    block_of,
    figure,
    headline_codec,
    Picture,
    rate,
    Track,
)
from gsc_ros.evaluation.rows import Row
import numpy as np

Table = dict[str, Any]


def summarise(found: Iterable[Track]) -> Table:
    """
    Everything that the report says in numbers, ready for JSON (None where there is no number).

    ``{track: {set: {'ours', 'pictures', 'rates': {rate: {codec: figures}}, 'bd', 'equal'}}}``
    """
    return {track.kind: {name: _summarise_set(track.only(name), name) for name in track.sets}
            for track in found}


def _summarise_set(track: Track, name: str) -> Table:
    ours = headline_codec(track.codecs)
    measured = measured_figures(track)
    lead = next((key for key in HEADLINE if key in measured), None)
    result: Table = {
        'ours': ours, 'lead': lead,
        'pictures': len({p for t in track.targets for c in track.codecs for p in track.get(t, c)}),
        'rates': {f'{target:g}': _summarise_rate(track, target, ours, lead)
                  for target in track.targets}}
    if ours is not None and lead is not None:
        result['bd'] = bd_table(track, ours, measured if name == ALL else [lead])
        result['equal'] = equal_table(track, ours, lead)
    return result


def measured_figures(track: Track) -> list[str]:
    """Keys of the means that any row has."""
    held = {key for target in track.targets for codec in track.codecs
            for row in track.get(target, codec).values()
            for key, value in row['metrics'].items() if value is not None}
    return [key for key in MEANS if key in held]


def _summarise_rate(track: Track, target: float, ours: str | None, lead: str | None) -> Table:
    mine = track.get(target, ours) if ours is not None else {}
    result = {}
    for codec in track.codecs:
        rows = track.get(target, codec)
        if rows:
            result[codec] = _summarise_codec(list(rows.values()), track.kind)
            if mine and codec != ours:
                result[codec] |= _paired(rows, mine, lead)
    return result


def _summarise_codec(rows: Sequence[Row], kind: str) -> Table:
    over = [row.get('exceeded') or 0 for row in rows]
    result: Table = {
        'pictures': len(rows), 'variant': rows[0]['variant'],
        'bytes': _mean(row['bytes'] for row in rows),
        'payload_bytes': _mean(row['payload_bytes'] for row in rows),
        'rate': _mean(rate(row, kind) for row in rows),
        'too_large': sum(size > 0 for size in over), 'exceeded_by': _mean(over),
        'encode_s': _median(rows, 'encode_s'), 'decode_s': _median(rows, 'decode_s'),
        'peak_mb': max((row.get('peak_mb') or 0 for row in rows), default=0) or None}
    for key in ('fps', 'age_s'):
        if rows[0].get(key) is not None:
            result[key] = _mean(row[key] for row in rows if row.get(key) is not None)
    result['figures'] = {key: interval for key in MEANS if (interval := _mean_figure(rows, key))}
    result['figures'] |= _pooled(rows, '') | _pooled(rows, 'label_') | _set_distance(rows)
    return result


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _median(rows: Sequence[Row], key: str) -> float | None:
    values = [row[key] for row in rows if row.get(key) is not None]
    return float(np.median(values)) if values else None


@lru_cache(maxsize=16)
def draws_of(blocks: tuple[Hashable, ...]) -> Draws:
    """Return the bootstrap's draws; codecs measured on the same pictures share them."""
    return Draws(blocks)


def as_table(interval: Interval) -> Table:
    """Make JSON values of an interval; None for NaN, which JSON lacks."""
    return {key: value if np.isfinite(value) else None
            for key, value in vars(interval).items()}


def _mean_figure(rows: Sequence[Row], key: str) -> Table | None:
    held = [(block_of(row), value) for row in rows if not np.isnan(value := figure(row, key))]
    if not held:
        return None
    draws = draws_of(tuple(block for block, _ in held))
    return as_table(draws.interval(draws.means(np.array([[v] for _, v in held]))[:, 0]))


def _pooled(rows: Sequence[Row], prefix: str) -> Table:
    """F1, shares invented and lost, mean average precision of all pictures together."""
    held = [row for row in rows if not np.isnan(figure(row, f'{prefix}tp'))]
    if not held:
        return {}
    draws = draws_of(tuple(block_of(row) for row in held))
    sums = draws.sums(np.array([[figure(row, prefix + key) for key in ('tp', 'fp', 'fn')]
                                for row in held]))
    statistics: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        'f1': lambda s: _share(2 * s[:, 0], 2 * s[:, 0] + s[:, 1] + s[:, 2], 1.0),
        'invented': lambda s: _share(s[:, 1], s[:, 0] + s[:, 1], 0.0),
        'lost': lambda s: _share(s[:, 2], s[:, 0] + s[:, 2], 0.0)}
    result = {prefix + key: as_table(draws.interval(statistic(sums)))
              for key, statistic in statistics.items()}
    precision = pooled_map(held, 'labels' if prefix else 'source')
    if precision is not None:
        result[f'{prefix}map'] = {'value': precision, 'low': None, 'high': None}
    return result


def _set_distance(rows: Sequence[Row]) -> Table:
    """How far the pictures are from their sources as a set; nothing for a few."""
    held = [row for row in rows if row.get('features') and row.get('source_features')]
    if len(held) < LEAST:
        return {}
    decoded, sources = (np.array([unpack_features(row[key]) for row in thinned(held)])
                        for key in ('features', 'source_features'))
    return {'kid': {'value': 1000 * kernel_distance(decoded, sources), 'low': None, 'high': None}}


def _share(part: np.ndarray, whole: np.ndarray, empty: float) -> np.ndarray:
    """Part of whole; ``empty`` where there is nothing."""
    return np.where(whole > 0, part / np.maximum(whole, 1), empty)


def _paired(rows: dict[Picture, Row], mine: dict[Picture, Row], lead: str | None) -> Table:
    """Differences to our figures on the same pictures, and how often ours is better."""
    both = [(row, mine[picture]) for picture, row in rows.items() if picture in mine]
    result: Table = {'minus_ours': {}}
    for key, known in MEANS.items():
        pairs = [(block_of(row), figure(row, key) - figure(our, key)) for row, our in both]
        held = [(block, gap) for block, gap in pairs if not np.isnan(gap)]
        if held:
            gaps = np.array([[gap] for _, gap in held])
            draws = draws_of(tuple(block for block, _ in held))
            result['minus_ours'][key] = as_table(draws.interval(draws.means(gaps)[:, 0]))
            if key == lead:
                result['ours_better'] = float((gaps * known.better < 0).mean())
    return result
