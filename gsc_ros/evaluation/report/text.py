"""The summary as Markdown tables and as CSV."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
import csv
import io
import re
from typing import Any

from gsc_ros.evaluation.peers.registry import PEERS
from gsc_ros.evaluation.report.figures import FIGURES, MEANS, POOLED
from gsc_ros.evaluation.report.rows import ALL, is_ours, UNITS

Table = dict[str, Any]
_NOTES = """
Bytes are those of real files and packets, decoded again; peers at their best scale (and picture
rate), whole files with their containers, "payload" without. "too large": pictures whose smallest
file exceeds the ceiling, and by how many bytes on the mean. Brackets: 95 % bootstrap intervals
over pictures, pictures within 10 s of a stream drawn together; none where there are fewer than 5
such units. Differences are paired. Nothing is extrapolated: "> 2.0x" means that the peer does not
get there at its highest measured rate, "< 2.0x" that it is there at its lowest already.
"""


def name_of(codec: str) -> str:
    """Return what a reader calls a codec: 'gsc, plain' for 'gsc-plain', a peer's title."""
    if is_ours(codec):
        return f'gsc, {codec[4:].replace("-", ", ") or "default"}'
    return PEERS[codec].title if codec in PEERS else codec


def written(interval: Table | None, key: str, sign: bool = False) -> str:
    """Write a value with its interval, as far as there are any."""
    if interval is None or interval['value'] is None:
        return '-'
    form = FIGURES[key].format
    text = form(interval['value'], sign)
    return text if interval['low'] is None else \
        f'{text} [{form(interval["low"], sign)}, {form(interval["high"], sign)}]'


def percent(interval: Table) -> str:
    """Write a relative change with its interval."""
    text = f'{interval["value"]:+.0%}'
    return text if interval['low'] is None else \
        f'{text} [{interval["low"]:+.0%}, {interval["high"]:+.0%}]'


def ratio(table: Table | None) -> str:
    """Write a multiple, or the bound that is all that is known."""
    if table is None:
        return '-'
    if 'why' in table:
        return str(table['why'])
    text = f'{("", "> ", "< ")[table["side"]]}{table["value"]:.2f}x'
    if table['side'] or table['low'] is None:
        return text
    if table['beyond']:
        return f'{text} [{table["low"]:.2f} or more]'
    return f'{text} [{table["low"]:.2f}, {table["high"]:.2f}]'


def markdown(summary: Table) -> str:
    """Tables of a summary: every rate overall, comparisons, then set by set."""
    parts = ['# Evaluation', _NOTES]
    for kind, sets in summary.items():
        overall = sets[ALL]
        parts.append(f'## {UNITS[kind]}, {overall["pictures"]} pictures')
        parts += [_rates(overall, kind), _equal(overall, kind), _bd(overall)]
        others = {name: table for name, table in sets.items() if name != ALL}
        if others:
            parts.append(_sets(others, kind))
    return '\n\n'.join(part.strip() for part in parts if part) + '\n'


def _rates(table: Table, kind: str) -> str:
    shown = _shown(table)
    lead = table['lead']
    lines = [_line([kind, 'codec', 'n', 'bytes', 'payload', f'real {kind}', 'too large',
                    *(FIGURES[key].name for key in shown),
                    *([f'{FIGURES[lead].name} minus ours'] if lead else [])])]
    lines.append('|' + ' --- |' * (lines[0].count('|') - 1))
    for target, codecs in table['rates'].items():
        for codec, found in codecs.items():
            over = f'{found["too_large"]} (+{found["exceeded_by"]:.0f} B)' \
                if found['too_large'] else '0'
            gap = found.get('minus_ours', {}).get(lead)
            lines.append(_line([
                target, f'**{name_of(codec)}**' if codec == table['ours'] else name_of(codec),
                found['pictures'], f'{found["bytes"]:.0f}', f'{found["payload_bytes"]:.0f}',
                f'{found["rate"]:.4g}', over,
                *(written(found['figures'].get(key), key) for key in shown),
                *([written(gap, lead, sign=True) if gap else ''] if lead else [])]))
    return '\n'.join(lines)


def _shown(table: Table) -> list[str]:
    """Figures that any codec has, in the order of ``FIGURES``."""
    held = {key for codecs in table['rates'].values() for found in codecs.values()
            for key in found['figures']}
    return [key for key in (*MEANS, *POOLED) if key in held]


def _equal(table: Table, kind: str) -> str:
    if not table.get('equal'):
        return ''
    parts = []
    for counted, rates in table['equal'].items():
        codecs = list(dict.fromkeys(codec for found in rates.values() for codec in found))
        codecs.sort(key=lambda codec: codec != 'best')
        what = 'Bytes' if counted == 'bytes' else 'Payload bytes'
        parts.append(f'### {what} that a peer needs over ours at equal '
                     f'{FIGURES[table["lead"]].name}')
        lines = [_line([kind, *('best peer' if c == 'best' else name_of(c) for c in codecs)])]
        lines.append('|' + ' --- |' * (len(codecs) + 1))
        lines += [_line([target, *(ratio(found.get(c)) for c in codecs)])
                  for target, found in rates.items()]
        parts.append('\n'.join(lines))
    return '\n\n'.join(parts)


def _bd(table: Table) -> str:
    if not table.get('bd'):
        return ''
    figures = list(table['bd'])
    codecs = list(table['bd'][figures[0]])
    if not codecs:
        return ''
    lines = [_line(['codec', *(f'{FIGURES[key].name}, rate | {FIGURES[key].name}'
                               for key in figures)])]
    lines.append('|' + ' --- |' * (2 * len(figures) + 1))
    for codec in codecs:
        cells = []
        for key in figures:
            found = table['bd'][key][codec]
            cells += [found['why'], ''] if 'why' in found else [
                f'{percent(found["rate"])} over {found["shared"]:.0%} of our range',
                written(_signed(found['quality'], key), key, sign=True)]
        lines.append(_line([name_of(codec), *cells]))
    return '### Bjøntegaard deltas against ours: rate at equal figure, figure at equal rate\n\n' \
        + '\n'.join(lines)


def _signed(interval: Table, key: str) -> Table:
    """Return the difference in the figure's own direction: a larger distance is above 0."""
    if FIGURES[key].better > 0 or interval['low'] is None:
        return {k: v if v is None else v * FIGURES[key].better for k, v in interval.items()}
    return {'value': -interval['value'], 'low': -interval['high'], 'high': -interval['low']}


def _sets(sets: dict[str, Table], kind: str) -> str:
    lines = [_line(['set', 'n', kind, 'figure', 'ours', 'best peer over ours at equal figure'])]
    lines.append('|' + ' --- |' * 6)
    for name, table in sets.items():
        ours, lead = table['ours'], table['lead']
        if ours is None or lead is None:
            continue
        for target, codecs in table['rates'].items():
            best = table.get('equal', {}).get('bytes', {}).get(target, {}).get('best')
            if ours in codecs:
                lines.append(_line([escaped(name), codecs[ours]['pictures'], target,
                                    FIGURES[lead].name,
                                    written(codecs[ours]['figures'].get(lead), lead),
                                    ratio(best)]))
    return '### By set\n\n' + '\n'.join(lines)


def escaped(name: str) -> str:
    """Return a folder's name as Markdown that shows it, in one cell of a table."""
    return re.sub(r'([\\`*\[\]<>|&])', r'\\\1', ' '.join(name.split()))


def _line(cells: Sequence[object]) -> str:
    return '| ' + ' | '.join(str(cell) for cell in cells) + ' |'


_FORMULA = ('=', '+', '-', '@', '\t', '\r')
_COLUMNS = ('track', 'set', 'target', 'codec', 'figure', 'value', 'low', 'high', 'pictures')
_PLAIN = ('bytes', 'payload_bytes', 'rate', 'too_large', 'exceeded_by', 'encode_s', 'decode_s',
          'peak_mb', 'fps', 'age_s', 'ours_better')


def as_csv(summary: Table) -> str:
    """One line per number, with the limits of its interval where it has one."""
    stream = io.StringIO(newline='')
    writer = csv.writer(stream, lineterminator='\n')
    writer.writerow(_COLUMNS)
    for kind, sets in summary.items():
        for name, table in sets.items():
            writer.writerows((kind, _cell(name), *line) for line in _numbers(table))
    return stream.getvalue()


def _cell(name: str) -> str:
    """Keep a folder's name from being taken for a formula."""
    return f"'{name}" if name.startswith(_FORMULA) else name


def _numbers(table: Table) -> Iterator[tuple[object, ...]]:
    for target, codecs in table['rates'].items():
        for codec, found in codecs.items():
            count = found['pictures']
            yield from ((target, codec, key, found[key], None, None, count)
                        for key in _PLAIN if found.get(key) is not None)
            for prefix, held in (('', found['figures']),
                                 ('minus_ours_', found.get('minus_ours', {}))):
                for key, value in held.items():
                    yield (target, codec, prefix + key, *value.values(), count)
    for counted, rates in table.get('equal', {}).items():
        for target, codecs in rates.items():
            for codec, found in codecs.items():
                if not found.get('side', 1):
                    yield (target, codec, f'{counted}_over_ours_at_equal_{table["lead"]}',
                           found['value'], found['low'], found['high'], None)
    for key, codecs in table.get('bd', {}).items():
        for codec, found in codecs.items():
            for part in ('rate', 'quality'):
                if part in found:
                    yield ('', codec, f'bd_{part}_{key}', *found[part].values(),
                           found['pictures'])
