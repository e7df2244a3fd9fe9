import math

from logboom.measures import DURATION_BOUNDS_S, Durations


def test_a_duration_counts_in_the_bucket_of_the_lowest_bound_that_it_does_not_exceed() -> None:
    durations = Durations()
    for seconds in (0.0, DURATION_BOUNDS_S[0], 0.00100001, DURATION_BOUNDS_S[-1], 11.0):
        durations.note(seconds)
    counted = dict(durations.buckets)
    assert counted[0.001] == 2
    assert counted[0.0025] == 1
    assert counted[10.0] == 1
    assert counted[math.inf] == 1
    assert sum(counted.values()) == 5
    assert durations.sum_s == 0.001 + 0.00100001 + 10.0 + 11.0
