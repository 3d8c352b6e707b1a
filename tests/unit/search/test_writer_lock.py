from threading import Thread

import pytest

from tapetum.search._writer_lock import WriterLock


def test_writers_wait_for_each_other(tmp_path):
    """Two locks on one folder are as those of two processes."""
    order = []

    def second():
        with WriterLock(tmp_path / "g").held():
            order.append("second")

    with WriterLock(tmp_path / "g").held():
        waiting = Thread(target=second)
        waiting.start()
        waiting.join(0.2)
        order.append("first")
    waiting.join(5)
    assert order == ["first", "second"]


def test_who_holds_it_may_take_it_again_and_an_error_lets_it_go(tmp_path):
    lock = WriterLock(tmp_path)
    with pytest.raises(KeyError), lock.held(), lock.held():
        raise KeyError
    with WriterLock(tmp_path).held():
        pass
