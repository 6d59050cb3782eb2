"""The module kube_iptables."""

from __future__ import annotations

import re
import shutil
import subprocess

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: kube_iptables
short_description: Take away the packet filter rules of a Kubernetes that is gone
description:
  - Removes kube-proxy's, Calico's and the CNI plugins' chains, and every rule that leads to them.
  - Leaves all other rules as they are.
author: The homeserver.stack maintainers
attributes:
  check_mode:
    support: full
    description: It tells whether there are such rules.
"""

EXAMPLES = """
- homeserver.stack.kube_iptables:
"""

RETURN = """
removed:
  description: How many lines of rules were removed.
  type: int
  returned: always
"""

_VARIANTS = ("iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy")
_KUBERNETES = re.compile(r"(^:| -[Ajg] |^-A )(KUBE-|cali-|CNI-)|generated for MicroK8s pods")


def others(rules: str) -> str:
    """Give rules in the format of iptables-save without those of Kubernetes."""
    return "".join(line for line in rules.splitlines(keepends=True) if not _KUBERNETES.search(line))


def main() -> None:
    """Run the module."""
    module = AnsibleModule({}, supports_check_mode=True)
    variants = [variant for variant in _VARIANTS if shutil.which(f"{variant}-save")]
    if not variants:
        module.warn("there is no iptables on the host to remove Kubernetes' rules with -> reboot it")
    removed = sum(_clean(variant, check=module.check_mode) for variant in variants)
    module.exit_json(changed=bool(removed), removed=removed)


def _clean(variant: str, *, check: bool) -> int:
    """Remove the rules of one variant of iptables; how many lines there were."""
    rules = subprocess.run([f"{variant}-save"], capture_output=True, text=True, check=True).stdout
    kept = others(rules)
    removed = rules.count("\n") - kept.count("\n")
    if removed and not check:
        subprocess.run([f"{variant}-restore"], input=kept, text=True, check=True, capture_output=True)
    return removed


if __name__ == "__main__":
    main()
