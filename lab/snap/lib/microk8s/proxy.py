"""daemon-apiserver-proxy: on a worker, the way to the API servers of its cluster."""

import argparse
import asyncio
import contextlib
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from . import arguments, certificates, console, paths, programs

LEAST_INTERVAL = 15
CONNECT_TIMEOUT = 5
SERVICE = "kube-apiserver"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _file() -> Path:
    return paths.data() / "args/traefik/provider.yaml"


def write_endpoints(endpoints: Iterable[str]) -> None:
    """Write the API servers, as `ADDRESS:PORT`, the way MicroK8s does: as a configuration of Traefik."""
    servers = [{"address": endpoint} for endpoint in endpoints]
    router = {"rule": "HostSNI(`*`)", "service": SERVICE, "tls": {"passthrough": True}}
    services = {SERVICE: {"loadBalancer": {"servers": servers}}}
    _file().parent.mkdir(exist_ok=True)
    _file().write_text(yaml.safe_dump({"tcp": {"routers": {"Router-1": router}, "services": services}}))
    certificates.give_to_group(_file().parent, _file())


def endpoints() -> list[str]:
    """Return the API servers that the file has now."""
    try:
        services: Any = yaml.safe_load(_file().read_text())["tcp"]["services"]
        return [server["address"] for server in services[SERVICE]["loadBalancer"]["servers"]]
    except (OSError, TypeError, LookupError, yaml.YAMLError):
        return []


def main() -> None:
    """Forward connections to the first API server that accepts one, and keep the list of them up to date."""
    if not paths.lock("clustered.lock").exists():
        console.leave("Not a worker node, exiting", 0)
    asyncio.run(serve())


def options() -> argparse.Namespace:
    """Return the settings in the file of arguments."""
    parser = argparse.ArgumentParser("apiserver-proxy")
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--refresh-interval", type=lambda text: int(text.removesuffix("s")), default=30)
    return parser.parse_args(arguments.load("apiserver-proxy"))


async def serve() -> None:
    """Forward connections and, unless the interval is 0, ask for the API servers now and then."""
    settings = options()
    server = await asyncio.start_server(_forward, None, arguments.get("kube-apiserver", "--secure-port"))
    async with server:
        while settings.refresh_interval:
            await asyncio.sleep(max(settings.refresh_interval, LEAST_INTERVAL))
            await asyncio.to_thread(refresh, settings.kubeconfig)
        await server.serve_forever()


def refresh(kubeconfig: str) -> None:
    """Ask the cluster for its API servers, and write them down if they are others."""
    endpoint = "{.endpoints[*].addresses[*]} {.ports[?(@.name=='https')].port}"
    query = [
        *(programs.path("kubectl"), f"--kubeconfig={kubeconfig}", "get", "endpointslices"),
        *("--namespace=default", "--selector=kubernetes.io/service-name=kubernetes"),
        f"--output=jsonpath={{range .items[*]}}{endpoint}\n{{end}}",
    ]
    done = subprocess.run(query, check=False, capture_output=True, text=True)
    if done.returncode:
        console.say(f"failed to retrieve kubernetes endpoints: {done.stderr.strip()}")
        return
    slices = [line.split() for line in done.stdout.splitlines() if line.strip()]
    found = sorted(f"{address}:{port}" for *addresses, port in slices for address in addresses)
    if found and found != sorted(endpoints()):
        console.say("updating endpoints")
        write_endpoints(found)


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer):
        if not (api := await _connect()):
            console.say("no API server accepts a connection")
            return
        api_reader, api_writer = api
        with contextlib.closing(api_writer):
            await asyncio.gather(_copy(reader, api_writer), _copy(api_reader, writer))


async def _connect() -> Streams | None:
    for endpoint in endpoints():
        address, _, port = endpoint.rpartition(":")
        with contextlib.suppress(OSError, TimeoutError):
            return await asyncio.wait_for(asyncio.open_connection(address, int(port)), CONNECT_TIMEOUT)
    return None


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy until one side ends, and let the other one know."""
    with contextlib.suppress(OSError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    with contextlib.suppress(OSError):
        target.write_eof()
