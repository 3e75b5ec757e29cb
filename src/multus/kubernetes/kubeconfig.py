"""Reads a kubeconfig: one file, JSON or YAML, its current context (as client-go reads a single file).

Only the fields that lead to an endpoint and credentials are looked at. Every error names the file and the field, never
a value that may be secret.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from multus import errors
from multus.kubernetes import credentials, serverurl
from multus.kubernetes.access import Access, Credentials, Endpoint, Identity, Pem

if TYPE_CHECKING:
    from multus.cni.rawjson import Json

#: A kubeconfig is a few kilobytes; one with many contexts some hundred.
SIZE_LIMIT = 1 << 20


def load(path: str) -> Access:
    """Endpoint and credentials of the kubeconfig's current context.

    Relative file names in it are relative to its directory. Raises errors.IoFailure when it can't be read,
    errors.InvalidConfig when it can't be used."""
    try:
        with open(path, "rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise errors.IoFailure(f"kubeconfig {path}: {error.strerror}") from error
    if len(data) > SIZE_LIMIT:
        raise errors.InvalidConfig(f"kubeconfig {path}: larger than {SIZE_LIMIT} bytes")
    return parse(data, path)


def parse(data: bytes, path: str) -> Access:
    """As `load`, of the file's content; `path` is for messages and for relative file names."""
    document = Section(_decode(data, path), f"kubeconfig {path}", os.path.dirname(os.path.abspath(path)))
    context = _current(document)
    cluster = document.named("clusters", context.text("cluster"), "cluster")
    user_name = context.text("user")
    user = document.named("users", user_name, "user") if user_name else Section({}, document.where, document.directory)
    return Access(_endpoint(cluster, path), _credentials(user, cluster))


class Section:
    """One object of the kubeconfig: typed reads, errors that say where."""

    def __init__(self, raw: Json, where: str, directory: str) -> None:
        self.raw = raw
        self.where = where
        self.directory = directory

    def error(self, key: str, problem: str) -> errors.InvalidConfig:
        """An error about one field."""
        return errors.InvalidConfig(f"{self.where}: {key}: {problem}")

    def text(self, key: str) -> str:
        """A string; "" when absent."""
        value = self.raw.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.error(key, f"should be a string, is {_kind(value)}")
        return value

    def flag(self, key: str) -> bool:
        """A boolean; False when absent."""
        value = self.raw.get(key)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise self.error(key, f"should be true or false, is {_kind(value)}")

    def items(self, key: str) -> list[Any]:
        """A list; empty when absent."""
        value = self.raw.get(key)
        if value is None or isinstance(value, list):
            return value or []
        raise self.error(key, f"should be a list, is {_kind(value)}")

    def section(self, key: str) -> Section | None:
        """An object; None when absent."""
        value = self.raw.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.error(key, f"should be an object, is {_kind(value)}")
        return Section(value, f"{self.where}: {key}", self.directory)

    def path(self, key: str) -> str:
        """A file name made absolute; "" when absent."""
        name = self.text(key)
        return os.path.join(self.directory, name) if name else ""

    def pem(self, key: str) -> Pem:
        """``<key>-data`` (base64), else the file that `key` names, else nothing. The data wins, as in client-go."""
        encoded = self.text(f"{key}-data")
        return Pem(self.base64(f"{key}-data", encoded)) if encoded else Pem(file=self.path(key))

    def base64(self, key: str, encoded: str) -> bytes:
        """Decode standard base64; white space in between is fine, as YAML folds long lines."""
        import binascii

        try:
            return binascii.a2b_base64("".join(encoded.split()).encode("ascii"), strict_mode=True)
        except ValueError as error:
            raise self.error(key, "is not base64") from error

    def named(self, key: str, name: str, member: str) -> Section:
        """The object of the list `key` that has this name; its `member` is what is wanted."""
        known = []
        for item in self.items(key):
            if isinstance(item, dict) and isinstance(item.get(member), dict):
                if item.get("name") == name:
                    return Section(item[member], f'{self.where}: {member} "{name}"', self.directory)
                known.append(str(item.get("name")))
        raise self.error(key, f'no {member} "{name}" there (there is: {", ".join(known[:10]) or "none"})')


def _decode(data: bytes, path: str) -> Json:
    """JSON is YAML, and reading it as JSON spares the import of a YAML parser, which costs fifty milliseconds."""
    value: object = None
    if data.lstrip()[:1] == b"{":
        import json

        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            value = None
    if value is None:
        value = _yaml(data, path)
    if not isinstance(value, dict):
        raise errors.InvalidConfig(f"kubeconfig {path}: not a kubeconfig: an object is expected, not {_kind(value)}")
    return value


def _yaml(data: bytes, path: str) -> object:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(data, Loader=loader)  # noqa: S506 - a safe loader, in C where there is one
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or error.__class__.__name__
        raise errors.InvalidConfig(f"kubeconfig {path}: neither JSON nor YAML: {where}{problem}") from error


def _current(document: Section) -> Section:
    """`current-context`; where none is set, the only context there is."""
    name = document.text("current-context")
    contexts = document.items("contexts")
    if not name:
        if len(contexts) != 1 or not isinstance(contexts[0], dict):
            raise document.error("current-context", f"is not set, and there are {len(contexts)} contexts")
        name = str(contexts[0].get("name", ""))
    return document.named("contexts", name, "context")


def _endpoint(cluster: Section, path: str) -> Endpoint:
    ca = cluster.pem("certificate-authority")
    insecure = cluster.flag("insecure-skip-tls-verify")
    if insecure and ca.given:
        raise cluster.error("insecure-skip-tls-verify", "can't be combined with certificate-authority")
    server = cluster.text("server")
    host, port, tls, prefix = serverurl.parse(server, f"{cluster.where}: server", ca.given or insecure)
    return Endpoint(
        host,
        port,
        f"kubeconfig {path}",
        tls=tls,
        prefix=prefix,
        server_name=cluster.text("tls-server-name"),
        ca=ca,
        insecure=insecure,
        proxy=cluster.text("proxy-url"),
    )


def _credentials(user: Section, cluster: Section) -> Credentials:
    """client-go's order: a token file, a token, name and password; an exec plugin beside certificates."""
    base = Identity(_impersonation(user), user.pem("client-certificate"), user.pem("client-key"))
    if base.certificate.given != base.key.given:
        raise user.error("client-certificate", "certificate and key are needed together")
    if user.raw.get("auth-provider"):
        raise user.error("auth-provider", "is no longer supported by Kubernetes; use exec, a token or certificates")
    token, token_file = user.text("token"), user.path("tokenFile")
    if token_file:
        return credentials.TokenFile(token_file, base, token)
    if token:
        return credentials.Fixed(credentials.with_token(base, token))
    if user.text("username"):
        return credentials.Fixed(base._replace(headers=(*base.headers, _basic(user))))
    plugin = user.section("exec")
    if plugin is not None:
        from multus.kubernetes import execplugin

        return execplugin.from_kubeconfig(plugin, cluster, base)
    return credentials.Fixed(base)


def _basic(user: Section) -> tuple[str, str]:
    import binascii

    pair = f"{user.text('username')}:{user.text('password')}".encode()
    return ("Authorization", "Basic " + binascii.b2a_base64(pair, newline=False).decode("ascii"))


def _impersonation(user: Section) -> tuple[tuple[str, str], ...]:
    headers = [(header, user.text(key)) for key, header in (("as", "Impersonate-User"), ("as-uid", "Impersonate-Uid"))]
    headers += [("Impersonate-Group", str(group)) for group in user.items("as-groups")]
    extra = user.section("as-user-extra")
    for key in extra.raw if extra else ():
        headers += [(f"Impersonate-Extra-{key}", str(value)) for value in extra.items(key)] if extra else []
    return tuple((name, value) for name, value in headers if value)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
