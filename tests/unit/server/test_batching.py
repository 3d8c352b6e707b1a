import asyncio

import numpy as np
import pytest

from tapetum.server.batching import Clips, EncodingQueue
from tapetum.server.refusals import Busy, EncodingFailed, TimedOut, Unavailable, Unreadable
from tapetum.types import Modality


def clips(*colour, count=1) -> Clips:
    pixels = np.empty((count, 2, 3, 32, 16), dtype=np.uint8)
    pixels[:] = np.array(colour, dtype=np.uint8)[:, None, None]
    return Clips(pixels, Modality.VISIBLE)


@pytest.fixture
def new_queue(model):
    opened = []

    def new(**options):
        opened.append(EncodingQueue(model, **{"wait_s": 0.0, "timeout_s": 20.0, **options}))
        opened[-1].start()
        return opened[-1]

    yield new
    model.go.set()
    for queue in opened:
        queue.close()


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


def test_requests_that_wait_are_embedded_together_and_each_gets_its_own(model, new_queue):
    queue = new_queue(batch_size=4)

    async def ask():
        model.go.clear()
        first = asyncio.create_task(queue.encode([clips(9, 0, 0)]))
        await until(lambda: model.busy)
        others = [asyncio.create_task(queue.encode([c])) for c in (clips(0, 9, 0), clips(0, 0, 9))]
        await until(lambda: queue.waiting == 2)
        model.go.set()
        return [(await task)[0].round().tolist() for task in (first, *others)]

    assert asyncio.run(ask()) == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert model.batches == [1, 2]


def test_a_clip_waits_for_others_until_the_batch_is_full(model, new_queue):
    queue = new_queue(batch_size=2, wait_s=19.0)

    async def ask():
        return await asyncio.gather(queue.encode([clips(9, 0, 0)]), queue.encode([clips(0, 9, 0)]))

    asyncio.run(ask())
    assert model.batches == [2]


def test_clips_of_one_part_are_averaged_and_more_than_a_batch_is_cut_up(model, new_queue):
    queue = new_queue(batch_size=2)
    part = clips(9, 0, 0, count=3)
    part.pixels[1:] = np.array([0, 9, 0], dtype=np.uint8)[:, None, None]
    [vector] = asyncio.run(queue.encode([part]))
    mean = np.array([1 / 3, 2 / 3, 0])
    np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-6)
    assert vector.dtype == np.float32
    assert model.batches == [2, 1]


def test_a_failed_item_does_not_fail_its_batch_mates(model, new_queue):
    queue = new_queue(batch_size=4, wait_s=19.0)

    async def ask():
        asked = [clips(9, 0, 0), clips(7, 7, 7), clips(0, 0, 9), clips(0, 0, 0)]
        return await asyncio.gather(*(queue.encode([c]) for c in asked), return_exceptions=True)

    red, seven, blue, black = asyncio.run(ask())
    assert red[0].round().tolist() == [1, 0, 0]
    assert blue[0].round().tolist() == [0, 0, 1]
    assert isinstance(seven, EncodingFailed)
    assert isinstance(black, Unreadable)


def test_too_much_is_refused_with_when_to_ask_again(model, new_queue):
    queue = new_queue(batch_size=1, most_waiting=2)

    async def ask():
        model.go.clear()
        running = asyncio.create_task(queue.encode([clips(1, 0, 0, count=9)]))  # alone, it is taken
        await until(lambda: model.busy)
        waiting = asyncio.create_task(queue.encode([clips(1, 0, 0, count=2)]))
        await until(lambda: queue.waiting == 2)
        with pytest.raises(Busy, match="2 clips wait") as refused:
            await queue.encode([clips(1, 0, 0)])
        model.go.set()
        await asyncio.gather(running, waiting)
        return refused.value.retry_after_s

    assert asyncio.run(ask()) >= 1


def test_cancelled_and_late_requests_leave_the_queue(model, new_queue):
    queue = new_queue(batch_size=1, timeout_s=0.05)

    async def ask():
        model.go.clear()
        running = asyncio.create_task(queue.encode([clips(1, 0, 0)]))
        await until(lambda: model.busy)
        cancelled = asyncio.create_task(queue.encode([clips(2, 0, 0)]))
        await until(lambda: queue.waiting == 1)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert queue.waiting == 0
        with pytest.raises(TimedOut, match=r"0\.05 s"):
            await queue.encode([clips(3, 0, 0)])
        assert queue.waiting == 0
        with pytest.raises(TimedOut):
            await running
        model.go.set()

    asyncio.run(ask())
    queue.close()
    assert model.batches == [1]  # the others never came to the model


def test_what_waits_is_refused_when_the_service_stops(model, new_queue):
    queue = new_queue(batch_size=1)

    async def ask():
        model.go.clear()
        running = asyncio.create_task(queue.encode([clips(9, 0, 0)]))
        await until(lambda: model.busy)
        waiting = asyncio.create_task(queue.encode([clips(0, 9, 0)]))
        await until(lambda: queue.waiting == 1)
        closing = asyncio.create_task(asyncio.to_thread(queue.close))
        with pytest.raises(Unavailable, match="stopping"):
            await waiting
        model.go.set()
        await closing
        assert (await running)[0].round().tolist() == [1, 0, 0]
        with pytest.raises(Unavailable):
            await queue.encode([clips(9, 0, 0)])

    asyncio.run(ask())
    assert not queue.is_running


def test_batches_are_told_of(model):
    told = []
    queue = EncodingQueue(model, wait_s=0.0, watch=lambda count, seconds: told.append((count, seconds >= 0)))
    queue.start()
    asyncio.run(queue.encode([clips(9, 0, 0), clips(9, 0, 0)]))
    queue.close()
    assert told == [(2, True)]
