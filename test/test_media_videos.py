"""Videos are shown upright with square pixels; damage and missing ends are told at the end."""
from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.evaluation.inputs import ShotPace as Wanted
from gsc_ros.evaluation.inputs import VideoInput
from gsc_ros.media.sources import FolderSource, open_source, Pace, thin
from gsc_ros.media.videos import check_video, DamagedVideoError, frames
import numpy as np
import pytest

CORNER = np.zeros((48, 64, 3), np.uint8)
CORNER[:24, :32] = 250    # above, on the left
PERIOD_NS = 500_000_000


def write(path: Path, count: int = 30, codec: str = 'libx264', rotation: int = 0,
          aspect: Fraction | None = None, noise: bool = False, **options: str) -> Path:
    rng = np.random.default_rng(0)
    with av.open(str(path), 'w', options=options) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        if rotation:
            stream.set_display_rotation(rotation)
        if aspect:
            stream.sample_aspect_ratio = aspect
            stream.codec_context.sample_aspect_ratio = aspect
        for _ in range(count):
            pixels = rng.integers(0, 255, CORNER.shape).astype(np.uint8) if noise else CORNER
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format='rgb24')))
        container.mux(stream.encode(None))
    return path


def first(path: Path) -> np.ndarray:
    return next(iter(open_source(str(path)))).read()


@pytest.mark.parametrize('rotation', [0, 90, 180, 270])
def test_a_video_is_shown_upright(tmp_path: Path, rotation: int) -> None:
    shown = first(write(tmp_path / 'x.mp4', 3, rotation=rotation))
    # positive angles are counter-clockwise
    wanted = np.rot90(CORNER, rotation // 90)
    assert shown.shape == wanted.shape
    assert np.abs(shown.astype(int) - wanted).mean() < 10


@pytest.mark.parametrize(('aspect', 'shape'), [
    (Fraction(4, 3), (48, 85, 3)), (Fraction(1, 2), (96, 64, 3)), (Fraction(1), (48, 64, 3))])
def test_pixels_become_square(tmp_path: Path, aspect: Fraction, shape: tuple[int, ...]) -> None:
    assert first(write(tmp_path / 'x.mkv', 3, aspect=aspect)).shape == shape


def read(path: Path) -> tuple[int, str]:
    count = 0
    try:
        for frame in frames(path):
            count += frame.read().shape == CORNER.shape
    except InvalidInputError as error:
        return count, str(error)
    return count, ''


@pytest.mark.parametrize(('suffix', 'codec'), [
    ('.mkv', 'ffv1'), ('.avi', 'mpeg4'), ('.mp4', 'libx264'), ('.mkv', 'libx264'),
    ('.ts', 'libx264'), ('.webm', 'libvpx'), ('.y4m', 'wrapped_avframe')])
def test_a_whole_video_is_whole(tmp_path: Path, suffix: str, codec: str) -> None:
    assert read(write(tmp_path / f'x{suffix}', codec=codec)) == (30, '')


@pytest.mark.parametrize(('suffix', 'codec', 'options'), [
    ('.mkv', 'ffv1', {}), ('.avi', 'mpeg4', {}), ('.mkv', 'libx264', {}),
    ('.mp4', 'libx264', {'movflags': 'faststart'}), ('.ts', 'libx264', {}),
    ('.y4m', 'wrapped_avframe', {})])
def test_a_cut_video_says_so_after_what_is_left(tmp_path: Path, suffix: str, codec: str,
                                                options: dict[str, str]) -> None:
    path = write(tmp_path / f'x{suffix}', codec=codec, noise=True, **options)
    path.write_bytes(path.read_bytes()[:int(path.stat().st_size * 0.47)])
    count, said = read(path)
    assert 3 <= count < 25
    assert f'x{suffix}' in said and 'damaged' in said


def test_a_cut_video_without_its_index_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / 'x.mp4', noise=True)
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    with pytest.raises(InvalidInputError, match=r'x\.mp4.*cut'):
        open_source(str(path))


def test_damage_in_the_middle_costs_only_itself(tmp_path: Path) -> None:
    path = write(tmp_path / 'x.mkv', codec='ffv1', noise=True)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle:middle + 6000] = np.random.default_rng(1).bytes(6000)
    path.write_bytes(data)
    count, said = read(path)
    assert 15 <= count < 30 and 'damaged' in said
    shots = []
    with pytest.raises(DamagedVideoError):
        shots.extend(VideoInput(path).shots(Wanted()))
    assert len(shots) == count


@pytest.mark.parametrize('data', [b'', b'const a = 1;', b'\0' * 1000,
                                  b'#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n'])
def test_what_is_no_video_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / 'x.ts').write_bytes(data)
    with pytest.raises(InvalidInputError, match=r'x\.ts'):
        check_video(tmp_path / 'x.ts')


def test_numbered_pictures_follow_in_number_order(tmp_path: Path) -> None:
    for number in (10, 9, 100, 1):
        cv2.imwrite(str(tmp_path / f'frame{number}.png'), CORNER)
    (tmp_path / '._frame3.png').write_bytes(b'not a picture')
    names = [file.name for file in FolderSource(tmp_path).files]
    assert names == ['frame1.png', 'frame9.png', 'frame10.png', 'frame100.png']


@pytest.mark.parametrize('rate', [None, 'x', float('nan'), float('inf'), -1])
def test_rates_are_numbers(tmp_path: Path, rate: object) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), CORNER)
    with pytest.raises(InvalidInputError, match='rate'):
        FolderSource(tmp_path, rate)
    with pytest.raises(InvalidInputError, match='rate'):
        list(thin(FolderSource(tmp_path), rate))


def test_pictures_keep_the_times_of_their_source() -> None:
    pace = Pace(2.0, now_ns=1000)
    assert [pace.due_ns(t) for t in (7, 107, 307)] == [1000, 1100, 1300]
    assert pace.end_ns() == 1500


@pytest.mark.parametrize('times', [[0], [5], [5, 5, 5], [9, 3, 1]])
def test_times_that_do_not_advance_are_spread(times: list[int]) -> None:
    pace = Pace(2.0, now_ns=0)
    assert [pace.due_ns(t) for t in times] == [i * PERIOD_NS for i in range(len(times))]
    assert pace.end_ns() == len(times) * PERIOD_NS
