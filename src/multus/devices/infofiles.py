"""Device information files on this machine (NPWG device-info 1.1): `multus.ports.DeviceFiles`.

Device plugins write theirs into `<directory>/dp`, attachments have theirs in `<directory>/cni`. File names hold what
strangers call their networks and devices; they are one name in one directory (`networks.deviceinfo`), and a symbolic
link that somebody left there is not followed.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from multus import errors
from multus.networks import deviceinfo

if TYPE_CHECKING:
    from multus.cni.rawjson import Json


class InfoFiles:
    """The files below `directory`, which is made when first written to."""

    def __init__(self, directory: str) -> None:
        self._plugins = os.path.join(directory, deviceinfo.PLUGINS)
        self._attachments = os.path.join(directory, deviceinfo.ATTACHMENTS)

    def share(self, resource: str, device_id: str, name: str) -> None:
        """As `ports.DeviceFiles.share`: the very bytes, so nothing a device plugin says is lost."""
        published = deviceinfo.plugin_file(resource, device_id)
        data = _read(self._plugins, published) if published else None
        if data is None:
            return
        deviceinfo.parse(data, deviceinfo.described(published))
        self._write(name, data)

    def load(self, name: str) -> Json | None:
        """As `ports.DeviceFiles.load`."""
        data = _read(self._attachments, name)
        return deviceinfo.parse(data, deviceinfo.described(name)) if data is not None else None

    def remove(self, name: str) -> None:
        """As `ports.DeviceFiles.remove`."""
        try:
            os.unlink(os.path.join(self._attachments, _checked(name)))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise errors.IoFailure(f"{deviceinfo.described(name)} not removed: {error.strerror}") from error

    def _write(self, name: str, data: bytes) -> None:
        """Whole or not at all; a plugin that means to write the file itself replaces or removes it."""
        path = os.path.join(self._attachments, _checked(name))
        temporary = os.path.join(self._attachments, f".{os.urandom(8).hex()}.tmp")
        try:
            os.makedirs(self._attachments, 0o755, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o444)
            try:
                with open(descriptor, "wb") as file:
                    file.write(data)
                os.replace(temporary, path)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as error:
            raise errors.IoFailure(f"{deviceinfo.described(name)} not written: {error.strerror}") from error


def _checked(name: str) -> str:
    """The last gate before a name is part of a path."""
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise errors.Internal(f"{deviceinfo.described(name)}: not a name")
    return name


def _read(directory: str, name: str) -> bytes | None:
    """The bytes of a regular file, a little more of them than a good one has at most; None when there is none."""
    path = os.path.join(directory, _checked(name))
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise errors.IoFailure(f"{deviceinfo.described(name)} is not a regular file")
            return os.read(descriptor, deviceinfo.MAX_BYTES + 1)
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise errors.IoFailure(f"{deviceinfo.described(name)} not read: {error.strerror}") from error
