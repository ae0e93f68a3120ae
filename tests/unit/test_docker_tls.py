"""An attachment to a container engine that is reached over TLS."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from activities import docker_tls
from tests.support.certificates import Authority

MUCH = bytes(range(256)) * 4_096


@pytest.fixture
def attached(tmp_path: Path) -> Iterator[tuple[ssl.SSLSocket, threading.Event]]:
    """A connection to a server that sends everything back, and an event once it has seen the connection's end."""
    authority, ended = Authority(tmp_path), threading.Event()
    pair = authority.issue("engine")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pair.cert, pair.key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_echo, args=(listening, serving, ended))
        thread.start()
        bare = socket.create_connection(listening.getsockname())
        trusting = ssl.create_default_context(cafile=str(authority.cert))
        connection = trusting.wrap_socket(bare, server_hostname="localhost")
        yield connection, ended
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()
        thread.join(timeout=10)


def _echo(listening: socket.socket, serving: ssl.SSLContext, ended: threading.Event) -> None:
    bare, _ = listening.accept()
    with contextlib.suppress(OSError), serving.wrap_socket(bare, server_side=True) as connection:
        while (data := connection.recv(65_536)) not in (b"", b"bye"):
            connection.sendall(data)
    ended.set()


def test_a_megabyte_there_and_back_is_the_same(attached: tuple[ssl.SSLSocket, threading.Event]) -> None:
    with docker_tls.plain(attached[0]) as connection:
        writing = threading.Thread(target=connection.sendall, args=(MUCH,))
        writing.start()
        got = b""
        while len(got) < len(MUCH):
            got += connection.recv(65_536)
        writing.join()
    assert got == MUCH


def test_hanging_up_ends_the_attachment(attached: tuple[ssl.SSLSocket, threading.Event]) -> None:
    docker_tls.plain(attached[0]).close()
    assert attached[1].wait(10)


def test_the_end_of_the_engine_is_the_end_for_whoever_reads(attached: tuple[ssl.SSLSocket, threading.Event]) -> None:
    with docker_tls.plain(attached[0]) as connection:
        connection.sendall(b"bye")
        assert connection.recv(1) == b""
