"""
Full-size stock transformers with random weights: seconds and memory a step, or operation counts.

    python bench/stock_priors.py [--device cuda] [--sides 512 1024] [--repeats 5]

On an accelerator the transformer is made there in bfloat16 and timed; elsewhere it is made
without memory ("meta") and its parameters and multiply-adds are counted, which takes no GPU.
Configurations are those that the models' own files give.
"""
from __future__ import annotations

import argparse
from collections.abc import Callable
import time
from typing import Any

from gsc_ros.models.torchvision_shim import import_torchvision
import torch
from torch.utils.flop_counter import FlopCounterMode

GIB = 2 ** 30


def _flux(model: Any, cells: int, device: str, text: int, width: int, axes: int, pooled: int
          ) -> dict[str, Any]:
    tokens = (cells // 2) ** 2
    channels = model.config.in_channels
    given = {
        'hidden_states': torch.zeros(1, tokens, channels, device=device),
        'encoder_hidden_states': torch.zeros(1, text, width, device=device),
        'timestep': torch.zeros(1, device=device),
        'img_ids': torch.zeros(tokens, axes, device=device),
        'txt_ids': torch.zeros(text, axes, device=device)}
    if pooled:
        given['pooled_projections'] = torch.zeros(1, pooled, device=device)
    if model.config.guidance_embeds:
        given['guidance'] = torch.ones(1, device=device)
    return given


def _sd3(model: Any, cells: int, device: str) -> dict[str, Any]:
    return {'hidden_states': torch.zeros(1, 16, cells, cells, device=device),
            'encoder_hidden_states': torch.zeros(1, 333, 4096, device=device),
            'pooled_projections': torch.zeros(1, 2048, device=device),
            'timestep': torch.zeros(1, device=device)}


def _z_image(model: Any, cells: int, device: str) -> dict[str, Any]:
    return {'x': [torch.zeros(16, 1, cells, cells, device=device)],
            't': torch.zeros(1, device=device),
            'cap_feats': [torch.zeros(64, 2560, device=device)]}


def _flux1(model: Any, cells: int, device: str) -> dict[str, Any]:
    return _flux(model, cells, device, 256, 4096, 3, 768)


def _klein(model: Any, cells: int, device: str) -> dict[str, Any]:
    return _flux(model, cells, device, 512, model.config.joint_attention_dim, 4, 0)


Inputs = Callable[[Any, int, str], dict[str, Any]]
MODELS: dict[str, tuple[str, dict[str, Any], Inputs]] = {
    'FLUX.1 schnell': ('FluxTransformer2DModel', {}, _flux1),
    'FLUX.1 dev': ('FluxTransformer2DModel', {'guidance_embeds': True}, _flux1),
    'FLUX.2 klein 4B': ('Flux2Transformer2DModel', {
        'num_layers': 5, 'num_single_layers': 20, 'num_attention_heads': 24,
        'joint_attention_dim': 7680, 'guidance_embeds': False}, _klein),
    'FLUX.2 klein 9B': ('Flux2Transformer2DModel', {
        'num_layers': 8, 'num_single_layers': 24, 'num_attention_heads': 32,
        'joint_attention_dim': 12288, 'guidance_embeds': False}, _klein),
    'SD 3.5 medium': ('SD3Transformer2DModel', {
        'sample_size': 128, 'num_layers': 24, 'num_attention_heads': 24,
        'caption_projection_dim': 1536, 'joint_attention_dim': 4096, 'pos_embed_max_size': 384,
        'dual_attention_layers': tuple(range(13)), 'qk_norm': 'rms_norm'}, _sd3),
    'SD 3.5 large': ('SD3Transformer2DModel', {
        'sample_size': 128, 'num_layers': 38, 'num_attention_heads': 38,
        'caption_projection_dim': 2432, 'joint_attention_dim': 4096, 'pos_embed_max_size': 192,
        'qk_norm': 'rms_norm'}, _sd3),
    'Z-Image-Turbo': ('ZImageTransformer2DModel', {}, _z_image)}


def build(name: str, device: str) -> Any:
    """Make a transformer with whatever weights the initialisation gives."""
    import_torchvision()
    import diffusers
    kind, config, _ = MODELS[name]
    with torch.device(device):
        return getattr(diffusers, kind)(**config).to(torch.bfloat16).eval()


def count(name: str, side: int) -> tuple[float, float]:
    """Billions of parameters, and teraflops of one step at ``side`` x ``side`` pixels."""
    model = build(name, 'meta')
    given = {key: [v.bfloat16() for v in value] if isinstance(value, list) else value.bfloat16()
             for key, value in MODELS[name][2](model, side // 8, 'meta').items()}
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(**given, return_dict=False)
    parameters = sum(p.numel() for p in model.parameters())
    return parameters / 1e9, counter.get_total_flops() / 1e12


def measure(name: str, side: int, device: str, repeats: int) -> tuple[float, float]:
    """Seconds a step, median, and peak GiB."""
    model = build(name, device)
    given = {key: [v.bfloat16() for v in value] if isinstance(value, list) else value.bfloat16()
             for key, value in MODELS[name][2](model, side // 8, device).items()}
    taken = []
    torch.cuda.reset_peak_memory_stats()
    with torch.no_grad():
        for _ in range(repeats + 1):    # the first one warms up
            begin = time.perf_counter()
            model(**given, return_dict=False)
            torch.cuda.synchronize()
            taken.append(time.perf_counter() - begin)
    return sorted(taken[1:])[repeats // 2], torch.cuda.max_memory_allocated() / GIB


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--sides', type=int, nargs='+', default=[512, 1024])
    parser.add_argument('--models', nargs='+', choices=MODELS, default=list(MODELS))
    parser.add_argument('--repeats', type=int, default=5)
    args = parser.parse_args()
    timed = torch.device(args.device).type != 'cpu'
    what = 's a step | peak GiB' if timed else '10^9 parameters | Tflop a step'
    print(f'| transformer | pixels | {what} |\n| --- | --- | --- | --- |')
    for name in args.models:
        for side in args.sides:
            row = (measure(name, side, args.device, args.repeats) if timed
                   else count(name, side))
            print(f'| {name} | {side} | {row[0]:.3f} | {row[1]:.2f} |', flush=True)


if __name__ == '__main__':
    main()
