"""Every refusal, drop and withdrawal has a name, and this file holds all of them.

The same name is the value in a status, the label of a metric, the word in a log line and the row in
`docs/reasons.md` (generated from the docstrings below; a test compares). A reason is never spelt as a
string elsewhere. This module imports nothing but the standard library: the responder's process loads it.
"""

from enum import StrEnum

__all__ = ["FrameVerdict", "ManifestProblem", "Refusal", "Silence"]


class ManifestProblem(StrEnum):
    """Why something that was declared cannot be honoured as it stands."""

    UNREADABLE_FILE = "UnreadableFile"
    """The file cannot be opened or is not UTF-8; what it held before stays in force."""
    INVALID_YAML = "InvalidYAML"
    """The file is not valid YAML (or is half written); what it held before stays in force."""
    INVALID_OBJECT = "InvalidObject"
    """A field has the wrong type or an impossible value; the object's last good version stays in force."""
    UNKNOWN_FIELD = "UnknownField"
    """A field that the kind does not have, most often a misspelling; the last good version stays in force."""
    INVALID_RANGE = "InvalidRange"
    """An address, prefix or range cannot be read, or its ends are turned round."""
    OVERLAPPING_POOLS = "OverlappingPools"
    """Two pools claim the same address; the one that came or changed later is refused."""
    DUPLICATE_OBJECT = "DuplicateObject"
    """Two documents declare the same object; the first one, in order of file name, counts."""
    CONFLICTING_OBJECTS = "ConflictingObjects"
    """Two objects contradict each other; the younger one is refused, and its last good version stays in force."""
    UNKNOWN_POOL = "UnknownPool"
    """An advertisement names a pool that does not exist."""
    UNADVERTISED_POOL = "UnadvertisedPool"
    """No L2Advertisement selects the pool: its addresses would be given and never announced."""
    PROTOCOL_NOT_SERVED = "ProtocolNotServed"
    """The pool asks for a protocol that this version does not speak: nobody announces its addresses."""
    NOT_HONOURED = "NotHonoured"
    """The setting is understood and has no effect in this version."""


class Refusal(StrEnum):
    """Why a Service has no address, or a pool did not give it one."""

    INVALID_REQUEST = "InvalidRequest"
    """The Service's own request cannot be read or contradicts itself."""
    NO_POOL = "NoPool"
    """No pool is declared."""
    UNKNOWN_POOL = "PoolNotFound"
    """The Service asks for a pool that does not exist."""
    NOT_REQUESTED = "NotRequested"
    """The Service asks for another pool."""
    NOT_AUTO_ASSIGNED = "NotAutoAssigned"
    """The pool serves explicit requests only (`autoAssign: false`)."""
    POOL_DISABLED = "PoolDisabled"
    """The pool gives no address any more (`disabled: true`); who has one keeps it."""
    NAMESPACE_NOT_ADMITTED = "NamespaceNotAdmitted"
    """The pool is for other namespaces (`serviceAllocation`)."""
    SERVICE_NOT_SELECTED = "ServiceNotSelected"
    """The pool selects Services by labels, and not this one (`serviceAllocation.serviceSelectors`)."""
    NO_NODE = "NoNodeInNodePools"
    """None of the pool's `nodePools` has a node, so nobody could announce its addresses."""
    FAMILY_MISSING = "FamilyMissing"
    """The pool holds no address of a family that the Service needs."""
    POOL_EXHAUSTED = "PoolExhausted"
    """Every address of the pool that would do is held."""
    ADDRESS_NOT_IN_POOL = "AddressNotInPool"
    """The requested address is in no pool, or not in the requested one."""
    ADDRESS_EXCLUDED = "AddressExcluded"
    """The pool excludes the requested address (`exclude`)."""
    BUGGY_ADDRESS = "BuggyAddress"
    """The pool avoids addresses that end in .0 and .255 (`avoidBuggyIPs: true`)."""
    ADDRESS_IN_USE = "AddressInUse"
    """Another Service holds the requested address, and the two do not both share it."""
    SHARING_KEY_DIFFERS = "SharingKeyDiffers"
    """The address is shared under another key."""
    SHARING_ACROSS_NAMESPACES = "SharingAcrossNamespaces"
    """The address is shared in another namespace, and the pool does not allow that (`sharing: namespace`)."""
    SHARING_BACKEND_DIFFERS = "SharingBackendDiffers"
    """With externalTrafficPolicy Local, Services that share an address need the same selector and policy."""
    SHARED_PORT_TAKEN = "SharedPortTaken"
    """Another Service has the same port and protocol on the shared address."""
    AWAITING_SOURCE = "AwaitingSource"
    """The address has been asked for at the system that keeps the pool's addresses."""
    SOURCE_EXHAUSTED = "SourceExhausted"
    """The system that keeps the pool's addresses has none left, or not the requested one."""
    INCOMPLETE_VIEW = "IncompleteView"
    """Some manifests cannot be read: what is held stays held, even where it looks unwanted."""


class Silence(StrEnum):
    """Why a node does not announce an address."""

    NO_ADVERTISEMENT = "NoAdvertisement"
    """No L2Advertisement selects the pool that the address came from, for this Service."""
    NO_ENDPOINT = "NoEndpoint"
    """No endpoint of the Service can take traffic."""
    NO_CANDIDATE = "NoCandidate"
    """No node may announce the address: all are excluded, not selected, or without a local endpoint."""
    NOT_OWNER = "NotOwner"
    """Another node owns the address."""
    INTERFACE_MISSING = "InterfaceMissing"
    """This node owns the address and has none of the interfaces on which it may be announced."""
    PENDING = "Pending"
    """This node owns the address and is about to announce it, or probes first whether another station has it."""
    ADDRESS_CONFLICT = "AddressConflict"
    """Another station has the address (RFC 5227 section 2.1, RFC 4862 section 5.4); it is probed again every minute."""
    ANNOUNCE_FAILED = "AnnounceFailed"
    """This node owns the address and could not be made to answer for it; it is tried again."""


class FrameVerdict(StrEnum):
    """What the responder made of one frame."""

    ANSWERED = "Answered"
    """The frame asked for an address that is held here and was answered."""
    CONFLICT = "Conflict"
    """Another station claims an address that is held here (RFC 5227 section 2.4); reported, not fought."""
    MALFORMED = "Malformed"
    """Too short, wrong lengths, bad checksum, bad options: dropped as the RFCs demand."""
    NOT_FOR_US = "NotForUs"
    """Addressed to another station, or inside a VLAN that this interface is not part of."""
    OFF_LINK = "OffLink"
    """A neighbour solicitation that crossed a router (hop limit under 255, RFC 4861 section 7.1.1)."""
    NOT_HELD = "NotHeld"
    """Asks for an address that is not held on this interface."""
    NOT_A_QUESTION = "NotAQuestion"
    """Well formed, concerns us, and wants no answer: replies, announcements of our own."""
