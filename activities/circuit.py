"""A circuit as a value: what the outcome of a call makes of it. It reads no clock, draws no lots and stores nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from schema.messages.circuit import CircuitState
from schema.settings import Settings

LEASE_MARGIN_SECONDS = 30
JITTER = 0.2
"""This part of a pause is left to chance. It is never longer for that."""

Admission = Literal["call", "probe"]


class Outcome(StrEnum):
    """How a call ended. `QUOTA` is the provider's wish for a pause; `UNKNOWN`, as of a cancelled call, says nothing."""

    SUCCESS = "success"
    SLOW = "slow"
    FAILURE = "failure"
    QUOTA = "quota"
    UNKNOWN = "unknown"


_LETTERS = {Outcome.SUCCESS: "s", Outcome.SLOW: "l", Outcome.FAILURE: "f"}


@dataclass(frozen=True)
class Rules:
    """When a circuit opens, and for how long.

    Attributes:
        window: the last so many calls are judged; `least` of them before a rate says anything.
        failure_rate, slow_rate: of the window, at which it opens; `in_a_row` failures open it at once.
        open_seconds: until the first probe; doubles with each failed one, to `longest_open_seconds`.
        pause_seconds: where the provider names no time; doubles with each pause that follows another, to
            `longest_pause_seconds`, which no time of a provider exceeds either.
        probe_seconds: a probe that reported nothing for so long is given to another.
        slow_seconds: an answer that took longer is slow.
    """

    window: int = 20
    least: int = 10
    failure_rate: float = 0.5
    slow_rate: float = 0.8
    in_a_row: int = 5
    open_seconds: float = 5
    longest_open_seconds: float = 60
    pause_seconds: float = 3
    longest_pause_seconds: float = 900
    probe_seconds: float = 150
    slow_seconds: float = 60

    @classmethod
    def from_settings(cls, settings: Settings) -> "Rules":
        """The rules for calls that may take as long as the settings say."""
        longest = settings.model_timeout_seconds
        return cls(
            probe_seconds=longest + LEASE_MARGIN_SECONDS, slow_seconds=settings.model_slow_seconds or longest / 2
        )

    def answered(self, seconds: float) -> Outcome:
        """The outcome of a call that was answered after so many seconds."""
        return Outcome.SLOW if seconds > self.slow_seconds else Outcome.SUCCESS


@dataclass(frozen=True)
class Circuit:
    """One circuit at one moment.

    Attributes:
        recent: the window's outcomes, one letter each, the newest last: s, l for a slow success, f.
        streak: how often in a row it opened, or paused, without a success between.
        retry_at: before that no call goes out, where it is open or paused.
        probe_until: until then the probe is somebody's, where it is half-open.
        cause: why it came into its state; known only to what brought it there.
    """

    since: datetime
    state: CircuitState = CircuitState.CLOSED
    calls: int = 0
    failures: int = 0
    slow: int = 0
    opened_total: int = 0
    recent: str = ""
    streak: int = 0
    retry_at: datetime | None = None
    probe_until: datetime | None = None
    cause: str = field(default="", compare=False)

    def admits(self, at: datetime) -> Admission | None:
        """Whether a call may go out, and whether it would be the probe. A pause that is over lets everybody through."""
        if self.state is CircuitState.CLOSED:
            return "call"
        if self.state is CircuitState.HALF_OPEN:
            return "probe" if self.probe_until is None or self.probe_until <= at else None
        if not self._due(at):
            return None
        return "call" if self.state is CircuitState.PAUSED else "probe"

    def wait(self, at: datetime, rules: Rules) -> float:
        """Seconds until it is worth to ask again. A probe's answer may come any time, so that is looked for often."""
        if self.admits(at):
            return 0.0
        if self.state is CircuitState.HALF_OPEN:
            return min(rules.open_seconds, _seconds(at, self.probe_until))
        return _seconds(at, self.retry_at)

    def shown(self, at: datetime) -> "Circuit":
        """As it acts at that moment: what waits for its first call after its time is stored in its old state."""
        if self.retry_at is None or not self._due(at):
            return self
        if self.state is CircuitState.OPEN:
            return replace(self, state=CircuitState.HALF_OPEN, since=self.retry_at)
        if self.state is CircuitState.PAUSED:
            return replace(self, state=CircuitState.CLOSED, since=self.retry_at, retry_at=None)
        return self

    def probing(self, at: datetime, rules: Rules) -> "Circuit":
        """With its probe given out, which `admits` must have allowed."""
        lease = at + timedelta(seconds=rules.probe_seconds)
        if self.state is CircuitState.HALF_OPEN:
            return replace(self, probe_until=lease)
        return self._to(CircuitState.HALF_OPEN, at, "its time to try again has come", probe_until=lease)

    def after(
        self,
        outcome: Outcome,
        at: datetime,
        rules: Rules,
        *,
        probe: bool = False,
        retry_after: float | None = None,
        chance: float = 1.0,
    ) -> "Circuit":
        """What one call's outcome makes of it.

        Args:
            probe: the call was the probe that is out; other calls neither close nor open what is half-open.
            retry_after: seconds, the provider's own wish with a `QUOTA`.
            chance: 0 to 1, drawn by the caller, for the length of a pause.
        """
        probe = probe and self.state is CircuitState.HALF_OPEN
        if outcome is Outcome.UNKNOWN:
            return replace(self, probe_until=None) if probe else self
        if outcome is Outcome.QUOTA:
            return self._refused(at, rules, probe, retry_after, chance)
        if not probe:
            return self.after_calls([outcome], at, rules, chance=chance)
        counted = self._counted(_LETTERS[outcome])
        if outcome is Outcome.FAILURE:
            return counted._opened(at, rules, "the probe failed", chance)
        return counted._to(CircuitState.CLOSED, at, "the probe was answered", recent="", streak=0)

    def after_calls(self, outcomes: Sequence[Outcome], at: datetime, rules: Rules, *, chance: float = 1.0) -> "Circuit":
        """What successes, slow ones and failures make of it that were not the probe, in their order."""
        letters = "".join(_LETTERS[outcome] for outcome in outcomes)
        counted = self._counted(letters)
        if not letters or self.state in (CircuitState.OPEN, CircuitState.HALF_OPEN):
            return counted
        counted = replace(counted, recent=(self.recent + letters)[-rules.window :])
        cause = counted._fault(letters, rules)
        if cause is not None:
            return counted._opened(at, rules, cause, chance)
        if self.state is CircuitState.PAUSED and self._due(at) and letters.strip("f"):
            return counted._to(CircuitState.CLOSED, at, "answered after the pause", recent="", streak=0)
        return counted

    def _counted(self, letters: str) -> "Circuit":
        return replace(
            self,
            calls=self.calls + len(letters),
            failures=self.failures + letters.count("f"),
            slow=self.slow + letters.count("l"),
        )

    def _fault(self, new: str, rules: Rules) -> str | None:
        """Why it opens; what went well is never the reason."""
        calls = len(self.recent)
        if "f" in new and self.recent.endswith("f" * rules.in_a_row):
            return f"{rules.in_a_row} failures in a row"
        for letter, rate, what in (("f", rules.failure_rate, "failed"), ("l", rules.slow_rate, "were slow")):
            count = self.recent.count(letter)
            if letter in new and calls >= rules.least and count >= rate * calls:
                return f"{count} of {calls} calls {what}"
        return None

    def _opened(self, at: datetime, rules: Rules, cause: str, chance: float) -> "Circuit":
        streak = self.streak + 1 if self.state is CircuitState.HALF_OPEN else 1
        until = _later(at, _pause(rules.open_seconds, rules.longest_open_seconds, streak, chance))
        if self.state is CircuitState.PAUSED and self.retry_at is not None:
            until = max(until, self.retry_at)
        total = self.opened_total + 1
        return self._to(CircuitState.OPEN, at, cause, streak=streak, retry_at=until, opened_total=total)

    def _refused(self, at: datetime, rules: Rules, probe: bool, retry_after: float | None, chance: float) -> "Circuit":
        """Not a failure: the provider is there, and wants to be left alone."""
        counted = replace(self, calls=self.calls + 1)
        # Written so that what is no number is not believed; neither is 0, with which it would be asked at once.
        given = retry_after if retry_after is not None and retry_after > 0 else None
        named = None if given is None else _later(at, min(given, rules.longest_pause_seconds))
        if (self.state is CircuitState.PAUSED and not self._due(at)) or self.state is CircuitState.OPEN:
            # One of those that were under way: it knows of a longer pause, or nothing new.
            return replace(counted, retry_at=max(filter(None, (self.retry_at, named)), default=None))
        if self.state is CircuitState.HALF_OPEN and not probe:
            return counted
        streak = self.streak + 1 if self.state is CircuitState.PAUSED else 1
        until = named or _later(at, _pause(rules.pause_seconds, rules.longest_pause_seconds, streak, chance))
        return counted._to(CircuitState.PAUSED, at, "the provider's quota", streak=streak, retry_at=until)

    def _due(self, at: datetime) -> bool:
        return self.retry_at is None or self.retry_at <= at

    def _to(self, state: CircuitState, at: datetime, cause: str, **changes: Any) -> "Circuit":
        left: dict[str, Any] = {"retry_at": None, "probe_until": None}
        return replace(self, state=state, since=at, cause=cause, **(left | changes))


def _pause(first: float, longest: float, streak: int, chance: float) -> float:
    # Beyond 2 ** 30 nothing is longer than the longest, and a float would end.
    return min(longest, first * 2.0 ** min(streak - 1, 30)) * (1 - JITTER + JITTER * chance)


def _later(at: datetime, seconds: float) -> datetime:
    return at + timedelta(seconds=seconds)


def _seconds(at: datetime, until: datetime | None) -> float:
    return max(0.0, (until - at).total_seconds()) if until else 0.0
