"""The engine: rows of real bytes, written once, in order, whoever measures, and gone on with."""
from __future__ import annotations

from dataclasses import replace
import json
from pathlib import Path
import sys
import tracemalloc
from types import ModuleType
from typing import Any

from bag_maker import COMPRESSED, IMAGE, make_bag, message, picture, SECOND_NS, STORE, truncate
import cv2
from gsc_ros.codec.errors import GscError, InvalidInputError, MissingDependencyError
from gsc_ros.evaluation.engine import evaluate, EvaluationPlan, row_settings
from gsc_ros.evaluation.executors import Answer, open_executor
from gsc_ros.evaluation.inputs import Input
from gsc_ros.evaluation.inputs_find import find_inputs
from gsc_ros.evaluation.instruments import blank_row
from gsc_ros.evaluation.judges.judge import JudgeSettings
from gsc_ros.evaluation.rows import forget, key_of, read_rows, Row, RowStore
from gsc_ros.evaluation.work import Item, Result, WorkSettings
from gsc_ros.evaluation.worker import EvaluationWorker
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

PLAN = EvaluationPlan(codecs=('jpeg', 'webp'), bpp=(0.5, 1.0), keep=2)
SETTINGS = WorkSettings(PLAN.codecs, JudgeSettings(('psnr', 'ms_ssim')))
TIMES = ('encode_s', 'decode_s', 'peak_mb')


class Interrupted(Exception):
    """Stands for a kill."""


class Stopping:
    """Measures here; after some items it fails as a kill would."""

    width = 2

    def __init__(self, items: int = 10 ** 9, worker: Any = None) -> None:
        self.worker = worker or EvaluationWorker(SETTINGS)
        self.left = items
        self.items: list[Item] = []

    def submit(self, item: Item) -> Answer:
        if self.left == 0:
            raise Interrupted
        self.left -= 1
        self.items.append(item)
        result = self.worker.measure(item)
        return lambda: result

    def __enter__(self) -> Stopping:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / 'street'
    path.mkdir()
    for i in range(5):
        cv2.imwrite(str(path / f'{i}.png'), picture(i)[..., ::-1])
    return path


def run(inputs: list[Input], report: Path, executor: Any, plan: EvaluationPlan = PLAN) -> Any:
    store = RowStore(report, row_settings(plan, SETTINGS), dict.fromkeys(plan.codecs, ''))
    try:
        return evaluate(inputs, plan, store, executor)
    finally:
        store.close()


def rows_of(report: Path) -> list[Row]:
    return [{k: v for k, v in row.items() if k not in TIMES} for row in read_rows(report)]


def forgetful(self: Stopping, item: Item) -> Answer:
    result = self.worker.measure(item)
    return lambda: result


def test_every_row_is_there_and_tells_the_truth(folder: Path, tmp_path: Path) -> None:
    outcome = run(find_inputs([folder]), tmp_path / 'report', Stopping())
    rows = list(read_rows(tmp_path / 'report'))
    assert (outcome.measured, outcome.problems) == (5, [])
    assert len({key_of(r) for r in rows}) == len(rows) == 5 * (1 + 2 * 2)
    for row in rows:
        assert (row['set'], row['width'], row['height']) == ('street', 64, 48)
        assert row['bpp'] == pytest.approx(8 * row['bytes'] / (64 * 48))
        assert 0 < row['payload_bytes'] <= row['bytes']
        if row['codec'] == 'source':
            assert row['bytes'] == (folder / Path(row['input']).name).stat().st_size
            continue
        assert row['max_bytes'] == int(row['target_bpp'] * 64 * 48 / 8)
        assert row['exceeded'] == max(0, row['bytes'] - row['max_bytes'])
        assert row['metrics']['psnr'] > 10
        assert row['metrics']['ms_ssim'] is None   # too small for five scales
        assert row['variant'] == 'peer'


def test_pictures_are_kept_as_far_as_wanted(folder: Path, tmp_path: Path) -> None:
    run(find_inputs([folder]), tmp_path, Stopping())
    kept = [row for row in read_rows(tmp_path) if row['picture']]
    assert {row['input'] for row in kept} == {'street/0.png', 'street/1.png'}
    assert len({row['picture'] for row in kept}) == len(kept) == 2 * 5
    for row in kept:
        assert cv2.imread(str(tmp_path / row['picture'])).shape == (48, 64, 3)


@pytest.mark.parametrize('items', [0, 1, 3])
def test_an_interrupted_run_goes_on_with_the_same_rows(folder: Path, tmp_path: Path, items: int
                                                       ) -> None:
    inputs = find_inputs([folder])
    run(inputs, tmp_path / 'whole', Stopping())
    with pytest.raises(Interrupted):
        run(inputs, tmp_path / 'cut', Stopping(items))
    for file in (tmp_path / 'cut' / 'rows').glob('jpeg.jsonl'):
        file.write_bytes(file.read_bytes()[:-7])   # the kill cut a line
    executor = Stopping()
    run(inputs, tmp_path / 'cut', executor)
    assert rows_of(tmp_path / 'cut') == rows_of(tmp_path / 'whole')
    assert len(executor.items) >= 5 - items
    executor = Stopping()
    run(inputs, tmp_path / 'cut', executor)
    assert executor.items == []


def test_a_codec_or_rate_may_be_added_later(folder: Path, tmp_path: Path) -> None:
    inputs = find_inputs([folder], limit=1)
    run(inputs, tmp_path, Stopping(), replace(PLAN, codecs=('jpeg',), bpp=(0.5,)))
    executor = Stopping()
    run(inputs, tmp_path, executor)
    assert executor.items[0].tasks == (('jpeg', 1.0), ('webp', 0.5), ('webp', 1.0))
    assert len(rows_of(tmp_path)) == 5


def test_two_processes_give_the_rows_of_one(folder: Path, tmp_path: Path) -> None:
    for jobs in (1, 2):
        run(find_inputs([folder]), tmp_path / str(jobs), open_executor('local', SETTINGS, jobs))
    assert rows_of(tmp_path / '2') == rows_of(tmp_path / '1')


def test_other_settings_are_refused_by_name(folder: Path, tmp_path: Path) -> None:
    settings = row_settings(PLAN, SETTINGS)
    RowStore(tmp_path, settings, {'jpeg': '', 'gsc': 'old'}).close()
    RowStore(tmp_path, settings, {'jpeg': '', 'webp': ''}).close()
    with pytest.raises(InvalidInputError, match=r'measures=.*--report'):
        RowStore(tmp_path, settings | {'measures': ['vgg']}, {})
    with pytest.raises(InvalidInputError, match=r'gsc with other weights.*--again'):
        RowStore(tmp_path, settings, {'gsc': 'new'})
    forget(tmp_path, ['gsc'])
    RowStore(tmp_path, settings, {'gsc': 'new'}).close()


def test_foreign_rows_are_refused(tmp_path: Path) -> None:
    (tmp_path / 'rows').mkdir()
    (tmp_path / 'rows' / 'x.jsonl').write_text('{"a": 1}\n')
    with pytest.raises(InvalidInputError, match=r'x\.jsonl line 1'):
        list(read_rows(tmp_path))


@pytest.mark.slow
def test_what_cannot_be_read_is_told_and_the_rest_measured(folder: Path, tmp_path: Path) -> None:
    (folder / '2.png').write_bytes(b'no picture')
    bag = make_bag(tmp_path / 'drive', count=200, period_ns=SECOND_NS)
    truncate(bag, 0.7)
    outcome = run(find_inputs([folder, bag]), tmp_path / 'report', Stopping())
    assert len(outcome.problems) == 2
    assert any('2.png' in p for p in outcome.problems)
    assert any('drive' in p and 'damaged after' in p for p in outcome.problems)
    inputs = {row['input'] for row in rows_of(tmp_path / 'report')}
    assert inputs == {f'street/{i}.png' for i in (0, 1, 3, 4)} | {'drive/eye/image_raw'}


def test_a_failure_of_all_items_ends_the_run(folder: Path, tmp_path: Path) -> None:
    class Broken:
        def measure(self, item: Item) -> Result:
            return Result(problem='weights are missing', fatal=True)
    with pytest.raises(GscError, match='weights are missing'):
        run(find_inputs([folder]), tmp_path, Stopping(worker=Broken()))


class Canned:
    """Reads the picture and makes up a row: what is left is the engine's own memory."""

    def measure(self, item: Item) -> Result:
        shot = item.shots[0]
        source = shot.read()
        blank = blank_row(item, shot, source) | {'pad': 'x' * 500}
        return Result([blank | {'codec': c, 'target_bpp': t} for c, t in item.tasks])


def peak_of(count: int, folder: Path) -> int:
    bag = make_bag(folder / f'bag{count}', 'SQLITE3', count=count, size=(96, 128))
    inputs = find_inputs([bag])
    tracemalloc.start()
    try:
        run(inputs, folder / f'report{count}', Stopping(worker=Canned()),
            replace(PLAN, picture_rate=1000))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_bag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch
                                           ) -> None:
    monkeypatch.setattr(Stopping, 'submit', forgetful)
    peak_of(10, tmp_path)
    small, large = peak_of(100, tmp_path), peak_of(1500, tmp_path)
    assert len(rows_of(tmp_path / 'report1500')) == 1500 * 5
    # 1500 pictures are 55 MB
    assert large < small + 2 * 10 ** 6


def test_streams_are_cut_into_segments(tmp_path: Path) -> None:
    bag = make_bag(tmp_path / 'drive', count=250, topics=(('/eye', IMAGE),))
    plan = replace(PLAN, codecs=('gsc', 'h264', 'jpeg'), kbps=(8.0,), fps=5.0)

    class Nothing:
        def measure(self, item: Item) -> Result:
            return Result()
    executor = Stopping(worker=Nothing())
    run(find_inputs([bag]), tmp_path / 'report', executor, plan)
    assert [len(item.shots) for item in executor.items] == [50, 50, 25]
    for item in executor.items:
        assert item.fps == pytest.approx(5)
        assert item.tasks == (('source', None), ('gsc', 8.0), ('h264', 8.0))
        seconds = [item.shots[place].time_ns // SECOND_NS for place in item.judged]
        assert seconds == list(range(seconds[0], seconds[0] + len(item.shots) // 5))
    phases = [item.shots[p].time_ns % SECOND_NS for item in executor.items for p in item.judged]
    assert len(set(phases)) == 5   # no picture rate is always met, or missed, at the same phase


class Still:
    """Takes every item and measures nothing."""

    def measure(self, item: Item) -> Result:
        return Result()


def segments_of(bag: Path, report: Path) -> tuple[list[list[int]], list[str]]:
    executor = Stopping(worker=Still())
    plan = replace(PLAN, codecs=('h264',), kbps=(8.0,))
    outcome = run(find_inputs([bag]), report, executor, plan)
    return [[s.index for s in item.shots] for item in executor.items], outcome.problems


def test_bad_frames_are_left_out_of_a_segment(tmp_path: Path) -> None:
    bag = bag_of(tmp_path / 'drive', [
        message(COMPRESSED, i, picture(i))[:200 if i in (7, 8) else None] for i in range(30)])
    segments, problems = segments_of(bag, tmp_path / 'r')
    assert segments == [[i for i in range(30) if i not in (7, 8)]]
    assert len(problems) == 1
    assert '2 pictures left out' in problems[0] and 'picture 7' in problems[0]


def test_a_change_of_size_begins_a_segment_and_is_told(tmp_path: Path) -> None:
    bag = bag_of(tmp_path / 'drive', [
        message(COMPRESSED, i, picture(i, 48, 64 if i < 15 else 80)) for i in range(30)])
    segments, problems = segments_of(bag, tmp_path / 'r')
    assert segments == [list(range(15)), list(range(15, 30))]
    assert len(problems) == 1 and '80x48 pixels after 64x48' in problems[0]


def test_what_came_before_damage_is_measured(tmp_path: Path) -> None:
    bag = make_bag(tmp_path / 'drive', count=200)
    truncate(bag, 0.6)
    segments, problems = segments_of(bag, tmp_path / 'r')
    assert 100 <= sum(map(len, segments)) < 130
    assert len(problems) == 1 and 'damaged' in problems[0]


def bag_of(path: Path, messages: list[bytes]) -> Path:
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection('/eye/compressed', COMPRESSED, typestore=STORE)
        for i, data in enumerate(messages):
            writer.write(connection, SECOND_NS + i * SECOND_NS // 10, data)
    return path


@pytest.fixture
def fake_ray(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give what the executor uses of ray, in this process, through pickled copies."""
    import pickle
    calls: list[str] = []

    class Handle:
        def __init__(self, kind: type, *arguments: Any) -> None:
            self.actor = kind(*pickle.loads(pickle.dumps(arguments)))
            self.measure = ModuleType('measure')
            self.measure.remote = lambda item: pickle.dumps(  # type: ignore[attr-defined]
                self.actor.measure(pickle.loads(pickle.dumps(item))))

    def remote(kind: type) -> Any:
        handle = ModuleType('actor')
        handle.remote = lambda *a: Handle(kind, *a)  # type: ignore[attr-defined]
        return handle
    ray = ModuleType('ray')
    ray.__dict__.update(
        init=lambda **_: calls.append('init'), remote=remote, get=pickle.loads,
        cluster_resources=lambda: {'CPU': 2.0}, kill=lambda _: calls.append('kill'))
    monkeypatch.setitem(sys.modules, 'ray', ray)
    return calls


def test_ray_gives_the_same_rows(folder: Path, tmp_path: Path, fake_ray: list[str]) -> None:
    run(find_inputs([folder]), tmp_path / 'here', Stopping())
    run(find_inputs([folder]), tmp_path / 'ray', open_executor('ray', SETTINGS, 0))
    assert rows_of(tmp_path / 'ray') == rows_of(tmp_path / 'here')
    assert fake_ray == ['init', 'kill', 'kill']


def test_ray_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'ray', None)
    with pytest.raises(MissingDependencyError, match='pip install ray'):
        open_executor('ray', SETTINGS, 0)
    with pytest.raises(InvalidInputError, match='engine'):
        open_executor('spark', SETTINGS, 1)
    with pytest.raises(InvalidInputError, match='jobs'):
        open_executor('local', SETTINGS, 0)


def test_a_manifest_says_what_the_rows_are(folder: Path, tmp_path: Path) -> None:
    run(find_inputs([folder], limit=1), tmp_path, Stopping())
    manifest = json.loads((tmp_path / 'manifest.json').read_text())
    assert manifest['settings']['measures'] == ['ms_ssim', 'psnr']
    assert set(manifest['codecs']) == {'jpeg', 'webp'}
