// The fast path: answer the plain ARP requests and neighbour solicitations of one interface before anybody wakes up.
//
// A program for tc (tcx or clsact, ingress). A frame leaves as its own answer, or goes on to the kernel and to the
// responder's packet sockets untouched: whatever is not exactly the common question is judged there, by
// netlb.l2.responder, whose answers these are byte by byte (an ARP reply keeps the padding of its request). What is left
// to it: claims of other stations to a held address, probes for duplicates, solicitations without their sender's
// link-layer address first, VLAN tags, everything malformed, and everything when the lease is over: the responder's
// process sets a deadline and renews it for as long as it is able to, so a process that hangs is soon silent here as well.
//
// tools/generate_bpf.py compiles this into program.py. It includes nothing, so that no header changes what comes out:
// struct __sk_buff and the helpers' numbers are the kernel's stable interface (linux/bpf.h). Maps are symbols that
// netlb.l2.adapter.bpf replaces by file descriptors. Packets are read and written through helpers, and not through
// pointers: that would make every cloned packet of the interface be copied, the host's own traffic included.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct __sk_buff {
    u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority, ingress_ifindex, ifindex;
};

static void *(*const map_lookup_elem)(const void *map, const void *key) = (void *)1;
static long (*const skb_store_bytes)(struct __sk_buff *, u32 offset, const void *, u32 length, u64 flags) = (void *)9;
static long (*const redirect)(u32 ifindex, u64 flags) = (void *)23;
static long (*const skb_load_bytes)(const struct __sk_buff *, u32 offset, void *, u32 length) = (void *)26;
static u64 (*const ktime_get_boot_ns)(void) = (void *)125;  // also runs while the machine is suspended

enum { NEXT = -1, RECOMPUTE_CSUM = 1, MULTICAST = 2 };  // TC_ACT_UNSPEC and TCX_NEXT, BPF_F_RECOMPUTE_CSUM, PACKET_MULTICAST

// The maps of one interface; netlb.l2.bpf.maps says the same to Python.
struct state { u64 deadline; u16 mac[3], unused; };    // array of one; nanoseconds of CLOCK_BOOTTIME
struct address { u64 answered; u32 held, unused; };    // by address; not held: only listened for
struct counts { u64 arp, nd; };                        // per CPU, array of one
extern const struct map addresses4, addresses6, state, counts;

#define NET16(value) __builtin_bswap16(value)
#define NET32(value) __builtin_bswap32(value)

// Each begins with two bytes that are in no frame, so that what follows the Ethernet header is aligned.
struct arp_frame {
    u16 unused, to[3], from[3], ethertype, hardware, protocol;
    u8 hardware_size, protocol_size;
    u16 operation, sender_mac[3], sender[2], target_mac[3];
    u32 target;
};
struct nd_frame {
    u16 unused, to[3], from[3], ethertype;
    u32 version_class_flow;
    u16 length;
    u8 next_header, hop_limit;
    u32 source[4], destination[4];
    u8 type, code;
    u16 checksum;
    u32 flags, target[4];
    u8 option, option_units;
    u16 link[3];
};
enum { ARP_SIZE = 42, ARP_PADDED = 64, ND_SIZE = 86 };

#define IS_GROUP(mac) (*(const u8 *)(mac) & 1)
#define COPY_MAC(to, from) ((to)[0] = (from)[0], (to)[1] = (from)[1], (to)[2] = (from)[2])
#define SAME_MAC(a, b) (!(((a)[0] ^ (b)[0]) | ((a)[1] ^ (b)[1]) | ((a)[2] ^ (b)[2])))

// The state if the lease is running and the frame, sent to this MAC address, is for this interface.
static __attribute__((always_inline)) const struct state *leased(const u16 *to) {
    const u32 only = 0;
    const struct state *own = map_lookup_elem(&state, &only);
    if (!own || !(IS_GROUP(to) || SAME_MAC(to, own->mac))) return 0;
    return ktime_get_boot_ns() < own->deadline ? own : 0;
}

static __attribute__((always_inline)) int answer_arp(struct __sk_buff *skb) {
    struct arp_frame frame;
    if (skb->len < ARP_SIZE || skb->len > ARP_PADDED) return NEXT;
    if (skb_load_bytes(skb, 0, (u8 *)&frame + 2, ARP_SIZE)) return NEXT;
    if (frame.ethertype != NET16(0x0806) || frame.hardware != NET16(1) || frame.protocol != NET16(0x0800) ||
        frame.hardware_size != 6 || frame.protocol_size != 4 || frame.operation != NET16(1) || IS_GROUP(frame.sender_mac))
        return NEXT;
    struct address *held = map_lookup_elem(&addresses4, &frame.target);
    if (!held || !held->held) return NEXT;
    const u32 sender = frame.sender[0] | (u32)frame.sender[1] << 16;
    if (map_lookup_elem(&addresses4, &sender)) return NEXT;
    const struct state *own = leased(frame.to);
    if (!own) return NEXT;
    COPY_MAC(frame.to, frame.sender_mac);
    COPY_MAC(frame.target_mac, frame.sender_mac);
    COPY_MAC(frame.from, own->mac);
    COPY_MAC(frame.sender_mac, own->mac);
    frame.operation = NET16(2);
    frame.sender[0] = (u16)frame.target;
    frame.sender[1] = (u16)(frame.target >> 16);
    frame.target = sender;
    if (skb_store_bytes(skb, 0, (u8 *)&frame + 2, ARP_SIZE, RECOMPUTE_CSUM)) return NEXT;
    __sync_fetch_and_add(&held->answered, 1);
    const u32 only = 0;
    struct counts *count = map_lookup_elem(&counts, &only);
    if (count) count->arp++;
    return (int)redirect(skb->ifindex, 0);
}

// The ones'-complement sum over the pseudo-header and the message, not inverted; 0xffff if it is intact (RFC 4443, 2.3).
static __attribute__((always_inline)) u16 sum(const struct nd_frame *frame) {
    const u32 *words = frame->source;  // source, destination and message lie side by side
    u64 sum = NET32(32 + 58);
#pragma unroll
    for (int at = 0; at < 16; at++) sum += words[at];
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (u16)((sum & 0xffff) + (sum >> 16));
}

static __attribute__((always_inline)) int answer_nd(struct __sk_buff *skb) {
    struct nd_frame frame;
    if (skb->len != ND_SIZE) return NEXT;
    if (skb_load_bytes(skb, 0, (u8 *)&frame + 2, ND_SIZE)) return NEXT;
    if (frame.ethertype != NET16(0x86dd) || (*(u8 *)&frame.version_class_flow & 0xf0) != 0x60 ||
        frame.length != NET16(32) || frame.next_header != 58 || frame.hop_limit != 255 || frame.type != 135 || frame.code ||
        frame.option != 1 || frame.option_units != 1 || IS_GROUP(frame.link))
        return NEXT;
    if (!(frame.source[0] | frame.source[1] | frame.source[2] | frame.source[3])) return NEXT;
    if (*(u8 *)frame.source == 0xff) return NEXT;
    if (*(u8 *)frame.destination != 0xff &&
        ((frame.destination[0] ^ frame.target[0]) | (frame.destination[1] ^ frame.target[1]) |
         (frame.destination[2] ^ frame.target[2]) | (frame.destination[3] ^ frame.target[3])))
        return NEXT;
    struct address *held = map_lookup_elem(&addresses6, frame.target);
    if (!held || !held->held) return NEXT;
    if (sum(&frame) != 0xffff) return NEXT;
    const struct state *own = leased(frame.to);
    if (!own) return NEXT;
    COPY_MAC(frame.to, frame.link);
    COPY_MAC(frame.from, own->mac);
    COPY_MAC(frame.link, own->mac);
    frame.version_class_flow = NET32(0x60000000);
#pragma unroll
    for (int at = 0; at < 4; at++) {
        frame.destination[at] = frame.source[at];
        frame.source[at] = frame.target[at];
    }
    frame.type = 136;
    frame.flags = NET32(0x60000000);  // solicited, override
    frame.option = 2;
    frame.checksum = 0;
    frame.checksum = ~sum(&frame);
    if (skb_store_bytes(skb, 0, (u8 *)&frame + 2, ND_SIZE, RECOMPUTE_CSUM)) return NEXT;
    __sync_fetch_and_add(&held->answered, 1);
    const u32 only = 0;
    struct counts *count = map_lookup_elem(&counts, &only);
    if (count) count->nd++;
    return (int)redirect(skb->ifindex, 0);
}

__attribute__((section("tc"), used)) int fastpath(struct __sk_buff *skb) {
    if (skb->protocol == NET16(0x0806)) {
        if (!skb->vlan_present && skb->pkt_type <= MULTICAST) return answer_arp(skb);
    } else if (skb->protocol == NET16(0x86dd)) {
        if (!skb->vlan_present && skb->pkt_type <= MULTICAST) return answer_nd(skb);
    }
    return NEXT;
}
