"""
Range coding on stored integer frequency tables, by constriction's queue coder.

Sources: Martin, 1979 (range coding); Bamler, arXiv 2201.01741 (constriction).

Both ends turn a row of integers into the same model: frequency / 2**16 and its partial sums are
exact in float64, and constriction's fast quantiser uses one rounding division and one product.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence

from constriction import stream
from gsc_ros.codec.errors import InvalidInputError, PacketError
import numpy as np

FREQUENCY_BITS = 16
TOTAL = 1 << FREQUENCY_BITS
_STATE_BITS = 64   # of constriction's default coder, which emits words of 32 bits
_STATE_BYTES = _STATE_BITS // 8

Group = tuple[np.ndarray, np.ndarray]


class Tables:
    """
    Frequency tables, one a row: integers (T, K), every entry >= 1, every row's sum 2**16.

    Symbols are 0..K-1, table indices 0..T-1.

    :raises InvalidInputError: if the tables are not of this form.
    """

    def __init__(self, frequencies: np.ndarray) -> None:
        table = np.asarray(frequencies)
        if table.ndim != 2 or table.dtype.kind not in 'iu' or not table.size:
            raise InvalidInputError('frequencies', f'{table.dtype} {table.shape}',
                                    'a filled integer array (tables, symbols)')
        if int(table.min()) < 1 or np.any(table.sum(1, dtype=np.int64) != TOTAL):
            raise InvalidInputError('frequencies', 'entries below 1 or a wrong sum',
                                    f'entries >= 1, every row sums to {TOTAL}')
        self.frequencies = table
        self._models: dict[int, stream.model.Categorical] = {}

    @property
    def symbols(self) -> int:
        """Size K of the alphabet."""
        return int(self.frequencies.shape[1])

    def model(self, index: int) -> stream.model.Categorical:
        """Return constriction's model of row ``index``, made at its first use."""
        if index not in self._models:
            # float64 and perfect=False are part of the bitstream: other choices round otherwise
            self._models[index] = stream.model.Categorical(
                self.frequencies[index].astype(np.float64) / TOTAL, perfect=False)
        return self._models[index]

    def runs(self, indices: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Table index and places of each run: symbols of one table are coded together."""
        order = np.argsort(indices, kind='stable')
        used, starts = np.unique(indices[order], return_index=True)
        ends = np.append(starts, len(order))[1:]
        for index, start, end in zip(used, starts, ends, strict=True):
            yield int(index), order[start:end]

    def check_indices(self, indices: np.ndarray) -> np.ndarray:
        """
        Return table indices as a flat integer array.

        :raises InvalidInputError: if one names no table.
        """
        flat = np.asarray(indices).ravel()
        if flat.size and not (flat.dtype.kind in 'iu' and 0 <= int(flat.min())
                              and int(flat.max()) < len(self.frequencies)):
            raise InvalidInputError('table indices', f'{flat.dtype} {flat.min()}..{flat.max()}',
                                    f'integers 0..{len(self.frequencies) - 1}')
        return flat


def encode(groups: Sequence[Group], tables: Tables) -> bytes:
    """
    Code groups of (symbols (n,), table indices (n,)), in this order, into the fewest bytes.

    The decoder must read the same groups: a group is what can be read in one step.

    :raises InvalidInputError: if a symbol or a table index is outside its range.
    """
    encoder = stream.queue.RangeEncoder()
    for symbols, indices in groups:
        values = np.asarray(symbols).ravel()
        flat = tables.check_indices(indices)
        if values.shape != flat.shape:
            raise InvalidInputError('symbols', values.shape, f'shape {flat.shape}')
        if values.size and not (values.dtype.kind in 'iu' and 0 <= int(values.min())
                                and int(values.max()) < tables.symbols):
            raise InvalidInputError('symbols', f'{values.dtype} {values.min()}..{values.max()}',
                                    f'integers 0..{tables.symbols - 1}')
        for index, places in tables.runs(flat):
            encoder.encode(values[places].astype(np.int32), tables.model(index))
    return _shortest(encoder)


def _shortest(encoder: stream.queue.RangeEncoder) -> bytes:
    """
    Fewest bytes that, with zeros behind them, lie inside the coder's final interval.

    ``get_compressed`` rounds the interval's lower end up to a word; ``pos`` tells the interval,
    so that up to seven more bytes can go.
    """
    if encoder.is_empty():
        return b''
    position, (low_bits, width) = encoder.pos()
    words = encoder.get_compressed().astype('>u4').tobytes()
    length = 4 * position + _STATE_BYTES
    above = int.from_bytes(words, 'big') << 8 * (length - len(words))
    # carries reach into the words, so take the greatest number <= above with these last bits
    lower = above - (above - low_bits) % (1 << _STATE_BITS)
    drop = next(n for n in range(_STATE_BYTES, -1, -1)
                if -(-lower >> 8 * n) << 8 * n < lower + width)
    return (-(-lower >> 8 * drop)).to_bytes(length - drop, 'big')


class Decoder:
    """Reads symbols back in steps, so that table indices may depend on what was read before."""

    def __init__(self, data: bytes, tables: Tables) -> None:
        padded = data + bytes(-len(data) % 4 + _STATE_BYTES)
        self._decoder = stream.queue.RangeDecoder(np.frombuffer(padded, '>u4').astype(np.uint32))
        self._tables = tables

    def read(self, table_indices: np.ndarray) -> np.ndarray:
        """
        Symbols (n,) int32 of the next group, whose table indices are given.

        Bytes that no encoder made give arbitrary symbols or an error; more symbols than were
        written give arbitrary symbols.

        :raises PacketError: if the data cannot come from these tables.
        """
        flat = self._tables.check_indices(table_indices)
        symbols = np.empty(flat.shape, np.int32)
        for index, places in self._tables.runs(flat):
            try:
                symbols[places] = self._decoder.decode(self._tables.model(index), len(places))
            except AssertionError as error:
                raise PacketError('entropy-coded data', 'corrupt', 'what the encoder made'
                                  ) from error
        return symbols
