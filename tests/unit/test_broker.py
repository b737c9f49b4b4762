"""The address of a broker says all that is needed to listen there."""

import pytest

from usp.models.broker import Broker, MqttVersion, parse_brokers


def test_several_brokers_each_with_its_ways() -> None:
    """Accounts at one server are brokers of their own; passwords may hold any character."""
    text = (
        "mqtt://127.0.0.1,"
        " mqtts://app%40tenant:p%2Cw%3F@lns.example.org?version=3.1.1&shared=no&door=things_stack&door=chirpstack"
    )
    assert parse_brokers(text) == [
        Broker(host="127.0.0.1", port=1883),
        Broker(
            host="lns.example.org",
            port=8883,
            tls=True,
            user="app@tenant",
            password="p,w?",
            version=MqttVersion.V311,
            shared=False,
            doors=("things_stack", "chirpstack"),
        ),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("http://host", "mqtt://user:password@host:1883"),
        ("mqtt://host,", "a text without a scheme"),
        ("mqtt://host/vhost", "path"),
        ("mqtt://host?version=4", "version=3.1.1 or 5"),
        ("mqtt://host?qos=1", "qos=1"),
        ("mqtt://host?shared=maybe", "shared=yes or no"),
        ("mqtt://host,mqtt://host:1883", "twice"),
        ("mqtt://host:99999", "Port out of range"),
    ],
)
def test_a_mistake_is_named(text: str, says: str) -> None:
    """What is wrong, and what would be right."""
    with pytest.raises(ValueError, match=says.replace("?", r"\?")):
        parse_brokers(text)
