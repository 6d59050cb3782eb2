"""What the cluster agent changes for whoever has the callback token."""

from typing import Any

from . import admission, arguments, services, tokens


def configure(request: dict[str, Any]) -> dict[str, Any]:
    """Change arguments of services, and restart them, as the request says.

    Raises:
        RefusedError: The token is not this node's.
    """
    if not tokens.is_callback(str(request.get("callback", ""))):
        raise admission.RefusedError("invalid token")
    for service in request.get("service", []):
        updates = [*service.get("arguments_update", []), dict.fromkeys(service.get("arguments_remove", []))]
        arguments.change(service["name"], {flag: value for each in updates for flag, value in each.items()})
        if service.get("restart") in (True, "yes"):
            services.restart(service["name"])
    return {"result": "ok"}
