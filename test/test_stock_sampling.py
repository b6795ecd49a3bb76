"""The flow's mathematics where weights do not matter: Gaussian data, shifts, starts, words."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gsc_ros.codec.objects import SceneObject
import numpy as np
import pytest

torch = pytest.importorskip('torch')

from gsc_ros.prior.correction import Correction, descend, pull  # noqa: E402
from gsc_ros.prior.embedded import PictureFacts, Running  # noqa: E402
from gsc_ros.prior.generator import Generator  # noqa: E402
from gsc_ros.prior.sampling import draw_noise, integrate, shifted  # noqa: E402
from gsc_ros.prior.stock.start import start_time  # noqa: E402
from gsc_ros.prior.stock.words import prompt  # noqa: E402
from torch import Tensor  # noqa: E402

MEAN, SPREAD = 0.1, 0.2     # so that no picture leaves -1..1, where it would be clipped


class Gaussian:
    """Pixels are the latent; data are normal, so that the velocity is known in closed form."""

    stride = 2

    def __init__(self, first: float = 0.8, consistency: float = 0.0) -> None:
        self.first = first
        self.running = Running(8, 1.0, consistency)

    def to_latent(self, rgb: Tensor) -> Tensor:
        return rgb

    def to_picture(self, latent: Tensor) -> Tensor:
        return latent

    def condition(self, latent: Tensor, facts: Sequence[PictureFacts]) -> Tensor:
        return latent

    def times(self, steps: int, condition: Tensor) -> Tensor:
        return shifted(torch.full((len(condition),), self.first), steps, 1.0)

    def start(self, noise: Tensor, condition: Tensor) -> Tensor:
        return torch.lerp(condition, noise, self.first)

    def velocity(self, x: Tensor, t: Tensor, condition: Any) -> Tensor:
        t = t[:, None, None, None]
        gain = (1 - t) * SPREAD ** 2 / ((1 - t) ** 2 * SPREAD ** 2 + t ** 2)
        clean = MEAN + gain * (x - (1 - t) * MEAN)
        return (x - clean) / t

    def end(self, x: Tensor) -> Tensor:
        """Where the exact flow takes x: it keeps each point's place within the distribution."""
        t = self.first
        return MEAN + SPREAD * (x - (1 - t) * MEAN) / ((1 - t) ** 2 * SPREAD ** 2 + t ** 2) ** 0.5


class Blocks:
    """What was sent: the means of 2x2 blocks; pulling is an orthogonal projection."""

    def __init__(self, means: Tensor) -> None:
        self.means = means

    def _missing(self, rgb: Tensor) -> Tensor:
        return self.means - torch.nn.functional.avg_pool2d(rgb, 2)

    def pull(self, rgb: Tensor) -> Tensor:
        return rgb + torch.nn.functional.interpolate(self._missing(rgb), scale_factor=2)

    def misfit(self, rgb: Tensor) -> Tensor:
        return self._missing(rgb).square().mean()

    def kept(self, rgb: Tensor) -> float:
        return float((self._missing(rgb).abs() < 0.01).float().mean())


def project(x: Tensor) -> Tensor:
    """Keep the block means alone."""
    return torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(x, 2), scale_factor=2)


@pytest.mark.parametrize('first', [0.3, 0.8, 1.0])
def test_sampler_reaches_the_analytic_end_of_a_gaussian_flow(first: float) -> None:
    prior = Gaussian(first)
    x = prior.start(draw_noise((2, 3, 8, 8), 0), torch.full((2, 3, 8, 8), 0.4))
    found = integrate(prior, x, x, prior.times(400, x))
    torch.testing.assert_close(found, prior.end(x), rtol=0, atol=0.01)
    rough = (integrate(prior, x, x, prior.times(4, x)) - prior.end(x)).abs().max()
    assert (found - prior.end(x)).abs().max() < rough / 20


def test_correction_reaches_the_constrained_answer() -> None:
    """Block means end at what was sent; what was not sent ends where the free flow ends."""
    prior, sent = Gaussian(consistency=1.0), Blocks(0.2 * draw_noise((1, 3, 4, 4), 5))
    plain = torch.zeros(1, 3, 8, 8)
    x = prior.start(draw_noise(tuple(plain.shape), 0), plain)
    correct = Correction(prior, [sent], [None], 8, 8)
    found = integrate(prior, x, x, prior.times(400, x), correct)
    wanted = project(sent.pull(plain)) + (prior.end(x) - project(prior.end(x)))
    torch.testing.assert_close(found, wanted, rtol=0, atol=0.02)


@pytest.mark.parametrize('strength', [0.25, 1.0])
def test_strength_says_how_far_a_pull_goes(strength: float) -> None:
    prior, sent = Gaussian(), Blocks(torch.full((1, 3, 4, 4), 0.5))
    clean = 0.1 * draw_noise((1, 3, 8, 8), 1)
    before, pulled = sent.misfit(clean), pull(prior, clean, [sent], 8, 8, strength)
    left = (1 - strength) ** 2 * float(before)
    assert float(sent.misfit(pulled)) == pytest.approx(left, abs=1e-6)
    stepped = descend(prior, clean, [sent], 8, 8, strength, 1)
    assert float(sent.misfit(stepped)) < float(before)


def test_zero_strength_switches_the_correction_off() -> None:
    prior, sent = Gaussian(consistency=0.0), Blocks(torch.ones(1, 3, 4, 4))
    assert not Correction(prior, [sent], [None], 8, 8).needed
    plain = np.full((8, 8, 3), 100, np.uint8)
    given: dict[str, Any] = {'bpp': 0.1, 'coder': 2, 'caption': '', 'objects': [], 'seed': 3}
    free = Generator(prior).regenerate(plain, **given)
    held = Generator(prior).regenerate(plain, constraint=sent, **given)
    np.testing.assert_array_equal(free, held)


def test_times_fall_from_each_start_and_match_the_scheduler() -> None:
    start = torch.tensor([1.0, 0.4])
    times = shifted(start, 5, 3.0)
    assert times.shape == (6, 2) and torch.equal(times[-1], torch.zeros(2))
    torch.testing.assert_close(times[0], start)
    assert bool((times[1:] < times[:-1]).all())
    even = torch.linspace(1, 0, 6)
    torch.testing.assert_close(times[:, 0], 3 * even / (1 + 2 * even))
    torch.testing.assert_close(shifted(start, 4, 1.0)[:, 1], 0.4 * torch.linspace(1, 0, 5))


def test_a_batch_may_start_at_different_times() -> None:
    prior, x = Gaussian(), draw_noise((2, 3, 4, 4), 2)
    grid = shifted(torch.tensor([0.8, 0.5]), 6, 2.0)
    both = integrate(prior, x, x, grid)
    for i in range(2):
        alone = integrate(prior, x[i:i + 1], x, grid[:, i:i + 1])
        torch.testing.assert_close(both[i:i + 1], alone)


def test_fewer_bits_start_further_back() -> None:
    rates = [1e-5, 0.002, 0.005, 0.01, 0.02, 0.04, 0.1, 1.0, 8.0]
    times = [start_time(r) for r in rates]
    assert times == sorted(times, reverse=True) and 0 < times[-1] < times[0] <= 1


def test_caption_and_objects_become_a_prompt() -> None:
    car = SceneObject(2, 0.9, (0.0, 0.6, 0.2, 1.0))
    person = SceneObject(0, 0.8, (0.4, 0.3, 0.6, 0.7))
    assert prompt('a street.', [car, person]) == (
        'a street. car at the bottom on the left, person in the middle')
    assert prompt('', [car]) == 'car at the bottom on the left'
    assert prompt('', []) == 'a photograph'
    assert prompt('x', [car] * 20).count('car') == 8
