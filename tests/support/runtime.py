"""A container runtime for tests: runs the real `multus`, or `multus-shim` and `multus-daemon`, and the real plugins.

Everything happens in a private "host" network namespace: the machine's own bridges, routes and iptables are untouched.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

PLUGINS = "/usr/lib/cni"
NETNS_DIR = Path("/run/netns")

SOURCE = Path(__file__).parents[2] / "src"
SHIM = SOURCE.parent / "build" / "multus-shim"

#: Runs the entry point as the launcher does, from the source tree.
ENTRY = [sys.executable, "-I", "-c"]


class PluginError(Exception):
    """The plugin answered with a CNI error object."""

    def __init__(self, error: dict[str, Any], stderr: str) -> None:
        super().__init__(f"{error} {stderr}")
        self.code: int = error["code"]
        self.msg: str = error["msg"]
        self.details: str = error.get("details", "")


class Sandbox:
    """One pod's network namespace, and the arguments the runtime would give for it."""

    def __init__(self, name: str, namespace: str, uid: str) -> None:
        self.container_id = uuid.uuid4().hex
        self.netns_name = f"mxt-{self.container_id[:12]}"
        self.netns = str(NETNS_DIR / self.netns_name)
        self.name, self.namespace, self.uid = name, namespace, uid

    @property
    def args(self) -> str:
        return (
            f"IgnoreUnknown=1;K8S_POD_NAMESPACE={self.namespace};K8S_POD_NAME={self.name};"
            f"K8S_POD_INFRA_CONTAINER_ID={self.container_id};K8S_POD_UID={self.uid}"
        )

    def ip(self, *arguments: str) -> Any:
        """`ip -j` inside the sandbox."""
        done = run(["ip", "-n", self.netns_name, "-j", *arguments])
        return json.loads(done or "[]")

    def links(self) -> set[str]:
        return {link["ifname"] for link in self.ip("link")}

    def addresses(self, ifname: str) -> list[str]:
        found = self.ip("addr", "show", "dev", ifname)
        return [f"{a['local']}/{a['prefixlen']}" for a in found[0]["addr_info"] if a["scope"] != "link"]

    def defaults(self, family: int) -> list[tuple[str, str]]:
        """(gateway, interface) of each default route of the main table, of each hop of a multipath one."""
        routes = self.ip(f"-{family}", "route", "show", "default")
        return [(hop.get("gateway", ""), hop["dev"]) for route in routes for hop in route.get("nexthops", [route])]


class Runtime:
    """Makes sandboxes, calls the plugin, and can tell what was left over."""

    def __init__(self, tmp_path: Path) -> None:
        self.dir = tmp_path
        self.host = f"mxt-host-{uuid.uuid4().hex[:8]}"
        self.manifests = tmp_path / "manifests"
        self.manifests.mkdir()
        self.cni_dir = tmp_path / "cni"
        self.conf_dir = tmp_path / "conf"
        self.conf_dir.mkdir()
        self.sandboxes: list[Sandbox] = []
        self.path = PLUGINS
        self.shim = SHIM
        #: Python statements that multus and the daemon run before they begin: what stops them at chosen steps.
        self.prelude = ""
        self.daemon: subprocess.Popen[bytes] | None = None
        self.daemon_log = tmp_path / "daemon.log"
        self.socket_dir = tmp_path / "run"
        run(["ip", "netns", "add", self.host])
        run(["ip", "-n", self.host, "link", "set", "lo", "up"])

    def close(self) -> None:
        self.stop_daemon()
        for sandbox in self.sandboxes:
            with contextlib.suppress(subprocess.CalledProcessError):
                run(["ip", "netns", "delete", sandbox.netns_name])
        run(["ip", "netns", "delete", self.host])

    def start_daemon(self, **settings: Any) -> None:
        """From here on calls go to a daemon, through the shim. A successor of one that was ended takes over.

        It has the capabilities that its manifest gives it: CAP_NET_ADMIN alone."""
        told = {
            "socketDir": str(self.socket_dir),
            "cniDir": str(self.cni_dir),
            "logFile": str(self.daemon_log),
            "logLevel": "debug",
            **settings,
        }
        file = self.dir / "daemon-config.json"
        file.write_text(json.dumps(told))
        confined = ["setpriv", "--bounding-set=-all,+net_admin", "--inh-caps=-all", "--no-new-privs"]
        program = [*ENTRY, self._code("daemon.main"), "-config", str(file)]
        command = ["ip", "netns", "exec", self.host, *confined, *program]
        self.socket_dir.mkdir(0o700, exist_ok=True)
        self.daemon = subprocess.Popen(command, env={"PATH": os.environ["PATH"]}, cwd="/")

    def _code(self, module: str) -> str:
        return (
            f"import sys; sys.path.insert(0, {str(SOURCE)!r}); {self.prelude}from multus.{module} import main; main()"
        )

    def stop_daemon(self, number: int = signal.SIGTERM) -> int:
        """End the daemon; its exit status. No error when there is none."""
        if self.daemon is None:
            return 0
        daemon, self.daemon = self.daemon, None
        daemon.send_signal(number)
        return daemon.wait(timeout=60)

    @property
    def is_thick(self) -> bool:
        """Whether calls go through the shim."""
        return self.socket_dir.exists()

    def sandbox(self, name: str = "pod", namespace: str = "default", uid: str = "") -> Sandbox:
        made = Sandbox(name, namespace, uid)
        run(["ip", "netns", "add", made.netns_name])
        run(["ip", "-n", made.netns_name, "link", "set", "lo", "up"])
        self.sandboxes.append(made)
        return made

    def manifest(self, kind: str, name: str, *, namespace: str = "default", **rest: Any) -> None:
        """Write a manifest; `annotations` and `uid` go to the metadata."""
        metadata = {"name": name, "namespace": namespace}
        for key in ("annotations", "uid"):
            if key in rest:
                metadata[key] = rest.pop(key)
        version = "v1" if kind == "Pod" else "k8s.cni.cncf.io/v1"
        body = {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}
        (self.manifests / f"{kind}-{namespace}-{name}.json").write_text(json.dumps(body))

    def network(self, name: str, config: dict[str, Any] | None, *, namespace: str = "default") -> None:
        spec = {} if config is None else {"config": json.dumps(config)}
        self.manifest("NetworkAttachmentDefinition", name, namespace=namespace, spec=spec)

    def pod(self, name: str, networks: str | list[dict[str, Any]] | None, **rest: Any) -> None:
        annotations = dict(rest.pop("annotations", {}))
        if networks is not None:
            annotations["k8s.v1.cni.cncf.io/networks"] = networks if isinstance(networks, str) else json.dumps(networks)
        self.manifest("Pod", name, annotations=annotations, **rest)

    def host_local(self, subnet: str, **rest: Any) -> dict[str, Any]:
        return {"type": "host-local", "subnet": subnet, "dataDir": str(self.dir / "ipam"), **rest}

    def leases(self) -> list[str]:
        root = self.dir / "ipam"
        return sorted(
            str(path.relative_to(root))
            for path in root.glob("*/*")
            if path.is_file() and not path.name.startswith(("last_reserved", "lock"))
        )

    def conf(self, **keys: Any) -> dict[str, Any]:
        default = {
            "cniVersion": "1.0.0",
            "name": "cluster",
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipam": self.host_local("10.88.0.0/24", routes=[{"dst": "0.0.0.0/0"}]),
        }
        return {
            "cniVersion": "1.0.0",
            "name": "multus",
            "type": "multus",
            "manifestsDir": str(self.manifests),
            "cniDir": str(self.cni_dir),
            "confDir": str(self.conf_dir),
            "binDir": self.path,
            "delegates": [default],
            **({"daemonSocketDir": str(self.socket_dir), "type": "multus-shim"} if self.is_thick else {}),
            **keys,
        }

    def own_plugins(self, **scripts: str) -> Path:
        """A plugin directory of this runtime's own: the real plugins, and `scripts` by name (shell, without #!)."""
        directory = self.dir / "bin"
        directory.mkdir()
        for name in os.listdir(PLUGINS):
            (directory / name).symlink_to(Path(PLUGINS) / name)
        for name, script in scripts.items():
            (directory / name).write_text(f"#!/bin/sh\n{script}\n")
            (directory / name).chmod(0o755)
        self.path = str(directory)
        return directory

    def call(self, verb: str, sandbox: Sandbox | None, conf: dict[str, Any], **environ: str) -> Any:
        """Run the plugin as a runtime does; its answer. Raises PluginError."""
        done = self.spawn(verb, sandbox, conf, **environ)
        out, err = done.communicate(json.dumps(conf).encode(), timeout=120)
        if done.returncode:
            raise PluginError(json.loads(out), err.decode())
        return json.loads(out) if out.strip() else None

    def spawn(self, verb: str, sandbox: Sandbox | None, conf: dict[str, Any], **environ: str) -> Any:
        variables = {"PATH": os.environ["PATH"], "CNI_COMMAND": verb, "CNI_PATH": self.path}
        if sandbox is not None:
            variables |= {
                "CNI_CONTAINERID": sandbox.container_id,
                "CNI_NETNS": sandbox.netns,
                "CNI_IFNAME": "eth0",
                "CNI_ARGS": sandbox.args,
            }
        plugin = [str(self.shim)] if self.is_thick else [*ENTRY, self._code("thin")]
        return subprocess.Popen(
            ["ip", "netns", "exec", self.host, *plugin],
            env=variables | environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def add(self, sandbox: Sandbox, conf: dict[str, Any], **environ: str) -> Any:
        return self.call("ADD", sandbox, conf, **environ)

    def delete(self, sandbox: Sandbox, conf: dict[str, Any], **environ: str) -> None:
        self.call("DEL", sandbox, conf, **environ)

    def check(self, sandbox: Sandbox, conf: dict[str, Any]) -> None:
        self.call("CHECK", sandbox, conf)

    def records(self) -> list[str]:
        return (
            sorted(p.name for p in self.cni_dir.glob("*") if p.is_file() and not p.name.startswith("."))
            if self.cni_dir.exists()
            else []
        )

    def results(self) -> list[str]:
        return sorted(path.name for path in (self.cni_dir / "results").glob("*"))

    def host_links(self) -> set[str]:
        return {link["ifname"] for link in json.loads(run(["ip", "-n", self.host, "-j", "link"]))}

    def nothing_left(self, sandbox: Sandbox) -> None:
        """Assert that no record, result, address lease, host-side veth or link in the sandbox is left."""
        assert self.records() == []
        assert self.results() == []
        assert self.leases() == []
        assert not [name for name in self.host_links() if name.startswith("veth")]
        assert sandbox.links() == {"lo"}


def run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
