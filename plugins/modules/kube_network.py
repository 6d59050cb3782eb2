"""The module kube_network."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: kube_network
short_description: Take away what a Kubernetes that is gone left in the kernel
description:
  - Removes kube-proxy's, Calico's and the CNI plugins' chains, every rule that leads to them, Calico's
    sets of addresses and its routes.
  - Leaves all others as they are.
author: The homeserver.stack maintainers
attributes:
  check_mode:
    support: full
    description: It tells what there is.
"""

EXAMPLES = """
- homeserver.stack.kube_network:
"""

RETURN = """
removed:
  description: How many rules, sets and routes were removed, by where they were.
  type: dict
  returned: always
"""

_IPTABLES = ("iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy")
_RULE = re.compile(r"(^:| -[Ajg] |^-A )(KUBE-|cali-|CNI-)|\"cali:|generated for MicroK8s pods")
_SET = re.compile(r"cali[46]|KUBE-")
_CALICO_ROUTES = ("proto", "80")


def main() -> None:
    """Run the module."""
    module = AnsibleModule({}, supports_check_mode=True)
    if not any(map(_has, _IPTABLES)):
        module.warn("there is no iptables on the host to remove Kubernetes' rules with -> reboot it")
    removed = {place: count for place, count in _clean(remove=not module.check_mode) if count}
    module.exit_json(changed=bool(removed), removed=removed)


def _clean(*, remove: bool) -> Iterator[tuple[str, int]]:
    """Remove everything, and give how much there was in each place; the sets last, which the rules use."""
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
    """Give rules in the format of iptables-save without those of Kubernetes."""
    return "".join(line for line in rules.splitlines(keepends=True) if not _RULE.search(line))


def _has(program: str) -> bool:
    return shutil.which(program) is not None


def _run(*command: str, given: str = "") -> str:
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
