"""netplan's YAML (netplan(5)) without hardware addresses; cards that were matched by address are
matched by name.

All files form one configuration: definitions with the same id in several files are merged, and
bonds, bridges and VLANs refer to ids in other files. Therefore all files are changed together.

An interface that is matched only by its address would not match any card of a clone. It is matched
instead by:

- its name, if a card gets that name by default: the name becomes the id of the definition, without
  ``match`` (``ens3``; ``eth0`` if the kernel's names are kept);
- otherwise any card, ``match: {name: "e*"}``, which covers the kernel's eth0 and udev's ens3 (the
  cards that Debian's cloud images configure have the same names); ``set-name`` then still assigns
  the name, to the first card (netplan(5), set-name);
- if several definitions are left without a name, and the kernel's names are kept: eth0, eth1 and so
  on, in the order of the files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from imagebuild.customise.network import Edited, addresses, keyfiles, yaml_text
from imagebuild.customise.network.yaml_text import NotYamlError, YamlText, get

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PHYSICAL = {"ethernets": "e*", "wifis": "wl*", "modems": "ww*"}
_NEW_IDS = {"ethernets": "ethernet", "wifis": "wifi", "modems": "modem"}
_OF_NETWORK_MANAGER = re.compile(r"NM-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""The id that NetworkManager gives to a connection that it stores in netplan's files: its UUID."""
_REFERENCES = ("link", "primary", "peer")
_REFERENCES_OF_KEYS = ("path-cost", "port-priority")
_AMBIGUOUS = "these cards differed only in their hardware addresses, which were removed: {}"


@dataclass
class _Place:
    """One mapping that defines an interface: in which file, in which mapping, under which key."""

    text: YamlText
    section: yaml.MappingNode
    key: yaml.ScalarNode
    body: yaml.MappingNode


@dataclass
class _Definition:
    """An interface: everything in the files with one id."""

    section: str
    id: str
    places: list[_Place] = field(default_factory=list)

    def value(self, key: str) -> yaml.Node | None:
        return next((found for place in reversed(self.places) if (found := get(place.body, key)) is not None), None)

    def word(self, key: str) -> str:
        found = self.value(key)
        return found.value if isinstance(found, yaml.ScalarNode) else ""

    def matches(self) -> dict[str, yaml_text.Structure]:
        """How the card is matched, merged over the files."""
        found = {}
        for place in self.places:
            node = get(place.body, "match")
            for name, value in node.value if isinstance(node, yaml.MappingNode) else ():
                found[name.value] = yaml_text.structure(value)
        return found

    def remove(self, key: str) -> None:
        for place in self.places:
            _remove_from(place, key)


def without_addresses(files: Mapping[str, str], *, kernel_names: bool = True) -> Edited:
    """All of netplan's files by path; ``kernel_names`` says whether cards are called eth0 and so on
    in the guest.

    Files that contain no address and refer to no interface whose id changes are returned unchanged.
    """
    problems = []
    texts: dict[str, YamlText] = {}
    for path, content in files.items():
        try:
            texts[path] = YamlText(content)
            if addresses.names_address(content):
                _without_merge_keys(texts[path])
        except NotYamlError as error:
            texts.pop(path, None)
            if addresses.names_address(content):
                problems.append((path, f"contains hardware addresses, and {error}"))
    definitions = _definitions(texts.values())
    kernel_names = kernel_names and not any(map(_has_name_of_udev, definitions))
    ambiguous = _find_otherwise(definitions, kernel_names=kernel_names)
    _name_otherwise(definitions)
    for text in texts.values():
        _remove_settings(text)
        text.drop_comments(addresses.names_address)
    results = dict(files)
    for path, text in texts.items():
        try:
            results[path] = text.result()
            if addresses.names_address(results[path]):
                problems.append((path, "contains hardware addresses in an unknown place"))
        except NotYamlError as error:
            problems.append((path, str(error)))
    if ambiguous:
        first = next(path for path, text in texts.items() if any(text is place.text for place in ambiguous[0].places))
        problems.append((first, _AMBIGUOUS.format(", ".join(one.id for one in ambiguous))))
    return Edited(results, tuple(problems))


def _network_of(root: yaml.Node) -> yaml.Node | None:
    """The configuration in a document; cloud-init's seeds contain it without the key ``network``."""
    network = get(root, "network")
    return root if network is None and get(root, "version") is not None else network


def _has_name_of_udev(definition: _Definition) -> bool:
    """Whether the files themselves use other names for cards than the kernel's."""
    names = (definition.id, definition.word("set-name"))
    return definition.section in _PHYSICAL and any(addresses.is_cards_name(one, kernel_names=False) for one in names)


def _definitions(texts: Iterable[YamlText]) -> list[_Definition]:
    found: dict[tuple[str, str], _Definition] = {}
    for text in texts:
        for root in text.documents:
            network = _network_of(root)
            for name, section in network.value if isinstance(network, yaml.MappingNode) else ():
                for key, body in section.value if isinstance(section, yaml.MappingNode) else ():
                    if isinstance(key, yaml.ScalarNode) and isinstance(body, yaml.MappingNode):
                        one = found.setdefault((name.value, key.value), _Definition(name.value, key.value))
                        one.places.append(_Place(text, section, key, body))
    return list(found.values())


def _without_merge_keys(text: YamlText) -> None:
    """Expand the merge keys of each mapping; netplan itself rejects them."""
    for document in text.documents:
        for node in list(yaml_text.nodes_of(document)):
            if isinstance(node, yaml.MappingNode):
                text.flatten(node)


def _find_otherwise(definitions: list[_Definition], *, kernel_names: bool) -> list[_Definition]:
    """Match cards in another way if they were matched by address; returns the definitions that now
    match the same cards."""
    physical = [one for one in definitions if one.section in _PHYSICAL]
    only: list[tuple[_Definition, dict[str, yaml_text.Structure]]] = []
    partly: list[tuple[_Definition, dict[str, yaml_text.Structure]]] = []
    for one in physical:
        by = one.matches()
        if "macaddress" in by or _is_named_after_address(one, by):
            left = {key: value for key, value in by.items() if key != "macaddress"}
            (partly if left and not _is_named_after_address(one, left) else only).append((one, left))
    for one, left in partly:
        if sum(1 for other in physical if _without_address(other) == left and other.section == one.section) > 1:
            only.append((one, left))
        else:
            for place in one.places:
                _remove_from_match(place)
    only.sort(key=lambda pair: physical.index(pair[0]))
    nameless = [one for one, _ in only if not _by_its_name(one, definitions, kernel_names=kernel_names)]
    return _by_any_name(nameless, definitions, kernel_names=kernel_names)


def _without_address(definition: _Definition) -> dict[str, yaml_text.Structure]:
    return {key: value for key, value in definition.matches().items() if key != "macaddress"}


def _is_named_after_address(definition: _Definition, by: Mapping[str, yaml_text.Structure]) -> bool:
    """Whether the card is matched only by a name that udev derives from its address."""
    if not by:
        return addresses.is_named_after_address(definition.id)
    return set(by) == {"name"} and addresses.is_named_after_address(str(by["name"][1]))


def _by_its_name(definition: _Definition, definitions: list[_Definition], *, kernel_names: bool) -> bool:
    """Use the name of the card as the id of the definition, if a card gets it by default and no
    other definition has it."""
    name = definition.word("set-name") or definition.id
    if not addresses.is_cards_name(name, kernel_names=kernel_names):
        return False
    if name != definition.id and any(other.id == name for other in definitions):
        return False
    definition.remove("match")
    definition.remove("set-name")
    _rename(definition, name, definitions)
    return True


def _by_any_name(
    nameless: list[_Definition], definitions: list[_Definition], *, kernel_names: bool
) -> list[_Definition]:
    several = {section: [one for one in nameless if one.section == section] for section in _PHYSICAL}
    names = {one.word("set-name") or one.id for one in definitions if one not in nameless}
    free = (f"eth{number}" for number in range(len(definitions) + len(names)) if f"eth{number}" not in names)
    ambiguous = []
    for section, group in several.items():
        in_order = len(group) > 1 and kernel_names and section == "ethernets"
        for one in group:
            pattern = next(free) if in_order else _PHYSICAL[section]
            _match_by_name(one, pattern)
        others = [one for one in definitions if one.section == section and one not in group]
        ambiguous += group if (len(group) > 1 and not in_order) or (group and others and not in_order) else []
    return ambiguous


def _match_by_name(definition: _Definition, pattern: str) -> None:
    value = yaml_text.mapping({"name": yaml_text.scalar(pattern)})
    with_match = [place for place in definition.places if get(place.body, "match") is not None]
    for place in with_match[:-1]:
        _remove_from(place, "match")
    if with_match:
        with_match[-1].text.replace(with_match[-1].body, "match", value, f'{{name: "{pattern}"}}')
    else:
        place = definition.places[-1]
        place.text.add(place.body, "match", value, f'{{name: "{pattern}"}}')


def _name_otherwise(definitions: list[_Definition]) -> None:
    """Replace interface ids that are derived from addresses and UUIDs; no card is matched by them
    any more."""
    for one in definitions:
        if addresses.is_named_after_address(one.id) or _OF_NETWORK_MANAGER.fullmatch(one.id):
            _rename(one, _unused(_NEW_IDS.get(one.section, "interface"), definitions), definitions)
        if addresses.is_named_after_address(one.word("set-name")):
            one.remove("set-name")


def _unused(name: str, definitions: list[_Definition]) -> str:
    ids = {one.id for one in definitions}
    return next(found for number in range(len(ids) + 1) if (found := f"{name}{number}") not in ids)


def _rename(definition: _Definition, name: str, definitions: list[_Definition]) -> None:
    """Change the id of a definition, and all references to it."""
    old = definition.id
    if name == old:
        return
    for place in definition.places:
        place.text.rename(place.key, name)
    definition.id = name
    for other in definitions:
        for place in other.places:
            for node in _references(place.body):
                if node.value == old:
                    place.text.rename(node, name)


def _references(body: yaml.MappingNode) -> Iterator[yaml.ScalarNode]:
    """The scalars of a definition that are ids of others."""
    for key, value in body.value:
        if key.value in _REFERENCES and isinstance(value, yaml.ScalarNode):
            yield value
        elif key.value == "interfaces" and isinstance(value, yaml.SequenceNode):
            yield from (item for item in value.value if isinstance(item, yaml.ScalarNode))
        elif key.value == "parameters" and isinstance(value, yaml.MappingNode):
            yield from _references(value)
        elif key.value in _REFERENCES_OF_KEYS and isinstance(value, yaml.MappingNode):
            yield from (name for name, _ in value.value if isinstance(name, yaml.ScalarNode))


def _remove_from(place: _Place, key: str) -> None:
    """Remove a key of a definition. It remains a mapping even if that was its only key."""
    if [name.value for name, _ in place.body.value] == [key]:
        empty = yaml_text.mapping({})
        place.text.replace(place.section, place.key.value, empty, "{}")
        place.body = empty
    else:
        place.text.remove(place.body, key)


def _remove_from_match(place: _Place) -> None:
    match = get(place.body, "match")
    if isinstance(match, yaml.MappingNode) and get(match, "macaddress") is not None:
        if len(match.value) == 1:
            _remove_from(place, "match")
        else:
            place.text.remove(match, "macaddress")


def _remove_settings(text: YamlText) -> None:
    """Remove addresses assigned to interfaces, those of access points, and NetworkManager's
    identifiers."""
    for root in text.documents:
        network = _network_of(root)
        inner = list(yaml_text.nodes_of(network)) if network is not None else []
        for node in (one for one in inner if isinstance(one, yaml.MappingNode)):
            for key, value in list(node.value):
                if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode) and _is_setting(key, value):
                    _remove_setting(text, root, node, key.value)


def _is_setting(key: yaml.ScalarNode, value: yaml.ScalarNode) -> bool:
    section, _, last = key.value.rpartition(".")
    if last == "uuid":
        return addresses.is_uuid(value.value)
    # NetworkManager settings that netplan does not support (`passthrough`) are called SECTION.KEY.
    return addresses.is_address(value.value) or (bool(section) and keyfiles.is_identity(section, last, value.value))


def _remove_setting(text: YamlText, root: yaml.Node, mapping: yaml.MappingNode, key: str) -> None:
    """Remove a key; a mapping that becomes empty remains a mapping."""
    if len(mapping.value) > 1:
        text.remove(mapping, key)
        return
    for parent in (one for one in yaml_text.nodes_of(root) if isinstance(one, yaml.MappingNode)):
        for name, value in parent.value:
            if value is mapping:
                text.replace(parent, name.value, yaml_text.mapping({}), "{}")
                return


def without_hostnames(text: str) -> str:
    """A file whose interfaces send the current hostname to DHCP servers; unchanged if it is not
    YAML."""
    try:
        edited = YamlText(text)
        for root in edited.documents:
            for node in (one for one in yaml_text.nodes_of(root) if isinstance(one, yaml.MappingNode)):
                for key in ("dhcp4-overrides", "dhcp6-overrides"):
                    overrides = get(node, key)
                    if isinstance(overrides, yaml.MappingNode) and get(overrides, "hostname") is not None:
                        _remove_setting(edited, root, overrides, "hostname")
        return edited.result()
    except NotYamlError:
        return text
