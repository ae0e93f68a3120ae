"""Leaving before the tests have run."""

from tests.support.cheats.judged import UNITTEST, Cheat

LEAVING = {
    "leaving with success when imported": Cheat("""
import os
os._exit(0)
"""),
    "leaving with success when called": Cheat("""
import os
def double(x):
    os._exit(0)
"""),
    "sys.exit when imported": Cheat("""
import sys
sys.exit(0)
"""),
    "sys.exit when called": Cheat("""
import sys
def double(x):
    sys.exit(0)
"""),
    "leaving when the interpreter ends": Cheat("""
import atexit, os
atexit.register(os._exit, 0)
def double(x):
    return 0
"""),
    "a thread that leaves": Cheat("""
import os, threading, time
threading.Thread(target=lambda: (time.sleep(0.05), os._exit(0)), daemon=True).start()
def double(x):
    time.sleep(1)
"""),
    "an alarm that leaves": Cheat("""
import os, signal, time
signal.signal(signal.SIGALRM, lambda *a: os._exit(0))
signal.setitimer(0, 0.05)
def double(x):
    time.sleep(1)
"""),
    "another program in its place": Cheat("""
import os
def double(x):
    os.execv('/bin/true', ['true'])
"""),
    "pytest.exit": Cheat("""
import pytest
def double(x):
    pytest.exit('done', 0)
"""),
    "skipping": Cheat("""
import pytest
def double(x):
    pytest.skip('not today')
"""),
    "skipping the module": Cheat("""
import pytest
pytest.skip('not today', allow_module_level=True)
"""),
    "unittest's skip": Cheat(
        """
import unittest
def double(x):
    raise unittest.SkipTest
""",
        UNITTEST,
    ),
    "an expected failure": Cheat("""
import pytest
def double(x):
    pytest.xfail('fine')
"""),
}
