"""Programs and tests that change, patch or share what they use."""

from tests.support.honest.double import Program

PATCHES: dict[str, Program] = {
    "tests that import tests": (
        {
            "solution.py": """
def sq(x): return x*x
"""
        },
        {
            "test_base.py": """
from solution import sq

class BaseChecks:
    value = 3
    expected = 9
    def test_value(self):
        assert sq(self.value) == self.expected

def check(a, b):
    assert sq(a) == b

def test_one():
    check(1, 1)
""",
            "test_more.py": """
from test_base import BaseChecks, check

class TestFour(BaseChecks):
    value = 4
    expected = 16

class TestThree(BaseChecks):
    pass

def test_two():
    check(2, 4)
""",
        },
    ),
    "threads that the tests make too": (
        {
            "solution.py": """
import threading, queue
class Pool:
    def __init__(s,n):
        s.q=queue.Queue(); s.r=[]; s.t=[threading.Thread(target=s._w) for _ in range(n)]
        for t in s.t: t.start()
    def _w(s):
        while (j:=s.q.get()) is not None: s.r.append(j())
    def submit(s,f): s.q.put(f)
    def join(s):
        for _ in s.t: s.q.put(None)
        for t in s.t: t.join()
        return s.r
"""
        },
        {
            "test_solution.py": """
import threading
from solution import Pool
def test_all_run():
    p = Pool(3)
    for i in range(20):
        p.submit(lambda i=i: i * i)
    assert sorted(p.join()) == [i * i for i in range(20)]
def test_assert_in_main():
    results = []
    def worker():
        p = Pool(1)
        p.submit(lambda: threading.current_thread().name)
        results.extend(p.join())
    t = threading.Thread(target=worker)
    t.start()
    t.join(timeout=5)
    assert not t.is_alive()
    assert len(results) == 1
def test_event():
    done = threading.Event()
    p = Pool(1)
    p.submit(done.set)
    assert done.wait(2)
    p.join()
"""
        },
    ),
    "patches wider than a test": (
        {
            "solution.py": """
import time
def stamp(): return f'{time.time():.0f}'
def wait(n):
    for i in range(n): time.sleep(60)
    return n
"""
        },
        {
            "test_solution.py": """
import time
from unittest import mock
import pytest
from solution import stamp, wait
@pytest.fixture(scope="module", autouse=True)
def no_sleep():
    with mock.patch("time.sleep") as sleep:
        yield sleep
@pytest.fixture(scope="class")
def frozen():
    with mock.patch.object(time, "time", return_value=5.0):
        yield
def test_wait(no_sleep):
    assert wait(2) == 2
    assert no_sleep.call_count == 2
@pytest.mark.usefixtures("frozen")
class TestStamp:
    def test_a(self):
        assert stamp() == "5"
    def test_b(self):
        assert len(stamp()) == 1
"""
        },
    ),
    "patches of a class": (
        {
            "solution.py": """
import random
def roll(): return random.randint(1,6)
"""
        },
        {
            "test_solution.py": """
import random
import unittest
from unittest.mock import patch
import solution
class T(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.patcher = patch.object(random, "randint", return_value=4)
        cls.patcher.start()
    @classmethod
    def tearDownClass(cls):
        cls.patcher.stop()
    def test_roll(self):
        self.assertEqual(solution.roll(), 4)
    def test_again(self):
        self.assertIn(solution.roll(), range(1, 7))
"""
        },
    ),
    "a logger of its own": (
        {
            "solution.py": """
import logging
class L(logging.Logger):
    def notice(s,m): s.log(25,m)
logging.addLevelName(25,'NOTICE')
logging.setLoggerClass(L)
log=logging.getLogger('app')
def go(): log.notice('hey'); return log
"""
        },
        {
            "test_solution.py": """
import logging
from solution import go
def test_notice(caplog):
    with caplog.at_level(25):
        go()
    assert caplog.records[0].levelname == "NOTICE"
    assert caplog.messages == ["hey"]
def test_type():
    assert isinstance(go(), logging.Logger)
"""
        },
    ),
}
