"""What is repeated at will is told so many times a minute, and nothing of the rest is lost but its details."""

from gateway.sampler import MOST_KEYS, Sampler


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_so_many_a_minute_are_told_and_the_next_that_is_says_how_many_were_not() -> None:
    clock = Clock()
    sampler: Sampler[str] = Sampler(3, clock)

    assert [sampler.admit("a") for _ in range(5)] == [0, 0, 0, None, None]
    clock.now = 60
    assert [sampler.admit("a") for _ in range(4)] == [2, 0, 0, None]


def test_what_nobody_repeats_any_more_is_told_once_its_minute_is_over() -> None:
    clock = Clock()
    sampler: Sampler[str] = Sampler(1, clock)
    for _ in range(4):
        sampler.admit("a")
    sampler.admit("b")

    assert sampler.overdue() == []
    clock.now = 60
    assert sampler.overdue() == [("a", 3)]
    assert sampler.overdue() == []


def test_at_the_end_everything_is_told() -> None:
    sampler: Sampler[str] = Sampler(1, Clock())
    for _ in range(4):
        sampler.admit("a")

    assert sampler.overdue(everything=True) == [("a", 3)]


def test_many_names_do_not_fill_the_memory_for_ever() -> None:
    clock = Clock()
    sampler: Sampler[int] = Sampler(1, clock)
    for number in range(MOST_KEYS):
        sampler.admit(number)
    sampler.admit(0)
    clock.now = 60
    sampler.admit(MOST_KEYS)

    assert len(sampler._minutes) == 2
    assert sampler.overdue() == [(0, 1)]
