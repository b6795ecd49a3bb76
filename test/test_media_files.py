"""Picture files of every kind give the right picture or a typed error, in files and messages."""
from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import cv2
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.media.files import decode_picture, MAX_PIXELS, read_picture
from gsc_ros.media.images import picture_from_compressed, shrink_to_width
from gsc_ros.media.outputs import check_apart, write_file
import numpy as np
from PIL import Image
import pytest

GREY = np.tile(np.arange(256, dtype=np.uint16), (32, 1))
RED = np.full((32, 48, 3), (220, 40, 30), np.uint8)


def packed(picture: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def jpeg(pixels: np.ndarray, **options: object) -> bytes:
    return packed(Image.fromarray(pixels), 'JPEG', **options)


@pytest.mark.parametrize('suffix', ['.png', '.tif', '.pgm'])
def test_wide_grey_keeps_its_upper_byte_in_files_and_messages(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f'g{suffix}'
    cv2.imwrite(str(file), GREY * 257)
    assert np.array_equal(read_picture(file)[..., 0], GREY)
    live = picture_from_compressed(SimpleNamespace(
        format=f'mono16; {suffix[1:]} compressed ', data=file.read_bytes()))
    assert np.array_equal(live, read_picture(file))


@pytest.mark.parametrize('suffix', ['.png', '.tif', '.ppm'])
def test_wide_colours_keep_their_upper_byte(tmp_path: Path, suffix: str) -> None:
    cv2.imwrite(str(tmp_path / f'c{suffix}'), RED[..., ::-1].astype(np.uint16) * 257)
    assert np.abs(read_picture(tmp_path / f'c{suffix}').astype(int) - RED).max() <= 1


@pytest.mark.parametrize('pixels', [GREY.astype(np.float32), GREY.astype(np.int32)])
def test_numbers_without_a_range_are_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(tmp_path / 'depth.tif')
    with pytest.raises(InvalidInputError, match=r'depth\.tif.*no grey levels'):
        read_picture(tmp_path / 'depth.tif')


@pytest.mark.parametrize(('mode', 'form'), [
    ('RGBA', 'PNG'), ('P', 'PNG'), ('CMYK', 'JPEG'), ('CMYK', 'TIFF'), ('RGBA', 'WEBP'),
    ('P', 'GIF'), ('RGB', 'BMP'), ('YCbCr', 'TIFF')])
def test_every_mode_is_taken_for_what_it_is(mode: str, form: str) -> None:
    source = Image.fromarray(RED)
    source = source.quantize(4) if mode == 'P' else source.convert(mode)
    data = packed(source, form)
    assert np.abs(decode_picture(data, form).astype(int) - RED).max() <= 6


@pytest.mark.parametrize('mode', ['1', 'LA', 'L'])
def test_grey_modes(mode: str) -> None:
    white = Image.new('L', (32, 32), 255).convert(mode)
    assert (decode_picture(packed(white, 'PNG'), mode) == 255).all()


def test_files_are_turned_upright_and_messages_are_not() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = jpeg(RED, exif=exif)
    assert decode_picture(data, 'x').shape == (48, 32, 3)
    assert picture_from_compressed(SimpleNamespace(format='jpeg', data=data)).shape == (32, 48, 3)


@pytest.mark.parametrize('options', [{}, {'progressive': True}, {'quality': 20}])
def test_a_jpeg_needs_its_pixels_but_not_its_end(options: dict[str, object]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    data = jpeg(noise, **options)
    for missing in (1, 2):
        assert np.array_equal(decode_picture(data[:-missing], 'x'), decode_picture(data, 'x'))
    assert np.array_equal(decode_picture(data + bytes(9), 'x'), decode_picture(data, 'x'))
    for share in (0.4, 0.9):
        with pytest.raises(InvalidInputError, match='x'):
            decode_picture(data[:int(share * len(data))], 'x')


def test_small_files_that_claim_much_are_refused_unread() -> None:
    ppm = b'P6 9000 9000 255\n'
    with pytest.raises(InvalidInputError, match=f'more than {MAX_PIXELS}'):
        decode_picture(ppm, 'bomb.ppm')


def test_no_program_is_started_for_a_picture() -> None:
    with pytest.raises(InvalidInputError, match='none of JPEG'):
        decode_picture(b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\nshowpage\n', 'x.png')


@pytest.mark.parametrize('path', [None, 5, 'a\0b', Path('/nowhere/x.png'), '/'])
def test_what_is_no_file_is_a_typed_error(path: object) -> None:
    with pytest.raises(InvalidInputError, match='picture'):
        read_picture(path)


@pytest.mark.parametrize(('form', 'stored', 'shown'), [
    ('jpeg', 'rgb', True), ('rgb8; jpeg compressed bgr8', 'rgb', True), ('', 'rgb', True),
    ('rgb8; jpeg compressed ', 'bgr', True), ('bgr8; jpeg compressed bgr8', 'rgb', True),
    ('bgr8; jpeg compressed ', 'rgb', True), ('rgba8; png compressed rgb8', 'bgr', True),
    ('nv12; jpeg compressed bgr8', 'rgb', True), ('16UC1; png compressed ', 'rgb', False),
    ('32FC1; compressedDepth png', 'rgb', False), ('odd; jpeg compressed ', 'rgb', False)])
def test_the_text_of_a_compressed_picture_is_read(form: str, stored: str, shown: bool) -> None:
    data = jpeg(RED if stored == 'rgb' else RED[..., ::-1], quality=95)
    message = SimpleNamespace(format=form, data=data)
    if shown:
        assert np.abs(picture_from_compressed(message).astype(int) - RED).max() < 12
    else:
        with pytest.raises(InvalidInputError, match='format'):
            picture_from_compressed(message)


@pytest.mark.parametrize(('form', 'suffix', 'scale'), [
    ('bayer_rggb8; jpeg compressed ', '.jpg', 1), ('bayer_rggb8; png compressed ', '.png', 1),
    ('bayer_rggb16; png compressed ', '.png', 256)])
def test_compressed_mosaics_are_put_together(form: str, suffix: str, scale: int) -> None:
    mosaic = np.zeros((96, 160), np.uint16 if scale > 1 else np.uint8)
    mosaic[0::2, 0::2], mosaic[1::2, 1::2] = 220 * scale, 30 * scale
    mosaic[0::2, 1::2] = mosaic[1::2, 0::2] = 40 * scale
    data = cv2.imencode(suffix, mosaic)[1].tobytes()
    shown = picture_from_compressed(SimpleNamespace(format=form, data=data))[8:-8, 8:-8]
    assert np.abs(shown.astype(int) - RED[0, 0]).mean() < 8


def test_large_pictures_are_shrunk_to_what_can_be_coded() -> None:
    assert shrink_to_width(np.zeros((5000, 6000, 3), np.uint8), 1200).shape == (1000, 1200, 3)
    assert shrink_to_width(np.zeros((8192, 64, 3), np.uint8), 640).shape == (4096, 32, 3)
    for width in (None, 'x', 5):
        with pytest.raises(InvalidInputError, match='max_width'):
            shrink_to_width(RED, width)
    with pytest.raises(InvalidInputError, match='picture'):
        shrink_to_width(None, 640)


def test_a_file_is_replaced_when_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / 'deep' / 'x.gsc'
    write_file(target, b'old')
    target.chmod(0o640)
    with pytest.raises(TypeError):
        write_file(target, None)
    assert target.read_bytes() == b'old'
    link = tmp_path / 'link'
    link.symlink_to(target)
    write_file(link, b'new')
    assert link.is_symlink() and target.read_bytes() == b'new'
    assert target.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in target.parent.iterdir()] == ['x.gsc']
    write_file(Path('/dev/null'), b'x')
    assert Path('/dev/null').is_char_device()


@pytest.mark.parametrize('way', ['same', 'relative', 'symlink', 'hard link'])
def test_an_output_is_no_input(tmp_path: Path, way: str) -> None:
    source = tmp_path / 'a.png'
    source.write_bytes(b'x')
    (tmp_path / 'b').mkdir()
    other = {'same': source, 'relative': tmp_path / 'b' / '..' / 'a.png'}.get(way,
                                                                             tmp_path / 'c.png')
    if way == 'symlink':
        other.symlink_to(source)
    elif way == 'hard link':
        other.hardlink_to(source)
    with pytest.raises(InvalidInputError, match='another file than the input'):
        check_apart(other, [source])
