"""
All judges of pictures: a new one is a file that makes a ``JudgeKind`` and a line here.

Detection is no measure of a pair of pictures and stands beside them, in ``judge``.
"""
from __future__ import annotations

from gsc_ros.evaluation.judges import dino, grain, metrics, piq, ssimulacra, vgg

KINDS = {kind.name: kind for kind in (
    vgg.KIND,
    dino.TILES,
    dino.WHOLE,
    ssimulacra.KIND,
    piq.LPIPS,
    piq.DISTS,
    metrics.MS_SSIM,
    metrics.PSNR,
    grain.STRENGTH,
    grain.EXCESS,
    grain.REPETITION,
)}
