"""The transformers captioner, with a tiny random BLIP that the test makes."""
from __future__ import annotations

from gsc_ros.codec.errors import CheckpointError
from gsc_ros.scene.captioner import load_captioner, MAX_CHARACTERS
import numpy as np
import pytest

pytest.importorskip('transformers')
WORDS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', '[DEC]', *(f'word{i}' for i in range(58))]


@pytest.fixture(scope='module')
def blip_folder(tmp_path_factory: pytest.TempPathFactory):
    from gsc_ros.models.torchvision_shim import import_torchvision
    import_torchvision()
    import torch
    import transformers
    folder = tmp_path_factory.mktemp('blip')
    size = {'hidden_size': 16, 'intermediate_size': 32, 'num_hidden_layers': 1,
            'num_attention_heads': 2, 'projection_dim': 16}
    torch.manual_seed(0)
    transformers.BlipForConditionalGeneration(transformers.BlipConfig(
        text_config={**size, 'vocab_size': len(WORDS), 'encoder_hidden_size': 16,
                     'bos_token_id': 5, 'eos_token_id': 3, 'sep_token_id': 3, 'pad_token_id': 0},
        vision_config={**size, 'image_size': 32, 'patch_size': 16}, projection_dim=16,
        image_text_hidden_size=16)).save_pretrained(folder)
    transformers.BlipProcessor(
        transformers.BlipImageProcessor(size={'height': 32, 'width': 32}),
        transformers.BertTokenizer(vocab={w: i for i, w in enumerate(WORDS)}),
    ).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_describes_from_a_folder_without_a_network(blip_folder) -> None:
    captioner = load_captioner(str(blip_folder))
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    caption = captioner.describe(picture, [])
    assert 'word' in caption
    assert len(caption) <= MAX_CHARACTERS
    assert captioner.describe(picture, []) == caption


@pytest.mark.parametrize('source', ['/no/such/folder', 'nobody/no-such-model'])
def test_missing_model_is_a_typed_error_with_the_cure(source: str) -> None:
    with pytest.raises(CheckpointError, match='give the folder of a downloaded model'):
        load_captioner(source)


def test_a_folder_that_holds_no_model_is_a_typed_error(tmp_path) -> None:
    (tmp_path / 'config.json').write_text('{"model_type": "bert"}')
    with pytest.raises(CheckpointError):
        load_captioner(str(tmp_path))
