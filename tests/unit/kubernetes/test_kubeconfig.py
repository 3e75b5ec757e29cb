"""Reading a kubeconfig."""

from __future__ import annotations

import base64
import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from multus import errors
from multus.kubernetes import kubeconfig
from multus.kubernetes.access import Identity, Pem

if TYPE_CHECKING:
    from pathlib import Path

    from multus.kubernetes.access import Access

BASE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443"}}],
    "users": [{"name": "u", "user": {"token": "abc"}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "x",
}


def with_user(user: dict[str, Any]) -> dict[str, Any]:
    """The base with another user."""
    return {**copy.deepcopy(BASE), "users": [{"name": "u", "user": user}]}


def with_cluster(**fields: Any) -> dict[str, Any]:
    """The base with more fields of the cluster."""
    changed = copy.deepcopy(BASE)
    changed["clusters"][0]["cluster"] |= fields
    return changed


def parse(config: dict[str, Any], path: str = "/etc/multus/kubeconfig") -> Access:
    """What it comes down to."""
    return kubeconfig.parse(json.dumps(config).encode(), path)


def identity(config: dict[str, Any]) -> Identity:
    """The identity of its user."""
    return parse(config).credentials.identity(0.0)


@pytest.mark.parametrize("encode", [json.dumps, yaml.safe_dump])
def test_json_and_yaml_are_the_same(encode: Any, tmp_path: Path) -> None:
    """Endpoint and token, from either notation."""
    path = tmp_path / "config"
    path.write_text(encode(BASE))
    access = kubeconfig.load(str(path))
    assert access.endpoint[:4] == ("10.0.0.1", 6443, f"kubeconfig {path}", True)
    assert access.credentials.identity(0.0).headers == (("Authorization", "Bearer abc"),)


def test_yaml_that_begins_like_json() -> None:
    """A flow mapping is YAML even where JSON can't read it."""
    access = kubeconfig.parse(str(BASE).replace("'", "").encode(), "/x")
    assert access.endpoint.host == "10.0.0.1"


def test_data_wins_over_file() -> None:
    """Inline certificates first, as in client-go."""
    inline = base64.b64encode(b"PEM").decode()
    config = with_cluster(**{"certificate-authority": "ca.crt", "certificate-authority-data": inline})
    assert parse(config).endpoint.ca == Pem(data=b"PEM")


def test_files_are_relative_to_the_kubeconfig() -> None:
    """A relative file name belongs to the kubeconfig's directory, an absolute one stays."""
    config = with_user({"client-certificate": "pki/me.crt", "client-key": "/keys/me.key"})
    config["clusters"][0]["cluster"]["certificate-authority"] = "ca.crt"
    access = parse(config)
    assert access.endpoint.ca.file == "/etc/multus/ca.crt"
    me = access.credentials.identity(0.0)
    assert (me.certificate.file, me.key.file) == ("/etc/multus/pki/me.crt", "/keys/me.key")


def test_base64_folded_over_lines() -> None:
    """YAML folds long values; the white space is no part of the data."""
    data = base64.b64encode(b"certificate").decode()
    folded = f"{data[:8]}\n  {data[8:]}\n"
    assert parse(with_cluster(**{"certificate-authority-data": folded})).endpoint.ca.data == b"certificate"


def test_tls_settings() -> None:
    """Server name, proxy and insecure arrive at the endpoint."""
    config = with_cluster(
        **{"tls-server-name": "api.example", "proxy-url": "http://p:1", "insecure-skip-tls-verify": True}
    )
    endpoint = parse(config).endpoint
    assert (endpoint.server_name, endpoint.proxy, endpoint.insecure) == ("api.example", "http://p:1", True)


def test_name_and_password() -> None:
    """Basic authentication."""
    assert identity(with_user({"username": "me", "password": "pw"})).headers == (("Authorization", "Basic bWU6cHc="),)


def test_token_file_wins_over_token(tmp_path: Path) -> None:
    """The file's content counts; the token beside it is for when there is no file."""
    file = tmp_path / "token"
    config = with_user({"token": "old", "tokenFile": str(file)})
    credentials = parse(config).credentials
    assert credentials.identity(0.0).headers == (("Authorization", "Bearer old"),)
    file.write_text("new\n")
    assert credentials.identity(0.0).headers == (("Authorization", "Bearer new"),)


def test_impersonation() -> None:
    """`as` and its relatives become headers, repeated for each group."""
    user = {"token": "t", "as": "jane", "as-uid": "7", "as-groups": ["a", "b"], "as-user-extra": {"scopes": ["x", "y"]}}
    assert identity(with_user(user)).headers == (
        ("Impersonate-User", "jane"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-scopes", "x"),
        ("Impersonate-Extra-scopes", "y"),
        ("Authorization", "Bearer t"),
    )


def test_user_without_credentials() -> None:
    """A server that asks for none needs none."""
    assert identity(with_user({})) == Identity()


def test_context_without_user() -> None:
    """As well as a context that names no user."""
    config = {**BASE, "contexts": [{"name": "x", "context": {"cluster": "c"}}]}
    assert identity(config) == Identity()


def test_only_context_needs_no_current_context() -> None:
    """One context is the one that is meant."""
    assert parse({**BASE, "current-context": ""}).endpoint.host == "10.0.0.1"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**BASE, "current-context": "y"}, r'contexts: no context "y" there \(there is: x\)'),
        (
            {**BASE, "current-context": None, "contexts": BASE["contexts"] * 2},
            "current-context: is not set.* 2 contexts",
        ),
        ({**BASE, "contexts": []}, r'no context "x" there \(there is: none\)'),
        ({**BASE, "clusters": []}, 'clusters: no cluster "c" there'),
        ({**BASE, "users": [None]}, 'users: no user "u" there'),
        ({**BASE, "users": {}}, "users: should be a list, is an object"),
        ({**BASE, "current-context": 7}, "current-context: should be a string, is a number"),
        (with_cluster(server=""), 'cluster "c": server: is not set'),
        (with_cluster(server="ldap://x"), 'cluster "c": server: .* neither http nor https'),
        (with_cluster(**{"certificate-authority-data": "%%"}), "certificate-authority-data: is not base64"),
        (with_cluster(**{"insecure-skip-tls-verify": "yes"}), "insecure-skip-tls-verify: should be true or false"),
        (
            with_cluster(**{"insecure-skip-tls-verify": True, "certificate-authority": "x"}),
            "can't be combined with certificate-authority",
        ),
        (
            with_user({"client-certificate": "x"}),
            'user "u": client-certificate: certificate and key are needed together',
        ),
        (with_user({"auth-provider": {"name": "gcp"}}), "auth-provider: is no longer supported"),
        (with_user({"exec": []}), "exec: should be an object, is a list"),
        (
            with_user({"exec": {"command": "x", "apiVersion": "v2"}}),
            "exec: apiVersion: should be client.authentication",
        ),
        (with_user({"exec": {"apiVersion": "client.authentication.k8s.io/v1"}}), "exec: command: is not set"),
        (
            with_user(
                {
                    "exec": {
                        "apiVersion": "client.authentication.k8s.io/v1",
                        "command": "x",
                        "interactiveMode": "Always",
                    }
                }
            ),
            "interactiveMode: Always can't be met",
        ),
    ],
)
def test_errors_name_file_and_field(config: dict[str, Any], message: str) -> None:
    """Each mistake is an error that says where it is."""
    with pytest.raises(errors.InvalidConfig, match=f"^kubeconfig /etc/multus/kubeconfig: .*{message}"):
        parse(config)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "an object is expected, not null"),
        (b"[]", "an object is expected, not a list"),
        (b"a: [", "neither JSON nor YAML: line "),
        (b"\xff\xfe\xff", "neither JSON nor YAML"),
        (b"a: !!python/object:os.system {}", "neither JSON nor YAML"),
        (b"{" * 100_000, "neither JSON nor YAML"),
    ],
)
def test_not_a_kubeconfig(data: bytes, message: str) -> None:
    """Text that is something else."""
    with pytest.raises(errors.InvalidConfig, match=message):
        kubeconfig.parse(data, "/x")


def test_missing_file(tmp_path: Path) -> None:
    """A file that can't be read is named."""
    with pytest.raises(errors.IoFailure, match=f"kubeconfig {tmp_path}/none: No such file"):
        kubeconfig.load(str(tmp_path / "none"))


def test_size_is_bounded(tmp_path: Path) -> None:
    """A huge file is not read whole."""
    path = tmp_path / "big"
    path.write_bytes(b"#" * (kubeconfig.SIZE_LIMIT + 1))
    with pytest.raises(errors.InvalidConfig, match="larger than"):
        kubeconfig.load(str(path))


def test_secrets_stay_out_of_errors() -> None:
    """A mistyped token is not quoted."""
    with pytest.raises(errors.InvalidConfig) as caught:
        parse(with_user({"token": ["hunter2"]}))
    assert "hunter2" not in str(caught.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(BASE)), VALUES)
def test_any_value_anywhere(key: str, value: Any) -> None:
    """Whatever the members are, only our errors come out."""
    try:
        parse({**BASE, key: value})
    except errors.InvalidConfig:
        pass


FIELDS = ["token", "tokenFile", "client-certificate-data", "exec", "as-groups", "as-user-extra", "username", "as"]


EXEC = ["args", "env", "installHint", "provideClusterInfo", "interactiveMode"]


@given(st.dictionaries(st.sampled_from(EXEC), VALUES, max_size=4))
def test_any_plugin(fields: dict[str, Any]) -> None:
    """And for those of a credential plugin."""
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "x", **fields}
    try:
        parse(with_user({"exec": plugin}))
    except errors.InvalidConfig:
        pass


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4))
def test_any_user(user: dict[str, Any]) -> None:
    """The same for the fields of a user."""
    try:
        parse(with_user(user))
    except errors.InvalidConfig:
        pass
