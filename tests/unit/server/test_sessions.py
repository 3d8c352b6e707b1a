from tapetum.server.sessions import Sessions


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_sessions_last_their_time_and_end():
    clock = Clock()
    sessions = Sessions(most=10, ttl_s=60, clock=clock)
    first, second = sessions.begin("a"), sessions.begin("b")
    assert first.session_id != second.session_id
    assert sessions.find(first.session_id).digest == "a"
    sessions.end(first.session_id)
    sessions.end(first.session_id)
    assert sessions.find(first.session_id) is None
    clock.now = 60
    assert sessions.find(second.session_id) is None
    assert sessions.find("") is None


def test_the_oldest_makes_room():
    sessions = Sessions(most=2, ttl_s=60)
    begun = [sessions.begin(str(n)) for n in range(3)]
    assert [sessions.find(s.session_id) is None for s in begun] == [True, False, False]


def test_page_tokens_are_bound_to_session_and_process():
    sessions, others = Sessions(most=2, ttl_s=60), Sessions(most=2, ttl_s=60)
    token = sessions.csrf_token("s1")
    assert sessions.is_csrf_token("s1", token)
    for session_id, given in (("s2", token), ("s1", ""), ("s1", token[:-1]), ("s1", "é\ud800")):
        assert not sessions.is_csrf_token(session_id, given)
    assert not others.is_csrf_token("s1", token)
