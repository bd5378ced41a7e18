"""Reports as rows: what `netlb show` prints, one mapping a row, all with the same keys. Pure."""

from collections.abc import Iterator
from typing import Any

from netlb.plan.render import service_name
from netlb.source.reports import GatewayReport, NodeReport, Reports, RouteReport

__all__ = ["address_rows", "gateway_rows", "peer_rows", "route_rows"]

Row = dict[str, Any]


def peer_rows(reports: Reports) -> list[Row]:
    """Return the sessions with routers, by node and name."""
    return [
        {
            "node": report.node,
            "peer": peer.name,
            "router": peer.router,
            "asn": peer.asn,
            "state": peer.state,
            "bfd": peer.bfd,
            "since": peer.since,
            "advertised": peer.advertised,
            "received": peer.received,
            "lastError": peer.last_error,
        }
        for report in reports.nodes
        for peer in report.bgp.peers
    ]


def route_rows(reports: Reports) -> list[Row]:
    """Return the routes of each node; an aggregate is one route of several Services."""
    rows: dict[tuple[str, str], Row] = {}
    for report in reports.nodes:
        for told in report.bgp.announcing:
            for route in told.routes:
                row = rows.setdefault(
                    (report.node, route.prefix),
                    {
                        "node": report.node,
                        "prefix": route.prefix,
                        "nextHop": route.next_hop,
                        "peers": list(route.peers),
                        "attributes": _attributes(route),
                        "services": [],
                        "problem": "",
                    },
                )
                row["services"] += [name for name in told.services if name not in row["services"]]
                row["problem"] = row["problem"] or told.problem
    return list(rows.values())


def address_rows(reports: Reports) -> list[Row]:
    """Return every address that a Service holds, with who announces it; and each Service that waits for one."""
    rows: list[Row] = []
    for held in reports.services:
        name = service_name(held.service)
        for address in held.addresses:
            announcers = [found for report in reports.nodes for found in _announcers(report, address, name)]
            problems = [one.pop("problem") for one in announcers]
            said = [f"{one['node']}: {problem}" for one, problem in zip(announcers, problems, strict=True) if problem]
            working = [one for one in announcers if one.pop("announces")]
            if not working and not said:
                said = ["announced by nobody: see netlb explain service " + name]
            rows.append(_address_row(address, name, held.pool, working, [held.reason, *said]))
        if not held.addresses:
            rows.append(_address_row("", name, "", [], [held.reason]))
    return rows


def gateway_rows(reports: Reports) -> list[Row]:
    """Return the nodes of all sites, and how each is connected."""
    return [
        {
            "site": report.site,
            "node": report.node,
            "role": report.role,
            "gateway": report.gateway,
            "backend": report.backend,
            "tunnels": _tunnels(report),
            "ways": {f"{way.site}:": way.link for way in report.ways},
            "hub": report.hub,
            "problem": "; ".join(report.notes),
        }
        for report in sorted(reports.gateways, key=lambda one: (one.site, one.node))
    ]


def _tunnels(report: GatewayReport) -> str:
    """Return how many tunnels are in which state, and to whom those lead that are down."""
    states = [peer.state for peer in report.peers]
    counts = [f"{states.count(state)} {state}" for state in ("up", "down", "warm") if state in states]
    down = [peer.node for peer in report.peers if peer.state == "down"]
    return ", ".join(counts) + (f" ({', '.join(down)})" if down else "")


def _address_row(address: str, service: str, pool: str, announcers: list[Row], problems: list[str]) -> Row:
    return {
        "address": address,
        "service": service,
        "pool": pool,
        "announcedBy": announcers,
        "problem": "; ".join(filter(None, problems)),
    }


def _announcers(report: NodeReport, address: str, service: str) -> Iterator[Row]:
    """Yield how a node announces an address for a Service: on segments, to routers, or both."""
    for one in report.announcing:
        if one.address == address and service in one.services:
            yield {
                "node": report.node,
                "protocol": "layer2",
                "announce": one.announce,
                "to": list(one.interfaces),
                "announces": bool(one.interfaces),
                "problem": one.problem,
            }
    for told in report.bgp.announcing:
        if told.address == address and service in told.services:
            yield {
                "node": report.node,
                "protocol": "bgp",
                "to": sorted({peer for route in told.routes for peer in route.peers}),
                "announces": not (told.error or told.pending),
                "problem": told.problem,
            }


def _attributes(route: RouteReport) -> Row:
    attributes = {
        "localPref": route.local_pref,
        "med": route.med,
        "communities": list(route.communities),
        "largeCommunities": list(route.large_communities),
        "asPathPrepend": route.as_path_prepend,
    }
    return {name: value for name, value in attributes.items() if value not in (None, [])}
