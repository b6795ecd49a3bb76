"""The integer context model: exact, reversible, and the twin of the trained float networks."""
import subprocess
import sys

from gsc_ros.codec.context import (
    ContextModel,
    ContextWeights,
    frequency_tables,
    MEAN_STEPS,
    PHASES,
    SCALE_LEVELS,
    scale_of_level,
    SYMBOL_LIMIT,
)
from gsc_ros.codec.errors import PacketError
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

torch = pytest.importorskip('torch')

from gsc_ros.models.learned import ContextNetworks, LearnedConfig, normal_bits  # noqa: E402

CONFIG = LearnedConfig(symbols=8, hidden=16, levels=4)


def networks() -> ContextNetworks:
    """Random networks whose predictions vary from place to place."""
    torch.manual_seed(3)
    nets = ContextNetworks(CONFIG)
    nets.third.data += 0.3 * torch.randn_like(nets.third)
    return nets


def model() -> ContextModel:
    return ContextModel(ContextWeights.from_arrays(networks().to_integers()))


def symbols(height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    block = np.round(rng.normal(0, 2, (CONFIG.symbols, height, width))).astype(np.int64)
    return np.clip(block, -SYMBOL_LIMIT, SYMBOL_LIMIT)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 3), st.integers(0, 99))
def test_every_block_round_trips(height: int, width: int, level: int, seed: int) -> None:
    coder, block = model(), symbols(height, width, seed)
    data = coder.encode(block, level)
    np.testing.assert_array_equal(coder.decode(data, height, width, level), block)


def test_extreme_symbols_round_trip() -> None:
    coder = model()
    block = np.where(symbols(5, 5) > 0, SYMBOL_LIMIT, -SYMBOL_LIMIT)
    data = coder.encode(block, 1)
    np.testing.assert_array_equal(coder.decode(data, 5, 5, 1), block)


def test_length_matches_the_float_networks_estimate() -> None:
    nets, block = networks().eval(), symbols(12, 16)
    batch = torch.from_numpy(block).float()[None]
    with torch.no_grad():
        mean, scale = nets(batch, torch.tensor([2.0]))
        bits = float(normal_bits(batch - mean, scale).sum())
    real = 8 * len(model().encode(block, 2))
    assert real == pytest.approx(bits, rel=0.02)


def test_tables_are_integers_that_sum_up_and_are_wide_enough() -> None:
    tables = frequency_tables().frequencies
    assert tables.shape == (SCALE_LEVELS * MEAN_STEPS, 4 * SYMBOL_LIMIT + 1)
    assert (tables.sum(1) == 2 ** 16).all() and tables.min() >= 1
    assert scale_of_level(0) == pytest.approx(0.11) and scale_of_level(31) == pytest.approx(12)


def test_garbage_gives_symbols_or_a_typed_error() -> None:
    coder, rng = model(), np.random.default_rng(5)
    for length in (0, 1, 7, 40):
        try:
            block = coder.decode(rng.bytes(length), 4, 4, 0)
        except PacketError:
            continue
        assert np.abs(block).max() <= SYMBOL_LIMIT


@pytest.mark.slow
@pytest.mark.parametrize('threads', ['1', '2'])
def test_another_process_with_other_threads_decodes_the_same(threads: str) -> None:
    block = symbols(9, 11)
    data = model().encode(block, 3)
    script = ('import sys; sys.path.insert(0, "test"); import test_models_context as t;'
              f'print(t.model().decode(bytes.fromhex("{data.hex()}"), 9, 11, 3).tolist())')
    out = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True,
                         check=True, env={**_environment(), 'OMP_NUM_THREADS': threads,
                                          'OPENBLAS_NUM_THREADS': threads})
    assert out.stdout.strip() == str(block.tolist())


def _environment() -> dict[str, str]:
    import os
    return dict(os.environ)


def test_every_stage_sees_only_what_is_decoded_before_it() -> None:
    """Changing a symbol must not change the prediction of itself or of earlier stages."""
    nets, block = networks().eval(), torch.from_numpy(symbols(6, 6)).float()[None]
    level = torch.tensor([0.0])
    row, column = PHASES[2]
    with torch.no_grad():
        mean, scale = nets(block, level)
        changed = block.clone()
        changed[0, 6, row, column] += 3    # second group of the third phase
        other_mean, other_scale = nets(changed, level)
    for phase in PHASES[:3]:
        where = (0, slice(None), slice(phase[0], None, 2), slice(phase[1], None, 2))
        torch.testing.assert_close(mean[where], other_mean[where], rtol=0, atol=0)
        torch.testing.assert_close(scale[where], other_scale[where], rtol=0, atol=0)
    assert not torch.equal(mean, other_mean)
