"""Valid input to begin with."""

from __future__ import annotations

import json
from typing import Any

from multus.cni.arguments import PodArgs
from multus.networks import record
from multus.networks.record import Entry, Record

ANNOTATIONS = (
    "net-a,other/net-b@data0, net-c",
    "net-a@eth1",
    json.dumps(
        [
            {
                "name": "net-a",
                "namespace": "default",
                "interface": "data0",
                "ips": ["10.1.1.5/24", "fd00::5"],
                "mac": "02:23:45:67:89:01",
                "infiniband-guid": "24:8a:07:03:00:8d:ae:2f",
                "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "10.0.0.1"}],
                "bandwidth": {"ingressRate": 1000, "ingressBurst": 10, "egressRate": 5, "egressBurst": 5},
                "cni-args": {"foo": {"bar": [1, 2.50, None]}},
                "default-route": ["10.1.1.1", "fd00::1"],
                "deviceID": "0000:00:1f.0",
            },
            {"name": "net-b", "interfaceRequest": "net9", "ipam-claim-reference": "claim"},
        ]
    ),
    '[{"name": "net-a", "default-route": []}, {"name": "net-b", "default-route": ["10.2.0.1"]}]',
    "[]",
)

CONFIGURATIONS = tuple(
    json.dumps(one)
    for one in (
        {
            "cniVersion": "1.1.0",
            "name": "net-a",
            "type": "macvlan",
            "master": "eth1",
            "capabilities": {"ips": True, "mac": True, "portMappings": False},
            "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]},
            "args": {"cni": {"key": 12345678901234567890}},
            "number": 1.500,
        },
        {
            "cniVersion": "0.4.0",
            "cniVersions": ["0.3.1", "1.0.0"],
            "name": "net-b",
            "disableCheck": True,
            "disableGC": False,
            "plugins": [
                {"type": "bridge", "bridge": "br0", "isGateway": True, "ipam": {"type": "static"}},
                {"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}, "capabilities": {"mac": True}},
            ],
        },
        {"cniVersion": "0.2.0", "type": "ptp", "dns": {"nameservers": ["10.0.0.10"], "search": ["a.b"]}},
    )
)

MULTUS: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "multus",
    "type": "multus",
    "capabilities": {"portMappings": True},
    "runtimeConfig": {"portMappings": [{"hostPort": 80, "containerPort": 8080, "protocol": "tcp"}], "other": {"a": 1}},
    "delegates": [json.loads(one) for one in CONFIGURATIONS[:2]],
}
CONFS = tuple(
    json.dumps(one)
    for one in (
        MULTUS,
        {**MULTUS, "delegateConcurrency": "auto", "namespaceIsolation": True, "globalNamespaces": "default,other"},
        {
            "name": "multus",
            "cniVersion": "0.4.0",
            "clusterNetwork": "cluster",
            "defaultNetworks": ["net-a", "/etc/cni/net.d/10-x.conflist"],
            "systemNamespaces": ["kube-system"],
            "readinessindicatorfile": "/run/ready",
            "logOptions": {"maxAge": 1, "maxSize": 2, "maxBackups": 3, "compress": False},
            "statusTimeout": "1m30s",
            "statusPolicy": "background",
            "strictCapabilities": True,
            "auxiliaryCNIChainName": "chain",
            "retryDeleteOnError": "false",
            "cni.dev/valid-attachments": [{"containerID": "sandbox-1", "ifname": "eth0"}],
            "prevResult": {"cniVersion": "0.4.0", "ips": [{"version": "4", "address": "10.0.0.1/8"}]},
        },
    )
)

RESULTS = tuple(
    json.dumps(one)
    for one in (
        {
            "cniVersion": "1.1.0",
            "interfaces": [
                {"name": "net1", "mac": "02:00:00:00:00:01", "mtu": 1500, "sandbox": "/run/netns/one", "pciID": "x"},
                {"name": "veth1", "socketPath": "/run/s"},
            ],
            "ips": [{"address": "10.1.0.2/16", "gateway": "10.1.0.1", "interface": 0}, {"address": "fd00::2/64"}],
            "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1", "mtu": 1400, "table": 254}, {"dst": "::/0"}],
            "dns": {"nameservers": ["10.0.0.10"], "domain": "a", "search": ["a.b"], "options": ["ndots:5"]},
        },
        {
            "cniVersion": "0.4.0",
            "interfaces": [{"name": "eth0", "sandbox": "/run/netns/one"}],
            "ips": [{"version": "4", "address": "10.1.0.2/16", "gateway": "10.1.0.1", "interface": 0}],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
        {
            "cniVersion": "0.2.0",
            "ip4": {"ip": "10.1.0.2/16", "gateway": "10.1.0.1", "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}]},
            "ip6": {"ip": "fd00::2/64"},
            "dns": {},
        },
        {"code": 11, "msg": "try again", "details": "later", "cniVersion": "1.1.0"},
    )
)

ARGS = (
    "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=s1;K8S_POD_UID=uid-1",
    "IgnoreUnknown=true;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;FOO=bar;IP=10.1.1.1",
    "K8S_POD_NAME=web",
    "",
)

ENVIRONMENTS = tuple(
    json.dumps(
        {
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": "sandbox-1",
            "CNI_NETNS": "/run/netns/one",
            "CNI_IFNAME": "eth0",
            "CNI_PATH": "/opt/cni/bin:/usr/lib/cni",
            "CNI_ARGS": ARGS[0],
        }
    )
    for verb in ("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION")
)


def _records() -> tuple[str, ...]:
    from multus.cni import config

    entries = tuple(
        Entry(
            config=config.loads(text, "corpus") if '"name"' in text else config.loads('{"name":"c","type":"x"}', "c"),
            name=f"default/net-{number}",
            ifname=f"net{number}",
            args=(("IgnoreUnknown", "true"), ("K8S_POD_NAME", "web")),
            capability_args={"ips": ["10.1.1.1/24"]},
            master=number == 0,
            netns="/run/netns/one",
            asked={"ipRequest": ["10.1.1.1/24"], "default-route": ["10.1.1.1"]},
        )
        for number, text in enumerate(CONFIGURATIONS)
    )
    own = json.loads(record.encode(Record(entries, PodArgs("default", "web", "s1", "uid-1"))))
    upstreams = [{key: value for key, value in element.items() if key != record.OWN} for element in own]
    for element in upstreams:
        element["macRequest"] = "02:23:45:67:89:01"
        element["CNINetworkConfigList"] = {"Plugins": [{"Bytes": element["Bytes"]}], "Bytes": None}
    return json.dumps(own), json.dumps(upstreams)


RECORDS = _records()
