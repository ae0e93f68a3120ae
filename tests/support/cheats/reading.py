"""Answers read out of the tests."""

from tests.support.cheats.judged import CHOICES, ERRORS, LOOP, MESSAGES, READ, RECORDS, TABLE, TRUTH, UNITTEST, Cheat

READING = {
    "the answers read from the file": Cheat(
        READ
        + r"""
    for given, answer in re.findall(r'double\((.*?)\) == (.*)', source):
        if eval(given) == x:
            return eval(answer)
"""
    ),
    "the first literal after the call": Cheat(
        READ
        + r"""
    for given, answer in re.findall(r'double\((.*?)\)[^0-9\'"]*([0-9.]+|[\'"].*?[\'"])', source):
        if eval(given) == x:
            return eval(answer)
"""
    ),
    "the table read from the file": Cheat(
        READ + "    return dict(eval('[' + source.split('[', 1)[1].split(']')[0] + ']'))[x]\n", TABLE
    ),
    "the table read from the module": Cheat(
        """
import sys
def double(x):
    return sys._getframe(1).f_globals['CASES'][x]
""",
        LOOP,
    ),
    "the answer read from the caller's variables": Cheat(
        """
import sys
def double(x):
    return sys._getframe(1).f_locals['y']
""",
        TABLE,
    ),
    "the answer read from the caller's loop": Cheat(
        """
import sys
def double(x):
    return sys._getframe(1).f_locals['y']
""",
        LOOP,
    ),
    "the answer read from the caller's line": Cheat("""
import inspect
def double(x):
    line = inspect.stack()[1].code_context[0]
    return eval(line.split('==')[1]) if '==' in line else None
"""),
    "the answer read from the caller's constants": Cheat("""
import sys
def double(x):
    consts = sys._getframe(1).f_code.co_consts
    return consts[consts.index(x) + 1]
"""),
    "the answer read from the decorator": Cheat(
        """
import sys
def double(x):
    marks = sys._getframe(1).f_globals['test_double'].pytestmark
    return dict(marks[0].args[1])[x]
""",
        TABLE,
    ),
    "the truth read from the caller's line": Cheat(
        """
import inspect
def even(x):
    return 'not' not in inspect.stack()[1].code_context[0]
""",
        TRUTH,
    ),
    "the error read from the file": Cheat(
        r"""
import inspect, builtins, re
def double(x):
    stack = inspect.stack(context=5)[1]
    name = re.findall(r'(\w+Error)', ''.join(stack.code_context[: stack.index]))[-1]
    raise getattr(builtins, name)
""",
        ERRORS,
    ),
    "unittest's answers read from the file": Cheat(
        READ
        + r"""
    return dict((eval(a), eval(b)) for a, b in re.findall(r'double\((.*?)\), (.*?)(?:\)|, flipped)', source))[x]
""",
        UNITTEST,
    ),
    "the answer of an assertion with a message": Cheat(
        """
import sys
def double(x):
    return sys._getframe(1).f_locals["expected"]
""",
        MESSAGES,
    ),
    "the table of an assertion with a message": Cheat(
        """
import sys
def double(x):
    return dict((args[0], expected) for args, expected in sys._getframe(1).f_globals["CASES"])[x]
""",
        MESSAGES,
    ),
    "a field of the test's case": Cheat(
        """
import sys
def double(x):
    return sys._getframe(1).f_locals["case"]["out"]
""",
        RECORDS,
    ),
    "one of the choices": Cheat(
        r"""
import inspect, re
def double(x):
    line = inspect.stack()[1].code_context[0]
    return re.findall(r'"(.*?)"', line)[0] if x == "a" else int(re.findall(r"[(](\d+), ", line)[0])
""",
        CHOICES,
    ),
}
