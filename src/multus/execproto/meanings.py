"""What a shim's replies mean: results, or errors in the words that the local executor uses too."""

from __future__ import annotations

import os

from multus import errors
from multus.cni.invoke import PluginExit
from multus.execproto import frames


def of_exit(plugin: str, ended: frames.Exited) -> PluginExit:
    """The end of a plugin. Raises errors.PluginTimeout, errors.TryAgainLater (ended by KILL), errors.PluginFailed (it
    printed too much)."""
    if ended.outcome == frames.RAN:
        return PluginExit(ended.status, ended.stdout, ended.stderr)
    if ended.outcome == frames.TIMED_OUT:
        raise errors.PluginTimeout(f'plugin "{plugin}" did not end within its deadline and was killed')
    if ended.outcome == frames.KILLED:
        raise errors.TryAgainLater(f'plugin "{plugin}" was ended before it had finished')
    if ended.outcome == frames.OVERFLOWED:
        raise errors.PluginFailed(f'plugin "{plugin}" printed more than {frames.MAX_DATA} bytes and was killed')
    return PluginExit(-ended.status, ended.stdout, ended.stderr)


def too_late(plugin: str) -> errors.CniError:
    """It was not run: its deadline had passed."""
    return errors.PluginTimeout(f'plugin "{plugin}" was not started: no time is left')


def of_refusal(plugin: str, search: str, reason: int, number: int) -> errors.CniError:
    """Why an EXEC was not carried out: FAILED's reason and errno; `search` as in HELLO."""
    if reason == frames.NOT_FOUND:
        directories = " ".join(part for part in search.split(":") if part)
        return errors.PluginNotFound(f'failed to find plugin "{plugin}" in path [{directories}]')
    if reason == frames.ITSELF:
        return errors.SelfDelegation(f'plugin "{plugin}" is Multus itself: a network must not delegate to Multus')
    if reason == frames.UNUSABLE:
        return errors.PluginUnusable(f'plugin "{plugin}" could not be started: {os.strerror(number)}')
    if reason == frames.SKIPPED:
        return too_late(plugin)
    if reason == frames.BUSY:
        return errors.TryAgainLater(f'plugin "{plugin}" was not started: too many run on this connection already')
    if reason == frames.LOCKED:
        return errors.TryAgainLater(f'plugin "{plugin}" was not started: its lock file failed: {os.strerror(number)}')
    return errors.InvalidConfig(f"plugin type {plugin} is not a plain file name")


def of_namespace(netns: str, reason: int, number: int) -> errors.CniError:
    """Why OPEN_NETLINK was not carried out."""
    if reason == frames.HOST_NETNS:
        return errors.SameNamespace(f"network namespace {netns} is the host's own")
    if reason == frames.REFUSED:
        return errors.IoFailure(f"network namespace {netns} is not the one of this call")
    return errors.IoFailure(f"network namespace {netns} can't be entered: {os.strerror(number)}")
