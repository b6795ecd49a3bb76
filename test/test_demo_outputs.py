"""What is made of a recording: figures, page, film and bag, from synthetic lines."""
from __future__ import annotations

import json
from pathlib import Path
import re
from typing import Any

import av
from demo_bag import DemoBag, packet, SECOND, TOPICS
from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.demo.movie import write_movie
from gsc_ros.demo.options import DemoOptions, environment, node_specs, player_spec
from gsc_ros.demo.page import titles, write_page
from gsc_ros.demo.reading import PacketTime, read_run, Run
from gsc_ros.demo.recording import BAG_FOLDER, RECEIVED, VIEWS
from gsc_ros.demo.session import DemoError, prepare_folder, summarise
from gsc_ros.demo.statistics import busiest_window, LINK_OVERHEAD, rate, statistics, table
from gsc_ros.runtime.specs import NodeSpec
import pytest

ROOT = Path(__file__).resolve().parents[1]
# What would end a script, or change how the rest of it is read.
CAPTION = 'a car </script><!-- <script> & "more"'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Record four pictures, one every two seconds, of 120 bytes of latent each."""
    with DemoBag(tmp_path) as bag:
        for i in range(4):
            stamp_ns = (10 + 2 * i) * SECOND
            bag.whole(stamp_ns, packet(i, CAPTION), 40 * i)
            bag.figure('encode_ms', 100.0 + i, stamp_ns)
    return tmp_path


def read(folder: Path) -> Run:
    return read_run(folder / BAG_FOLDER, TOPICS, folder)


def test_busiest_window() -> None:
    assert busiest_window([]) == 0
    assert busiest_window([(0, 5)]) == 5
    assert busiest_window([(0, 5), (SECOND - 1, 7), (SECOND, 9)]) == 16
    assert busiest_window([(0, 5), (SECOND, 7)]) == 7


def test_rate_counts_the_time_that_packets_stand_for() -> None:
    packets = [PacketTime(i * SECOND, i * SECOND, 100) for i in range(5)]
    result = rate(packets, 28)
    assert result['kbps_mean'] == pytest.approx(0.8)
    assert result['kbps_mean_wire'] == pytest.approx(1.024)
    assert result['kbps_max_1s'] == pytest.approx(0.8)
    assert rate([], 28)['kbps_mean'] == 0
    assert rate(packets[:1], 28)['kbps_mean'] == 0


def test_statistics(folder: Path) -> None:
    run = read(folder)
    stats, line = statistics(run), run.pictures[0]
    assert stats['link_overhead_bytes'] == LINK_OVERHEAD == 41   # docs/LINK.md: 13, IP and UDP 28
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
    run = read(folder)
    path = write_page(run.pictures, statistics(run), folder, lead='</script>.mp4',
                      radio='8 kbit/s', generate='always')
    text = path.read_text()
    assert text.count('</script>') == text.count('<script') == 1
    assert '<!--' not in text
    assert 'http://' not in text.replace('http://www.w3.org/2000/svg', '')
    data = json.loads(re.search(r'^const DATA = (.*);$', text, re.M)[1])  # type: ignore[index]
    assert [p['caption'] for p in data['pictures']] == [CAPTION] * 4
    assert data['lead'] == '</script>.mp4'
    assert data['titles']['decoded'] == 'regenerated'
    for picture in data['pictures']:
        assert picture['thumbnail'].startswith('data:image/jpeg;base64,')
        assert all((folder / picture['files'][view]).is_file() for view in VIEWS)


def test_film_shows_every_picture_at_its_time(folder: Path) -> None:
    four = read(folder).pictures
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


def test_summary_leaves_the_warm_up_out(tmp_path: Path) -> None:
    with DemoBag(tmp_path) as bag:
        bag.packet(RECEIVED, SECOND, packet(9), SECOND)
        for i in range(2):
            bag.whole((10 + i) * SECOND, packet(i), 40)
    stats = summarise(DemoOptions('a <b>.mp4', tmp_path, loss=5, delay=200, burst=250))
    assert (stats['warmup_packets'], stats['pictures_received']) == (1, 2)
    assert json.loads((tmp_path / 'stats.json').read_text()) == stats
    page = (tmp_path / 'index.html').read_text()
    assert '8 kbit/s, 200 ms each way, 5 % lost in bursts of 250 ms' in page
    assert '<b>.mp4' not in page
    assert (tmp_path / 'demo.mp4').is_file()


def test_no_picture_is_an_error(tmp_path: Path) -> None:
    with DemoBag(tmp_path) as bag:
        bag.packet(RECEIVED, SECOND, packet(), SECOND)
    with pytest.raises(DemoError, match='no picture'):
        summarise(DemoOptions('clip.mp4', tmp_path))


def test_only_our_own_leftovers_are_removed(folder: Path) -> None:
    (folder / 'mine.txt').write_text('keep me')
    prepare_folder(folder)
    assert [p.name for p in folder.iterdir()] == ['mine.txt']
    with pytest.raises(InvalidInputError, match=r'mine\.txt'):
        prepare_folder(folder / 'mine.txt')


def test_specs_join_the_nodes(tmp_path: Path) -> None:
    options = DemoOptions('clip.mp4', tmp_path, kbps=4, max_bytes=140, loss=5)
    specs = {spec.name: spec for spec in node_specs(options)}
    params = {name: spec.params for name, spec in specs.items() if isinstance(spec, NodeSpec)}
    assert set(specs) - set(params) == {'gsc_radio'}
    assert set(params) == {'gsc_recorder', 'gsc_encoder', 'gsc_link_robot', 'gsc_link_base',
                           'gsc_decoder', 'gsc_detector'}
    assert params['gsc_encoder']['bytes_per_second'] == 500
    assert params['gsc_encoder']['min_bytes'] <= params['gsc_encoder']['max_bytes'] == 140
    assert params['gsc_link_robot']['bytes_per_second'] == 500
    assert {'--kbps=4', '--loss=5'} <= set(specs['gsc_radio'].arguments)
    assert len(player_spec(options)) == 1
    assert environment(options, 7)['ROS_DOMAIN_ID'] == '8'


def test_a_live_camera_is_listened_to_in_its_own_domain(tmp_path: Path) -> None:
    options = DemoOptions('topic:/front/image_raw/compressed', tmp_path)
    specs = {spec.name: spec.params for spec in node_specs(options)
             if isinstance(spec, NodeSpec)}
    assert player_spec(options) == []
    assert 'ROS_DOMAIN_ID' not in environment(options, 7)
    assert specs['gsc_encoder']['cameras'] == ['/front/image_raw']
    assert specs['gsc_encoder']['transport'] == 'compressed'
    assert specs['gsc_encoder']['reliability'] == 'best_effort'
    assert specs['gsc_decoder']['streams'] == ['/base/front/image_raw/gsc']


@pytest.mark.parametrize(('name', 'value'), [
    ('kbps', 0.0), ('loss', 101.0), ('delay', -1.0), ('seconds', 0.0),
    ('rate', -1.0), ('max_bytes', 5), ('input', 'topic:'), ('input', 'nowhere.mp4')])
def test_bad_options_are_named(tmp_path: Path, clip: Path, name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=name):
        DemoOptions(**{'input': str(clip), 'output': tmp_path, name: value}).check()


def test_bag_definition_is_that_of_the_message() -> None:
    packet_bag = pytest.importorskip('gsc_ros.media.packet_bag')
    text = (ROOT / 'gsc_msgs' / 'msg' / 'SemanticFrame.msg').read_text()
    fields = [line.split('#')[0].split() for line in text.splitlines()]
    assert [f for f in fields if f] == [
        line.split() for line in packet_bag.FRAME_DEFINITION.splitlines()]
