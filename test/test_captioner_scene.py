"""The captioner that needs no model, its scene words, and the scene change test."""
from __future__ import annotations

from gsc_ros.codec.objects import SceneObject
from gsc_ros.scene.captioner import load_captioner, MAX_CHARACTERS, SceneCaptioner, shorten
from gsc_ros.scene.change import DEFAULT_THRESHOLD, SceneChange
from gsc_ros.scene.words import scene_words
import numpy as np
import pytest

GREY = np.full((48, 64, 3), 128, np.uint8)
PERSON, CAR, DOG, BENCH, SHEEP, WINE_GLASS = 0, 2, 16, 13, 18, 40


def at(class_id: int, x: float, size: float = 0.2, score: float = 0.9) -> SceneObject:
    return SceneObject(class_id, score, (x - size / 2, 0.4, x + size / 2, 0.4 + size))


@pytest.mark.parametrize(('objects', 'caption'), [
    ([at(PERSON, 0.5)], 'person ahead'),
    ([at(PERSON, 0.2)], 'person left'),
    ([at(PERSON, 0.8), at(PERSON, 0.85)], '2 people right'),
    ([at(PERSON, 0.15), at(PERSON, 0.5), at(PERSON, 0.85)], '3 people'),
    ([at(DOG, 0.5, 0.1), at(CAR, 0.2, 0.3)], 'car left, dog ahead'),
    ([at(DOG, 0.5, score=0.9), at(CAR, 0.2, score=0.3)], 'dog ahead, car left'),
    ([at(BENCH, 0.5), at(BENCH, 0.5)], '2 benches ahead'),
    ([at(SHEEP, 0.5), at(SHEEP, 0.5)], '2 sheep ahead'),
    ([at(WINE_GLASS, 0.5), at(WINE_GLASS, 0.5)], '2 wine glasses ahead'),
])
def test_names_counts_and_sides(objects: list[SceneObject], caption: str) -> None:
    assert SceneCaptioner().describe(GREY, objects) == caption


def test_order_of_the_objects_does_not_matter() -> None:
    objects = [at(i, 0.1 + 0.1 * i) for i in range(6)]
    forward = SceneCaptioner().describe(GREY, objects)
    assert SceneCaptioner().describe(GREY, objects[::-1]) == forward


def test_never_longer_than_the_limit_and_never_cut_inside_a_phrase() -> None:
    objects = [at(i, 0.5, 0.4 - i / 250) for i in range(80)]
    caption = SceneCaptioner().describe(GREY, objects)
    assert MAX_CHARACTERS - 20 < len(caption) <= MAX_CHARACTERS
    assert all(phrase.endswith(' ahead') for phrase in caption.split(', '))


def test_scene_words_say_what_the_colours_show() -> None:
    sky_and_grass = np.zeros((48, 64, 3), np.uint8)
    sky_and_grass[:24], sky_and_grass[24:] = (90, 150, 230), (60, 140, 40)
    assert scene_words(sky_and_grass) == ['greenery', 'outdoors']
    assert scene_words(GREY) == []
    assert scene_words(GREY // 8) == ['dark']
    assert scene_words(GREY, alone=True) == ['grey scene']
    assert scene_words(np.full((48, 64, 3), (200, 30, 30), np.uint8), alone=True) == ['red scene']


@pytest.mark.parametrize('shape', [(16, 16, 3), (1, 1, 3), (3, 900, 3), (4100, 20, 3)])
def test_scene_words_take_any_size(shape: tuple[int, ...]) -> None:
    assert scene_words(np.full(shape, 5, np.uint8)) == ['dark']


def test_outdoor_photos_are_called_so_and_indoor_photos_are_not(data_root) -> None:
    from PIL import Image
    drive = [scene_words(np.asarray(Image.open(f).convert('RGB')))
             for f in sorted((data_root / 'val/camvid_seq05vd').glob('*'))[:8]]
    desk = np.asarray(Image.open(data_root / 'val/robot_views/desk.jpg').convert('RGB'))
    assert 'outdoors' not in scene_words(desk)
    assert not any('greenery' in words for words in drive)


def test_default_source_is_the_scene_captioner() -> None:
    assert isinstance(load_captioner(), SceneCaptioner)


@pytest.mark.parametrize(('text', 'short'), [
    ('a dog on a bench.', 'a dog on a bench'),
    (' two\nlines ', 'two lines'),
    ('word ' * 30, ' '.join(['word'] * 12)),
    ('x' * 100, 'x' * 60),
    ('', ''),
])
def test_shorten(text: str, short: str) -> None:
    assert shorten(text) == short


def test_scene_change_follows_content_not_exposure() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(40, 200, (12, 16, 3)).astype(np.uint8).repeat(40, 0).repeat(40, 1)
    other = np.roll(first, 200, axis=1)
    change = SceneChange()
    assert change.update(first)
    assert not change.update(first)
    assert not change.update(first + 30)
    assert change.update(other)
    assert not change.update(other)
    change.reset()
    assert change.update(other)


def test_scene_change_compares_with_the_described_picture_not_the_last() -> None:
    ramp = np.linspace(0, 255, 64).astype(np.uint8)[None].repeat(48, 0)
    change = SceneChange()
    drift = [np.roll(ramp, shift, axis=1) for shift in range(32)]
    updates = sum(change.update(picture) for picture in drift)
    assert 2 <= updates < 32


@pytest.mark.parametrize('shape', [(1, 1, 3), (5000, 16, 3), (480, 640)])
def test_scene_change_takes_any_size(shape: tuple[int, ...]) -> None:
    change = SceneChange(DEFAULT_THRESHOLD)
    assert change.update(np.zeros(shape, np.uint8))
    assert not change.update(np.zeros(shape, np.uint8))
