"""From a container's network namespace to packets on the wire.

- `model`: bridges and a container's place on one; `leases`: who has which address
- `network`: the bridge, and veth pairs to it; `loopback`; `netns`: visits to other namespaces; `rtnetlink`: what is said there
- `firewall`: masquerade, in one nftables table of our own per bridge
- `files`: hosts and resolv.conf
"""
