from __future__ import annotations

import keras
import numpy as np
import pytest

from training.optimizers import KernelMuon, WarmupCosine


@pytest.mark.parametrize("final", [0.0, 2e-4])
def test_the_rate_climbs_to_its_peak_and_falls_to_the_last_one(final):
    rate = WarmupCosine(peak=1e-3, warmup=10, total=110, final=final)
    assert float(rate(0)) == 0
    assert float(rate(5)) == pytest.approx(5e-4)
    assert float(rate(10)) == pytest.approx(1e-3)
    assert float(rate(60)) == pytest.approx((1e-3 + final) / 2)
    assert float(rate(110)) == pytest.approx(final, abs=1e-9)


def test_the_rate_survives_being_saved():
    rate = WarmupCosine(1e-3, 10, 110, 2e-4)
    again = WarmupCosine.from_config(rate.get_config())
    assert float(again(80)) == float(rate(80))


def test_muon_moves_a_kernel_alike_in_every_direction_and_all_else_as_adamw():
    random = np.random.default_rng(0)
    kernel = keras.Variable(random.normal(size=(3, 3, 4, 8)).astype(np.float32), name="kernel")
    dense = keras.Variable(random.normal(size=(6, 3)).astype(np.float32), name="dense")
    before = [keras.ops.convert_to_numpy(variable).copy() for variable in (kernel, dense)]
    # One direction of the gradient is a hundred times as steep as the others.
    steep = random.normal(size=(36, 8)) + 100 * np.outer(random.normal(size=36), np.ones(8))
    gradients = [steep.reshape(3, 3, 4, 8).astype(np.float32), np.ones((6, 3), np.float32)]
    optimizer = KernelMuon(1e-2, weight_decay=None)
    optimizer.apply(list(map(keras.ops.convert_to_tensor, gradients)), [kernel, dense])

    moved = keras.ops.convert_to_numpy(kernel) - before[0]
    values = np.linalg.svd(moved.reshape(36, 8), compute_uv=False)
    assert np.linalg.svd(steep, compute_uv=False)[0] > 50 * np.linalg.svd(steep)[1][1]
    assert values.max() < 3 * values.min()
    # AdamW's first step is the learning rate, whatever the gradient.
    np.testing.assert_allclose(keras.ops.convert_to_numpy(dense) - before[1], -1e-2, rtol=1e-3)


@pytest.mark.parametrize("shape", [(3, 3, 1, 24), (3, 3, 24, 48), (1, 1, 48, 96)])
def test_muon_s_update_is_keras_s_own(shape):
    random = np.random.default_rng(1)
    fan_in, filters = int(np.prod(shape[:-1])), shape[-1]
    # Singular values over four decades, as of a gradient that is steep in few directions.
    left, _, right = np.linalg.svd(random.normal(size=(fan_in, filters)), full_matrices=False)
    gradient = (left * np.logspace(0, -4, len(right)) @ right).astype(np.float32)
    optimizer = KernelMuon(1e-2)
    update = optimizer.zeropower_via_newtonschulz5(
        keras.ops.convert_to_tensor(gradient.reshape(shape)), optimizer.ns_steps
    )
    own = keras.optimizers.Muon.zeropower_via_newtonschulz5(
        optimizer, keras.ops.convert_to_tensor(gradient), optimizer.ns_steps
    )
    difference = keras.ops.convert_to_numpy(update).reshape(gradient.shape) - own
    assert np.linalg.norm(difference) < 2e-3 * np.linalg.norm(own)


def test_muon_survives_being_saved_and_decays_what_adamw_moves_as_well():
    optimizer = KernelMuon(1e-2, weight_decay=0.05)
    assert optimizer.adam_weight_decay == optimizer.weight_decay == 0.05
    again = KernelMuon.from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
