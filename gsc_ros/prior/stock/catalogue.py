"""Stock models by name: licence, sizes, and the memory that each needs."""
from __future__ import annotations

from dataclasses import dataclass
import json
from pathlib import Path
import struct

from gsc_ros.codec.errors import CheckpointError
from gsc_ros.prior.stock.families import family_of
from gsc_ros.prior.stock.settings import BYTES_PER_PARAMETER, FULL

GIB = 2 ** 30
BFLOAT16, FLOAT32 = 2.0, 4.0
# Attention and the autoencoder's decoder at 1024x1024 in bfloat16; estimated, not measured.
WORKING_GIB = 2.5
_LONGEST_HEADER = 100_000_000   # bytes, as the format allows


@dataclass(frozen=True)
class Known:
    """
    A model by its hub id; sizes in 10^9 parameters.

    ``transformer`` is counted from its configuration (bench/stock_priors.py); ``text`` is the
    largest text encoder, ``rest`` smaller ones and the autoencoder: as their makers state.
    """

    hub_id: str
    pipeline: str
    licence: str
    steps: int
    transformer: float
    text: float
    rest: float

    def need(self, weights: str = FULL, offload: bool = False, full: float = BFLOAT16) -> float:
        """
        GiB on the device, with working memory; offloaded, only the largest part counts.

        ``full`` is the bytes of an unquantised parameter: 2, or 4 on a CPU.
        """
        each = (full if weights == FULL else BYTES_PER_PARAMETER[weights]) * 1e9 / GIB
        rest = self.rest * full * 1e9 / GIB
        large = max(self.transformer, self.text) if offload else self.transformer + self.text
        return large * each + rest + WORKING_GIB


_STABILITY = 'Stability AI Community (free below 1 M$ a year)'
_FLUX_NC = 'FLUX Non-Commercial'
KNOWN = (
    Known('black-forest-labs/FLUX.2-klein-4B', 'Flux2KleinPipeline', 'Apache-2.0', 4,
          3.876, 4.022, 0.084),
    Known('black-forest-labs/FLUX.2-klein-9B', 'Flux2KleinPipeline', _FLUX_NC, 4,
          9.079, 8.191, 0.084),
    Known('Tongyi-MAI/Z-Image-Turbo', 'ZImagePipeline', 'Apache-2.0', 8, 6.155, 4.022, 0.084),
    Known('black-forest-labs/FLUX.1-schnell', 'FluxPipeline', 'Apache-2.0', 4,
          11.891, 4.762, 0.207),
    Known('black-forest-labs/FLUX.1-dev', 'FluxPipeline', _FLUX_NC, 28, 11.901, 4.762, 0.207),
    Known('stabilityai/stable-diffusion-3.5-medium', 'StableDiffusion3Pipeline', _STABILITY, 28,
          2.243, 4.762, 0.902),
    Known('stabilityai/stable-diffusion-3.5-large-turbo', 'StableDiffusion3Pipeline', _STABILITY,
          4, 8.057, 4.762, 0.902),
    Known('stabilityai/stable-diffusion-3.5-large', 'StableDiffusion3Pipeline', _STABILITY, 28,
          8.057, 4.762, 0.902))


def measure_folder(folder: Path) -> Known:
    """
    Count a model's parameters in its own weight files; the licence is left open.

    :raises CheckpointError: if it cannot be read.
    :raises UnknownPriorError: if it is of no family that we know.
    """
    family = family_of(folder)
    counted = {part.name: _parameters(part) / 1e9 for part in sorted(folder.iterdir())
               if part.is_dir()}
    text = max((n for name, n in counted.items() if name.startswith('text_encoder')), default=0.0)
    transformer = counted.get('transformer', 0.0)
    return Known(str(folder), family.pipeline, 'see its folder', family.steps, transformer, text,
                 sum(counted.values()) - transformer - text)


def _parameters(folder: Path) -> int:
    return sum(_count(file) for file in folder.glob('*.safetensors'))


def _count(file: Path) -> int:
    """Numbers in a safetensors file, by its header: a length, then a table in JSON."""
    try:
        with file.open('rb') as stream:
            (length,) = struct.unpack('<Q', stream.read(8))
            if length > _LONGEST_HEADER:
                raise CheckpointError(file, f'its header is {length} bytes long')
            table = json.loads(stream.read(length))
        return sum(_product(entry['shape']) for name, entry in table.items()
                   if name != '__metadata__')
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise CheckpointError(file, f'is no safetensors file ({error})') from error


def _product(shape: list[int]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count
