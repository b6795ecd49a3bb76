"""Training: crops, degradations, resuming, and every stage for a few steps."""
from dataclasses import replace
from importlib.util import find_spec
import json
from pathlib import Path
from typing import Any

from gsc_ros.codec.errors import CheckpointError, InvalidInputError
from gsc_ros.codec.objects import SceneObject
from gsc_ros.training.data import (
    load_manifest,
    load_pictures,
    PictureSet,
    random_window,
    Window,
)
import numpy as np
from PIL import Image
import pytest
import yaml

torch = pytest.importorskip('torch')

from gsc_ros.training import pack as packing  # noqa: E402
from gsc_ros.training import stages  # noqa: E402
from gsc_ros.training.degrade import Degrader  # noqa: E402
from gsc_ros.training.labels import label  # noqa: E402
from gsc_ros.training.loop import train  # noqa: E402
from gsc_ros.training.pictures import centre_crops  # noqa: E402
from gsc_ros.training.schedule import learning_rate, LoopConfig  # noqa: E402


class Line:
    """Fits y = 3 x with a batch drawn from the step's generator."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Conv2d(1, 1, 1)
        self.critic: torch.nn.Module | None = None

    def to(self, device: torch.device) -> None:
        pass

    def batch(self, rng: np.random.Generator) -> dict[str, Any]:
        return {'x': torch.from_numpy(rng.normal(size=(4, 1, 2, 2)).astype(np.float32))}

    def loss(self, model: Any, batch: dict[str, Any], step: int) -> Any:
        error = (model(batch['x']) - 3 * batch['x']).square().mean()
        return error, {'error': error.item()}

    def evaluate(self, model: Any, sheet: Path) -> dict[str, float]:
        return {'weight': float(model.weight)}


def run(folder: Path, steps: int, total: int) -> torch.nn.Module:
    """Train to ``steps`` of a schedule that is ``total`` long."""
    config = LoopConfig(steps=total, lr=0.05, warmup=2, log_every=1, evaluate_every=total,
                        checkpoint_seconds=0, threads=1)
    if steps == total:
        return train(Line(), config, folder)
    stage, seen = Line(), []

    def stop_after(model: Any, batch: dict[str, Any], step: int) -> Any:
        if step == steps:
            raise KeyboardInterrupt
        seen.append(step)
        return Line.loss(stage, model, batch, step)
    stage.loss = stop_after  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        train(stage, config, folder)
    return stage.model


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    whole = run(tmp_path / 'whole', 40, 40)
    run(tmp_path / 'cut', 17, 40)
    resumed = run(tmp_path / 'cut', 40, 40)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    lines = [json.loads(x) for x in (tmp_path / 'cut' / 'log.jsonl').read_text().splitlines()]
    assert lines[-1]['val_weight'] == pytest.approx(float(resumed.weight))
    assert (tmp_path / 'cut' / 'curves.png').stat().st_size > 0


@pytest.mark.slow
@pytest.mark.parametrize('workers', [1, 2])
def test_batches_do_not_depend_on_who_draws_them(tmp_path: Path, workers: int) -> None:
    config = LoopConfig(steps=12, lr=0.05, evaluate_every=12, threads=1, device='cpu')
    alone = train(Line(), config, tmp_path / 'alone')
    helped = train(Line(), replace(config, workers=workers), tmp_path / 'helped')
    for a, b in zip(alone.parameters(), helped.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_a_run_out_of_time_leaves_a_checkpoint_to_resume(tmp_path: Path) -> None:
    times = iter(range(1000))
    config = LoopConfig(steps=40, lr=0.05, evaluate_every=40, threads=1, checkpoint_seconds=1e9)
    train(Line(), config, tmp_path, clock=lambda: next(times), limit_s=20)
    state = torch.load(tmp_path / 'checkpoint.pt', weights_only=True)
    assert 0 < state['step'] < 40
    train(Line(), config, tmp_path)
    assert torch.load(tmp_path / 'checkpoint.pt', weights_only=True)['step'] == 40


class Rivals(Line):
    """A line with an adversary that is trained along."""

    def __init__(self) -> None:
        super().__init__()
        self.critic = torch.nn.Conv2d(1, 1, 1)

    def loss(self, model: Any, batch: dict[str, Any], step: int) -> Any:
        loss, figures = super().loss(model, batch, step)
        assert self.critic is not None
        return loss + self.critic(batch['x']).square().mean(), figures


@pytest.mark.slow
def test_a_critic_is_trained_and_resumed_but_not_averaged(tmp_path: Path) -> None:
    config = LoopConfig(steps=30, lr=0.05, evaluate_every=30, threads=1, device='cpu')
    whole = Rivals()
    assert whole.critic is not None
    before = whole.critic.weight.item()
    average = train(whole, config, tmp_path / 'whole')
    assert abs(whole.critic.weight.item()) < abs(before)
    assert len(list(average.parameters())) == 2
    resumed = Rivals()
    assert resumed.critic is not None
    times = iter(range(1000))
    train(Rivals(), config, tmp_path / 'cut', clock=lambda: next(times), limit_s=20)
    train(resumed, config, tmp_path / 'cut')
    assert resumed.critic.weight.item() == pytest.approx(whole.critic.weight.item())


@pytest.mark.slow
def test_a_new_run_may_start_from_the_weights_of_another(tmp_path: Path) -> None:
    config = LoopConfig(steps=30, lr=0.05, evaluate_every=30, threads=1, device='cpu')
    first = train(Line(), config, tmp_path / 'first')
    start = str(tmp_path / 'first' / 'checkpoint.pt')
    still = replace(config, steps=1, lr=0.0, start=start)
    for a, b in zip(first.parameters(), train(Line(), still, tmp_path / 'next').parameters(),
                    strict=True):
        torch.testing.assert_close(a, b)
    with pytest.raises(CheckpointError, match='none'):
        train(Line(), replace(still, start=str(tmp_path / 'none')), tmp_path / 'third')


def test_a_run_does_not_go_on_with_other_parts(tmp_path: Path) -> None:
    config = LoopConfig(steps=4, lr=0.05, evaluate_every=4, threads=1, device='cpu')
    train(Rivals(), config, tmp_path)
    with pytest.raises(CheckpointError, match='other parts'):
        train(Line(), replace(config, steps=8), tmp_path)


def test_learning_rate_warms_up_and_decays() -> None:
    config = LoopConfig(steps=100, lr=1.0, warmup=10)
    rates = [learning_rate(s, config) for s in range(100)]
    assert max(rates) == pytest.approx(1.0) and np.argmax(rates) in (9, 10)
    assert rates[0] == pytest.approx(0.1) and rates[-1] < 0.03


def test_windows_stay_inside_and_move_objects_with_them() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        window = random_window(100, 140, 64, rng)
        assert window.top + window.side <= 100 and window.left + window.side <= 140
    car = SceneObject(2, 0.9, (0.0, 0.0, 0.5, 0.5))
    window = Window(top=0, left=25, side=50, mirrored=True)
    (moved,) = window.cut_objects([car], 100, 100)
    assert moved.box == pytest.approx((0.5, 0.0, 1.0, 1.0))
    assert Window(50, 50, 50, False).cut_objects([car], 100, 100) == []


def test_degraded_pictures_differ_and_report_their_rate() -> None:
    rng = np.random.default_rng(1)
    crop = np.kron(rng.integers(0, 256, (8, 8, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
    degrade = Degrader()
    outs = [degrade(crop, rng) for _ in range(4)]
    assert all(o.picture.shape == crop.shape and 0.0005 < o.bpp < 0.5 for o in outs)
    assert all(not np.array_equal(o.picture, crop) for o in outs)


def test_labels_are_detected_once(tmp_path: Path, data_root: Path) -> None:
    pictures = load_manifest(data_root, 'train.tsv', 3)
    found = SceneObject(2, 0.5, (0.25, 0.25, 0.5, 0.5))

    class Once:
        calls = 0

        def detect(self, picture: np.ndarray) -> list[SceneObject]:
            Once.calls += 1
            return [found]
    for _ in range(2):
        assert label(pictures, Once(), tmp_path / 'labels.jsonl') == [[found]] * 3
    assert Once.calls == 3


def test_a_pack_holds_what_the_folder_holds(tmp_path: Path, data_root: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    found = SceneObject(2, 0.5, (0.25, 0.25, 0.5, 0.5))

    class One:
        def detect(self, picture: np.ndarray) -> list[SceneObject]:
            return [found]
    few = load_manifest(data_root, 'train.tsv', 3)
    monkeypatch.setattr(packing, 'load_pictures', lambda _: few)
    file = tmp_path / 'pack.zip'
    size = packing.pack(data_root, file, tmp_path / 'labels.jsonl', One())
    assert size == file.stat().st_size < sum(p.nbytes for p in few.pictures) / 8
    read = load_pictures(file)
    assert (read.sources, read.texts) == (few.sources, few.texts)
    assert label(read, None, tmp_path / 'none.jsonl') == [[found]] * 3
    for a, b in zip(read.pictures, few.pictures, strict=True):
        assert a.shape == b.shape and np.abs(a.astype(int) - b).mean() < 8


def test_pictures_without_a_manifest_train_too(tmp_path: Path) -> None:
    for i in range(3):
        Image.fromarray(np.full((600, 700, 3), 80 * i, np.uint8)).save(tmp_path / f'{i}.png')
    pictures = load_pictures(tmp_path)
    assert [p.shape for p in pictures.pictures] == [(512, 597, 3)] * 3
    with pytest.raises(InvalidInputError, match='detector'):
        label(pictures, None, tmp_path / 'labels.jsonl')


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match='train.tsv'):
        load_manifest(tmp_path, 'train.tsv')


class Nothing:
    """A detector that finds nothing."""

    def detect(self, picture: np.ndarray) -> list[SceneObject]:
        return []


def quick(name: str, folder: Path, judged: bool) -> Path:
    """Cut the stage's own configuration down to two steps of two crops."""
    config = yaml.safe_load((stages.CONFIGS / f'{name}.yaml').read_text())
    config['loop'] |= {'steps': 2, 'batch': 2, 'evaluate_every': 2, 'log_every': 1}
    if name == 'learned':
        config['stage']['latent_steps'] = 1
    if name == 'mean':
        config['stage']['init'] = 'nothing'
        config['stage']['weights'] |= {'dino': 0.0, 'objects': 0.0}
    if name == 'prior':
        config['stage']['weights']['critic'] = 0.1
        if not judged:
            config['stage']['weights']['objects'] = 0.0
    file = folder / f'{name}.yaml'
    file.write_text(yaml.safe_dump(config))
    return file


@pytest.mark.slow
def test_every_stage_trains_on_the_one_before(tmp_path: Path, data_root: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('h5py')
    monkeypatch.setattr(stages, '_HELD_OUT', 4)
    monkeypatch.setattr(stages, '_EVALUATED', 2)
    monkeypatch.setattr(stages, 'load_pictures', lambda *_: load_manifest(
        data_root, 'train.tsv', 8))
    judge = data_root / 'models' / 'yolox_nano.onnx'
    judged = judge.is_file() and find_spec('onnx2torch') is not None
    place = stages.Workplace(data_root, tmp_path / 'runs', Nothing())
    place.runs.mkdir()
    with pytest.raises(CheckpointError, match='gsc train autoencoder'):
        stages.run_stage('learned', place)
    for name in stages.STAGES:
        config = quick(name, tmp_path, judged)
        if name == 'prior' and judged:
            with pytest.raises(InvalidInputError, match='detector'):
                stages.run_stage(name, place, config)
            place = replace(place, judge=judge)
        stages.run_stage(name, place, config)
        lines = (place.runs / name / 'log.jsonl').read_text().splitlines()
        assert any('val_' in line for line in lines)
        assert list((place.runs / name).glob('sheet_*.png'))
    coder = stages.trained_learned_coder(place.runs, stages.trained_autoencoder(place.runs))
    assert coder is not None
    file = place.runs / 'autoencoder' / 'checkpoint.pt'
    state = torch.load(file, weights_only=True)
    state['settings']['latent_channels'] = 9
    torch.save(state, file)
    with pytest.raises(CheckpointError, match='latent_channels 9, not 16'):
        stages.trained_autoencoder(place.runs)
    with pytest.raises(CheckpointError, match='latent_channels 9, not 16'):
        stages.run_stage('autoencoder', place)
    del state['settings']
    torch.save(state, file)
    with pytest.raises(CheckpointError, match='older'):
        stages.trained_autoencoder(place.runs)


def test_unknown_stages_and_settings_are_refused(tmp_path: Path) -> None:
    place = stages.Workplace(tmp_path, tmp_path)
    with pytest.raises(InvalidInputError, match='stage'):
        stages.run_stage('decoder', place)
    (tmp_path / 'odd.yaml').write_text('loop: {stepz: 3}\nstage: {}\n')
    with pytest.raises(InvalidInputError, match='stepz'):
        stages.run_stage('autoencoder', place, tmp_path / 'odd.yaml')
    for text in ('', 'loop: {}', 'loop: {}\nstage: {batch: 3}\n', '- 1'):
        (tmp_path / 'odd.yaml').write_text(text)
        with pytest.raises(InvalidInputError, match='configuration'):
            stages.run_stage('autoencoder', place, tmp_path / 'odd.yaml')


def test_what_is_wrong_with_the_pictures_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / '0.png')
    with pytest.raises(InvalidInputError, match='more than 64'):
        stages.run_stage('autoencoder', stages.Workplace(tmp_path, tmp_path))
    (tmp_path / 'train.tsv').write_text('path\tsource\nnone.png\tx\n')
    with pytest.raises(InvalidInputError, match='none.png'):
        load_pictures(tmp_path)
    (tmp_path / 'train.tsv').write_text('path\n0.png\n')
    with pytest.raises(InvalidInputError, match='source'):
        load_pictures(tmp_path)


@pytest.mark.parametrize('size', [(40, 60), (300, 90), (256, 256), (400, 300)])
def test_centre_crops_are_of_one_size(size: tuple[int, int]) -> None:
    picture = np.arange(3 * size[0] * size[1], dtype=np.uint8).reshape(*size, 3)
    crop, = centre_crops(PictureSet([picture], ['x'], [[]]))
    assert crop.shape == (256, 256, 3)


def test_labels_belong_to_what_is_in_a_picture(tmp_path: Path) -> None:
    (tmp_path / 'a').mkdir()
    for i in range(1, 3):
        Image.fromarray(np.full((20, 20, 3), i, np.uint8)).save(tmp_path / 'a' / f'{i}.png')
    before = load_pictures(tmp_path / 'a').paths
    Image.fromarray(np.full((20, 20, 3), 0, np.uint8)).save(tmp_path / 'a' / '0.png')
    assert load_pictures(tmp_path / 'a').paths[1:] == before
