"""Every refusal, drop and withdrawal has a name, and this file holds all of them.

The same name is the value in a status, the label of a metric, the word in a log line and the row in
`docs/reasons.md` (generated from the docstrings below; a test compares). A reason is never spelt as a
string elsewhere. This module imports nothing but the standard library: the responder's process loads it.
"""

from enum import StrEnum

__all__ = [
    "Apart",
    "BfdVerdict",
    "BgpRefusal",
    "EventReason",
    "Foreign",
    "FrameVerdict",
    "Idle",
    "ManifestProblem",
    "Refusal",
    "Silence",
]


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
    """No L2Advertisement or BGPAdvertisement selects the pool: its addresses are given and never announced."""
    MIXED_ANNOUNCEMENT = "MixedAnnouncement"
    """Two L2Advertisements select the same addresses and differ in `announce`: an interface has them (`address`)."""
    SOURCE_FAILED = "SourceFailed"
    """The system that keeps the pool's addresses cannot be asked; what is held stays held."""
    UNKNOWN_REFERENCE = "UnknownReference"
    """The object names another one that does not exist: a Community, a BGPPeer, a BFDProfile or a Secret."""
    OVERLAPPING_SITES = "OverlappingSites"
    """Two sites claim the same addresses; the prefix of the younger site, or the less certain one, is left out."""
    AMBIGUOUS_SITE = "AmbiguousSite"
    """Several Gateways select the node, and its label names none of them; it is in the site of the oldest."""
    NO_ADDRESS = "NoAddress"
    """An endpoint should be reachable from outside, and nobody has said at which address; it is not."""
    NO_PREFIX = "NoPrefix"
    """The node has no prefix of addresses for its pods, so other sites do not reach them."""
    NOT_HONOURED = "NotHonoured"
    """The setting is understood and has no effect in this version."""
    CLEAR_TEXT = "ClearText"
    """A password is written in the manifest itself, where everybody who may read the object sees it."""


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
    SHARING_KEY_ELSEWHERE = "SharingKeyElsewhere"
    """The Service's sharing key has an address of the pool, and gets no second one (`purelb.io/allow-shared-ip`)."""
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
    """No L2Advertisement, or no BGPAdvertisement, selects the pool that the address came from, for this Service."""
    NO_SPEAKER = "NoSpeaker"
    """This node speaks no BGP: no autonomous system is declared for it."""
    NO_PEER = "NoPeer"
    """This node has no router to tell."""
    NO_NEXT_HOP = "NoNextHop"
    """This node has no address at which routers could reach it for this family."""
    SESSION_DOWN = "SessionDown"
    """No session is up with any of the routers that are to be told."""
    DRAINED = "Drained"
    """This node takes no more traffic: routers were asked to prefer others, and then its routes were withdrawn."""
    CONFLICTING_ADVERTISEMENTS = "ConflictingAdvertisements"
    """Several BGPAdvertisements give one prefix different attributes."""
    NO_ENDPOINT = "NoEndpoint"
    """No endpoint of the Service can take traffic."""
    NO_CANDIDATE = "NoCandidate"
    """No node may announce the address: all are excluded, not selected, or without an endpoint that is near enough."""
    NOT_OWNER = "NotOwner"
    """Another node owns the address."""
    INTERFACE_MISSING = "InterfaceMissing"
    """This node owns the address and has none of the interfaces on which it may be announced."""
    PENDING = "Pending"
    """This node owns the address and is about to announce it, or probes first whether another station has it."""
    ADDRESS_CONFLICT = "AddressConflict"
    """Another station has the address (RFC 5227 section 2.1, RFC 4862 section 5.4); it is probed again."""
    ANNOUNCE_FAILED = "AnnounceFailed"
    """This node owns the address and could not be made to answer for it; it is tried again."""


class EventReason(StrEnum):
    """What an Event beside a Service or a Gateway is about; named as in MetalLB or Raven."""

    IP_ALLOCATED = "IPAllocated"
    """The Service was given addresses, or others than before."""
    IP_RELEASED = "IPReleased"
    """The Service lost its addresses."""
    ALLOCATION_FAILED = "AllocationFailed"
    """What the Service asks for was refused; the Event's note names the reason."""
    NODE_ASSIGNED = "nodeAssigned"
    """A node announces the Service's addresses from now on."""
    ANNOUNCE_FAILED = "announceFailed"
    """A node owns an address of the Service and cannot announce it; the Event's note names the reason."""
    ACTIVE_ENDPOINT_ELECTED = "ActiveEndpointElected"
    """The Gateway has other active endpoints than before."""
    ACTIVE_ENDPOINT_LOST = "ActiveEndpointLost"
    """None of the Gateway's endpoints is active, or none seems to be alive any more."""


class BgpRefusal(StrEnum):
    """Why a gobgpd does not have a route or a peer as it is wanted, or is not used at all."""

    NO_GOBGPD = "NoGobgpd"
    """No gobgpd that could be started: it is not installed, or not GoBGP 3 or 4."""
    DIRECTORY_NOT_PRIVATE = "DirectoryNotPrivate"
    """The directory of gobgpd's socket is open to others, or another netlb uses it."""
    FOREIGN_SPEAKER = "ForeignSpeaker"
    """gobgpd runs with another AS number, router id or port, and is not ours to restart."""
    FOREIGN_CONTENT = "ForeignContent"
    """gobgpd should be ours alone, and has paths or peers that netlb did not make."""
    TAKEN = "TakenByAnother"
    """Somebody else announces the prefix, or has configured the peer, through the same gobgpd."""
    NOT_SUPPORTED = "NotSupportedByGoBGP"
    """This generation of GoBGP cannot do what the peer asks for."""
    SHARED_POLICIES = "SharedPolicies"
    """The route is for some peers only, and the policies that it takes are somebody else's in a shared gobgpd."""
    NOT_RESTRICTED = "NotRestricted"
    """The route is for some peers only, and its policies could not be made: it is announced to nobody."""
    NOT_IN_TABLE = "NotInTable"
    """gobgpd took the route and does not have it: an import policy rejects it."""
    REFUSED = "RefusedByGoBGP"
    """gobgpd refused a call; its words say why."""


class Foreign(StrEnum):
    """Why something of a site's is not made in the kernel: what is in its place is somebody else's, and stays."""

    DEVICE = "ForeignDevice"
    """An interface has the name, or the VNI and port, of the overlay's device, and netlb has not made it."""
    ROUTE = "ForeignRoute"
    """There is a route for the prefix in a table of ours, with a protocol that is not ours."""
    RULE = "ForeignRule"
    """There is a rule at the priority of ours, with another protocol or for another table."""
    TABLE = "ForeignTable"
    """There is an nftables table of our name without our mark."""


class Idle(StrEnum):
    """Why an endpoint of a site neither holds tunnels nor could take over."""

    SWITCHED_OFF = "SwitchedOff"
    """The Gateway wants no tunnels (`replicas: 0`)."""
    NOT_A_MEMBER = "NotAMember"
    """There is no such node in the site."""
    NOT_READY = "NotReady"
    """The cluster says that the node is not ready, and nobody else has seen it alive."""
    DEAD = "Dead"
    """Those that watch the node do not hear it any more."""


class Apart(StrEnum):
    """Why two sites do not reach each other."""

    NO_ENDPOINT = "NoActiveEndpoint"
    """One of them has no active endpoint."""
    NO_KEY = "NoPublicKey"
    """The public key of one of the endpoints is not known, or another endpoint has the same."""
    OTHER_PROTOCOL = "OtherTunnelProtocol"
    """One of them has tunnels of WireGuard, and the other one of IPsec (`backend`)."""
    NO_HUB = "NoHub"
    """Neither endpoint can reach the other, as behind NATs, and there is no third site that both can reach."""


class FrameVerdict(StrEnum):
    """What the responder made of one frame."""

    ANSWERED = "Answered"
    """The frame asked for an address that is held here and was answered."""
    CONFLICT = "Conflict"
    """Another station claims an address that is held here (RFC 5227 section 2.4); reported, see `--on-conflict`."""
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


class BfdVerdict(StrEnum):
    """What became of one BFD control packet (RFC 5880 section 6.8.6)."""

    ACCEPTED = "Accepted"
    """From the peer of a session, in order, and heeded."""
    TOO_SHORT = "TooShort"
    """Fewer than 24 octets."""
    WRONG_VERSION = "WrongVersion"
    """Not version 1."""
    WRONG_LENGTH = "WrongLength"
    """The Length field is too small for what the packet says it holds, or larger than the datagram."""
    ZERO_DETECT_MULT = "ZeroDetectMult"
    """Detect Mult is 0."""
    MULTIPOINT = "Multipoint"
    """The Multipoint bit is set (RFC 8562), which is not spoken here."""
    ZERO_DISCRIMINATOR = "ZeroDiscriminator"
    """My Discriminator is 0."""
    UNEXPECTED_STATE = "UnexpectedState"
    """Says Init or Up and does not name our session (Your Discriminator is 0)."""
    MALFORMED_AUTHENTICATION = "MalformedAuthentication"
    """The authentication section has a length that its type cannot have."""
    UNKNOWN_DISCRIMINATOR = "UnknownDiscriminator"
    """Names a session that does not exist here."""
    UNKNOWN_PEER = "UnknownPeer"
    """Names no session, and none is configured with its sender on that path."""
    WRONG_PATH = "WrongPath"
    """Names a session, and came from another address, to another address, over another interface or to another port."""
    LOW_TTL = "LowTTL"
    """Came from farther away than the session allows (TTL or hop limit; RFC 5881 section 5, RFC 5883 section 5)."""
    UNAUTHENTICATED = "Unauthenticated"
    """Carries no authentication, and the session has a key."""
    UNEXPECTED_AUTHENTICATION = "UnexpectedAuthentication"
    """Carries authentication, and the session has no key."""
    WRONG_AUTHENTICATION_TYPE = "WrongAuthenticationType"
    """Authenticated in another way than the session's key says."""
    UNKNOWN_KEY = "UnknownKey"
    """Authenticated with another key ID than the session's."""
    REPLAYED = "Replayed"
    """Its sequence number was seen already, or is too far ahead."""
    WRONG_DIGEST = "WrongDigest"
    """Not made with the session's secret."""
    STOPPED = "Stopped"
    """The session is administratively down on this side."""
