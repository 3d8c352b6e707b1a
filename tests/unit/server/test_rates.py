from tapetum.server.rates import RateLimit


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_burst_then_an_even_rate():
    clock = Clock()
    limit = RateLimit(per_minute=60, at_once=3, clock=clock)
    assert [limit.wait_s("ada") for _ in range(4)] == [0, 0, 0, 1.0]
    assert limit.wait_s("bob") == 0
    clock.now = 0.5
    assert limit.wait_s("ada") == 0.5
    clock.now = 1.0
    assert limit.wait_s("ada") == 0
    assert limit.wait_s("ada") == 1.0


def test_a_bucket_holds_no_more_than_it_holds():
    clock = Clock()
    limit = RateLimit(per_minute=60, at_once=2, clock=clock)
    clock.now = 1000.0
    assert [limit.wait_s("ada") for _ in range(3)] == [0, 0, 1.0]
