"""The module kube_network_cleanup."""

from __future__ import annotations

DOCUMENTATION = """
module: kube_network_cleanup
short_description: Removes network rules from the kernel after Kubernetes was removed
description:
  - Removes the chains of kube-proxy, Calico and the CNI plugins, every rule that leads to them, and the
    address sets and routes of Calico.
  - Keeps everything else.
author: The homeserver.stack maintainers (!UNKNOWN)
attributes:
  check_mode:
    support: full
    description: It reports what would be removed.
"""

EXAMPLES = """
- homeserver.stack.kube_network_cleanup:
"""

RETURN = """
removed:
  description: How many rules, sets and routes were removed, by place.
  type: dict
  returned: always
"""

import re
import shutil
import subprocess
from collections.abc import Iterator

from ansible.module_utils.basic import AnsibleModule

_IPTABLES = ("iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy")
_RULE = re.compile(r"(^:| -[Ajg] |^-A )(KUBE-|cali-|CNI-)|\"cali:|generated for MicroK8s pods")
_SET = re.compile(r"cali[46]|KUBE-")
_CALICO_ROUTES = ("proto", "80")


def main() -> None:
    """Run the module."""
    module = AnsibleModule({}, supports_check_mode=True)
    if not any(map(_has, _IPTABLES)):
        module.warn("the host has no iptables to remove the rules of Kubernetes with -> reboot it")
    removed = {place: count for place, count in _clean(remove=not module.check_mode) if count}
    module.exit_json(changed=bool(removed), removed=removed)


def _clean(*, remove: bool) -> Iterator[tuple[str, int]]:
    """Remove everything, and yield the counts by place. Rules use the sets, so they go first."""
    for variant in filter(_has, _IPTABLES):
        rules = _run(f"{variant}-save")
        kept = others(rules)
        count = rules.count("\n") - kept.count("\n")
        if remove and count:
            _run(f"{variant}-restore", given=kept)
        yield variant, count
    sets = (
        [name for name in _run("ipset", "list", "-name").split() if _SET.match(name)] if _has("ipset") else []
    )
    for name in sets if remove else []:
        _run("ipset", "destroy", name)
    yield "ipset", len(sets)
    routes = _run("ip", "route", "show", *_CALICO_ROUTES).splitlines()
    if remove and routes:
        _run("ip", "route", "flush", *_CALICO_ROUTES)
    yield "routes", len(routes)


def others(rules: str) -> str:
    """Return rules in the format of iptables-save without those of Kubernetes."""
    return "".join(line for line in rules.splitlines(keepends=True) if not _RULE.search(line))


def _has(program: str) -> bool:
    return shutil.which(program) is not None


def _run(*command: str, given: str = "") -> str:
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
