"""Headers that tell a browser what these pages never do."""

from flask import Flask, Response

# Strict-Transport-Security is the business of Traefik, which holds the certificate.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def install(app: Flask) -> None:
    """Send the headers with every response."""

    @app.after_request
    def secure(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response
