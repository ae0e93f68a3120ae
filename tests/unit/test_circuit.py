"""A circuit as a value: when it opens, when it closes, and that never more than one probe is out."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from activities.circuit import Circuit, Outcome, Rules
from schema.messages.circuit import CircuitState
from schema.settings import Settings

START = datetime(2026, 11, 23, tzinfo=UTC)
RULES = Rules()
SUCCESS, SLOW, FAILURE, QUOTA, UNKNOWN = Outcome


def later(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def fed(letters: str, circuit: Circuit | None = None, at: datetime = START) -> Circuit:
    """A circuit after calls: s, l for a slow success, f, q for a quota without a time."""
    circuit = circuit or Circuit(since=START)
    for letter in letters:
        outcome = {"s": SUCCESS, "l": SLOW, "f": FAILURE, "q": QUOTA}[letter]
        circuit = circuit.after(outcome, at, RULES)
    return circuit


def probed(circuit: Circuit, outcome: Outcome, at: datetime, retry_after: float | None = None) -> Circuit:
    """What becomes of an open circuit whose probe goes out and ends so."""
    assert circuit.admits(at) == "probe"
    return circuit.probing(at, RULES).after(outcome, at, RULES, probe=True, retry_after=retry_after)


def pause_of(circuit: Circuit, at: datetime = START) -> float:
    assert circuit.retry_at is not None
    return (circuit.retry_at - at).total_seconds()


class TestOpening:
    @pytest.mark.parametrize(
        ("calls", "cause"),
        [
            ("fffff", "5 failures in a row"),
            ("sssssfffff", "5 failures in a row"),
            ("sfsfsfsfsf", "5 of 10 calls failed"),
            ("fssfsfsfsf", "5 of 10 calls failed"),
            ("l" * 10, "10 of 10 calls were slow"),
            ("ss" + "l" * 8, "8 of 10 calls were slow"),
        ],
    )
    def test_it_opens_at_the_last_of_these_calls_and_not_before(self, calls: str, cause: str) -> None:
        before, opened = fed(calls[:-1]), fed(calls)

        assert before.state is CircuitState.CLOSED
        assert (opened.state, opened.cause, opened.opened_total) == (CircuitState.OPEN, cause, 1)

    @pytest.mark.parametrize("calls", ["ffff", "ffffs", "sfsfsfsfs", "sssf" * 20, "l" * 9, "sl" * 20, "fsss" * 20])
    def test_it_stays_closed_below_its_thresholds(self, calls: str) -> None:
        assert fed(calls).state is CircuitState.CLOSED

    def test_only_the_last_calls_are_judged(self) -> None:
        many = fed("s" * 1_000)

        assert len(many.recent) == RULES.window
        assert [fed("sf" * count, many).state.value for count in (9, 10)] == ["closed", "open"]

    def test_a_success_never_opens_it_though_it_completes_the_window(self) -> None:
        nine = fed("fsfsfsfsf")

        assert fed("s", nine).state is CircuitState.CLOSED

    def test_calls_counted_together_come_to_the_same_as_one_by_one(self) -> None:
        outcomes = [SUCCESS, SLOW, SUCCESS, SLOW, SLOW]
        together = Circuit(since=START).after_calls(outcomes, START, RULES)

        assert together == fed("slsll")

    def test_it_keeps_statistics(self) -> None:
        circuit = fed("sslfq")

        assert (circuit.calls, circuit.slow, circuit.failures) == (5, 1, 1)


class TestProbing:
    def test_its_pauses_double_to_the_longest(self) -> None:
        circuit, at, pauses = fed("fffff"), START, []
        for _ in range(6):
            pauses.append(pause_of(circuit, at))
            at += timedelta(seconds=pauses[-1])
            circuit = probed(circuit, FAILURE, at)

        assert pauses == [5, 10, 20, 40, 60, 60]

    def test_chance_shortens_a_pause_by_a_fifth_at_most_and_never_prolongs_it(self) -> None:
        four = fed("ffff")
        pauses = [pause_of(four.after(FAILURE, START, RULES, chance=chance)) for chance in (0.0, 0.5, 1.0)]

        assert pauses == [4, 4.5, 5]

    @pytest.mark.parametrize("outcome", [SUCCESS, SLOW])
    def test_an_answer_closes_it_and_it_starts_anew(self, outcome: Outcome) -> None:
        closed = probed(fed("fffff"), outcome, later(5))

        assert (closed.state, closed.recent, closed.streak) == (CircuitState.CLOSED, "", 0)
        assert (closed.retry_at, closed.probe_until) == (None, None)
        assert fed("ffff", closed).state is CircuitState.CLOSED

    def test_a_probe_without_evidence_goes_to_the_next(self) -> None:
        again = probed(fed("fffff"), UNKNOWN, later(5))

        assert (again.state, again.admits(later(5))) == (CircuitState.HALF_OPEN, "probe")

    def test_a_probe_that_nobody_hears_of_goes_to_another_when_its_lease_ends(self) -> None:
        probing = fed("fffff").probing(later(5), RULES)
        end = later(5 + RULES.probe_seconds)

        assert probing.admits(end - timedelta(microseconds=1)) is None
        assert probing.admits(end) == "probe"
        assert probing.probing(end, RULES).admits(end) is None

    @pytest.mark.parametrize("outcome", [SUCCESS, FAILURE, QUOTA])
    def test_calls_that_were_under_way_neither_close_nor_open_it(self, outcome: Outcome) -> None:
        probing = fed("fffff").probing(later(5), RULES)
        told = probing.after(outcome, later(6), RULES)

        assert (told.state, told.probe_until, told.calls) == (probing.state, probing.probe_until, probing.calls + 1)

    def test_who_waits_for_a_probe_asks_again_before_its_lease_ends(self) -> None:
        probing = fed("fffff").probing(later(5), RULES)

        assert 0 < probing.wait(later(5), RULES) <= RULES.open_seconds


class TestPausing:
    def test_a_quota_is_no_failure_and_waits_as_long_as_the_provider_says(self) -> None:
        paused = Circuit(since=START).after(QUOTA, START, RULES, retry_after=40)

        assert (paused.state, paused.failures, paused.recent, paused.opened_total) == (CircuitState.PAUSED, 0, "", 0)
        assert (pause_of(paused), paused.admits(later(39.9)), paused.admits(later(40))) == (40, None, "call")

    @pytest.mark.parametrize("wish", [10**9, math.inf])
    def test_no_pause_is_longer_than_a_quarter_of_an_hour(self, wish: float) -> None:
        assert pause_of(Circuit(since=START).after(QUOTA, START, RULES, retry_after=wish)) == 900

    @pytest.mark.parametrize("wish", [None, 0, -1, -math.inf, math.nan])
    def test_without_a_time_it_is_a_few_seconds(self, wish: float | None) -> None:
        assert pause_of(Circuit(since=START).after(QUOTA, START, RULES, retry_after=wish)) == 3

    def test_without_a_time_pauses_that_follow_each_other_double(self) -> None:
        circuit, at, pauses = Circuit(since=START), START, []
        for _ in range(10):
            circuit = circuit.after(QUOTA, at, RULES)
            pauses.append(pause_of(circuit, at))
            at += timedelta(seconds=pauses[-1])

        assert pauses == [3, 6, 12, 24, 48, 96, 192, 384, 768, 900]

    def test_calls_under_way_that_hear_it_too_prolong_a_pause_only_where_they_know_of_a_longer_one(self) -> None:
        paused = Circuit(since=START).after(QUOTA, START, RULES, retry_after=10)

        assert paused.after(QUOTA, later(1), RULES).retry_at == later(10)
        assert paused.after(QUOTA, later(1), RULES, retry_after=5).retry_at == later(10)
        assert paused.after(QUOTA, later(1), RULES, retry_after=20).retry_at == later(21)

    def test_a_success_ends_it_only_after_its_time(self) -> None:
        paused = Circuit(since=START).after(QUOTA, START, RULES, retry_after=10)

        assert paused.after(SUCCESS, later(9), RULES).state is CircuitState.PAUSED
        assert paused.after(SUCCESS, later(10), RULES).state is CircuitState.CLOSED

    def test_failures_open_it_and_it_stays_open_for_the_pause_at_least(self) -> None:
        paused = Circuit(since=START).after(QUOTA, START, RULES, retry_after=100)
        opened = fed("fffff", paused)

        assert (opened.state, opened.retry_at) == (CircuitState.OPEN, later(100))

    def test_a_probe_that_meets_a_quota_pauses_it_and_the_next_failure_opens_it_again(self) -> None:
        paused = probed(fed("fffff"), QUOTA, later(5), retry_after=10)

        assert (paused.state, paused.retry_at) == (CircuitState.PAUSED, later(15))
        assert paused.after(FAILURE, later(15), RULES).state is CircuitState.OPEN

    def test_while_it_is_open_a_quota_only_makes_it_stay_open_longer(self) -> None:
        opened = fed("fffff").after(QUOTA, later(1), RULES, retry_after=30)

        assert (opened.state, opened.retry_at) == (CircuitState.OPEN, later(31))


class TestShowing:
    def test_what_waits_for_its_first_call_is_shown_as_it_acts(self) -> None:
        opened, paused = fed("fffff"), fed("q")

        assert opened.shown(later(4.9)) == opened
        assert (opened.shown(later(9)).state, opened.shown(later(9)).since) == (CircuitState.HALF_OPEN, later(5))
        assert paused.shown(later(2.9)) == paused
        assert (paused.shown(later(9)).state, paused.shown(later(9)).since) == (CircuitState.CLOSED, later(3))

    def test_slow_is_half_of_the_longest_time_unless_it_is_set(self) -> None:
        by_default = Rules.from_settings(Settings(model_timeout_seconds=40))
        set_so = Rules.from_settings(Settings(model_timeout_seconds=40, model_slow_seconds=7))

        assert [by_default.answered(seconds) for seconds in (20, 20.1)] == [SUCCESS, SLOW]
        assert [set_so.answered(seconds) for seconds in (7, 7.1)] == [SUCCESS, SLOW]
        assert by_default.probe_seconds > 40


class Fleet(RuleBasedStateMachine):
    """Many callers of one circuit: calls under way, probes lost, a clock that only hypothesis moves."""

    def __init__(self) -> None:
        super().__init__()
        self.at = START
        self.circuit = Circuit(since=START)
        self.calls = 0
        self.probe_until: datetime | None = None
        self.failed = 0

    @initialize(letters=st.text("slf", max_size=25))
    def begin_after_some_calls(self, letters: str) -> None:
        self.circuit = fed(letters)
        self.failed = letters.count("f")

    @rule(seconds=st.one_of(st.floats(0, 10), st.sampled_from([60, 150, 151, 1_000])))
    def time_passes(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    @rule()
    def somebody_asks(self) -> None:
        before, admitted = self.circuit, self.circuit.admits(self.at)
        if admitted == "call":
            self.calls += 1
            assert before.state in (CircuitState.CLOSED, CircuitState.PAUSED)
        if admitted == "probe":
            # Never a second one beside a probe whose lease still runs.
            assert self.probe_until is None or self.probe_until <= self.at
            self.circuit = before.probing(self.at, RULES)
            self.probe_until = self.circuit.probe_until
            assert self.circuit.state is CircuitState.HALF_OPEN
            assert self.circuit.admits(self.at) is None
        if before.retry_at is not None and self.at < before.retry_at:
            assert admitted is None

    @precondition(lambda self: self.calls > 0)
    @rule(
        outcome=st.sampled_from(Outcome),
        retry_after=st.none() | st.floats(allow_nan=True, allow_infinity=True),
        chance=st.floats(0, 1),
    )
    def a_call_ends(self, outcome: Outcome, retry_after: float | None, chance: float) -> None:
        self.calls -= 1
        self._end(outcome, retry_after, chance, probe=False)

    @precondition(lambda self: self.probe_until is not None)
    @rule(
        outcome=st.sampled_from(Outcome),
        retry_after=st.none() | st.floats(allow_nan=True, allow_infinity=True),
        chance=st.floats(0, 1),
    )
    def the_probe_ends(self, outcome: Outcome, retry_after: float | None, chance: float) -> None:
        self._end(outcome, retry_after, chance, probe=True)
        self.probe_until = None
        assert self.circuit.admits(self.at) is not None or self.circuit.retry_at is not None

    @rule(letters=st.lists(st.sampled_from([SUCCESS, SLOW]), max_size=30))
    def a_worker_flushes(self, letters: list[Outcome]) -> None:
        assume(letters)
        before = self.circuit
        self.circuit = before.after_calls(letters, self.at, RULES)
        self._closes_only_by_a_success(before, success=True, probe=False)

    def _end(self, outcome: Outcome, retry_after: float | None, chance: float, *, probe: bool) -> None:
        before = self.circuit
        after = before.after(outcome, self.at, RULES, probe=probe, retry_after=retry_after, chance=chance)
        self.circuit = after
        self.failed += outcome is FAILURE
        self._closes_only_by_a_success(before, success=outcome in (SUCCESS, SLOW), probe=probe)
        if outcome is QUOTA:
            assert (after.failures, after.recent, after.opened_total) == (
                *(before.failures, before.recent, before.opened_total),
            )
            assert after.state is not CircuitState.OPEN or before.state is CircuitState.OPEN
        if outcome is UNKNOWN:
            assert after == before or (probe and after.state is before.state)

    def _closes_only_by_a_success(self, before: Circuit, *, success: bool, probe: bool) -> None:
        if self.circuit.state is CircuitState.CLOSED and before.state is not CircuitState.CLOSED:
            assert success
            # Not by one that was under way when it opened.
            assert probe or before.state is CircuitState.PAUSED

    @invariant()
    def it_is_a_circuit(self) -> None:
        circuit = self.circuit
        assert circuit.failures == self.failed
        assert len(circuit.recent) <= RULES.window
        assert (circuit.retry_at is not None) == (circuit.state in (CircuitState.OPEN, CircuitState.PAUSED))
        assert circuit.probe_until is None or circuit.state is CircuitState.HALF_OPEN
        if circuit.state is CircuitState.CLOSED:
            assert not circuit.recent.endswith("f" * RULES.in_a_row)
            assert circuit.streak == 0
        if circuit.retry_at is not None:
            assert circuit.retry_at <= self.at + timedelta(seconds=RULES.longest_pause_seconds)
        assert circuit.wait(self.at, RULES) <= RULES.longest_pause_seconds
        assert (circuit.wait(self.at, RULES) == 0) == (circuit.admits(self.at) is not None)


TestFleet = Fleet.TestCase
TestFleet.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
