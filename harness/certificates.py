"""The certificates of MicroK8s on a machine, which age at a test's command."""

from testinfra.host import Host

_DIRECTORY = "/var/snap/microk8s/current/certs"


def shorten(host: Host, founder: Host, name: str, days: int) -> None:
    """Let a certificate expire in so many days, now if in none, by signing it anew.

    Args:
        host: the machine that has it.
        founder: the machine that has the key of its authority.
        name: its name, without an extension.
        days: how long it is valid.
    """
    authority = "front-proxy-ca" if name == "front-proxy-client" else "ca"
    same = f"openssl x509 -x509toreq -in {name}.crt -signkey {name}.key -copy_extensions copyall"
    request = host.check_output(f"cd {_DIRECTORY} && {same}")
    sign = (
        f"openssl x509 -req -days={days} -copy_extensions=copyall -CA {authority}.crt -CAkey {authority}.key"
    )
    signed = founder.check_output(f"cd {_DIRECTORY} && printf %s '{request}' | {sign}")
    host.check_output(f"printf '%s\\n' '{signed}' > {_DIRECTORY}/{name}.crt")


def lasts(host: Host, name: str, days: int) -> bool:
    """Tell whether a certificate is valid for so many more days."""
    seconds = days * 86400
    return bool(host.run(f"openssl x509 -checkend {seconds} -noout -in {_DIRECTORY}/{name}.crt").succeeded)
