from __future__ import annotations

import pytest

from training.optimizers import WarmupCosine


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
