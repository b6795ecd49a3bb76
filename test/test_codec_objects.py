"""The object list: five bytes an object, boxes never empty."""

from __future__ import annotations

from gsc_ros.codec.classes import COCO_NAMES
from gsc_ros.codec.errors import InvalidInputError, PacketError
from gsc_ros.codec.objects import decode_objects, encode_objects, SceneObject
from hypothesis import example, given
from hypothesis import strategies as st
import pytest

SPANS = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted).filter(lambda s: s[0] < s[1])
OBJECTS = st.builds(
    lambda c, s, x, y: SceneObject(c, s, (x[0], y[0], x[1], y[1])),
    st.integers(0, 79), st.floats(0, 1), SPANS, SPANS)


@example([SceneObject(0, 0.0, (0.0, 0.2238733879681492, 1.0, 0.224609375))])
@given(st.lists(OBJECTS, max_size=30))
def test_round_trip_within_the_steps(objects):
    data = encode_objects(objects)
    assert len(data) == 5 * len(objects)
    decoded = decode_objects(data)
    assert len(decoded) == len(objects)
    for before, after in zip(objects, decoded, strict=True):
        assert after.class_id == before.class_id
        assert after.score == pytest.approx(before.score, abs=0.5 / 31)
        assert after.box == pytest.approx(before.box, abs=1.01 / 128)
        x0, y0, x1, y1 = after.box
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1
    assert encode_objects(decoded) == data


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_have_one_form(data):
    try:
        assert encode_objects(decode_objects(data)) == data
    except PacketError:
        pass


@pytest.mark.parametrize('item', [
    SceneObject(80, 0.5, (0, 0, 1, 1)), SceneObject(-1, 0.5, (0, 0, 1, 1)),
    SceneObject(0, 1.1, (0, 0, 1, 1)), SceneObject(0, float('nan'), (0, 0, 1, 1)),
    SceneObject(0, 0.5, (0.5, 0, 0.5, 1)), SceneObject(0, 0.5, (0, 0.6, 1, 0.5)),
    SceneObject(0, 0.5, (-0.1, 0, 1, 1)), SceneObject(0, 0.5, (0, 0, 1, 1.1))])
def test_fields_out_of_range_are_named(item):
    with pytest.raises(InvalidInputError, match='class_id|score|box'):
        encode_objects([item])


def test_too_many_objects():
    with pytest.raises(InvalidInputError, match='objects is 256'):
        encode_objects([SceneObject(0, 0.5, (0, 0, 1, 1))] * 256)


def test_names():
    assert len(COCO_NAMES) == len(set(COCO_NAMES)) == 80
    assert [COCO_NAMES[i] for i in (0, 2, 15, 56, 79)] == [
        'person', 'car', 'cat', 'chair', 'toothbrush']
