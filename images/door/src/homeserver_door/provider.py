"""What the login asks of clients beyond allauth: exact addresses, and PKCE from everyone."""

import json
import time
import uuid

import jwt
from allauth.core.internal import jwkkit
from allauth.idp.oidc import app_settings, views
from allauth.idp.oidc.adapter import get_adapter
from allauth.idp.oidc.models import Client, Token
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

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


@csrf_exempt
def token(request: HttpRequest) -> HttpResponse:
    """Give tokens to a client. A command line also gets an id token, which allauth leaves out there."""
    response: HttpResponse = views.token(request)
    by_device = request.POST.get("grant_type") == Client.GrantType.DEVICE_CODE
    if by_device and response.status_code == 200:
        granted = json.loads(response.content)
        given = Token.objects.lookup(Token.Type.ACCESS_TOKEN, granted["access_token"])
        events.record("passed on", request, given.user.name, to=given.client.id)
        metrics.CODES.labels(given.client.id).inc()
        if "openid" in given.get_scopes():
            response.content = json.dumps(granted | {"id_token": _id_token(given)})
    return response


def _id_token(given: Token) -> str:
    adapter = get_adapter()
    now = int(time.time())
    claims = {
        "iss": adapter.get_issuer(),
        "aud": given.client.id,
        "iat": now,
        "exp": now + app_settings.ID_TOKEN_EXPIRES_IN,
        "jti": uuid.uuid4().hex,
    }
    claims |= adapter.get_claims("id_token", given.user, given.client, given.get_scopes())
    public, private = jwkkit.load_jwk_from_pem(adapter.get_signing_key().pem)
    return jwt.encode(claims, private, algorithm="RS256", headers={"kid": public["kid"]})


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
