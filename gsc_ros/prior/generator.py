"""Regenerates pictures from their plain decodes: flow prior and solver joined."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
from gsc_ros.codec.objects import SceneObject
from gsc_ros.models import checkpoint, int8
from gsc_ros.models.assets import AUTOENCODER_FILE, EMBEDDED, PRIOR_FILE
from gsc_ros.models.autoencoder import Autoencoder, AutoencoderConfig
from gsc_ros.models.frames import crop_to_picture, pad_to_tensor
from gsc_ros.prior.consistency import Constraint
from gsc_ros.prior.correction import Correction
from gsc_ros.prior.embedded import EmbeddedPrior, FlowPrior, PictureFacts, PriorConfig
from gsc_ros.prior.grid import grid_pattern
from gsc_ros.prior.sampling import draw_noise, integrate
from gsc_ros.prior.steady import LastPicture, Making
import numpy as np
import torch
from torch import Tensor


def load_autoencoder(device: str = 'cpu') -> Autoencoder:
    """
    Load the shipped autoencoder.

    :raises CheckpointError: if its file is missing or damaged.
    """
    return cast(Autoencoder, checkpoint.load(
        Autoencoder, AutoencoderConfig, AUTOENCODER_FILE, device))


def load_prior(device: str = 'cpu', file: Path = PRIOR_FILE) -> EmbeddedPrior:
    """
    Load the shipped flow prior, or another of its kind.

    :raises CheckpointError: if its file is missing or damaged.
    """
    return cast(EmbeddedPrior, checkpoint.load(EmbeddedPrior, PriorConfig, file, device))


def load_generator(prior: str = EMBEDDED, device: str = 'cpu') -> Generator:
    """
    Make a generator from ``embedded``, or from the folder or hub id of a diffusers model.

    :raises GscError: as ``load_prior`` or ``load_stock_prior``.
    """
    if prior == EMBEDDED:
        return embedded_generator(device)
    from gsc_ros.prior.stock.load import load_stock_prior
    return Generator(load_stock_prior(prior, device), device)


def embedded_generator(device: str = 'cpu', file: Path = PRIOR_FILE) -> Generator:
    """
    Make a generator from the embedded prior, in 8-bit integers where the processor has them.

    :raises CheckpointError: as ``load_prior``.
    """
    prior = load_prior(device, file)
    if int8.supported(device):
        int8.quantise(prior)
    return Generator(prior, device)


@dataclass(frozen=True)
class Job:
    """
    One picture to regenerate: ``plain`` is uint8 (H, W, 3) RGB, ``facts`` what else was sent.

    ``constraint`` is what the prior is held to; ``last`` keeps the camera's video still, and
    changes. ``crispness``, 0..1, is the share of what was made in the result; None takes the
    prior's own.
    """

    plain: np.ndarray
    facts: PictureFacts
    seed: int
    constraint: Constraint | None = None
    last: LastPicture | None = None
    crispness: float | None = None


def _last_clean(job: Job) -> Tensor:
    """Clean latent (1, C, h, w) of the last picture of a job's camera, which has one."""
    return cast(Tensor, cast(LastPicture, job.last).clean)


class Generator:
    """Plain picture, caption and objects in, regenerated picture out."""

    def __init__(self, prior: FlowPrior, device: str = 'cpu') -> None:
        self.prior, self.device = prior, device

    def regenerate(self, plain: np.ndarray, *, bpp: float, coder: int, caption: str,
                   objects: Sequence[SceneObject], seed: int, steps: int | None = None,
                   constraint: Constraint | None = None, last: LastPicture | None = None,
                   crispness: float | None = None) -> np.ndarray:
        """
        Run the flow from the plain picture (H, W, 3) uint8 to a picture of the same size.

        :param bpp: rate of the packet's latent.
        :param coder: its coder's wire id.
        :param steps: of the solver; None takes the prior's own.
        :param constraint: what to hold the picture to; None: the plain picture is only the start.
        :param last: of the same camera; where nothing has changed its picture stays.
        :param crispness: 0 (the plain picture) to 1 (all that was made); None: the prior's own.
        """
        facts = PictureFacts(bpp, coder, caption, objects)
        job = Job(plain, facts, seed, constraint, last, crispness)
        (made,) = self.regenerate_batch([job], steps)
        return made

    @torch.no_grad()
    def regenerate_batch(self, jobs: Sequence[Job], steps: int | None = None) -> list[np.ndarray]:
        """
        Regenerate pictures of several cameras; those of one size pass together.

        :return: of each job in turn, (H, W, 3) uint8 of its plain picture's size.
        """
        made: dict[int, np.ndarray] = {}
        for shape in {job.plain.shape for job in jobs}:
            chosen = [i for i, job in enumerate(jobs) if job.plain.shape == shape]
            pictures = self._same_size([jobs[i] for i in chosen], steps)
            made.update(zip(chosen, pictures, strict=True))
        return [made[i] for i in range(len(jobs))]

    def _same_size(self, jobs: Sequence[Job], steps: int | None) -> list[np.ndarray]:
        """
        Regenerate pictures of one size in one batch; (H, W, 3) uint8 RGB each.

        Between its steps: plain pictures (B, 3, H, W) in -1..1, padded to the prior's stride, and
        clean latents (B, C, h, w).
        """
        plain = torch.cat([pad_to_tensor(j.plain, self.prior.stride, self.device) for j in jobs])
        steps = steps or self.prior.running.steps
        # 1. which cells of the latent stay as they were in the camera's last picture
        makings = [Making(job.seed, steps, job.facts.bpp) for job in jobs]
        still = [job.last.still(row, making) if job.last else None
                 for job, row, making in zip(jobs, plain.split(1), makings, strict=True)]
        # 2. clean latents: the last ones where every cell stays, else from the flow
        if all(cells is not None and bool(cells.all()) for cells in still):
            clean = torch.cat([_last_clean(job) for job in jobs])
        else:
            clean = self._flow(jobs, plain, still, steps)
        # 3. each camera remembers what was made, for its next picture
        for job, row, latent, cells, making in zip(
                jobs, plain.split(1), clean.split(1), still, makings, strict=True):
            if job.last is not None:
                job.last.keep(row, latent, cells, making)
        # 4. back to pixels, held to what was sent
        pictures = self._to_pixels(clean, self._made_from(jobs, plain))
        return [self._finish(job, picture)
                for job, picture in zip(jobs, pictures.split(1), strict=True)]

    @staticmethod
    def _made_from(jobs: Sequence[Job], plain: Tensor) -> Tensor:
        """Plain pictures (B, 3, H, W) that the clean latents stand for, still cells included."""
        return torch.cat([row if job.last is None else cast(Tensor, job.last.plain)
                          for job, row in zip(jobs, plain.split(1), strict=True)])

    def _to_pixels(self, clean: Tensor, plain: Tensor) -> Tensor:
        """Decode clean latents to (B, 3, H, W), without the decoder's repeating pattern."""
        pictures = self.prior.to_picture(clean)
        side = self.prior.running.grid
        return pictures - grid_pattern(pictures - plain, side) if side else pictures

    def _flow(self, jobs: Sequence[Job], plain: Tensor, still: Sequence[Tensor | None],
              steps: int) -> Tensor:
        """
        Run the flow from plain pictures (B, 3, H, W) in -1..1 to clean latents (B, C, h, w).

        :param still: per picture, cells (1, 1, h, w) bool that keep their last clean latent.
        """
        prior = self.prior
        # 1. where the flow starts: the decoded latent plus seeded noise
        latent = prior.to_latent(plain)
        condition = prior.condition(latent, [job.facts for job in jobs])
        noise = torch.cat([draw_noise((1, *latent.shape[1:]), job.seed) for job in jobs])
        start = prior.start(noise.to(self.device), condition)
        # 2. along the flow to a clean latent, each step held to what was sent
        height, width = jobs[0].plain.shape[:2]
        correct = Correction(prior, [j.constraint for j in jobs], [
            None if cells is None else (cells, _last_clean(job))
            for cells, job in zip(still, jobs, strict=True)], width, height)
        return integrate(prior, start, condition, prior.times(steps, condition),
                         correct if correct.needed else None)

    def _finish(self, job: Job, picture: Tensor) -> np.ndarray:
        """Crop, hold to what was sent, mix with the plain picture: to (H, W, 3) uint8."""
        height, width = job.plain.shape[:2]
        running = self.prior.running
        crispness = running.crispness if job.crispness is None else job.crispness
        picture = picture[..., :height, :width].clamp(-1, 1)
        plain = job.plain if job.last is None else crop_to_picture(
            cast(Tensor, job.last.plain), width, height)
        if job.constraint is not None and running.consistency:
            picture = torch.lerp(picture, job.constraint.pull(picture), running.consistency)
        made = crop_to_picture(picture, width, height)
        return cv2.addWeighted(plain, 1 - crispness, made, crispness, 0)
