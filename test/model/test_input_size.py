# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The size that frames have for the network, and sizes as text."""

from __future__ import annotations

import pytest

from bisenet_ros.model.input_size import (
    SizeError,
    check_size_choice,
    describe_size_choice,
    network_size,
    parse_size,
    size_text,
)


@pytest.mark.parametrize(
    "size, expected",
    [
        ((360, 480), (360, 480)),
        ((720, 960), (360, 480)),
        ((1024, 2048), (288, 576)),
        ((180, 240), (360, 480)),
        ((97, 131), (352, 480)),
        ((60, 160), (256, 672)),
        ((1, 1), (416, 416)),
        ((1, 100_000), (32, 5408)),
        ((100_000, 1), (5408, 32)),
    ],
)
def test_a_frame_keeps_its_shape_and_gets_as_many_pixels_as_the_card_s_size(size, expected):
    assert network_size(*size, trained=(360, 480)) == expected


@pytest.mark.parametrize(
    "choice, frame, expected, words",
    [
        ("card", (1080, 1920), (320, 544), "480x360 (card)"),
        ("half", (1024, 2048), (512, 1024), "half of the frame's"),
        ("full", (1024, 2048), (1024, 2048), "the frame's"),
        ("half", (361, 481), (192, 256), "half of the frame's"),
        ("full", (361, 481), (352, 480), "the frame's"),
        ("half", (1, 1), (32, 32), "half of the frame's"),
        ("1024x512", (1024, 2048), (512, 1024), "1024x512"),
        ("1024x512", (720, 960), (640, 832), "1024x512"),
    ],
)
def test_another_size_than_the_card_s_can_be_chosen(choice, frame, expected, words):
    check_size_choice(choice)
    assert network_size(*frame, trained=(360, 480), choice=choice) == expected
    assert describe_size_choice(choice, trained=(360, 480)) == words


@pytest.mark.parametrize("choice", ["", "Half", "quarter", "0.5"])
def test_what_is_no_network_size_is_refused(choice):
    expected = "expected card, half, full or WIDTHxHEIGHT in pixels, such as 1024x512, as network size, got"
    with pytest.raises(SizeError, match=f"{expected} '{choice}'"):
        check_size_choice(choice)


def test_a_network_size_has_limits():
    with pytest.raises(SizeError, match="32 to 8192 pixels a side, got 16x16"):
        check_size_choice("16x16")


def test_a_size_is_width_by_height():
    assert parse_size("1920x1080") == (1080, 1920)
    assert size_text((1080, 1920, 3)) == "1920x1080"


@pytest.mark.parametrize("text", ["2048", "2048*1024", "x1024", "-64x64", "64x64x3", "64.5x64", "\u00b2x64", ""])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(SizeError, match="expected a size as WIDTHxHEIGHT"):
        parse_size(text)


@pytest.mark.parametrize("text", ["31x64", "64x8193", "0x0"])
def test_sizes_out_of_bounds_are_refused(text):
    with pytest.raises(SizeError, match="expected a size of 32 to 8192 pixels a side"):
        parse_size(text)
