"""
Makes ``gsc_ros/codec/caption_tables.npz``: counts of characters in their contexts.

Usage: ``python -m gsc_ros.training.caption_tables --data ../shared/data``. The file is part of
packet version 1: with another file, captions sent before cannot be read.
"""
from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
import csv
from pathlib import Path
import random

from gsc_ros.codec.caption import (
    END,
    ESCAPE,
    MAX_ORDER,
    SHIFT,
    SYMBOLS,
    TABLES_FILE,
    text_symbols,
)
from gsc_ros.codec.classes import COCO_NAMES
import numpy as np

Context = tuple[int, ...]
_SEED = 1
_SCENE_SENTENCES = 6000
_COMMON = ('person', 'car', 'truck', 'bus', 'bicycle', 'motorcycle', 'traffic light', 'dog',
           'chair', 'bench', 'bottle', 'cup', 'potted plant', 'tv', 'laptop', 'backpack')
_SIDES = ('left', 'right', 'ahead')
_SCENES = ('outdoors', 'greenery', 'dark', 'street', 'daylight', 'indoors', 'night', 'road')
_COLOURS = ('grey', 'black', 'white', 'red', 'brown', 'yellow', 'green', 'blue')
_NUMBERS = ('two', 'three', 'four', 'five', '2', '3', '4', '5', '6', '7', '8', '9')


def manifest_texts(file: Path) -> Iterator[tuple[str, str]]:
    """Kind and text of every caption that a manifest holds."""
    with file.open(newline='') as stream:
        for row in csv.DictReader(stream, delimiter='\t'):
            for text in (row['text'] or '').split('||'):
                if text.strip():
                    yield row['text_kind'], text.strip()


def _plural(name: str) -> str:
    return {'person': 'people', 'sheep': 'sheep'}.get(
        name, name + ('es' if name.endswith(('s', 'sh', 'ch')) else 's'))


def scene_sentences(count: int, rng: random.Random) -> Iterator[str]:
    """Lines as a scene captioner makes them: ``2 people ahead, car left, outdoors``."""
    for _ in range(count):
        phrases = []
        for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 4))):
            name = rng.choice(_COMMON if rng.random() < 0.8 else COCO_NAMES)
            phrase = (f'{rng.choice(_NUMBERS)} {_plural(name)}' if rng.random() < 0.5
                      else rng.choice(('', '', 'a ')) + name)
            side = rng.choice(('', *_SIDES))
            phrases.append(f'{phrase} {side}' if side else phrase)
        joiner = ', ' if rng.random() < 0.8 else ' and '
        line = joiner.join(phrases) or f'{rng.choice(_COLOURS)} scene'
        words = rng.sample(_SCENES, rng.choice((0, 1, 1, 2)))
        yield ', '.join([line, *words])


def training_texts(data: Path) -> Iterator[tuple[str, int]]:
    """All texts with the weight that each counts for."""
    for kind, text in manifest_texts(data / 'train.tsv'):
        if kind.startswith('human'):
            yield text, 2
            yield text.lower().rstrip(' .'), 2
        else:
            yield text, 1
    for name in COCO_NAMES:
        yield name, 2
    for line in scene_sentences(_SCENE_SENTENCES, random.Random(_SEED)):
        yield line, 1


def count_contexts(texts: Iterable[tuple[str, int]]) -> dict[Context, Counter[int]]:
    """How often each symbol followed each context of up to ``MAX_ORDER`` symbols."""
    counts: dict[Context, Counter[int]] = defaultdict(Counter)
    for text, weight in texts:
        symbols = [END, *text_symbols(text), END]
        for i in range(1, len(symbols)):
            for length in range(min(MAX_ORDER, i) + 1):
                counts[tuple(symbols[i - length:i])][symbols[i]] += weight
    for symbol in range(SYMBOLS):   # nothing is impossible
        counts[()][symbol] += 1
    counts[(SHIFT,)][text_symbols('a')[0]] += 1
    counts[(ESCAPE,)][ESCAPE] += 8  # foreign scripts come in runs
    return counts


def prune(counts: dict[Context, Counter[int]], least: int) -> dict[Context, dict[int, int]]:
    """Contexts seen ``least`` times or more, counts scaled down to fit a byte."""
    kept = {}
    for context, counter in counts.items():
        total = counter.total()
        if len(context) > 1 and total < least * (len(context) - 1):
            continue
        scale = max(1.0, max(counter.values()) / 255)
        kept[context] = {symbol: round(count / scale) for symbol, count in sorted(counter.items())
                         if round(count / scale) >= (1 if len(context) < 3 else 2)}
    return {context: symbols for context, symbols in kept.items() if symbols or not context}


def save(counts: dict[Context, dict[int, int]], file: Path) -> None:
    """Write the counts as flat arrays of bytes, contexts by length and content."""
    order = sorted(counts, key=lambda context: (len(context), context))
    flat = [pair for context in order for pair in counts[context].items()]
    np.savez_compressed(
        file, contexts=np.array([s for context in order for s in context], np.uint8),
        lengths=np.array([len(context) for context in order], np.uint8),
        kinds=np.array([len(counts[context]) for context in order], np.uint8),
        symbols=np.array([symbol for symbol, _ in flat], np.uint8),
        counts=np.array([count for _, count in flat], np.uint8))


def main() -> None:
    """Read the command line, build and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', type=Path, required=True, help='folder with train.tsv')
    parser.add_argument('--output', type=Path, default=TABLES_FILE)
    parser.add_argument('--least', type=int, default=16, help='occurrences that keep a context')
    arguments = parser.parse_args()
    counts = prune(count_contexts(training_texts(arguments.data)), arguments.least)
    save(counts, arguments.output)
    print(f'{len(counts)} contexts, {arguments.output.stat().st_size} bytes')


if __name__ == '__main__':
    main()
