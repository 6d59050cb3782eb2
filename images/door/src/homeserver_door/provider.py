"""What the login asks of clients beyond allauth: exact addresses, and PKCE from everyone."""

from allauth.idp.oidc import views
from django.http import HttpRequest, HttpResponse

from homeserver_door import events, metrics, pages


def authorize(request: HttpRequest) -> HttpResponse:
    """Pass a person on to a client."""
    if request.method == "GET" and (problem := _problem(request)):
        events.denied(request, problem, _name(request), by=request.GET.get("client_id", "")[:63])
        text = f"The page that sent you here did not ask as it should ({problem})."
        return pages.error(request, 400, "This login cannot continue", text)
    response: HttpResponse = views.authorization(request)
    if response.status_code == 302 and "code=" in response.get("Location", ""):
        client = request.GET.get("client_id") or "consent"
        metrics.CODES.labels(client).inc()
        events.record("passed on", request, _name(request), to=client)
    return response


def device(request: HttpRequest) -> HttpResponse:
    """Let a person confirm a device. Unlike allauth's view, this one asks for the token against forgery."""
    response: HttpResponse = views.device_authorization(request)
    return response


def _problem(request: HttpRequest) -> str:
    """Return what is wrong with a request for a login, if anything."""
    client = request.home.clients.get(request.GET.get("client_id", ""))
    if client is None:
        return "unknown client"
    # An address that only begins like a known one, or has more parameters, might belong to somebody else.
    if request.GET.getlist("redirect_uri") not in [[uri] for uri in client.redirect_uris]:
        return "unknown address"
    challenged = request.GET.get("code_challenge") and request.GET.get("code_challenge_method") == "S256"
    return "" if challenged else "no PKCE"


def _name(request: HttpRequest) -> str:
    return str(request.user.name) if request.user.is_authenticated else ""
