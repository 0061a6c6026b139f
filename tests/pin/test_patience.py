"""Trying again: pauses that grow, a budget, and as many calls at once as a place can take."""

from __future__ import annotations

import threading

import pytest

from pipeline.base.errors import PinError, PinnerUnavailable
from pipeline.base.web import REFUSED, STARTING_S, worth_waiting_s
from pipeline.pin.patience import BUDGET_S, MOST_AT_ONCE, TRIES, Patience


class Clock:
    """Time that passes only while somebody pauses."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def now(self) -> float:
        return sum(self.pauses)

    def patience(self, **options: float) -> Patience:
        return Patience(pause=self.pause, clock=self.now, **options)  # type: ignore[arg-type]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def gone(wait_s: float | None = None) -> PinnerUnavailable:
    return PinnerUnavailable(pinner="p", reason="gone", wait_s=wait_s)


def failing(*errors: PinError) -> list[PinError]:
    return list(errors)


def work(failures: list[PinError] | list[PinnerUnavailable]) -> str:
    if failures:
        raise failures.pop(0)
    return "done"


def test_a_passing_fault_is_waited_out_with_doubling_jittered_pauses(clock: Clock) -> None:
    failures = [gone() for _ in range(TRIES - 1)]
    assert clock.patience().call(lambda: work(failures)) == "done"
    assert len(clock.pauses) == TRIES - 1
    assert all(0.5 * 2**n <= pause <= 1.5 * 2**n for n, pause in enumerate(clock.pauses))


def test_pauses_of_two_who_failed_together_differ(clock: Clock) -> None:
    other = Clock()
    for each in clock, other:
        failures: list[PinError] = [gone() for _ in range(3)]
        each.patience().call(lambda left=failures: work(left))  # type: ignore[misc]
    assert clock.pauses != other.pauses


def test_a_port_of_this_machine_that_refuses_is_waited_for_as_long_as_a_program_takes_to_start(clock: Clock) -> None:
    def nobody() -> PinError:
        return PinnerUnavailable(pinner="p", reason=REFUSED, within_s=worth_waiting_s("127.0.0.1", REFUSED))

    failures = [nobody()]
    assert clock.patience().call(lambda: work(failures)) == "done"
    with pytest.raises(PinnerUnavailable):
        clock.patience().call(lambda: work([nobody()] * TRIES))
    assert 0 < clock.now() <= 2 * STARTING_S
    assert worth_waiting_s("example.org", REFUSED) is None


def test_what_cannot_heal_is_not_tried_again(clock: Clock) -> None:
    with pytest.raises(PinError, match="no"):
        clock.patience().call(lambda: work([PinError(reason="no")]))
    assert clock.pauses == []


def test_retry_after_is_obeyed_by_every_call_to_the_place(clock: Clock) -> None:
    patience = clock.patience()
    failures: list[PinError] = [gone(wait_s=30)]
    patience.call(lambda: work(failures))
    assert 30 <= clock.pauses[0] <= 36
    with pytest.raises(PinnerUnavailable):
        clock.patience(tries=1).call(lambda: work([gone(wait_s=30)]))
    told = clock.patience(tries=1)
    with pytest.raises(PinnerUnavailable):
        told.call(lambda: work([gone(wait_s=30)]))
    before = clock.now()
    told.call(lambda: work([]))
    assert clock.now() - before == pytest.approx(30)


def test_all_pauses_together_have_a_budget(clock: Clock) -> None:
    patience = clock.patience()
    with pytest.raises(PinnerUnavailable):
        for _ in range(200):
            failures: list[PinError] = [gone() for _ in range(TRIES - 1)]
            patience.call(lambda left=failures: work(left))  # type: ignore[misc]
    assert BUDGET_S * 0.9 < clock.now() <= BUDGET_S


def test_a_place_that_was_given_up_is_asked_once_until_it_answers(clock: Clock) -> None:
    patience = clock.patience()
    for tried in TRIES, 1, 1:
        failures: list[PinError] = [gone() for _ in range(9)]
        with pytest.raises(PinnerUnavailable):
            patience.call(lambda left=failures: work(left))  # type: ignore[misc]
        assert len(failures) == 9 - tried
    patience.call(lambda: work([]))
    once: list[PinError] = [gone()]
    assert patience.call(lambda: work(once)) == "done"


def test_a_place_that_does_well_gets_more_at_once_and_one_in_trouble_half(clock: Clock) -> None:
    patience = clock.patience()
    for _ in range(200):
        patience.call(lambda: work([]))
    assert patience.at_once == MOST_AT_ONCE
    failures: list[PinError] = [gone()]
    patience.call(lambda: work(failures))
    assert patience.at_once == MOST_AT_ONCE // 2
    for _ in range(20):
        with pytest.raises(PinnerUnavailable):
            patience.call(lambda: work([gone() for _ in range(TRIES)]))
    assert patience.at_once == 1


def test_a_storm_of_429_is_got_through_with_few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that refuses whoever asks while two others are being served: all get through, most without a refusal.

    The pauses are as ever, five hundred times shorter.
    """
    monkeypatch.setattr("pipeline.pin.patience.FIRST_PAUSE_S", 0.002)
    lock, inside, refused, served = threading.Lock(), [0], [0], [0]
    breath = threading.Event()

    def service() -> None:
        with lock:
            inside[0] += 1
            crowded = inside[0] > 2
            refused[0] += crowded
            served[0] += not crowded
        breath.wait(0.002)
        with lock:
            inside[0] -= 1
        if crowded:
            raise gone()

    patience = Patience(tries=50, budget_s=1e9)
    threads = [threading.Thread(target=lambda: [patience.call(service) for _ in range(20)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert served[0] == 160
    # However the threads are scheduled: who is one too many is refused once, and then it takes some that are served until
    # so many are let in again.
    assert refused[0] < served[0]
