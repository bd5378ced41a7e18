"""The speaker with addresses on interfaces, of a kernel in memory."""

import asyncio
from pathlib import Path

from tests.manifests import advertisement, pool
from tests.support.speaking import ADDRESS, ANNOUNCED, Net, declare, speaker
from tests.support.status import StatusReader
from tests.support.wired import wired, write

SECOND = "192.0.2.2"
OWN = {"192.0.2.200": False}
POOL = pool("all", "192.0.2.1-192.0.2.6")
BY_REPLY = advertisement("reply", "{serviceSelectors: [{matchLabels: {app: web}}]}")
BY_ADDRESS = advertisement("address", "{announce: address, serviceSelectors: [{matchLabels: {app: other}}]}")


def test_both_ways_at_once_and_the_status_says_which(root: Path, net: Net, status: StatusReader) -> None:
    net.kernel.assign("eth1", "192.0.2.200/24")
    declare(root, "other")
    write(root, "pool.yaml", [POOL, BY_REPLY, BY_ADDRESS])

    async def scenario() -> None:
        async with wired(speaker(root, net)) as daemon:
            await daemon.until(lambda: ANNOUNCED == status.announced("node-1", "other"), "it is reported")
            await daemon.ready()
            assert ["eth0", "eth1"] == await net.answers(ADDRESS)
            assert ["eth1"] == await net.answers(SECOND)
            assert OWN | {SECOND: True} == net.kernel.has("eth1")
            assert {"ip": ADDRESS, "interfaces": ["eth0", "eth1"]} in status.l2("node-1", "web")["addresses"]
            listed = {"ip": SECOND, "interfaces": ["eth1"], "announce": "address"}
            assert [listed] == status.l2("node-1", "other")["addresses"]
            [reported] = [one for one in status.node("node-1")["announcing"] if one["address"] == SECOND]
            assert "address" == reported["announce"]
            labels = {"service": "default/other", "protocol": "layer2", "node": "node-1", "ip": SECOND}
            assert 1.0 == daemon.metric("netlb_speaker_announced", **labels)

            net.kernel.withdraw("eth1", f"{SECOND}/32")
            await daemon.until(lambda: OWN | {SECOND: True} == net.kernel.has("eth1"), "it is back")
        assert OWN == net.kernel.has("eth1")

    asyncio.run(scenario())


def test_without_a_subnet_for_it_it_says_what_to_do(root: Path, net: Net, status: StatusReader) -> None:
    write(root, "pool.yaml", [POOL, advertisement(spec="{announce: address}")])

    async def scenario() -> None:
        async with wired(speaker(root, net)) as daemon:
            await daemon.until(lambda: status.announced("node-1", "web")[1] == "InterfaceMissing", "it is reported")
            [condition] = status.l2("node-1", "web")["conditions"]
            assert condition["message"] == (
                "192.0.2.1: no interface that is up has a subnet that this address is in; name one in `interfaces` of "
                "the L2Advertisement, or let it say `announce: reply`"
            )
            net.kernel.assign("eth0", "192.0.2.200/24")
            await daemon.until(lambda: ANNOUNCED == status.announced("node-1", "web"), "now it is announced")

    asyncio.run(scenario())


def test_an_address_that_the_node_had_is_taken_once_it_is_free(root: Path, net: Net, status: StatusReader) -> None:
    net.kernel.assign("eth0", f"{ADDRESS}/24")
    write(root, "pool.yaml", [POOL, advertisement(spec="{announce: address, interfaces: [eth0]}")])

    async def scenario() -> None:
        async with wired(speaker(root, net)) as daemon:
            await daemon.until(lambda: status.announced("node-1", "web")[1] == "AnnounceFailed", "it is refused")
            assert {ADDRESS: False} == net.kernel.has("eth0")
            net.kernel.withdraw("eth0", f"{ADDRESS}/24")
            await daemon.until(lambda: ANNOUNCED == status.announced("node-1", "web"), "it is free")
            assert {ADDRESS: True} == net.kernel.has("eth0")

    asyncio.run(scenario())
