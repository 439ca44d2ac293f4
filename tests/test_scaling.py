"""The model of step time on paper: counts that are known, and limits that can be told without it."""

import pytest

from pgkt_jax.bench.scaling import Setting, Work, networks, rows_of, step_seconds, stops_paying


def test_the_networks_cost_what_is_known_of_them():
    work = networks()
    # pix2pix' U-Net of 256 pixels: 54.4 million parameters, 6.25 G multiplications and additions forward.
    unet = work["refine (U-Net)"]
    assert unet.gradient_bytes == pytest.approx(4 * 54.4e6, rel=0.01)
    assert unet.flops_per_person == pytest.approx(3 * 2 * 6.25e9, rel=0.01)


def test_a_step_is_arithmetic_and_two_rings():
    setting = Setting(people=5, devices=4, tflop_per_s=2.0, inner_gb_per_s=3.0, gbit_per_s=8.0)
    compute, gradients = step_seconds(Work(4e12, 10**9), setting, hosts=2)
    assert compute == pytest.approx(5 * 4 / 2)
    assert gradients == pytest.approx(2 * 3 / 4 / 3 + 2 * 1 / 2)


def test_without_gradients_hosts_pay_as_long_as_everybody_has_a_person():
    rows = rows_of(Work(1e12, 0), Setting(batch=48, devices=3))
    assert [row["hosts"] for row in rows] == [1, 2, 4, 8, 16]
    assert all(row["share_of_linear"] == pytest.approx(1) for row in rows)
    assert stops_paying(rows) == 16


def test_without_arithmetic_a_second_host_does_not_pay():
    assert stops_paying(rows_of(Work(0, 10**9), Setting(batch=64))) == 1
