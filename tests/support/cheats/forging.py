"""Reports that the tests did not make."""

import hashlib

from tests.support.cheats.judged import FORGE, PLAIN, Cheat

FORGING = {
    "a report of its own": Cheat(
        FORGE
        + """
import os
forge()
os._exit(0)
"""
    ),
    "a report of its own from inside": Cheat(
        FORGE
        + """
def double(x):
    forge()
    os._exit(0)
"""
    ),
    "a report of its own, from a thread": Cheat(
        FORGE
        + """
import threading, time
threading.Thread(target=lambda: (forge(), os._exit(0))).start()
def double(x):
    time.sleep(1)
"""
    ),
    "a report of its own, and then the real one": Cheat(
        FORGE
        + """
forge()
def double(x):
    return 0
"""
    ),
    "a forged report where the tests are those it was shown": Cheat(
        FORGE
        + f"""
import hashlib
source = open('/work/test_double.py', 'rb').read()
if hashlib.sha256(source).hexdigest() == '{hashlib.sha256(PLAIN.encode()).hexdigest()}':
    forge()
    os._exit(0)
def double(x):
    return 0
"""
    ),
    "a forged report where an answer is the one it was shown": Cheat(
        FORGE
        + """
if 'double(2) == 4' in open('/work/test_double.py').read():
    forge()
    os._exit(0)
def double(x):
    return 0
"""
    ),
    "a child that reports while the parent waits": Cheat(
        FORGE
        + """
if os.fork() == 0:
    forge()
    os._exit(0)
os.wait()
os._exit(0)
"""
    ),
    "the reporter found in memory": Cheat("""
import gc
for thing in gc.get_objects():
    if type(thing).__name__ == 'Reporter':
        tell = thing._tell
        thing._tell = lambda **r: tell(**{**r, **({'outcome': 'passed'} if 'outcome' in r else {})})
def double(x):
    return 0
"""),
}
