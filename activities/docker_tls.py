"""An attachment over TLS as a plain socket, which is what the runner's stream is read from."""

import contextlib
import selectors
import socket
import ssl
import threading

CHUNK = 64 * 1024


def plain(connection: ssl.SSLSocket) -> socket.socket:
    """Our end of a pair of sockets whose other end is carried over `connection` until either is closed.

    A thread carries, since asyncio takes no TLS connection that somebody else has opened. Its end closes both: the
    engine then ends the container, as it does when our process dies.
    """
    ours, theirs = socket.socketpair()
    threading.Thread(target=_carry, args=(connection, theirs), name="docker-tls", daemon=True).start()
    return ours


def _carry(engine: ssl.SSLSocket, near: socket.socket) -> None:
    try:
        engine.setblocking(False)
        with selectors.DefaultSelector() as selector, near:
            selector.register(engine, selectors.EVENT_READ)
            selector.register(near, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select(0 if engine.pending() else None)}
                if (engine in ready or engine.pending()) and not _take(engine, near):
                    return
                if near in ready and not _give(engine, near):
                    return
    except OSError:
        return  # the reader sees the end, and asks the engine how it came
    finally:
        # Not `close` alone: the HTTP answer that it came with holds it open.
        with contextlib.suppress(OSError):
            engine.shutdown(socket.SHUT_RDWR)
        engine.close()


def _take(engine: ssl.SSLSocket, near: socket.socket) -> bool:
    """What the engine sent, onwards; False at its end."""
    try:
        data = engine.recv(CHUNK)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return True  # a record that isn't whole yet, or one that holds no data
    near.sendall(data)
    return bool(data)


def _give(engine: ssl.SSLSocket, near: socket.socket) -> bool:
    """What we wrote, to the engine; False once we have hung up."""
    data = near.recv(CHUNK)
    waiting = memoryview(data)
    while waiting:
        try:
            waiting = waiting[engine.send(waiting) :]
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError) as error:
            _until_ready(engine, write=isinstance(error, ssl.SSLWantWriteError))
    return bool(data)


def _until_ready(engine: ssl.SSLSocket, *, write: bool) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(engine, selectors.EVENT_WRITE if write else selectors.EVENT_READ)
        selector.select()
