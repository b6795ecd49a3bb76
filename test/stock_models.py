"""Stock pipelines with tiny random weights, and tokenizers made in memory: no network."""
from __future__ import annotations

from collections.abc import Callable
import string
from typing import Any

from gsc_ros.models.torchvision_shim import import_torchvision
import torch

import_torchvision()

import diffusers  # noqa: E402
from tokenizers import pre_tokenizers  # noqa: E402
import transformers as tf  # noqa: E402

_CHAT = ('{% for m in messages %}<|im_start|>{{ m.role }} {{ m.content }}<|im_end|>{% endfor %}'
         '{% if add_generation_prompt %}<|im_start|>assistant{% endif %}')


def _letters() -> list[str]:
    return list(string.ascii_lowercase + string.digits + '.,')


def clip_tokenizer() -> Any:
    names = ['<|startoftext|>', '<|endoftext|>', '<|pad|>', *_letters(),
             *(f'{c}</w>' for c in _letters())]
    return tf.CLIPTokenizer(vocab={n: i for i, n in enumerate(names)}, merges=[],
                            pad_token='<|pad|>', model_max_length=77)


def t5_tokenizer() -> Any:
    names = ['<pad>', '</s>', '<unk>', '▁', *_letters()]
    return tf.T5TokenizerFast(vocab=[(n, -float(i)) for i, n in enumerate(names)], extra_ids=0)


def qwen_tokenizer() -> Any:
    names = ['<|endoftext|>', '<|im_start|>', '<|im_end|>',
             *pre_tokenizers.ByteLevel.alphabet()]
    made = tf.Qwen2TokenizerFast(vocab={n: i for i, n in enumerate(names)}, merges=[])
    made.chat_template = _CHAT
    return made


def _clip(kind: Any) -> Any:
    config = tf.CLIPTextConfig(vocab_size=96, hidden_size=16, intermediate_size=16,
                               num_hidden_layers=2, num_attention_heads=2, projection_dim=16,
                               max_position_embeddings=77, bos_token_id=0, eos_token_id=1,
                               pad_token_id=2)
    return kind(config)


def _t5() -> Any:
    return tf.T5EncoderModel(tf.T5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=16, num_layers=1,
                                         num_heads=2, feed_forward_proj='gated-gelu'))


def _qwen(layers: int) -> Any:
    return tf.Qwen3ForCausalLM(tf.Qwen3Config(
        vocab_size=300, hidden_size=16, intermediate_size=16, num_hidden_layers=layers,
        num_attention_heads=2, num_key_value_heads=2, head_dim=8))


_BLOCKS = {'block_out_channels': (8, 8, 8, 16), 'layers_per_block': 1, 'norm_num_groups': 4,
           'down_block_types': ('DownEncoderBlock2D',) * 4,
           'up_block_types': ('UpDecoderBlock2D',) * 4, 'mid_block_add_attention': False}


def kl_vae() -> Any:
    return diffusers.AutoencoderKL(latent_channels=4, scaling_factor=0.36, shift_factor=0.12,
                                   use_quant_conv=False, use_post_quant_conv=False, **_BLOCKS)


def _scheduler(**settings: Any) -> Any:
    return diffusers.FlowMatchEulerDiscreteScheduler(**settings)


def flux(guidance_embeds: bool = True) -> Any:
    transformer = diffusers.FluxTransformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=16,
        guidance_embeds=guidance_embeds, axes_dims_rope=(4, 4, 8))
    return diffusers.FluxPipeline(
        scheduler=_scheduler(shift=3.0, use_dynamic_shifting=True), vae=kl_vae(),
        text_encoder=_clip(tf.CLIPTextModel), tokenizer=clip_tokenizer(), text_encoder_2=_t5(),
        tokenizer_2=t5_tokenizer(), transformer=transformer)


def sd3() -> Any:
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=32, patch_size=2, in_channels=4, num_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=32, caption_projection_dim=32,
        pooled_projection_dim=32, out_channels=4, pos_embed_max_size=32)
    clips = [_clip(tf.CLIPTextModelWithProjection) for _ in range(2)]
    return diffusers.StableDiffusion3Pipeline(
        transformer=transformer, scheduler=_scheduler(shift=3.0), vae=kl_vae(),
        text_encoder=clips[0], tokenizer=clip_tokenizer(), text_encoder_2=clips[1],
        tokenizer_2=clip_tokenizer(), text_encoder_3=_t5(), tokenizer_3=t5_tokenizer())


def z_image() -> Any:
    transformer = diffusers.ZImageTransformer2DModel(
        in_channels=4, dim=32, n_layers=1, n_refiner_layers=1, n_heads=2, n_kv_heads=2,
        cap_feat_dim=16, axes_dims=[4, 4, 8], axes_lens=[512, 64, 64])
    with torch.no_grad():   # made uninitialised, for checkpoints to fill
        transformer.x_pad_token.normal_()
        transformer.cap_pad_token.normal_()
    return diffusers.ZImagePipeline(
        scheduler=_scheduler(shift=3.0), vae=kl_vae(), text_encoder=_qwen(2),
        tokenizer=qwen_tokenizer(), transformer=transformer)


def flux2_klein(is_distilled: bool = True) -> Any:
    transformer = diffusers.Flux2Transformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=48, axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False)
    vae = diffusers.AutoencoderKLFlux2(latent_channels=4, use_quant_conv=False,
                                       use_post_quant_conv=False, **_BLOCKS)
    vae.bn.running_mean.uniform_(-0.5, 0.5)
    vae.bn.running_var.uniform_(0.5, 2.0)
    return diffusers.Flux2KleinPipeline(
        scheduler=_scheduler(use_dynamic_shifting=True), vae=vae, text_encoder=_qwen(28),
        tokenizer=qwen_tokenizer(), transformer=transformer, is_distilled=is_distilled)


TINY: dict[str, Callable[[], Any]] = {
    'FluxPipeline': flux, 'StableDiffusion3Pipeline': sd3, 'ZImagePipeline': z_image,
    'Flux2KleinPipeline': flux2_klein}


def tiny(name: str) -> Any:
    """Random weights without zeros, so that every input shows in the output."""
    torch.manual_seed(0)
    pipe = TINY[name]()
    with torch.no_grad():
        for parameter in pipe.transformer.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    pipe.set_progress_bar_config(disable=True)
    return pipe
