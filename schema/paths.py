"""Which file paths may name a file in a workspace. One rule for clients, models and the sandbox."""

import re
import unicodedata

from schema.characters import clean, without_joints

MAX_PATH_BYTES = 200
"""Of the whole path, and so of each part: file systems take parts of up to 255 bytes, encrypted ones less."""
MAX_DEPTH = 8

# Windows takes COM¹ for COM1, and a name with an ending or spaces for the device all the same.
_WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|clock\$|(com|lpt)[0-9¹²³])", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')
# Git runs what is in its own folder; the second is that folder's short name on Windows.
_GIT = frozenset({".git", "git~1"})


def check_workspace_path(path: str) -> str:
    """Return `path` if it is a plain relative file path on every platform's rules.

    Raises:
        ValueError: it is empty, absolute, climbing, too long or deep, or holds a character, a device
            name or an ending that some platform treats specially.
    """
    if not path:
        raise ValueError("a path must not be empty")
    if len(path.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES:
        raise ValueError(f"a path must not be longer than {MAX_PATH_BYTES} bytes")
    if clean(path) != path:
        raise ValueError("a path must not hold control, invisible or unpaired characters")
    if _FORBIDDEN.search(path):
        raise ValueError('a path must use forward slashes and none of \\ : * ? " < > |')
    if path.startswith("/"):
        raise ValueError("a path must be relative to the workspace: remove the leading slash")
    if path.startswith("~"):
        raise ValueError("a path must not begin with a tilde, which some programs take for a home folder")
    parts = path.split("/")
    if len(parts) > MAX_DEPTH:
        raise ValueError(f"a path must not be deeper than {MAX_DEPTH} folders")
    for part in parts:
        _check_part(part)
    return path


def spelling(path: str) -> str:
    """What the spellings of one path have in common: equal for paths that some file system takes for one file.

    Case, composed or decomposed accents, joiners and variation selectors make no difference in it.
    """
    decomposed = unicodedata.normalize("NFD", without_joints(path))
    return unicodedata.normalize("NFD", decomposed.casefold())


def _check_part(part: str) -> None:
    if part in ("", ".", ".."):
        raise ValueError("a path must stay in the workspace: no '..', '.' or empty part")
    if part != part.strip() or part.endswith("."):
        raise ValueError("no part of a path may begin or end with a space, or end with a dot")
    if part.startswith("-"):
        raise ValueError("no part of a path may begin with a hyphen")
    if _WINDOWS_DEVICES.fullmatch(part.split(".")[0].rstrip(" ")):
        raise ValueError(f"'{part}' is a device name on some platforms")
    if spelling(part) in _GIT:
        raise ValueError(f"'{part}' is git's own folder, out of which git runs programs")
