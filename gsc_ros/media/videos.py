"""Frames of a video file as a viewer shows them, decoded by FFmpeg."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
import struct
from typing import Any

import cv2
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.media.encodings import Picture
from gsc_ros.units import SECOND_NS
import numpy as np

VIDEO_SUFFIXES = ('.mp4', '.avi', '.mkv', '.mov', '.webm', '.m4v', '.mpg', '.mpeg', '.ts', '.y4m')
# A file that is really a list of others must not make FFmpeg fetch them.
_OPTIONS = {'protocol_whitelist': 'file'}
_DEFAULT_RATE = 25
_MOST_FAILURES = 1000   # packets in a row without a picture, after which a file is given up
_TS_PACKETS = (188, 192, 204)   # bytes: plain, with time stamps, with parity
_LONGEST_LINE = 4096
# A file ends where its header says, give or take this share of its length.
_TOLERANCE = 0.05


class DamagedVideoError(InvalidInputError):
    """A video lacks a part; what could be read was delivered before."""

    def __init__(self, path: Path, frames: int, reason: str) -> None:
        super().__init__(f'video {path}', f'damaged: {frames} readable frames ({reason})',
                         'whole videos')


@dataclass(frozen=True)
class VideoFrame:
    """A frame that is only converted when it is read; ``time_s`` as the file has it."""

    time_s: float
    frame: Any
    aspect: Fraction

    def read(self) -> Picture:
        """Pixels (H, W, 3) uint8 RGB, square and upright."""
        picture = np.asarray(self.frame.to_ndarray(format='rgb24'))
        return _turned(_squared(picture, self.aspect), _matrix(self.frame))


def check_video(path: Path) -> None:
    """
    Decode the first frame.

    :raises InvalidInputError: if it is no video, or none of its frames can be decoded.
    """
    try:
        next(iter(frames(path)))
    except (StopIteration, DamagedVideoError) as error:
        raise InvalidInputError('input', path, 'a video file with readable frames '
                                f'({error or "it has none"})') from error


def frames(path: Path) -> Iterator[VideoFrame]:
    """
    Frames of the first video stream; what cannot be decoded is passed over.

    :raises InvalidInputError: if the file cannot be opened.
    :raises DamagedVideoError: after the last readable frame, if there was damage or an end is
        missing.
    """
    import av
    try:
        container = av.open(str(path.resolve()), options=_OPTIONS)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InvalidInputError('input', path, 'a video file that FFmpeg reads '
                                f'({_cut_mp4(path) or _reason(error)})') from error
    with container:
        if not container.streams.video:
            raise InvalidInputError('input', path, 'a file with a video stream')
        yield from _Reading(path, container).frames()


class _Reading:
    """Counts what goes wrong."""

    def __init__(self, path: Path, container: Any) -> None:
        self._path, self._container = path, container
        self._stream = container.streams.video[0]
        self._stream.thread_type = 'AUTO'
        self._rate = float(self._stream.average_rate or _DEFAULT_RATE)
        self._failed, self._reason = 0, ''
        self._packet_bytes = 0    # of the first one

    def frames(self) -> Iterator[VideoFrame]:
        count, first_s, last_s = 0, 0.0, 0.0
        for frame in self._decoded():
            # raw streams carry no times
            last_s = float(frame.time) if frame.time is not None else count / self._rate
            first_s = last_s if not count else first_s
            count += 1
            aspect = self._stream.sample_aspect_ratio
            yield VideoFrame(last_s, frame, Fraction(aspect) if aspect else Fraction(1))
        self._check_end(count, last_s - first_s)

    def _decoded(self) -> Iterator[Any]:
        in_a_row = 0
        for packet in self._packets():
            try:
                yield from packet.decode()
                in_a_row = 0
            except Exception as error:   # av.FFmpegError, and others of damaged data
                self._failed, self._reason = self._failed + 1, _reason(error)
                in_a_row += 1
                if in_a_row > _MOST_FAILURES:
                    return

    def _packets(self) -> Iterator[Any]:
        """Packets of the stream; the last is empty and makes the decoder give what it has."""
        packets = self._container.demux(self._stream)
        failed = 0
        while failed < _MOST_FAILURES:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except Exception as error:   # as above; the next one may be whole again
                self._failed, self._reason = self._failed + 1, _reason(error)
                failed += 1
                packets = self._container.demux(self._stream)
                continue
            failed = 0
            self._packet_bytes = self._packet_bytes or packet.size
            if packet.is_corrupt:
                self._failed, self._reason = self._failed + 1, 'a damaged packet'
            yield packet

    def _check_end(self, count: int, seconds: float) -> None:
        if self._failed or not count:
            raise DamagedVideoError(self._path, count, f'{self._failed} places, the last: '
                                    f'{self._reason or "no frame at all"}')
        if _breaks_off(self._path, self._packet_bytes):
            raise DamagedVideoError(self._path, count, 'cut: its last packet breaks off')
        expected = self._expected_s()
        missing = expected - seconds - 1 / self._rate
        if missing > max(2 / self._rate, _TOLERANCE * expected):
            raise DamagedVideoError(
                self._path, count, f'cut: {seconds:.1f} of {expected:.1f} seconds')

    def _expected_s(self) -> float:
        """Length that the file claims, 0 where it does not."""
        stream = self._stream
        if stream.duration and stream.time_base:
            return float(stream.duration * stream.time_base)
        if stream.frames:
            return float(stream.frames / self._rate)
        # of all streams: sound may be longer than the picture
        alone = len(self._container.streams) == 1
        return self._container.duration / 1e6 if self._container.duration and alone else 0.0


def _reason(error: Exception) -> str:
    return f'{getattr(error, "strerror", None) or error or ""}'.strip() or type(error).__name__


def _breaks_off(path: Path, packet_bytes: int) -> bool:
    """Whether a file of packets of one length, which names no duration, ends within one."""
    size = path.stat().st_size
    with path.open('rb') as file:
        line = file.readline(_LONGEST_LINE)
    if line.startswith(b'YUV4MPEG2') and packet_bytes:
        return (size - len(line)) % (packet_bytes + len(b'FRAME\n')) != 0
    return path.suffix.lower() == '.ts' and all(size % length for length in _TS_PACKETS)


def _cut_mp4(path: Path) -> str:
    """Say that an MP4 file is cut, if that is why it cannot be opened: its index comes last."""
    try:
        with path.open('rb') as file:
            return 'cut: it lacks its index' if file.read(8)[4:] == b'ftyp' else ''
    except OSError:
        return ''


def _squared(picture: Picture, aspect: Fraction) -> Picture:
    """Stretch pixels that are wider or higher than square, the shorter way up."""
    height, width = picture.shape[:2]
    if aspect > 1:
        width = round(width * aspect)
    elif 0 < aspect < 1:
        height = round(height / aspect)
    if (height, width) == picture.shape[:2] or max(height, width) > 8 * max(picture.shape[:2]):
        return picture
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC),
                      np.uint8)


def _matrix(frame: Any) -> tuple[int, int, int, int]:
    """Signs of the display matrix: x' = a x + c y, y' = b x + d y, y downwards."""
    data = next((bytes(side) for side in frame.side_data
                 if getattr(side.type, 'name', '') == 'DISPLAYMATRIX'), b'')
    if len(data) < 36:
        return 1, 0, 0, 1
    a, b, _, c, d = struct.unpack_from('<5i', data)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return 1 if a >= 0 else -1, 0, 0, 1 if d >= 0 else -1
    return 0, 1 if b >= 0 else -1, 1 if c >= 0 else -1, 0


def _turned(picture: Picture, matrix: tuple[int, int, int, int]) -> Picture:
    a, b, c, d = matrix
    if not a:
        picture, a, d = picture.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(picture[::d or 1, ::a or 1])


def since_first(time_s: float, first_s: float) -> int:
    """Nanoseconds from one time to another."""
    return round((time_s - first_s) * SECOND_NS)
