"""The first process of a node: makes it look like a machine of its own, then reaps whatever is left to it.

    unshare --mount --net --pid --uts --fork --mount-proc python -IS init.py DIRECTORY CGROUP LEASH

Started in new namespaces (see `machine`). DIRECTORY/disk is what outlives a reboot of this node: its own layer of
/etc, /opt and /var, over those of the machine that it runs on. /run is new with each start. When this process ends the
kernel ends every process of the node, and with its namespaces go all mounts, links, routes and firewall rules. With the
LEASH "leash" it ends when nobody holds the other end of its standard input any more.
"""

import contextlib
import ctypes
import errno
import os
import signal
import subprocess
import sys
import threading

CLONE_NEWCGROUP = 0x02000000

TOP = "/sys/fs/cgroup"
#: How /proc names the hierarchy of cgroup v2.
UNIFIED = ""

#: With cgroup v2 alone: where processes are, beside the groups of pods or of nodes.
ROOM = f"{TOP}/processes"

#: On the node: the cgroups that its programs belong to.
MEMBERSHIPS = "/run/cgroups"

#: Read-only lower layer from the machine, writable upper layer in DIRECTORY/disk.
LAYERED = ("etc", "opt", "var")

#: Plain directories of the disk: no overlay can be the upper layer of another, and the kubelet measures its own.
BOUND = {"containerd": "/var/lib/containerd", "kubelet": "/var/lib/kubelet", "log": "/var/log"}


def mount(*arguments: str) -> None:
    """One mount; a failure ends the node before it has begun."""
    subprocess.run(["mount", *arguments], check=True)


def cgroups(name: str) -> dict[str, str]:
    """The cgroups of a node on this machine, by hierarchy. With cgroup v2 alone it is at the top: below a group of
    processes, as our own, no other has controllers."""
    own = memberships()
    if list(own) == [UNIFIED]:
        return {UNIFIED: f"{TOP}/{name}"}
    return {one: f"{mounted(one)}{path.rstrip('/')}/{name}" for one, path in own.items()}


def memberships() -> dict[str, str]:
    """Our own cgroups, by hierarchy."""
    with open("/proc/self/cgroup") as lines:
        return dict(line.rstrip("\n").split(":", 2)[1:] for line in lines)


def prepare() -> None:
    """What a node needs of its machine's cgroups, to be done there: a node does not see the machine's processes."""
    if list(memberships()) == [UNIFIED]:
        hand_down()


def mounted(hierarchy: str) -> str:
    """Where one of several hierarchies is."""
    return f"{TOP}/{hierarchy.removeprefix('name=') or 'unified'}"


def join_cgroups(name: str) -> list[str]:
    """Be alone in a cgroup of each hierarchy and see it as its root."""
    joined = cgroups(name)
    for hierarchy, path in joined.items():
        os.makedirs(path, exist_ok=True)
        if hierarchy == "cpuset":
            inherit_cpuset(path)
        join(path)
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWCGROUP):
        raise OSError(ctypes.get_errno(), "unshare of the cgroup namespace")
    return list(joined)


def join(path: str) -> None:
    """Be a member of a cgroup."""
    write(f"{path}/cgroup.procs", "0")


def hand_down() -> None:
    """Let the groups below the top have all of its controllers (v2)."""
    with open(f"{TOP}/cgroup.controllers") as controllers:
        wanted = " ".join(f"+{one}" for one in controllers.read().split())
    try:
        write(f"{TOP}/cgroup.subtree_control", wanted)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        make_room()
        write(f"{TOP}/cgroup.subtree_control", wanted)


def make_room() -> None:
    """Move the processes at the top into a group below: in a container the top is a group like any other."""
    os.makedirs(ROOM, exist_ok=True)
    with open(f"{TOP}/cgroup.procs") as members:
        for pid in members.read().split():
            with contextlib.suppress(ProcessLookupError):
                write(f"{ROOM}/cgroup.procs", pid)


def write(path: str, text: str) -> None:
    """To a file of the kernel: refused by an error of this very write."""
    with open(path, "w") as file:
        file.write(text)


def inherit_cpuset(path: str) -> None:
    """A new cpuset is empty and takes no process until it has processors and memory."""
    for key in ("cpuset.cpus", "cpuset.mems"):
        with open(f"{os.path.dirname(path)}/{key}") as above, open(f"{path}/{key}", "w") as here:
            here.write(above.read())


def mount_system(hierarchies: list[str]) -> None:
    """/sys of the node's network namespace with its own view of the cgroups, an empty /run."""
    # Not only covered: runc takes the first mount of a hierarchy that it finds.
    subprocess.run(["umount", "--recursive", "--lazy", "/sys"], check=True)
    mount("-t", "sysfs", "sysfs", "/sys")
    programs = mount_cgroups(hierarchies)
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    os.mkdir("/run/lock")
    with open(MEMBERSHIPS, "w") as file:
        file.writelines(f"{path}/cgroup.procs\n" for path in programs)


def mount_cgroups(hierarchies: list[str]) -> list[str]:
    """The node's view of them; the cgroups that programs of the node belong to."""
    if hierarchies == [UNIFIED]:
        mount("-t", "cgroup2", "cgroup2", TOP)
        make_room()
        hand_down()
        return [ROOM]
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", TOP)
    for hierarchy in hierarchies:
        os.mkdir(mounted(hierarchy))
        kind = ["cgroup", "-o", hierarchy] if hierarchy else ["cgroup2"]
        mount("-t", *kind, "cgroup", mounted(hierarchy))
    return [mounted(hierarchy) for hierarchy in hierarchies]


def mount_disk(directory: str) -> None:
    """The layers and directories of DIRECTORY/disk."""
    for name in LAYERED:
        upper, work = f"{directory}/disk/{name}", f"{directory}/disk/.work/{name}"
        os.makedirs(upper, exist_ok=True)
        os.makedirs(work, exist_ok=True)
        mount("-t", "overlay", "-o", f"lowerdir=/{name},upperdir={upper},workdir={work}", "overlay", f"/{name}")
    for name, target in BOUND.items():
        source = f"{directory}/disk/{name}"
        os.makedirs(source, exist_ok=True)
        os.makedirs(target, exist_ok=True)
        mount("--bind", source, target)


def end_with_the_leash() -> None:
    """Wait for the end of standard input, then end the node."""
    while os.read(0, 1):
        pass
    os._exit(0)


def main(directory: str, cgroup: str, leash: str) -> None:
    """Set the node up, say so on standard output, reap forever."""
    mount("--make-rprivate", "/")
    hierarchies = join_cgroups(cgroup)
    mount_disk(directory)
    mount_system(hierarchies)
    mount("--make-rshared", "/")
    if leash == "leash":
        threading.Thread(target=end_with_the_leash, daemon=True).start()
    os.write(1, b"ready\n")
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            signal.sigtimedwait([signal.SIGCHLD], 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
