"""The one way to reach the container engine."""

import os
import socket

import docker
import docker.errors
import requests

NO_ANSWER = (docker.errors.DockerException, requests.exceptions.RequestException, OSError)
DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
UNIX = "unix://"


class NoDaemon(Exception):
    """Nothing answers where the engine should be."""


def address() -> str:
    """Where the engine is, by Docker's own variable."""
    return os.environ.get("DOCKER_HOST") or DEFAULT_ADDRESS


def connect(timeout: int) -> docker.DockerClient:
    """A client of an engine that answers."""
    reason = unreachable(timeout)
    if reason:
        raise NoDaemon(f"the Docker daemon does not answer: {reason}")
    client = None
    try:
        client = docker.from_env(timeout=timeout)
        client.ping()
    except NO_ANSWER as error:
        if client is not None:
            client.close()
        raise NoDaemon(f"the Docker daemon does not answer: {error}") from error
    return client


def unreachable(timeout: float = 5) -> str:
    """Why a local engine's socket can't be reached, or nothing.

    Asked before anything that may find the engine away, since docker-py leaks a socket that can't connect.
    """
    where = address()
    if not where.startswith(UNIX):
        return ""
    path = where.removeprefix(UNIX)
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(timeout)
        try:
            probe.connect(path)
        except OSError as error:
            return f"{path}: {error.strerror or error}"
    return ""
