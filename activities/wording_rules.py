"""Guidelines by rule, for where no model is there that could word one: what prevents each fault, in plain words."""

from schema.messages.learning import Pattern

BY_RULE = {
    "security/B101": "Raise an explicit error for an argument that is wrong.",
    "security/B102": "Never run text as code; parse it, or choose among functions that are there.",
    "security/B104": "Listen on one named address, never on all of them.",
    "security/B108": "Make temporary files with the module `tempfile`, never under a fixed path.",
    "security/B110": "Catch only the errors that you expect, and do something about each of them.",
    "security/B112": "Catch only the errors that you expect, and do something about each of them.",
    "security/B113": "Give every request over a network a timeout.",
    "security/B201": "Never switch a web framework's debugger on in code.",
    "security/B301": "Read data that comes from outside with `json`, never with `pickle` or `marshal`.",
    "security/B302": "Read data that comes from outside with `json`, never with `pickle` or `marshal`.",
    "security/B303": "Use SHA-256 or better wherever a digest is needed; MD5 and SHA-1 are broken.",
    "security/B306": "Make temporary files with the module `tempfile`, and open them as they are made.",
    "security/B307": "Never run text as an expression; `ast.literal_eval` reads plain values.",
    "security/B310": "Open only addresses whose scheme is http or https, and check that first.",
    "security/B311": "Draw keys from the standard library's source for cryptography, never from `random`.",
    "security/B324": "Use SHA-256 or better wherever a digest is needed; MD5 and SHA-1 are broken.",
    "security/B501": "Keep encrypted connections strict about whom they talk to.",
    "security/B506": "Load YAML with `yaml.safe_load` and nothing else.",
    "security/B602": "Start programs with a list of arguments, never with a shell.",
    "security/B604": "Start programs with a list of arguments, never with a shell.",
    "security/B605": "Start programs with a list of arguments, never with a shell.",
    "security/B608": "Pass values to SQL as bound parameters, never as part of the statement's text.",
    "security/B701": "Switch automatic escaping on in every template.",
    "lint/B006": "Use None for a default that is a list or a dictionary, and make a new one in the function.",
    "lint/B008": "Call nothing in the default of a parameter; call it in the function.",
    "lint/B023": "Bind a loop's variable as a default where a function made in the loop uses it.",
    "lint/B904": "Raise one error out of another with `from`, so that the first is not lost.",
    "lint/E722": "Name the errors that an `except` catches; never leave it bare.",
    "lint/F401": "Import only what the code uses.",
    "lint/F811": "Give each function and each class of a module a name of its own.",
    "lint/F821": "Define or import every name before it is used.",
    "lint/F841": "Give a name only to values that are read later.",
    "lint/format": "Write with four spaces, short lines, and two blank lines between functions.",
    "syntax/syntax-error": "Read the whole file once more before answering: every bracket, quote and block is closed.",
    "scope/suppression": "Mend what a warning is about, so that the code needs no comment for it.",
    "scope/hidden-characters": "Write plain, visible characters only.",
    "scope/other-encoding": "Write every file in UTF-8, without a line that says another encoding.",
    "scope/file-deleted": "Keep every file that the task brings.",
    "tests/AssertionError": "Work through the examples and the edge cases that the task names before answering.",
    "tests/AttributeError": "Use only attributes and methods that the object really has, and handle None first.",
    "tests/ImportError": "Give functions and classes exactly the names that the task says, in the file that it says.",
    "tests/IndexError": "Handle empty input first, and check the first and the last place of every index.",
    "tests/KeyError": "Handle keys that may be missing, with `get` or a default.",
    "tests/ModuleNotFoundError": "Import only the standard library and modules that the task brings.",
    "tests/NameError": "Define or import every name before it is used.",
    "tests/RecursionError": "Give every recursion an end that each call comes nearer to, or write a loop.",
    "tests/SyntaxError": "Read the whole file once more before answering: every bracket, quote and block is closed.",
    "tests/TypeError": "Keep to the signature and the types that the task says, and handle None and other types first.",
    "tests/UnboundLocalError": "Give every variable a value on each way through a function before it is read.",
    "tests/ValueError": "Handle values that don't fit before they are converted, and decide what becomes of them.",
    "tests/ZeroDivisionError": "Handle a divisor of zero before dividing.",
    "limit/oom": "Work on large input piece by piece instead of building all of it at once.",
    "limit/timeout": "Choose a way whose work grows slowly with the input, and see that every loop ends.",
    "ballot/false-accept": "Follow the code by hand for every case of the task, with empty and extreme input too.",
    "ballot/false-reject": "Object only to a fault for which you can name the line and an input that goes wrong.",
    "ballot/abstain": "Come to a clear answer from what is shown, also where some doubt is left.",
    "ballot/absent": "Answer briefly, and exactly in the form that is asked for.",
    "step/InvalidModelOutput": "Write only what is asked for, in the form that is asked for, and keep it short.",
}

BY_KIND = {
    "security": "Treat all input as hostile: give it to no shell, interpreter or statement as text.",
    "lint": "Read the code once more for names that are unused, undefined or shadowed, and for defaults that change.",
    "syntax": "Read the whole file once more before answering: every bracket, quote and block is closed.",
    "secrets": "Write no key and no password into code; take them as arguments.",
    "scope": "Change as few files as the task needs, and keep them small.",
    "dependencies": "Import only the standard library and modules that the task brings.",
    "tests": "Work through the examples and the edge cases that the task names before answering.",
    "limit": "Choose a simple way whose work grows slowly with the input, and see that every loop ends.",
    "ballot": "Follow the code case by case, and name the line that an answer rests on.",
    "task": "Name the edge cases, and the exact names, parameters and results that the solution needs.",
    "step": "Write only what is asked for, in the form that is asked for, and keep it short.",
}

_ANY = "Read the task once more before answering, and check the answer against each of its sentences."


def worded_by_rule(pattern: Pattern) -> str:
    """A guideline of at most 300 characters that prevents what a pattern shows."""
    kind = pattern.rule.partition("/")[0]
    return BY_RULE.get(pattern.rule) or BY_KIND.get(kind, _ANY)
