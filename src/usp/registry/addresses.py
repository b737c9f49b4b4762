"""Addresses of devices in the networks they speak through, as people write them.

    a84041ffff123456                a devEUI, in any case, with `-`, `:`, `.`, `_` or spaces between the digits
    things_stack:application/device a device behind The Things Stack whose messages tell no devEUI
    Sensor_17                       another name that a device publishes under, usp/v1/Sensor_17/up

The network may stand in front of any of them: `lorawan:…`, `native:…`. A name that looks like a devEUI with digits
too few or too many needs it.
"""

import re
from difflib import get_close_matches

from usp.ingest.bridges.bridge import LORAWAN, Sender
from usp.ingest.bridges.lorawan import dev_eui
from usp.ingest.bridges.things_stack import NETWORK as THINGS_STACK

#: What stands in front of an address, and the network that it means.
NETWORKS = {"native": "", LORAWAN: LORAWAN, THINGS_STACK: THINGS_STACK}

#: A rejection keeps as much of an address.
LONGEST = 200
_PREFIX = re.compile(r"([A-Za-z_]+):(.*)", re.ASCII)
_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)?[eE]\+?[0-9]+", re.ASCII)
#: What a spreadsheet would take for a number: digits, or digits around a single e.
_LIKE_A_NUMBER = re.compile(r"[0-9]+(?:e[0-9]+)?", re.ASCII)
_NO_DIGITS = re.compile(r"[^0-9A-Fa-f]", re.ASCII)
_SEPARATORS = str.maketrans("", "", "-:._ ")
#: What is nearly a devEUI: so many digits, or so many characters of which one is no digit.
_NEARLY, _WITH_A_SLIP = range(8, 20), range(15, 18)


def parse_address(text: str) -> Sender:
    """Whom the text means. Raises ValueError that says what would be right."""
    text = text.strip()
    if _NUMBER.fullmatch(text) and dev_eui(text) is None:
        raise ValueError(
            f"a spreadsheet has made a number of it ({text}); format the column as text and enter it anew."
        )
    digits = _digits(text)
    eui = dev_eui(digits)
    if eui is not None:
        return Sender(LORAWAN, eui)
    wrong = _NO_DIGITS.findall(digits)
    if not wrong and len(digits) in _NEARLY:
        raise ValueError(_no_eui(text, f"it has {len(digits)} of 16 hexadecimal digits"))
    if len(wrong) == 1 and len(digits) in _WITH_A_SLIP:
        raise ValueError(_no_eui(text, f"{wrong[0]!r} is no hexadecimal digit"))
    match = _PREFIX.fullmatch(text)
    if match is not None:
        return _in_network(match[1], match[2].strip())
    return _in_network("native", text)


def _digits(text: str) -> str:
    """What is left without separators, and without what programmers write before hexadecimal digits."""
    digits = text.translate(_SEPARATORS)
    return digits[2:] if digits[:2].lower() == "0x" else digits


def _no_eui(text: str, why: str) -> str:
    return f"{text!r} is no devEUI: {why}; write native:{text} if it is a name."


def _in_network(prefix: str, text: str) -> Sender:
    network = NETWORKS.get(prefix.lower())
    if network is None:
        near = get_close_matches(prefix.lower(), NETWORKS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(NETWORKS)}."
        raise ValueError(f"there is no network {prefix!r}; {hint}")
    if network == LORAWAN:
        eui = dev_eui(_digits(text))
        if eui is None:
            raise ValueError(f"{text!r} is no devEUI: 16 hexadecimal digits.")
        return Sender(LORAWAN, eui)
    if network == THINGS_STACK:
        application, _, device = text.partition("/")
        if not application or not device or "/" in device:
            raise ValueError(f"{text!r} is no device of The Things Stack: things_stack:application/device.")
    elif "/" in text:
        raise ValueError(f"{text!r} is no address; of a device behind The Things Stack it is things_stack:{text}.")
    elif not text or any(character in "+#" or not character.isprintable() for character in text):
        raise ValueError(f"{text!r} is no address: a devEUI, or the name that the device publishes under.")
    if len(text) > LONGEST:
        raise ValueError(f"it has {len(text)} characters; {LONGEST} are the most.")
    return Sender(network, text)


def address_text(sender: Sender) -> str:
    """The address as `parse_address` reads it, and no spreadsheet takes for a number."""
    if sender.network == LORAWAN and not _LIKE_A_NUMBER.fullmatch(sender.address):
        return sender.address
    if not sender.network:
        try:
            if parse_address(sender.address) == sender:
                return sender.address
        except ValueError:
            pass
        return f"native:{sender.address}"
    return f"{sender.network}:{sender.address}"
