"""What a report says of a film does not contradict itself."""

from __future__ import annotations

from training.report import caption


def test_a_film_called_infected_may_be_likeliest_normal():
    """0.49 normal, and two infections of 0.26 and 0.25: among the mistakes, but read as normal?"""
    assert caption("Normal", "Normal", 0.51) == (
        "Normal; called infected (0.51), most probable class Normal"
    )
    assert caption("Covid", "Covid", 0.49).startswith("Covid; called normal (0.49)")
