"""The benchmark's delays and rates follow from the times at which lines were written and found."""

import pytest

from bench.logs import Run


def test_a_delay_lasts_from_writing_a_line_to_the_first_query_that_found_it() -> None:
    run = Run(began=100, found=[(100, 0), (101.5, 2), (102, 2), (103, 3)])
    assert run.waited(rate=1) == [1.5, 0.5, 1]


def test_a_line_that_is_found_before_its_time_has_no_delay() -> None:
    assert Run(began=100, found=[(100.5, 2)]).waited(rate=1) == [0.5, 0]


def test_the_rate_is_from_the_first_line_written_to_the_last_found() -> None:
    assert Run(began=100, found=[(101, 50), (110, 1000)]).rate == pytest.approx(100)
