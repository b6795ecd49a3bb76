"""
Captions on the range coder: a static character model with backoff over stored integer counts.

Every context's table is its counts blended with the next shorter context's table, in integers
(Witten and Bell, 1991, method C; the recursion of PPM without exclusion). The counts lie in
``caption_tables.npz``, made by ``gsc_ros.training.caption_tables``.
"""
from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from pathlib import Path

from gsc_ros.codec import entropy
from gsc_ros.codec.bitstream import MAX_CAPTION_BYTES
from gsc_ros.codec.errors import InvalidInputError, PacketError
import numpy as np

TABLES_FILE = Path(__file__).with_name('caption_tables.npz')
MAX_CHARACTERS = 1024

# Symbols of the model: their order is part of the bitstream.
END, SHIFT, ESCAPE = 0, 1, 2
_FIRST_CHARACTER = 3
CHARACTERS = 'abcdefghijklmnopqrstuvwxyz0123456789 !"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~'
SYMBOLS = _FIRST_CHARACTER + len(CHARACTERS)
MAX_ORDER = 6
_NIBBLES = 16
_SYMBOL_OF = {character: i for i, character in enumerate(CHARACTERS, _FIRST_CHARACTER)}


def text_symbols(text: str) -> list[int]:
    """
    Symbols of a text, without the end: a capital is SHIFT and its small letter.

    What the alphabet lacks is ESCAPE, then two symbols 0..15 for each byte of UTF-8.

    :raises InvalidInputError: if the text holds a lone surrogate.
    """
    symbols: list[int] = []
    for character in text:
        if character in _SYMBOL_OF:
            symbols.append(_SYMBOL_OF[character])
        elif 'A' <= character <= 'Z':
            symbols += (SHIFT, _SYMBOL_OF[character.lower()])
        else:
            symbols.append(ESCAPE)
            for byte in _utf8(character):
                symbols += divmod(byte, _NIBBLES)
    return symbols


def _utf8(character: str) -> bytes:
    try:
        return character.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError('caption', repr(character), 'unicode without lone surrogates'
                                ) from error


class CaptionModel:
    """
    Tables of all contexts: tuples of up to ``MAX_ORDER`` symbols that came before.

    ``counts`` maps each context to {symbol: count}; with a context, its suffixes are there.
    """

    def __init__(self, counts: dict[tuple[int, ...], dict[int, int]]) -> None:
        contexts = sorted(counts, key=lambda context: (len(context), context))
        self._rows = {context: row for row, context in enumerate(contexts)}
        rows = np.empty((len(contexts) + 1, SYMBOLS), np.int64)
        for context, row in self._rows.items():
            lower = (rows[self._rows[context[1:]]] if context
                     else np.full(SYMBOLS, entropy.TOTAL // SYMBOLS))
            rows[row] = _blend(counts[context], lower)
        self.nibble_row = len(contexts)
        rows[-1] = 1
        rows[-1, :_NIBBLES] += (entropy.TOTAL - SYMBOLS) // _NIBBLES
        rows[-1, 0] += entropy.TOTAL - rows[-1].sum()
        self.tables = entropy.Tables(rows.astype(np.uint16))

    def row(self, history: list[int]) -> int:
        """Table of the longest context that ends ``history``."""
        padded = (END, *history[-MAX_ORDER:]) if len(history) < MAX_ORDER else history
        for length in range(min(MAX_ORDER, len(padded)), 0, -1):
            row = self._rows.get(tuple(padded[-length:]))
            if row is not None:
                return row
        return self._rows[()]


def _blend(counts: dict[int, int], lower: np.ndarray) -> np.ndarray:
    """Table (SYMBOLS,) with the sum 2**16: counts, and as much of ``lower`` as kinds were seen."""
    seen = np.zeros(SYMBOLS, np.int64)
    seen[list(counts)] = list(counts.values())
    kinds = len(counts)
    table = np.maximum((seen * entropy.TOTAL + kinds * lower) // (seen.sum() + kinds), 1)
    table[np.argmax(table)] += entropy.TOTAL - table.sum()
    return table


@lru_cache(maxsize=1)
def _model() -> CaptionModel:
    with np.load(TABLES_FILE) as file:
        contexts, lengths, kinds = file['contexts'], file['lengths'], file['kinds']
        symbols, counts = file['symbols'].tolist(), file['counts'].tolist()
    result: dict[tuple[int, ...], dict[int, int]] = {}
    places, start = np.split(contexts, np.cumsum(lengths)[:-1]), 0
    for context, kind in zip(places, kinds.tolist(), strict=True):
        stop = start + kind
        result[tuple(context.tolist())] = dict(zip(symbols[start:stop], counts[start:stop],
                                                   strict=True))
        start = stop
    return CaptionModel(result)


class _Walk:
    """Follows symbols through the model: which table codes the next one."""

    def __init__(self, model: CaptionModel) -> None:
        self._model = model
        self._history: list[int] = []
        self._nibbles: list[int] = []
        self._pending = 0    # nibbles of an escape still to come
        self.text: list[str] = []

    def row(self) -> int:
        return self._model.nibble_row if self._pending else self._model.row(self._history)

    def step(self, symbol: int) -> None:
        if self._pending:
            self._take_nibble(symbol)
            return
        shifted = bool(self._history) and self._history[-1] == SHIFT
        self._history.append(symbol)
        if symbol == ESCAPE:
            self._pending, self._nibbles = 2, []
        if symbol >= _FIRST_CHARACTER:
            character = CHARACTERS[symbol - _FIRST_CHARACTER]
            self.text.append(character.upper() if shifted else character)
        if shifted and not (symbol >= _FIRST_CHARACTER and character.isalpha()):
            raise PacketError('caption capital', symbol, 'a letter')

    def _take_nibble(self, symbol: int) -> None:
        if symbol >= _NIBBLES:
            raise PacketError('caption escape', symbol, f'0..{_NIBBLES - 1}')
        self._nibbles.append(symbol)
        self._pending -= 1
        if len(self._nibbles) == 2:
            self._pending = 2 * _continuation_bytes(16 * self._nibbles[0] + self._nibbles[1])
        if not self._pending:
            data = bytes(16 * high + low for high, low in
                         zip(self._nibbles[::2], self._nibbles[1::2], strict=True))
            try:
                self.text.append(data.decode())
            except UnicodeDecodeError as error:
                raise PacketError('caption escape', data.hex(), 'UTF-8') from error


def _continuation_bytes(first: int) -> int:
    return sum(first >= limit for limit in (0xC0, 0xE0, 0xF0))


def encode_caption(text: str) -> bytes:
    """
    Code any text; the empty one takes no byte, an English line of 60 characters about 20.

    :raises InvalidInputError: if it is longer than 1024 characters or than 255 bytes when coded.
    """
    if not text:
        return b''
    if len(text) > MAX_CHARACTERS:
        raise InvalidInputError('caption', f'{len(text)} characters', f'at most {MAX_CHARACTERS}')
    data = _encode(text)
    if len(data) > MAX_CAPTION_BYTES:
        raise InvalidInputError('caption', f'{len(data)} bytes when coded',
                                f'at most {MAX_CAPTION_BYTES}')
    return data


def _encode(text: str) -> bytes:
    model = _model()
    walk, rows = _Walk(model), []
    symbols = [*text_symbols(text), END]
    for symbol in symbols:
        rows.append(walk.row())
        walk.step(symbol)
    groups = [(np.array([symbol]), np.array([row]))
              for symbol, row in zip(symbols, rows, strict=True)]
    return entropy.encode(groups, model.tables)


def decode_caption(data: bytes) -> str:
    """
    Text of a coded caption.

    :raises PacketError: if ``encode_caption`` cannot have made the bytes.
    """
    if not data:
        return ''
    model = _model()
    decoder, walk = entropy.Decoder(data, model.tables), _Walk(model)
    while len(walk.text) <= MAX_CHARACTERS:
        row = walk.row()
        symbol = int(decoder.read(np.array([row]))[0])
        if symbol == END and row != model.nibble_row:
            return ''.join(walk.text)
        walk.step(symbol)
    raise PacketError('caption', 'without an end', f'at most {MAX_CHARACTERS} characters')


def truncate_caption(text: str, max_bytes: int) -> str:
    """
    Longest start of ``text``, cut at a word (else at a character), that codes into ``max_bytes``.

    Spaces and commas before the cut go too; the result may be empty.
    """
    text = text[:MAX_CHARACTERS]
    limit = min(max_bytes, MAX_CAPTION_BYTES)
    if not text or len(_encode(text)) <= limit:
        return text
    words = [i for i, character in enumerate(text) if character == ' ']
    for cuts in (words, list(range(len(text)))):
        heads = [head for cut in cuts if (head := text[:cut].rstrip(' ,;:'))]
        fitting = bisect_right(heads, limit, key=lambda head: len(_encode(head)))
        for head in reversed(heads[:fitting]):   # lengths grow, but not strictly
            if len(_encode(head)) <= limit:
                return head
    return ''
