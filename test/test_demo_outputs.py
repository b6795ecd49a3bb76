"""What is made of a recording: figures, page, film and bag, from synthetic lines."""
from __future__ import annotations

import json
from pathlib import Path
import re
from typing import Any

import av
from gsc_ros.codec.bitstream import CoderId, pack, Packet
from gsc_ros.codec.caption import encode_caption
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.codec.objects import encode_objects, SceneObject
from gsc_ros.demo.movie import write_movie
from gsc_ros.demo.page import titles, write_page
from gsc_ros.demo.recording import EVENTS_FILE, Limits, PICTURES_FILE, read_lines, Recording, VIEWS
from gsc_ros.demo.session import (
    DemoError,
    DemoOptions,
    environment,
    node_specs,
    player_spec,
    prepare_folder,
    summarise,
)
from gsc_ros.demo.statistics import busiest_window, rate, statistics, table
import numpy as np
import pytest

SECOND = 10 ** 9
ROOT = Path(__file__).resolve().parents[1]
SEEN = SceneObject(2, 1.0, (0.1, 0.1, 0.5, 0.5))
INVENTED = SceneObject(7, 1.0, (0.6, 0.6, 0.9, 0.9))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pictures, one every two seconds, of 120 bytes of latent each."""
    recording = Recording(tmp_path, Limits())
    for i in range(4):
        stamp = (10 + 2 * i) * SECOND
        data = pack(Packet(CoderId.HEVC, 98, 66, 1, 2, 3, i, None,
                           encode_caption('a car </script> & more'), encode_objects([SEEN]),
                           bytes(120)))
        recording.camera(stamp, 9216, lambda i=i: np.full((66, 98, 3), 40 * i, np.uint8))
        recording.sent(stamp, data, stamp + SECOND // 4)
        recording.received(stamp, data, stamp + SECOND // 2)
        for view in ('plain', 'decoded'):
            recording.picture(view, stamp, lambda i=i: np.full((66, 98, 3), 40 * i, np.uint8),
                              stamp + SECOND)
        recording.detected('camera', stamp, [SEEN])
        recording.detected('plain', stamp, [])
        recording.detected('decoded', stamp, [SEEN, INVENTED])
        recording.diagnostics({'encode_ms': 100.0 + i}, stamp)
    recording.close()
    return tmp_path


def figures(folder: Path) -> dict[str, Any]:
    return statistics(read_lines(folder / EVENTS_FILE), read_lines(folder / PICTURES_FILE), 28)


def test_busiest_window() -> None:
    assert busiest_window([]) == 0
    assert busiest_window([(0, 5)]) == 5
    assert busiest_window([(0, 5), (SECOND - 1, 7), (SECOND, 9)]) == 16
    assert busiest_window([(0, 5), (SECOND, 7)]) == 7


def test_rate_counts_the_time_that_packets_stand_for() -> None:
    events = [{'t_ns': i * SECOND, 'bytes': 100} for i in range(5)]
    result = rate(events, 28)
    assert result['kbps_mean'] == pytest.approx(0.8)
    assert result['kbps_mean_wire'] == pytest.approx(1.024)
    assert result['kbps_max_1s'] == pytest.approx(0.8)
    assert rate([], 28)['kbps_mean'] == 0
    assert rate(events[:1], 28)['kbps_mean'] == 0


def test_statistics(folder: Path) -> None:
    stats = figures(folder)
    line = read_lines(folder / PICTURES_FILE)[0]
    assert stats['pictures_sent'] == stats['pictures_received'] == stats['pictures_decoded'] == 4
    assert stats['bytes_per_picture']['mean'] == line['bytes']
    assert stats['bpp']['mean'] == pytest.approx(8 * line['bytes'] / (98 * 66))
    assert stats['latency_s']['median'] == stats['latency_s']['p95'] == pytest.approx(1)
    assert stats['times_ms']['encode_ms']['median'] == 101.5
    assert stats['times_ms']['decode_ms'] is None
    decoded = stats['detections']['decoded']
    assert decoded['f1'] == pytest.approx(2 * 4 / (8 + 4))
    assert (decoded['invented'], decoded['lost']) == (0.5, 0.0)
    assert stats['detections']['plain']['lost'] == 1
    assert '4 / 4 / 4' in table(stats)


def test_page_holds_everything_and_no_script_ends_early(folder: Path) -> None:
    lines = read_lines(folder / PICTURES_FILE)
    path = write_page(lines, figures(folder), folder, lead='a clip', kbps=8, generate='always')
    text = path.read_text()
    assert text.count('</script>') == 1
    assert 'http://' not in text.replace('http://www.w3.org/2000/svg', '')
    data = json.loads(re.search(r'^const DATA = (.*);$', text, re.M)[1])  # type: ignore[index]
    assert [p['caption'] for p in data['pictures']] == ['a car </script> & more'] * 4
    assert data['titles']['decoded'] == 'regenerated'
    for picture in data['pictures']:
        assert picture['thumbnail'].startswith('data:image/jpeg;base64,')
        assert all((folder / picture['files'][view]).is_file() for view in VIEWS)


def test_film_shows_every_picture_at_its_time(folder: Path) -> None:
    four = read_lines(folder / PICTURES_FILE)
    # long enough for the encoder to write before it has seen the end
    lines = [{**four[i % 4], 'stamp_ns': i * 2 * SECOND} for i in range(60)]
    write_movie(lines, folder, folder / 'demo.mp4', titles('auto'))
    with av.open(str(folder / 'demo.mp4')) as container:
        frames = [(f.time, f.to_ndarray(format='rgb24')) for f in container.decode(video=0)]
    assert [t for t, _ in frames] == pytest.approx([*range(0, 120, 2), 119], abs=0.01)
    assert frames[0][1].shape[1] >= 3 * 98
    # the picture itself, in the middle of the second view
    centre = [int(p[30 + 33, 8 + 98 + 8 + 49].mean()) for _, p in frames[:4]]
    assert centre == pytest.approx([0, 40, 80, 120], abs=8)


def test_summary_leaves_the_warm_up_out(folder: Path) -> None:
    early = json.dumps({'event': 'received', 't_ns': SECOND, 'stamp_ns': SECOND, 'bytes': 500,
                        'caption': ''})
    events = folder / EVENTS_FILE
    events.write_text(early + '\n' + events.read_text())
    stats = summarise(DemoOptions('clip.mp4', folder))
    assert (stats['warmup_packets'], stats['pictures_received']) == (1, 4)
    assert json.loads((folder / 'stats.json').read_text()) == stats
    assert (folder / 'index.html').is_file()
    assert (folder / 'demo.mp4').is_file()


def test_no_picture_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match='no picture'):
        summarise(DemoOptions('clip.mp4', tmp_path))


def test_only_our_own_leftovers_are_removed(folder: Path) -> None:
    (folder / 'mine.txt').write_text('keep me')
    prepare_folder(folder)
    assert [p.name for p in folder.iterdir()] == ['mine.txt']
    with pytest.raises(InvalidInputError, match=r'mine\.txt'):
        prepare_folder(folder / 'mine.txt')


def test_specs_join_the_nodes(tmp_path: Path) -> None:
    options = DemoOptions('clip.mp4', tmp_path, kbps=4, max_bytes=140)
    specs = {spec.name: spec.params for spec in node_specs(options)}
    assert set(specs) == {'gsc_recorder', 'gsc_encoder', 'gsc_link', 'gsc_decoder',
                          'gsc_detector'}
    assert specs['gsc_encoder']['bytes_per_second'] == 500
    assert specs['gsc_encoder']['min_bytes'] <= specs['gsc_encoder']['max_bytes'] == 140
    assert specs['gsc_link']['kbps'] == 4
    assert len(player_spec(options)) == 1
    assert environment(options, 7)['ROS_DOMAIN_ID'] == '8'


def test_a_live_camera_is_listened_to_in_its_own_domain(tmp_path: Path) -> None:
    options = DemoOptions('topic:/front/image_raw/compressed', tmp_path)
    specs = {spec.name: spec.params for spec in node_specs(options)}
    assert player_spec(options) == []
    assert 'ROS_DOMAIN_ID' not in environment(options, 7)
    assert specs['gsc_encoder']['cameras'] == ['/front/image_raw']
    assert specs['gsc_encoder']['transport'] == 'compressed'
    assert specs['gsc_encoder']['reliability'] == 'best_effort'
    assert specs['gsc_decoder']['streams'] == ['/base/front/image_raw/gsc']


@pytest.mark.parametrize(('name', 'value'), [
    ('kbps', 0.0), ('seconds', 0.0), ('rate', -1.0), ('max_bytes', 5), ('input', 'topic:'),
    ('input', 'nowhere.mp4')])
def test_bad_options_are_named(tmp_path: Path, clip: Path, name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=name):
        DemoOptions(**{'input': str(clip), 'output': tmp_path, name: value}).check()


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_bag_is_read_back(tmp_path: Path, storage: str) -> None:
    packet_bag = pytest.importorskip('gsc_ros.media.packet_bag')
    from rosbags.highlevel import AnyReader
    store: Any = packet_bag.typestore()
    types = store.types
    frame = types[packet_bag.FRAME_TYPE](
        header=types['std_msgs/msg/Header'](
            stamp=types['builtin_interfaces/msg/Time'](sec=3, nanosec=4), frame_id='eye'),
        data=np.arange(200, dtype=np.uint8))
    bag = packet_bag.PacketBag(tmp_path / 'bag', '/base/eye/image_raw/gsc', storage)
    bag.write(bytes(store.serialize_cdr(frame, packet_bag.FRAME_TYPE)), 77)
    bag.close()
    bag.close()
    with AnyReader([tmp_path / 'bag']) as reader:
        ((connection, time_ns, data),) = reader.messages()
        message: Any = reader.deserialize(data, connection.msgtype)
    assert (connection.topic, time_ns) == ('/base/eye/image_raw/gsc', 77)
    assert (message.data == frame.data).all()
    assert message.header.frame_id == 'eye'


def test_bag_definition_is_that_of_the_message() -> None:
    packet_bag = pytest.importorskip('gsc_ros.media.packet_bag')
    text = (ROOT / 'gsc_msgs' / 'msg' / 'SemanticFrame.msg').read_text()
    fields = [line.split('#')[0].split() for line in text.splitlines()]
    assert [f for f in fields if f] == [
        line.split() for line in packet_bag.FRAME_DEFINITION.splitlines()]
