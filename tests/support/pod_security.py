"""Kubernetes' pod security standard `restricted`, control by control.

From its documentation, "Pod Security Standards"; `baseline` is part of it.
"""

from collections.abc import Iterator
from typing import Any

from tests.support.chart import Manifest, containers

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}  # fmt: skip
PROFILES = {"RuntimeDefault", "Localhost"}
SELINUX_TYPES = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}


def violations(pod: Manifest) -> list[str]:
    """What of a pod template the standard forbids; empty where it is restricted."""
    return [*_of_pod(pod["spec"]), *(found for each in containers(pod) for found in _of_container(each, pod["spec"]))]


def _of_pod(spec: Manifest) -> Iterator[str]:
    yield from (f"{name} is on" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name))
    if spec.get("hostUsers") is True:
        yield "hostUsers is on"
    for volume in spec.get("volumes", []):
        yield from (f"volume {volume['name']} is a {kind}" for kind in set(volume) - {"name"} - VOLUMES)
    own: Manifest = spec.get("securityContext", {})
    yield from (f"sysctl {each['name']}" for each in own.get("sysctls", []) if each["name"] not in SAFE_SYSCTLS)
    yield from _of_context(own)


def _of_container(container: Manifest, spec: Manifest) -> Iterator[str]:
    name, own = container["name"], container.get("securityContext", {})
    both: dict[str, Any] = {**spec.get("securityContext", {}), **own}
    if own.get("privileged"):
        yield f"{name} is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name} may escalate"
    if both.get("runAsNonRoot") is not True:
        yield f"{name} may run as root"
    if both.get("seccompProfile", {}).get("type") not in PROFILES:
        yield f"{name} has no seccomp profile"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield f"{name} keeps capabilities"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"{name} adds capabilities"
    if own.get("procMount", "Default") != "Default":
        yield f"{name} has a procMount"
    yield from (f"{name} has a hostPort" for port in container.get("ports", []) if port.get("hostPort"))
    handlers = [
        *container.get("lifecycle", {}).values(),
        *(container.get(f"{each}Probe", {}) for each in ("liveness", "readiness", "startup")),
    ]
    for handler in handlers:
        if any(handler.get(kind, {}).get("host") for kind in ("httpGet", "tcpSocket")):
            yield f"{name} probes another host"
    yield from _of_context(own)


def _of_context(context: Manifest) -> Iterator[str]:
    """The controls that pods and containers share."""
    if context.get("runAsUser") == 0:
        yield "runs as user 0"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield "is a Windows host process"
    if context.get("appArmorProfile", {}).get("type", "RuntimeDefault") not in PROFILES:
        yield "has no AppArmor profile"
    selinux = context.get("seLinuxOptions", {})
    if selinux.get("type") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield "has SELinux options of its own"
