"""Fetching priors, with a hub made in memory, and what ``gsc doctor`` says of them."""
from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
import shutil
from types import SimpleNamespace
from typing import Any

from gsc_ros.codec.errors import CheckpointError
from gsc_ros.commands import doctor, fetch_prior
import numpy as np
import pytest

pytest.importorskip('huggingface_hub')

from gsc_ros.prior.stock import hub as stock_hub  # noqa: E402
from gsc_ros.prior.stock.catalogue import KNOWN, measure_folder  # noqa: E402
from gsc_ros.prior.stock.families import FAMILIES, UnknownPriorError  # noqa: E402
from gsc_ros.prior.stock.hub import fetch, FetchError, look_up  # noqa: E402
from gsc_ros.prior.stock.settings import FULL, INT4, INT8  # noqa: E402

ID = 'somebody/tiny-z-image'
INDEX = ('{"_class_name": "ZImagePipeline", "transformer": ["diffusers", "X"], '
         '"vae": ["diffusers", "Y"], "safety_checker": [null, null]}')
FILES = {'model_index.json': INDEX.encode(), 'vae/config.json': b'{}',
         'transformer/config.json': b'{"a": 1}', 'transformer/weights.safetensors': b'w' * 5000}
OTHERS = {'whole_model.safetensors': b'x' * 9000, 'transformer/weights.bin': b'y',
          'unused/config.json': b'{}'}


class Hub:
    """As much of ``huggingface_hub`` as is used, serving files from a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []
        for name, data in {**FILES, **OTHERS}.items():
            file = root / 'remote' / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)

    def HfApi(self) -> Hub:  # noqa: N802
        return self

    def model_info(self, hub_id: str, files_metadata: bool) -> Any:
        return SimpleNamespace(sha='c0ffee' * 7, card_data=SimpleNamespace(license='apache-2.0'),
                               siblings=[self._sibling(n, d)
                                         for n, d in {**FILES, **OTHERS}.items()])

    def _sibling(self, name: str, data: bytes) -> Any:
        blob = hashlib.sha1(b'blob %d\0' % len(data) + data).hexdigest()
        sha256 = hashlib.sha256(data).hexdigest()
        lfs = SimpleNamespace(sha256=sha256) if name.endswith('s') else None
        return SimpleNamespace(rfilename=name, size=len(data), blob_id=blob, lfs=lfs)

    def hf_hub_download(self, hub_id: str, name: str) -> str:
        return str(self.root / 'remote' / name)

    def snapshot_download(self, hub_id: str, revision: str, local_dir: Path | None,
                          allow_patterns: list[str]) -> str:
        target = Path(local_dir or self.root / 'cache')
        for name in allow_patterns:
            self.asked.append(name)
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.root / 'remote' / name, target / name)
        return str(target)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    monkeypatch.delenv('HF_HUB_OFFLINE', raising=False)
    monkeypatch.setattr(stock_hub, 'unreachable', lambda url: '')
    made = Hub(tmp_path)
    monkeypatch.setattr(stock_hub, '_hub', lambda: made)
    return made


def test_only_what_a_pipeline_needs_is_fetched_and_checked(hub: Hub, tmp_path: Path) -> None:
    model = look_up(ID)
    assert model.licence == 'apache-2.0' and model.size == sum(map(len, FILES.values()))
    folder = fetch(model, tmp_path / 'out')
    assert sorted(hub.asked) == sorted(FILES)
    assert (folder / 'transformer' / 'weights.safetensors').read_bytes() == b'w' * 5000


@pytest.mark.parametrize('name', ['vae/config.json', 'transformer/weights.safetensors'])
def test_damaged_files_are_found_and_deleted(hub: Hub, tmp_path: Path, name: str) -> None:
    model, remote = look_up(ID), hub.root / 'remote' / name
    remote.write_bytes(remote.read_bytes()[:-1] + b'?')
    with pytest.raises(CheckpointError, match=f'{name}.*was deleted'):
        fetch(model, tmp_path / 'out')
    assert not (tmp_path / 'out' / name).exists()
    remote.write_bytes(FILES[name])
    fetch(model, tmp_path / 'out')


def test_a_full_disk_is_said_before_anything_is_fetched(
        hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = look_up(ID)
    monkeypatch.setattr(stock_hub.shutil, 'disk_usage', lambda _: SimpleNamespace(free=1000))
    with pytest.raises(FetchError, match='--out'):
        fetch(model, tmp_path / 'out')
    assert not hub.asked


def test_no_network_is_said_with_the_cure(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock_hub, 'unreachable', lambda url: f'{url} cannot be reached')
    with pytest.raises(FetchError, match='cannot be reached.*--out DIR'):
        look_up(ID)
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    with pytest.raises(FetchError, match='HF_HUB_OFFLINE'):
        look_up(ID)


def test_unknown_families_are_refused_before_the_download(hub: Hub) -> None:
    (hub.root / 'remote' / 'model_index.json').write_text('{"_class_name": "WanPipeline"}')
    with pytest.raises(UnknownPriorError, match='WanPipeline'):
        look_up(ID)


def test_gated_models_say_where_to_accept_the_licence(
        hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    class GatedRepoError(OSError):
        """As the hub's client raises it."""

    def refuse(hub_id: str, name: str) -> str:
        raise GatedRepoError('403')
    monkeypatch.setattr(hub, 'hf_hub_download', refuse)
    with pytest.raises(FetchError, match=f'huggingface.co/{ID}.*hf auth login'):
        look_up(ID)


def command(module: Any, *words: str) -> int:
    parser = argparse.ArgumentParser()
    module.add_parser(parser.add_subparsers())
    return int(module.run(parser.parse_args(words)))


def test_command_shows_licence_size_and_use(hub: Hub, tmp_path: Path,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    assert command(fetch_prior, 'fetch-prior', ID, '--out', str(tmp_path / 'out')) == 0
    said = capsys.readouterr().out
    assert 'licence apache-2.0' in said and f'prior: {tmp_path / "out"}' in said


def test_every_known_model_is_of_a_known_family_and_shrinks() -> None:
    for known in KNOWN:
        assert known.pipeline in FAMILIES
        full, eight, four = (known.need(weights) for weights in (FULL, INT8, INT4))
        assert full > eight > four > known.need(INT4, offload=True)


def test_parameters_are_counted_in_the_files(tmp_path: Path) -> None:
    from safetensors.numpy import save_file
    (tmp_path / 'model_index.json').write_text(INDEX)
    for name, count in (('transformer', 3000), ('text_encoder', 2000), ('vae', 100)):
        (tmp_path / name).mkdir()
        save_file({'a': np.zeros((count // 10, 10), np.float16)},
                  tmp_path / name / 'model.safetensors')
    found = measure_folder(tmp_path)
    assert (found.transformer, found.text) == (3e-6, 2e-6)
    assert found.rest == pytest.approx(1e-7) and found.pipeline == 'ZImagePipeline'
    (tmp_path / 'vae' / 'model.safetensors').write_bytes(b'short')
    with pytest.raises(CheckpointError, match='vae'):
        measure_folder(tmp_path)


def test_doctor_says_what_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(doctor, 'doctor', '--no-timing') == 0
    said = capsys.readouterr().out
    assert 'torch 2' in said and 'FLUX.1-schnell' in said and 'Apache-2.0' in said
    rows = '\n'.join(doctor.fit_table(KNOWN, 12.0, 'cuda'))
    klein = next(row for row in rows.splitlines() if 'klein-4B' in row)
    assert '| 17.3 |' in klein.replace('17.4', '17.3') and klein.count('**') == 10


def test_doctor_measures_the_embedded_prior() -> None:
    assert 's a picture' in doctor.timing('embedded', 'cpu')
