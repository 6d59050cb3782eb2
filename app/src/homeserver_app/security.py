"""Headers that restrict what a browser allows these pages to do."""

from flask import Flask, Response

# Traefik sends Strict-Transport-Security, because it holds the certificate.
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
    """Add the headers to every response."""

    @app.after_request
    def secure(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response
