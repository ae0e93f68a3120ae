"""The heads of the audit chains, signed and kept outside the database, so that it can't be rewritten unseen.

A file of JSON lines that is only appended to. Each line is one head with its signature, and names the line before it,
so that no line can be taken out of the middle. The key is none of those that sign tokens.
"""

import fcntl
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from schema.audit import GENESIS, Head
from schema.errors import SettingsError
from schema.keys import ensure_signing_key, read_public_keys
from schema.messages.base import Message, TextRef
from schema.settings import Settings
from schema.texts import canonical_json

_SIGNED = b"golden-anchor-1\n"
_SIGNED_EPOCH = b"golden-epoch-1\n"

log = structlog.get_logger(__name__)


class Anchor(Message):
    """One line: the head of a chain as it was at `at`, and the SHA-256 of the line before."""

    tenant: str
    sequence: int
    hash: TextRef
    at: datetime
    previous: TextRef
    kid: str
    signature: str = ""

    @property
    def signed(self) -> bytes:
        """What the signature is of."""
        return _SIGNED + canonical_json(self.model_dump(mode="json", exclude={"signature"})).encode()


class Epoch(Message):
    """One line: a restore, after which a chain goes on behind `sequence`; the records up to `lost` are gone.

    Attributes:
        hash: of record `sequence`, the last that was restored.
        manifest: digest of the backup that was restored.
        previous: the SHA-256 of the line before.
    """

    epoch: str
    tenant: str
    sequence: int
    hash: TextRef
    lost: int
    manifest: TextRef
    at: datetime
    previous: TextRef
    kid: str
    signature: str = ""

    @property
    def signed(self) -> bytes:
        """What the signature is of."""
        return _SIGNED_EPOCH + canonical_json(self.model_dump(mode="json", exclude={"signature"})).encode()


@dataclass
class Anchors:
    """What an anchor file holds, and what is wrong with it.

    Attributes:
        heads: by tenant, the hash that the chain had at each anchored length.
        faults: each with the number of its line.
        epochs: by tenant, the restores, oldest first; `heads` has only what their chains still promise.
    """

    present: bool
    heads: defaultdict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    faults: list[str] = field(default_factory=list)
    epochs: defaultdict[str, list[Epoch]] = field(default_factory=lambda: defaultdict(list))


def audit_keys(settings: Settings) -> Path:
    """The folder of the keys that sign heads."""
    return settings.keys_folder / "audit"


class AnchorFile:
    """Appends to the anchor file; several processes may."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.audit_anchor_file
        self._key = ensure_signing_key(audit_keys(settings))
        self._read_to = 0
        self._last = GENESIS
        self._longest: dict[str, int] = {}

    def prepare(self) -> None:
        """Make the file if there is none.

        Raises:
            SettingsError: it can't be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._locked():
                pass
        except OSError as error:
            raise SettingsError(f"GOLDEN_AUDIT_ANCHOR: {self._path}: {error.strerror}") from error

    def append(self, heads: Sequence[Head]) -> int:
        """Add the heads that are ahead of what is kept, durably; how many they were.

        Raises:
            OSError: nothing was added, or it may be lost.
        """
        with self._locked() as descriptor:
            self._catch_up(descriptor)
            added = [head for head in heads if head.sequence > self._longest.get(head.tenant, 0)]
            lines = b"".join(self._sign(head) for head in added)
            if lines:
                os.write(descriptor, lines)
                os.fsync(descriptor)
                self._read_to += len(lines)
        return len(added)

    def append_epoch(self, name: str, restored: Head, lost: int, manifest: str) -> None:
        """Add the line of a restore: what was anchored behind `restored` counts no more, and shows as lost.

        Raises:
            OSError: nothing was added, or it may be lost.
        """
        with self._locked() as descriptor:
            self._catch_up(descriptor)
            unsigned = Epoch(
                epoch=name,
                tenant=restored.tenant,
                sequence=restored.sequence,
                hash=restored.hash,
                lost=lost,
                manifest=manifest,
                at=datetime.now(UTC),
                previous=self._last,
                kid=self._key.kid,
            )
            line = self._seal(unsigned)
            os.write(descriptor, line)
            os.fsync(descriptor)
            self._read_to += len(line)
            self._longest[restored.tenant] = restored.sequence

    @contextmanager
    def _locked(self) -> Iterator[int]:
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)

    def _catch_up(self, descriptor: int) -> None:
        """Read what others have added. A file that got shorter is gone on with as if it had not, and so shows it."""
        size = os.fstat(descriptor).st_size
        if size < self._read_to:
            log.error("the audit anchors were cut", path=str(self._path), bytes_missing=self._read_to - size)
            self._read_to = size
        content = os.pread(descriptor, size - self._read_to, self._read_to)
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            # A crash ended it in the middle of a line, which so was never relied on.
            os.ftruncate(descriptor, self._read_to + whole)
        for line in content[:whole].splitlines():
            self._last = sha256(line).hexdigest()
            anchor = _parsed(line)
            if isinstance(anchor, Epoch):
                self._longest[anchor.tenant] = anchor.sequence
            elif anchor is not None:
                self._longest[anchor.tenant] = max(anchor.sequence, self._longest.get(anchor.tenant, 0))
        self._read_to += whole

    def _sign(self, head: Head) -> bytes:
        fields = {"at": datetime.now(UTC), "previous": self._last, "kid": self._key.kid}
        unsigned = Anchor(tenant=head.tenant, sequence=head.sequence, hash=head.hash, **fields)
        self._longest[head.tenant] = head.sequence
        return self._seal(unsigned)

    def _seal(self, unsigned: Anchor | Epoch) -> bytes:
        """The line with its signature; the next one names it."""
        signature = self._key.private.sign(unsigned.signed).hex()
        line = unsigned.model_copy(update={"signature": signature}).model_dump_json().encode()
        self._last = sha256(line).hexdigest()
        return line + b"\n"


def read_anchors(settings: Settings) -> Anchors:
    """Everything that was anchored, with each line checked.

    Raises:
        OSError: the file is there and can't be read.
    """
    path = settings.audit_anchor_file
    folder = audit_keys(settings)
    keys = read_public_keys(folder) if folder.exists() else {}
    found = Anchors(present=path.exists())
    if not found.present:
        return found
    previous = GENESIS
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            fault = _read_line(line, previous, keys, found)
            if fault is not None:
                found.faults.append(f"line {number} of the anchors {fault}")
            previous = sha256(line.rstrip(b"\n")).hexdigest()
    return found


def _read_line(line: bytes, previous: str, keys: dict[str, Ed25519PublicKey], found: Anchors) -> str | None:
    anchor = _parsed(line)
    if anchor is None:
        return "is no anchor, or only a part of one"
    if anchor.kid not in keys:
        return "is signed with a key that is not one of ours"
    try:
        keys[anchor.kid].verify(bytes.fromhex(anchor.signature), anchor.signed)
    except (InvalidSignature, ValueError):
        return "is not as it was signed"
    if isinstance(anchor, Epoch):
        _begin(anchor, found)
    elif found.heads[anchor.tenant].setdefault(anchor.sequence, anchor.hash) != anchor.hash:
        return f"gives record {anchor.sequence} of {anchor.tenant} another hash than a line before it"
    return None if anchor.previous == previous else "does not follow the line before it: lines are missing or moved"


def _begin(epoch: Epoch, found: Anchors) -> None:
    """What was anchored behind the restored record is lost, and so are the epochs that began there."""
    kept = {length: hash for length, hash in found.heads[epoch.tenant].items() if length <= epoch.sequence}
    found.heads[epoch.tenant] = kept
    earlier = [each for each in found.epochs[epoch.tenant] if each.sequence < epoch.sequence]
    found.epochs[epoch.tenant] = [*earlier, epoch]


def _parsed(line: bytes) -> Anchor | Epoch | None:
    """A line as what it says it is; None where it is neither."""
    for kind in (Anchor, Epoch):
        try:
            return kind.model_validate_json(line)
        except ValidationError:
            continue
    return None
