"""Inputs: pictures, videos and cameras of bags are found, named and read the same way."""
from __future__ import annotations

from pathlib import Path
import pickle

import av
from bag_maker import IMAGE, make_bag, message, picture, SECOND_NS
import cv2
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.evaluation.inputs import Shot, ShotPace
from gsc_ros.evaluation.inputs_find import as_streams, find_inputs
import numpy as np
import pytest


@pytest.fixture(scope='module')
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('inputs')
    for number, name in enumerate(('street/a', 'street/b', 'street/c', 'yard/d')):
        path = root / f'{name}.png'
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), picture(number)[..., ::-1])
    (root / 'yard' / 'notes.txt').write_text('no picture')
    write_video(root / 'clips' / 'walk.mp4')
    make_bag(root / 'bags' / 'drive.1', topics=(('/left', IMAGE), ('/right', IMAGE)))
    return root


def write_video(path: Path) -> None:
    path.parent.mkdir()
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        for i in range(20):
            frame = av.VideoFrame.from_ndarray(picture(i), format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_everything_below_a_folder_is_found(tree: Path) -> None:
    found = find_inputs([tree])
    assert [(i.name, i.dataset, i.stream) for i in found] == [
        ('street/a.png', 'street', False), ('street/b.png', 'street', False),
        ('street/c.png', 'street', False), ('yard/d.png', 'yard', False),
        ('drive.1/left', 'drive.1/left', True), ('drive.1/right', 'drive.1/right', True),
        ('clips/walk.mp4', 'clips', True)]
    assert [i.stem for i in found[:4]] == ['a', 'b', 'c', 'd']


def test_limit_spreads_over_each_set(tree: Path) -> None:
    stills = [i.name for i in find_inputs([tree], limit=2) if not i.stream]
    assert stills == ['street/a.png', 'street/c.png', 'yard/d.png']


def test_sets_and_topics_choose(tree: Path) -> None:
    assert [i.name for i in find_inputs([tree], sets=['yard'])] == ['yard/d.png']
    bag = tree / 'bags' / 'drive.1'
    assert [i.name for i in find_inputs([bag], topics=['/right'])] == ['drive.1/right']
    with pytest.raises(InvalidInputError, match='beach'):
        find_inputs([tree], sets=['beach'])
    with pytest.raises(InvalidInputError, match=r'drive\.1.*/up'):
        find_inputs([bag], topics=['/up'])


def test_shots_have_times_and_pixels(tree: Path) -> None:
    for item in find_inputs([tree]):
        shots = list(item.shots())
        assert [s.index for s in shots] == list(range(len(shots)))
        assert shots[0].time_ns == 0
        for shot in shots:
            again: Shot = pickle.loads(pickle.dumps(shot))
            assert again.read().shape == (48, 64, 3)
            assert again.size > 100
        if item.stream:
            assert [round(s.time_ns / 1e8) for s in shots] == list(range(len(shots)))


def test_bag_shots_carry_header_stamps(tree: Path) -> None:
    (item,) = find_inputs([tree / 'bags'], topics=['/left'])
    assert [s.stamp_ns for s in item.shots()] == [
        SECOND_NS + i * SECOND_NS // 10 - 10 ** 6 for i in range(5)]
    assert [np.array_equal(s.read(), picture(i)) for i, s in enumerate(item.shots())] == [True] * 5


def test_a_pace_leaves_shots_out(tree: Path) -> None:
    (video,) = find_inputs([tree / 'clips'])
    assert [s.index for s in video.shots(ShotPace(5))] == list(range(0, 20, 2))
    assert [s.index for s in video.shots(ShotPace(None, 0.5))] == list(range(5))
    assert [s.index for s in video.shots(ShotPace(5, 1))] == list(range(0, 10, 2))


def test_a_folder_may_be_played(tree: Path) -> None:
    (street, *_) = as_streams(find_inputs([tree / 'street']), rate=2)
    assert (street.name, street.stream) == ('street', True)
    assert [s.time_ns for s in street.shots()] == [0, SECOND_NS // 2, SECOND_NS]
    assert np.array_equal(next(iter(street.shots())).read(), picture(0))


def test_wrong_inputs_name_the_cause(tree: Path, tmp_path: Path) -> None:
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'clip.mp4').write_bytes(b'no video')
    for path in (tree / 'nowhere', tmp_path / 'empty', tmp_path / 'clip.mp4'):
        with pytest.raises(InvalidInputError, match=path.name):
            find_inputs([path])


def test_two_inputs_of_one_name_are_refused(tree: Path, tmp_path: Path) -> None:
    (tmp_path / 'street').mkdir()
    cv2.imwrite(str(tmp_path / 'street' / 'a.png'), picture(7))
    with pytest.raises(InvalidInputError, match=r'street/a\.png'):
        find_inputs([tree, tmp_path])


def test_a_bad_picture_message_names_topic_and_number() -> None:
    data = message(IMAGE, 5, picture(0)).replace(b'rgb8', b'16UC', 1)
    shot = Shot(3, 5, 0, IMAGE, data, 'drive.mcap topic /depth')
    with pytest.raises(InvalidInputError, match=r'drive\.mcap topic /depth, picture 3.*--topics'):
        shot.read()


@pytest.mark.parametrize('path', [None, 'text', 5])
def test_what_is_no_path_is_a_typed_error(path: object) -> None:
    with pytest.raises(InvalidInputError, match='input'):
        find_inputs([path])


def test_problems_are_collected_where_something_is_found(tree: Path, tmp_path: Path) -> None:
    (tmp_path / 'notes.ts').write_text('const a = 1;')
    problems: list[str] = []
    assert find_inputs([tree / 'yard', tmp_path / 'notes.ts'], problems=problems)
    assert len(problems) == 1 and 'notes.ts' in problems[0]
    with pytest.raises(InvalidInputError, match='notes'):
        find_inputs([tmp_path], problems=[])
