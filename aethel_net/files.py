"""The text of hosts and resolv.conf. man 5 hosts, man 5 resolv.conf"""

from __future__ import annotations

import ipaddress


def hosts(hostname: str, address: ipaddress.IPv4Address | None, *, domain: str = "") -> str:
    """`localhost`, and the container by its own name; with a domain, by its full name first."""
    names = f"{hostname}.{domain} {hostname}" if domain else hostname
    own = f"{address or '127.0.0.1'}\t{names}\n"
    return f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{own}"


def resolv_conf(host: str, *, shares_host_network: bool) -> str:
    """The host's, without servers that only the host can reach (those on its loopback)."""
    lines = host.splitlines()
    if not shares_host_network:
        lines = [line for line in lines if not _is_loopback_server(line)]
    return "".join(line + "\n" for line in lines)


def _is_loopback_server(line: str) -> bool:
    words = line.split()
    if len(words) < 2 or words[0] != "nameserver":
        return False
    try:
        return ipaddress.ip_address(words[1].partition("%")[0]).is_loopback
    except ValueError:
        return False
