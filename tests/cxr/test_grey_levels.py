"""Percentiles by counting against those by sorting."""

from __future__ import annotations

import numpy as np
import pytest

from cxr.grey_levels import percentiles


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("percents", [(0.5, 99.5), (0, 100), (1.0, 50.0), (33.3, 66.6)])
def test_they_are_those_of_numpy(dtype: type, percents: tuple[float, float]) -> None:
    random = np.random.default_rng(0)
    for spread in (1, 3, 40, 255):
        pixels = random.integers(0, spread + 1, (97, 61)).astype(dtype)[::2, ::3]
        expected = np.percentile(pixels, percents)
        np.testing.assert_allclose(percentiles(pixels, percents), expected, rtol=1e-12)
    assert percentiles(np.full((1, 1), 7, dtype), percents) == (7, 7)
