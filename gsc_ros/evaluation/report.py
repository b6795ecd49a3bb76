"""Rows to a summary: JSON, Markdown tables, a rate plot and a sheet of example pictures."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
import json
from pathlib import Path
from typing import Any

from gsc_ros.evaluation.metrics import bootstrap, Interval, mean_rows, pooled_f1
from gsc_ros.evaluation.stills import label, Row
import numpy as np
from PIL import Image, ImageDraw

ALL = 'all'
_FIGURES = ('psnr', 'ms_ssim', 'vgg')


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """
    Means with 95 % intervals per set, rate and candidate, and differences to ``gsc``.

    :return: ``{set: {rate: {candidate: figures}}}``; 'all' holds every set together.
    """
    datasets = sorted({r.dataset for r in rows})
    return {dataset: {f'{target:g}': _summarise_rate(
        [r for r in rows if r.target == target and dataset in (ALL, r.dataset)])
        for target in sorted({r.target for r in rows})}
        for dataset in ([ALL, *datasets] if len(datasets) != 1 else datasets)}


def _summarise_rate(rows: Sequence[Row]) -> dict[str, Any]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(label(row), []).append(row)
    ours = next((g for name, g in groups.items() if name.split()[0] == 'gsc'), None)
    return {name: _summarise_group(group, ours) for name, group in groups.items()}


def _summarise_group(group: Sequence[Row], ours: Sequence[Row] | None) -> dict[str, Any]:
    result: dict[str, Any] = {
        'pictures': len(group),
        'bytes': float(np.mean([r.bytes for r in group])),
        'payload': float(np.mean([r.payload for r in group])),
        'bpp': float(np.mean([r.bpp for r in group])),
        'too_large': sum(r.exceeded > 0 for r in group),
        'exceeded_by': float(np.mean([r.exceeded for r in group])),
        'generated': sum(r.generated for r in group),
        'encode_s': float(np.median([r.encode_s for r in group])),
        'decode_s': float(np.median([r.decode_s for r in group]))}
    for figure in _FIGURES:
        values = np.array([getattr(r, figure) for r in group])
        if not np.isnan(values).all():
            result[figure] = asdict(bootstrap(values[~np.isnan(values)], mean_rows))
    counts = np.array([(r.matched, r.found, r.wanted) for r in group])
    if not np.isnan(counts).any():
        result['detection'] = _detection(counts)
    if ours is not None and ours is not group:
        result |= _paired(group, ours)
    return result


def _detection(counts: np.ndarray) -> dict[str, Any]:
    matched, found, wanted = (float(v) for v in counts.sum(0))
    return {'f1': asdict(bootstrap(counts, pooled_f1)), 'wanted': int(wanted),
            'invented': 1 - matched / found if found else 0.0,
            'lost': 1 - matched / wanted if wanted else 0.0}


def _paired(group: Sequence[Row], ours: Sequence[Row]) -> dict[str, Any]:
    """VGG distance of the candidate minus ours on the same pictures: above 0 we are nearer."""
    mine = {(r.dataset, r.picture): r.vgg for r in ours}
    differences = np.array([r.vgg - mine[r.dataset, r.picture] for r in group
                            if (r.dataset, r.picture) in mine])
    if not len(differences):
        return {}
    return {'vgg_minus_gsc': asdict(bootstrap(differences)),
            'gsc_wins': float((differences > 0).mean())}


def markdown(summary: dict[str, Any]) -> str:
    """Tables of a summary, one per set and rate."""
    parts = ['# Rate table\n', 'Bytes are those of real files and packets, decoded again. '
             'Brackets: 95 % bootstrap intervals over pictures. VGG distance: lower is better. '
             '"too large": pictures whose smallest file exceeds the ceiling (by mean bytes).\n']
    for dataset, rates in summary.items():
        for target, groups in rates.items():
            parts.append(f'\n## {dataset}, {target} bpp\n')
            parts.append('| candidate | n | bytes | bpp | too large | VGG distance | PSNR dB '
                         '| MS-SSIM | F1 | invented | lost | VGG minus gsc | gsc nearer |')
            parts.append('|' + ' --- |' * 13)
            order = sorted(groups.items(), key=lambda item: item[1]['vgg']['value'])
            parts += [_line(name, figures) for name, figures in order]
    return '\n'.join(parts) + '\n'


def _line(name: str, figures: dict[str, Any]) -> str:
    def interval(key: str, table: dict[str, Any] = figures) -> str:
        return str(Interval(**table[key])) if key in table else '-'
    detection = figures.get('detection', {})
    large = figures['too_large']
    cells = [name, figures['pictures'], f'{figures["bytes"]:.0f}', f'{figures["bpp"]:.4f}',
             f'{large} (+{figures["exceeded_by"]:.0f} B)' if large else '0',
             interval('vgg'), interval('psnr'), interval('ms_ssim'), interval('f1', detection),
             f'{detection["invented"]:.0%}' if detection else '-',
             f'{detection["lost"]:.0%}' if detection else '-', interval('vgg_minus_gsc'),
             f'{figures["gsc_wins"]:.0%}' if 'gsc_wins' in figures else '-']
    return '| ' + ' | '.join(str(cell) for cell in cells) + ' |'


def plot(summary: dict[str, Any], path: Path) -> None:
    """VGG distance, PSNR and detection F1 against the real rate; hollow: over the ceiling."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    rates = summary[ALL] if ALL in summary else next(iter(summary.values()))
    names = sorted({name for groups in rates.values() for name in groups})
    figure, axes = pyplot.subplots(1, 3, figsize=(16, 5), layout='constrained')
    for axis, key in zip(axes, ('vgg', 'psnr', 'f1'), strict=True):
        for i, name in enumerate(names):
            _curve(axis, [g[name] for g in rates.values() if name in g], key, name, i)
        axis.set_xscale('log')
        axis.set_xlabel('bits per pixel, real bytes')
        axis.set_title({'vgg': 'VGG distance (lower is better)', 'psnr': 'PSNR in dB',
                        'f1': 'detection F1 against the original'}[key])
        axis.grid(alpha=0.3, which='both')
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _curve(axis: Any, points: Sequence[dict[str, Any]], key: str, name: str, index: int) -> None:
    tables = [(p, p.get('detection', {}) if key == 'f1' else p) for p in points]
    held = [(p['bpp'], table[key], p['too_large']) for p, table in tables if key in table]
    if not held:
        return
    x = [h[0] for h in held]
    y = [h[1]['value'] for h in held]
    spread = [[h[1]['value'] - h[1]['low'] for h in held],
              [h[1]['high'] - h[1]['value'] for h in held]]
    colour = f'C{index % 10}'
    axis.errorbar(x, y, np.maximum(spread, 0), color=colour, capsize=2, linewidth=1.4,
                  linestyle='-' if name.startswith('gsc') else '--', label=name)
    axis.scatter(x, y, color=['none' if h[2] else colour for h in held], edgecolors=colour,
                 s=28, zorder=3)


def example_sheet(folder: Path, target: float, names: Iterable[str], path: Path,
                  cell: int = 320) -> None:
    """Original and candidates of the example pictures side by side, a row each."""
    examples = sorted(p for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    names = list(names)
    if not examples:
        return
    rows = []
    for example in examples:
        files = [example / 'original.png', *(example / f'{target:g}_{n}.png' for n in names)]
        pictures = [Image.open(f).convert('RGB') if f.is_file() else None for f in files]
        height = round(cell * pictures[0].height / pictures[0].width) if pictures[0] else cell
        row = Image.new('RGB', (cell * len(files), height + 16), 'white')
        draw = ImageDraw.Draw(row)
        for i, (title, picture) in enumerate(zip(['original', *names], pictures, strict=True)):
            draw.text((i * cell + 4, 2), title, fill='black')
            if picture:
                row.paste(picture.resize((cell - 4, height)), (i * cell + 2, 16))
        rows.append(row)
    sheet = Image.new('RGB', (rows[0].width, sum(r.height for r in rows)), 'white')
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    sheet.save(path)


def write_report(rows: Sequence[Row], folder: Path) -> dict[str, Any]:
    """Write ``summary.json``, ``summary.md``, ``rates.png`` and ``sheet_<rate>.png``."""
    summary = summarise(rows)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'summary.json').write_text(json.dumps(summary, indent=1))
    (folder / 'summary.md').write_text(markdown(summary))
    plot(summary, folder / 'rates.png')
    names = list(dict.fromkeys(label(row) for row in rows))
    for target in sorted({row.target for row in rows}):
        example_sheet(folder / 'examples', target, names, folder / f'sheet_{target:g}.png')
    return summary
