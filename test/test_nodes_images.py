"""Tests of the conversion between ROS image messages and pictures; no ROS needed."""
from __future__ import annotations

from types import SimpleNamespace

import cv2
from gsc_ros.codec.errors import GscError, InvalidInputError
from gsc_ros.media.encodings import ENCODINGS
from gsc_ros.media.images import (
    picture_from_compressed,
    picture_from_image,
    shrink_to_width,
)
import numpy as np
import pytest

WIDTH, HEIGHT = 48, 32
BAYER = {'rggb': 'RGGB', 'bggr': 'BGGR', 'gbrg': 'GBRG', 'grbg': 'GRBG'}


def scene() -> np.ndarray:
    """Four flat coloured fields: chroma subsampling and mosaics must give them back inside."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[:16, :24] = (200, 40, 60)
    picture[:16, 24:] = (30, 180, 70)
    picture[16:, :24] = (50, 60, 210)
    picture[16:, 24:] = (120, 130, 90)
    return picture


def grey(picture: np.ndarray) -> np.ndarray:
    """Luma as three channels."""
    return cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def yuv(picture: np.ndarray, first_luma: int) -> np.ndarray:
    """BT.601 limited-range 4:2:2 bytes; luma at offset ``first_luma`` of each pair."""
    red, green, blue = (picture[..., i].astype(np.float64) for i in range(3))
    luma = 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255
    u = 128 + (-37.797 * red - 74.203 * green + 112.0 * blue) / 255
    v = 128 + (112.0 * red - 93.786 * green - 18.214 * blue) / 255
    out = np.zeros((HEIGHT, WIDTH, 2))
    out[..., first_luma] = luma
    out[:, 0::2, 1 - first_luma] = u[:, 0::2]
    out[:, 1::2, 1 - first_luma] = v[:, 0::2]
    return np.round(out).astype(np.uint8)


def mosaic(picture: np.ndarray, pattern: str) -> np.ndarray:
    """Bayer bytes, ``pattern`` row by row of the first 2x2 pixels."""
    out = np.zeros((HEIGHT, WIDTH), np.uint8)
    for index, channel in enumerate(pattern):
        row, column = divmod(index, 2)
        out[row::2, column::2] = picture[row::2, column::2, 'RGB'.index(channel)]
    return out


def encoded(encoding: str, picture: np.ndarray, big: bool = False) -> np.ndarray:
    """Make the bytes (HEIGHT, row) of ``picture`` as a driver would send it."""
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    if '16' in encoding:   # the upper byte shows the picture
        wide = encoded(encoding.replace('16', '8'), picture).astype(np.uint16) * 256 + 17
        return wide.astype('>u2' if big else '<u2').view(np.uint8).reshape(HEIGHT, -1)
    makers = {
        'rgb8': lambda: picture, 'bgr8': lambda: picture[..., ::-1],
        'rgba8': lambda: np.concatenate([picture, alpha], 2),
        'bgra8': lambda: np.concatenate([picture[..., ::-1], alpha], 2),
        'mono8': lambda: grey(picture)[..., 0], '8UC1': lambda: grey(picture)[..., 0],
        '8UC3': lambda: picture[..., ::-1],
        '8UC4': lambda: np.concatenate([picture[..., ::-1], alpha], 2),
        'yuv422': lambda: yuv(picture, 1), 'uyvy': lambda: yuv(picture, 1),
        'yuv422_yuy2': lambda: yuv(picture, 0), 'yuyv': lambda: yuv(picture, 0),
        **{f'bayer_{name}8': lambda pattern=pattern: mosaic(picture, pattern)
           for name, pattern in BAYER.items()}}
    return np.ascontiguousarray(makers[encoding]()).reshape(HEIGHT, -1)


def message(encoding: str, rows: np.ndarray, padding: int = 0, big: bool = False
            ) -> SimpleNamespace:
    """Make a stand-in for sensor_msgs/Image."""
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    return SimpleNamespace(encoding=encoding, width=WIDTH, height=HEIGHT, is_bigendian=int(big),
                           step=padded.shape[1], data=padded.tobytes())


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize('encoding', ENCODINGS)
def test_every_encoding_gives_the_scene_back(encoding, padding):
    """Colours inside the four fields survive, with and without row padding."""
    expected = grey(scene()) if ENCODINGS[encoding].order == 'mono' else scene()
    picture = picture_from_image(message(encoding, encoded(encoding, scene()), padding))
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    assert picture.flags.owndata or picture.base is None
    exact = ENCODINGS[encoding].order not in ('yuv', 'bayer')
    inner = np.zeros((HEIGHT, WIDTH), bool)
    for top in (0, 16):
        for left in (0, 24):
            inner[top + 4:top + 12, left + 4:left + 20] = True
    difference = np.abs(picture.astype(int) - expected)[inner if not exact else slice(None)]
    assert difference.max() <= (0 if exact else 3)


def test_mono16_honours_byte_order():
    """The high byte is shown, wherever it stands."""
    little = picture_from_image(message('mono16', encoded('mono16', scene())))
    big = picture_from_image(message('mono16', encoded('mono16', scene(), True), big=True))
    assert np.array_equal(little, big)
    wrong = picture_from_image(message('mono16', encoded('mono16', scene(), True)))
    assert not np.array_equal(little, wrong)


@pytest.mark.parametrize(('change', 'named'), [
    ({'encoding': '32FC1'}, 'distances'), ({'encoding': '16UC1'}, 'distances'),
    ({'encoding': ''}, 'encoding'), ({'encoding': None}, 'encoding'),
    ({'width': None}, 'width'), ({'height': float('nan')}, 'height'), ({'step': 'x'}, 'step'),
    ({'data': None}, 'data'), ({'data': 1536}, 'data'),
    ({'width': 0}, 'width'), ({'width': 20000}, 'width'), ({'height': 8}, 'height'),
    ({'step': 10}, 'step'), ({'data': b''}, 'data length'), ({'data': b'123'}, 'data length'),
    ({'height': HEIGHT + 1}, 'data length'),
    ({'encoding': 'yuv422', 'width': 47}, 'width'),
    ({'encoding': 'bayer_rggb8', 'height': 31}, 'height')])
def test_malformed_images_are_refused(change, named):
    """The error names the field."""
    msg = message('rgb8', encoded('rgb8', scene()))
    for name, value in change.items():
        setattr(msg, name, value)
    with pytest.raises(InvalidInputError, match=named):
        picture_from_image(msg)


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp'])
def test_compressed_pictures(suffix):
    """JPEG, PNG and WebP come back as RGB."""
    _, data = cv2.imencode(suffix, scene()[..., ::-1])
    picture = picture_from_compressed(SimpleNamespace(format=suffix, data=data.tobytes()))
    assert np.abs(picture.astype(int) - scene())[4:12, 4:16].max() <= 12


@pytest.mark.parametrize('data', [b'', b'no picture', b'\xff\xd8\xff\xe0' + bytes(50)])
def test_bad_compressed_pictures_are_refused(data):
    """Anything that is no picture file gives a typed error."""
    with pytest.raises(InvalidInputError, match='compressed image'):
        picture_from_compressed(SimpleNamespace(format='jpeg', data=data))


def test_tiny_compressed_picture_is_refused():
    """The sides of a file are checked like those of a raw picture."""
    _, data = cv2.imencode('.png', np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(InvalidInputError, match='height'):
        picture_from_compressed(SimpleNamespace(format='png', data=data.tobytes()))


def test_shrink_keeps_aspect_and_small_pictures():
    """Only pictures wider than the limit are scaled."""
    picture = np.zeros((480, 640, 3), np.uint8)
    assert shrink_to_width(picture, 640) is picture
    assert shrink_to_width(picture, 320).shape == (240, 320, 3)
    assert shrink_to_width(np.zeros((16, 4096, 3), np.uint8), 320).shape == (16, 320, 3)


def test_round_trip_through_messages():
    """Header and pixels of our own messages."""
    msgs = pytest.importorskip('std_msgs.msg')
    pytest.importorskip('gsc_msgs.msg')
    from gsc_ros.nodes.messages import compressed_from_picture, image_from_picture

    header = msgs.Header(frame_id='optical')
    header.stamp.sec = 12
    raw = image_from_picture(scene(), header)
    assert (raw.header.frame_id, raw.header.stamp.sec, raw.step) == ('optical', 12, 3 * WIDTH)
    assert np.array_equal(picture_from_image(raw), scene())
    small = compressed_from_picture(scene(), header, 95)
    assert small.header.frame_id == 'optical'
    assert picture_from_compressed(small).shape == scene().shape
    for bad in (scene()[..., :2], scene().astype(np.int16), scene()[:4]):
        with pytest.raises(GscError):
            image_from_picture(bad, header)
    with pytest.raises(GscError):
        compressed_from_picture(scene(), header, 0)
