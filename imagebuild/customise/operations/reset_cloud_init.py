"""Make cloud-init treat the next boot as the first boot of a new instance.

Removes cloud-init's data about the instance that the image was built on: its metadata and user
data, which may contain passwords and keys, and its logs. The network configuration that it wrote
for the card of that instance is removed only if cloud-init will write a new one. That is the case
if it is installed, is not disabled (by ``/etc/cloud/cloud-init.disabled``, on the kernel command
line, or through its units), and is not configured to leave the network alone (``network: {config:
disabled}``). Otherwise that file is the guest's only network configuration and stays;
``remove-network-identity`` removes the addresses from it. What ``set-up-cloud-init`` wrote stays.

``/etc/cloud`` and seeds that are part of an image stay, without the parts that belong to one
instance: ``instance-id`` and ``local-hostname`` in the metadata of a data source, and MAAS's keys.
``99-installer.cfg``, which Ubuntu's installer writes for the first boot of the installed machine,
is removed: it contains an instance and an account with its password, and disables all other data
sources.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from imagebuild.customise.network import cloud_init, yaml_text
from imagebuild.customise.network.yaml_text import NotYamlError, YamlText, get
from imagebuild.customise.operation import NoParams, NotApplicable, Phase
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "identity"
REPLACES = ()
Params = NoParams

_STATE = (
    "/var/lib/cloud/instance",
    "/var/lib/cloud/instances/*",
    "/var/lib/cloud/data/*",
    "/var/lib/cloud/sem/*",
    "/var/lib/cloud/handlers/*",
    "/var/lib/heat-cfntools/*",
    "/var/log/cloud-init.log*",
    "/var/log/cloud-init-output.log*",
    "/run/cloud-init/*",
)
_STAYS = ("/var/lib/cloud/data/upgraded-network",)
"""A switch rather than state: if this file exists, cloud-init leaves the network of the guest
alone."""
_WRITTEN = (
    "/etc/netplan/50-cloud-init.yaml",
    "/etc/network/interfaces.d/50-cloud-init*",
    "/etc/NetworkManager/system-connections/cloud-init-*.nmconnection",
    "/etc/systemd/network/10-cloud-init-*.network",
)
_BY_ADDRESS = (
    "/etc/udev/rules.d/70-persistent-net-cloud-init.rules",
    "/etc/udev/rules.d/85-persistent-net-cloud-init.rules",
)
"""Rules that name the cards of the instance by their addresses."""
_IFCFG = "/etc/sysconfig/network-scripts/ifcfg-*"
_HEADER = "# Created by cloud-init"
_METADATA = ("metadata", "meta-data", "meta_data")
_OF_ONE_INSTANCE = ("instance-id", "instance_id", "local-hostname", "local_hostname")
_USER_DATA = ("userdata_raw", "user-data", "userdata")
_MAAS = ("consumer_key", "consumer_secret", "token_key", "token_secret")


def apply(guest: Guest, params: NoParams) -> None:
    if not guest.exists("/etc/cloud") and not guest.exists("/var/lib/cloud"):
        raise NotApplicable("this guest does not have cloud-init")
    why_not = cloud_init.look(guest)
    guest.remove(path for path in guest.sweep(*_STATE) if path not in _STAYS)
    if not why_not:
        written = [path for path in guest.real_files(_IFCFG) if guest.read(path).startswith(_HEADER)]
        of_instance = [path for path in guest.glob(*_WRITTEN) if not _is_fallback(guest, path)]
        guest.remove([*of_instance, *written], "removed: cloud-init writes a new one")
    guest.remove(guest.glob(*_BY_ADDRESS))
    for path in cloud_init.configurations(guest):
        _without_instance(guest, path)


def _is_fallback(guest: Guest, path: str) -> bool:
    """Whether the image's own configuration, which ``set-up-cloud-init`` wrote, is still there."""
    return path == cloud_init.IFUPDOWN and _plain(guest, path).startswith(cloud_init.FALLBACK)


def _without_instance(guest: Guest, path: str) -> None:
    """Remove the parts of a configuration that belong to one instance."""
    try:
        text = YamlText(guest.read(path))
        if text.documents and _is_for_one_instance(text.documents[0]):
            missing = _accounts(text.documents[0]) - {account.user for account in guest.accounts()}
            which = f": it would have created {', '.join(sorted(missing))}" if missing else ""
            guest.remove(path, f"removed{which}")
            return
        for root in text.documents:
            _remove_instance(text, root)
        result = text.result()
    except (NotYamlError, GuestError) as error:
        if any(word in _plain(guest, path) for word in _OF_ONE_INSTANCE):
            guest.not_done(path, f"may contain data of one instance: {error}")
        return
    guest.edit(path, lambda _: result, "removed what belongs to one instance")


def _is_for_one_instance(root: yaml.Node) -> bool:
    """Whether a file only configures the data source ``None``, with metadata or user data for it,
    as subiquity's 99-installer.cfg does.

    Projects that build templates of Ubuntu remove this file (kubernetes-sigs/image-builder, issue
    1080 and pull request 1105).
    """
    if not isinstance(root, yaml.MappingNode) or {key.value for key, _ in root.value} - {
        "datasource",
        "datasource_list",
    }:
        return False
    sources = get(root, "datasource")
    names = {key.value for key, _ in sources.value} if isinstance(sources, yaml.MappingNode) else set()
    source = get(sources, "None")
    return names == {"None"} and isinstance(source, yaml.MappingNode) and bool(source.value)


def _plain(guest: Guest, path: str) -> str:
    try:
        return guest.read(path)
    except GuestError:
        return ""


def _remove_instance(text: YamlText, root: yaml.Node) -> None:
    for parent, _, source in list(_mappings(root)):
        if parent is not get(root, "datasource"):
            continue
        for key in _METADATA:
            metadata = get(source, key)
            if isinstance(metadata, yaml.MappingNode):
                _remove(text, source, key, metadata, _OF_ONE_INSTANCE)
    for parent, key, node in list(_mappings(root)):
        if {one.value for one, _ in node.value} >= {"consumer_key", "token_key"}:
            _remove(text, parent, key, node, _MAAS)


def _remove(
    text: YamlText, parent: yaml.MappingNode, key: str, mapping: yaml.MappingNode, names: tuple[str, ...]
) -> None:
    """Remove keys from a mapping. It remains a mapping even if it becomes empty."""
    there = [name for name in names if get(mapping, name) is not None]
    if there and len(there) == len(mapping.value):
        text.replace(parent, key, yaml_text.mapping({}), "{}")
    else:
        for name in there:
            text.remove(mapping, name)


def _mappings(root: yaml.Node) -> Iterator[tuple[yaml.MappingNode, str, yaml.MappingNode]]:
    """All mappings that are values of other mappings: the outer mapping, the key, and the inner
    mapping."""
    for node in (one for one in yaml_text.nodes_of(root) if isinstance(one, yaml.MappingNode)):
        for name, value in node.value:
            if isinstance(value, yaml.MappingNode) and isinstance(name, yaml.ScalarNode):
                yield node, name.value, value


def _accounts(root: yaml.Node) -> set[str]:
    """The accounts that the user data of the data source ``None`` creates; ``default`` is the
    distribution's default account."""
    user_data = next((found for key in _USER_DATA if (found := get(get(get(root, "datasource"), "None"), key))), None)
    if not isinstance(user_data, yaml.ScalarNode):
        return set()
    try:
        lists = [get(one, "users") for one in YamlText(user_data.value).documents]
    except NotYamlError:
        return set()
    users = [user for one in lists if isinstance(one, yaml.SequenceNode) for user in one.value]
    named = [get(one, "name") if isinstance(one, yaml.MappingNode) else one for one in users]
    return {one.value for one in named if isinstance(one, yaml.ScalarNode)} - {"default", ""}
