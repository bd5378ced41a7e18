"""The controller on a cluster: one of several leads, and writes into the API."""

import asyncio
import socket
from collections.abc import Iterable, Mapping
from functools import partial

from prometheus_client import Metric

from netlb.api.intake import Intake
from netlb.api.snapshot import Holding, Snapshot
from netlb.errors import NetlbError
from netlb.findings import ObjectRef
from netlb.runtime.app import App, Callback
from netlb.runtime.log import get_logger
from netlb.runtime.metrics import StateCollector, counter, gauge, new_registry, received_metric, source_metrics
from netlb.source import kube_once
from netlb.source.kube import KubeClient
from netlb.source.kube_departed import DepartedNodes
from netlb.source.kube_journal import Journal
from netlb.source.kube_kinds import NODES, Reader, watched
from netlb.source.kube_recorder import EventRecorder
from netlb.source.kube_source import KubeSource
from netlb.source.kube_status import Told
from netlb.source.kube_writer import ClusterStatuses
from netlb.source.lease import LeasePace
from netlb.source.reflector import Pace
from netlb_controller.controller import NAME, Controller
from netlb_controller.in_api import InApi
from netlb_controller.reviewer import Reviewer
from netlb_controller.settings import ControllerSettings
from netlb_controller.sources import MakeSource
from netlb_controller.terms import Terms

__all__ = ["on_cluster", "read_cluster"]

_AGAIN = 1.0
"""Seconds until the journal is asked for again."""


def on_cluster(settings: ControllerSettings, make_source: MakeSource, *, pace: Pace, lease: LeasePace) -> App:
    """Put the controller of a cluster together."""
    cluster = _Cluster(settings, make_source, pace, lease)
    registry = new_registry(NAME)
    registry.register(StateCollector(cluster.metrics))
    return App(
        name=NAME,
        registry=registry,
        services={
            "client": cluster.connect,
            "election": cluster.terms.elect,
            "terms": cluster.terms.work,
            "events": cluster.recorder.run,
            **cluster.reviewing(),
        },
        checks={"source": cluster.why_blind, "status": cluster.why_unwritten},
        on_stop={"status": cluster.terms.stop},
        http=settings.common.http,
    )


class _Cluster:
    """What lasts longer than a term, and makes the controller of each."""

    def __init__(self, settings: ControllerSettings, make_source: MakeSource, pace: Pace, lease: LeasePace) -> None:
        self._settings = settings
        self._make_source = make_source
        self._pace = pace
        self._client = KubeClient(settings.common.kubeconfig, field_manager=NAME)
        self._source: KubeSource | None = None
        self._trouble = ""
        self.recorder = EventRecorder(self._client, reporter="netlb.io/controller", instance=socket.gethostname())
        self.terms = Terms(
            self._client,
            self._begin,
            namespace=self._namespace,
            elects=settings.elects,
            pace=lease,
        )

    def reviewing(self) -> Mapping[str, Callback]:
        """Return what the admission webhook takes, if there is to be one."""
        webhook = self._settings.webhook
        if webhook is None:
            return {}
        reviewer = Reviewer(self._client, self._settings.common.compatibility, pace=self._pace)
        return {"review": reviewer.follow, "webhook": partial(webhook.run, reviewer.judge)}

    async def connect(self) -> None:
        """Be able to reach an API server, until cancelled. Raises SettingError."""
        self._client.check()
        try:
            await asyncio.Event().wait()
        finally:
            await self._client.close()

    def why_blind(self) -> str | None:
        """Return why nothing is planned; None if it is, or if that is for another controller to do."""
        controller = self.terms.controller
        if controller is None:
            return None if self.terms.standby() else self.terms.trouble() or "it is not known yet who leads"
        if controller.plan is None:
            troubles = self._source.troubles() if self._source else {}
            return f"no snapshot yet: {next(iter(troubles.values()), self._trouble or 'being read')}"
        return None

    def why_unwritten(self) -> str | None:
        """Return why not all is written that is planned here; None if it is."""
        controller = self.terms.controller
        return None if controller is None or controller.plan is None or controller.is_written() else "not all written"

    def metrics(self) -> Iterable[Metric]:
        """Show who leads, and what the present term has come to."""
        yield gauge("netlb_leader", "1: this controller leads; 0: it stands by.", (), {(): float(self.terms.leads)})
        yield counter(
            "netlb_events_dropped_total", "Events that could not be sent.", (), {(): float(self.recorder.dropped)}
        )
        yield received_metric(self._client.received())
        if self._source is not None and self.terms.controller is not None:
            yield from source_metrics(self._source)
            yield from self.terms.controller.metrics()

    def _begin(self) -> Controller[Told]:
        """Make the controller of a term: it knows nothing that it has not read in this term."""
        settings = self._settings
        compatibility = settings.common.compatibility
        source = self._source = KubeSource(
            self._client,
            Intake(compatibility, settings.serving),
            watched(compatibility, Reader.ADDRESSES),
            leaves_others=True,
            pace=self._pace,
        )
        journal = Journal(self._client, self._namespace())
        statuses = ClusterStatuses(
            self._client, source.find, self.recorder, why_not=self.terms.why_not, journal=journal
        )
        source.on_services = statuses.see
        departed = DepartedNodes(
            self._client,
            nodes=partial(source.names, NODES),
            why_not=self.terms.why_not,
            on_trouble=lambda why: get_logger(NAME).warning("reports of nodes that are gone stay", why=why),
            interval=self._pace.absence_grace,
        )
        controller = Controller(
            source,
            statuses,
            InApi(source.declared),
            installation=settings.installation,
            make_source=self._make_source,
            held=partial(self._intended, journal),
            beside=(departed.run,),
        )
        statuses.drifted = source.on_rewound = controller.status.refresh
        statuses.overtaken = self.terms.restart
        return controller

    async def _intended(self, journal: Journal) -> Mapping[ObjectRef, Holding]:
        """Return what an earlier controller was about to give, before anything else is read."""
        while True:
            try:
                return await journal.read()
            except NetlbError as error:
                self._trouble = str(error)
                await asyncio.sleep(_AGAIN)

    def _namespace(self) -> str:
        return self._settings.common.namespace or self._client.namespace


def read_cluster(settings: ControllerSettings, intake: Intake) -> Snapshot:
    """Return what is in force now, and who holds what. Raises SettingError."""
    kinds = watched(settings.common.compatibility, Reader.ADDRESSES)
    return kube_once.read_cluster(settings.common.kubeconfig, intake, kinds, leaves_others=True)
