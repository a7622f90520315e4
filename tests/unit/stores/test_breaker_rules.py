"""The breaker's state machine: examples, and any order of events against a second opinion."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from audit_stream.stores.breaker import BreakerPolicy, BreakerRules, BreakerState, Permit

POLICY = BreakerPolicy(max_failures=5, first_delay=5.0, max_delay=300.0, jitter=0.1)
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


def admitted(rules: BreakerRules, now: float) -> Permit:
    permit = rules.admit(now)
    assert permit is not None
    return permit


def opened(now: float = 0.0) -> BreakerRules:
    rules = BreakerRules(POLICY)
    for _ in range(6):
        rules.fail(admitted(rules, now), now, 0.0)
    assert rules.state is OPEN
    return rules


def test_five_failures_in_a_row_do_not_open_and_six_do() -> None:
    rules = BreakerRules(POLICY)
    for _ in range(5):
        rules.fail(admitted(rules, 0), 0, 0.0)
        assert rules.state is CLOSED
    rules.fail(admitted(rules, 0), 0, 0.0)
    assert rules.state is OPEN


def test_a_success_starts_the_count_again() -> None:
    rules = BreakerRules(POLICY)
    for _ in range(10):
        for _ in range(5):
            rules.fail(admitted(rules, 0), 0, 0.0)
        rules.succeed(admitted(rules, 0))
    assert rules.state is CLOSED


def test_a_refusal_opens_at_once() -> None:
    rules = BreakerRules(POLICY)
    rules.fail(admitted(rules, 0), 0, 0.0, refused=True)
    assert rules.state is OPEN


def test_the_delay_doubles_from_5_seconds_to_5_minutes() -> None:
    rules, now, delays = opened(), 0.0, []
    for _ in range(9):
        delays.append(rules.due - now)
        now = rules.due
        rules.fail(admitted(rules, now), now, 0.0)
    assert delays == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_the_delay_starts_again_after_a_success() -> None:
    rules = opened()
    rules.fail(admitted(rules, 5), 5, 0.0)
    rules.succeed(admitted(rules, 15))
    for _ in range(6):
        rules.fail(admitted(rules, 20), 20, 0.0)
    assert rules.due == 25


def test_chance_lengthens_the_delay_by_a_tenth_at_most() -> None:
    rules = BreakerRules(POLICY)
    rules.fail(admitted(rules, 0), 0, 0.999, refused=True)
    assert 5.4 < rules.due <= 5.5


def test_the_probe_does_not_come_before_the_store_wants_it() -> None:
    rules = BreakerRules(POLICY)
    rules.fail(admitted(rules, 0), 0, 0.0, refused=True, retry_after=60)
    assert rules.admit(59.9) is None
    assert rules.admit(60.0) is not None


def test_what_the_store_asks_for_is_bounded_by_the_longest_delay() -> None:
    for asked in (86_400.0, float("inf")):
        rules = BreakerRules(POLICY)
        rules.fail(admitted(rules, 0), 0, 0.0, refused=True, retry_after=asked)
        assert rules.due == 300


def test_one_probe_at_a_time() -> None:
    rules = opened()
    assert rules.admit(4.9) is None
    probe = admitted(rules, 5)
    assert rules.state is HALF_OPEN
    assert rules.admit(5) is None
    assert rules.admit(1e9) is None
    rules.succeed(probe)
    assert rules.state is CLOSED
    assert rules.admit(5) is not None


def test_an_abandoned_probe_makes_room_for_another() -> None:
    rules = opened()
    rules.abandon(admitted(rules, 5))
    assert rules.state is HALF_OPEN
    rules.succeed(admitted(rules, 5))
    assert rules.state is CLOSED


def test_outcomes_from_before_the_opening_are_old_news() -> None:
    rules = BreakerRules(POLICY)
    early = [admitted(rules, 0) for _ in range(8)]
    for permit in early[:6]:
        rules.fail(permit, 0, 0.0)
    rules.succeed(early[6])
    assert rules.state is OPEN
    rules.fail(early[7], 4, 0.0)
    assert rules.due == 5
    probe = admitted(rules, 5)
    rules.abandon(early[7])
    assert rules.admit(5) is None
    rules.succeed(probe)
    rules.fail(early[7], 6, 0.0, refused=True)
    assert rules.state is CLOSED


class AnyOrder(RuleBasedStateMachine):
    """Attempts begin and end in any order; a model keeps its own account."""

    permits = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.breaker = BreakerRules(POLICY)
        self.now = 0.0
        self.streak = 0  # failures in a row that count
        self.openings = 0
        self.opened_at: float | None = None  # None: closed
        self.probe: Permit | None = None
        self.current: set[int] = set()  # ids of the permits whose outcome counts
        self.held: list[Permit] = []  # keeps ids unique

    @rule(seconds=st.floats(0, 400))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def time_passes_to_the_probe(self) -> None:
        self.now = max(self.now, self.breaker.due)

    @rule(target=permits)
    def begin(self) -> Permit | None:
        permit = self.breaker.admit(self.now)
        may = self.opened_at is None or (self.probe is None and self.now >= self.breaker.due)
        assert (permit is not None) == may
        if permit is not None:
            self.held.append(permit)
            self.current.add(id(permit))
            if self.opened_at is not None:
                self.probe = permit
        return permit

    @rule(permit=consumes(permits))
    def succeed(self, permit: Permit | None) -> None:
        if permit is None:
            return
        self.breaker.succeed(permit)
        if id(permit) in self.current:
            if permit is self.probe:
                self.opened_at, self.probe, self.openings = None, None, 0
                self.current.clear()
            self.streak = 0
            self.current.discard(id(permit))

    @rule(permit=consumes(permits), chance=st.floats(0, 0.99), refused=st.booleans())
    def fail(self, permit: Permit | None, chance: float, refused: bool) -> None:
        if permit is None:
            return
        due = self.breaker.due
        self.breaker.fail(permit, self.now, chance, refused=refused)
        if id(permit) not in self.current:
            assert self.breaker.due == due
            return
        self.current.discard(id(permit))
        self.streak += 1
        if permit is self.probe or refused or self.streak > 5:
            self.opens()

    def opens(self) -> None:
        self.openings += 1
        self.opened_at, self.probe, self.streak = self.now, None, 0
        self.current.clear()
        nominal = min(300.0, 5.0 * 2.0 ** (self.openings - 1))
        delay = self.breaker.due - self.now
        assert nominal - 1e-6 <= delay <= nominal * 1.1 + 1e-6

    @rule(permit=consumes(permits))
    def abandon(self, permit: Permit | None) -> None:
        if permit is None:
            return
        self.breaker.abandon(permit)
        self.current.discard(id(permit))
        if permit is self.probe:
            self.probe = None

    @invariant()
    def the_state_is_the_models(self) -> None:
        assert (self.breaker.state is CLOSED) == (self.opened_at is None)
        assert self.breaker.probing == (self.probe is not None)
        if self.probe is not None:
            assert self.breaker.state is HALF_OPEN


TestAnyOrder = AnyOrder.TestCase
