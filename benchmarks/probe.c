// probe: ask who has one address, by ARP or by neighbour solicitation, and time every answer.
//
//   probe -i INTERFACE -s SOURCE -t TARGET -m MAC [-b] -n COUNT -w WARMUP -g GAP -j JITTER -T TIMEOUT
//   probe ... -W WINDOW -d DURATION
//   probe ... -R RATE -d DURATION
//
// The first form asks COUNT isolated questions, WARMUP untimed ones before them, each GAP plus up to JITTER after the
// last answer. The second keeps WINDOW questions outstanding. The third asks RATE questions a second, whatever comes
// back. TARGET's family chooses the protocol; MAC is whom the answers must come from and name; -b expects ARP replies
// to the broadcast address. With -a ADDRESSES each question is for one of so many, drawn anew: IPv4 addresses from
// TARGET on, or IPv6 addresses that count in their fifth and sixth group. Times are in microseconds.
//
// It never sleeps: its socket is polled until an answer is there, so what is timed does not contain the waking of the
// asker. Every frame that claims to be an answer is compared with what it must be, to the last field. One JSON object
// goes to standard output; the exit status is 1 where the kernel refused something, 2 for wrong arguments.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ARP_SIZE = 42, ETHERNET_MIN = 60, ND_SIZE = 86, ND_BODY = 32, MAX_COUNT = 1000000 };
enum verdict { UNRELATED, ANSWER, WRONG };  // announcements are UNRELATED: they answer nobody

static const uint8_t BROADCAST[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t ARP_HEADER[6] = {0, 1, 8, 0, 6, 4};  // Ethernet, IPv4, and the lengths of their addresses

static int link_socket, family;
static uint8_t own_mac[6], peer_mac[6], source[16], target[16], reply_mac[6];
static uint8_t question[ND_SIZE], arp_answer[ARP_SIZE], wrong_frame[128];
static int question_size, wrong_size;
static uint32_t addresses = 1, asked;
static bool one_at_a_time;
static long sent, answered, wrong, surplus;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void usage(void) {
    fputs("probe: wrong arguments; the first lines of its source say what they are\n", stderr);
    exit(2);
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t word(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

// Where an address counts, and how long it is.
static int counted_at(void) { return family == AF_INET ? 0 : 8; }
static int address_size(void) { return family == AF_INET ? 4 : 16; }

// The number of an address among those that are asked for; `addresses` if it is none of them.
static uint32_t number_of(const uint8_t *address) {
    int at = counted_at(), behind = at + 4;
    size_t rest = (size_t)(address_size() - behind);
    if (memcmp(address, target, (size_t)at) || memcmp(address + behind, target + behind, rest)) return addresses;
    uint32_t number = word(address + at) - word(target + at);
    return number < addresses ? number : addresses;
}

// The ones'-complement sum over the pseudo-header and the message (RFC 4443 section 2.3); 0xffff if it is intact.
static uint16_t icmp_sum(const uint8_t *ip, unsigned length) {
    uint32_t sum = length + 58;
    for (unsigned i = 8; i < 40 + length; i += 2) sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static void build_arp(uint8_t *frame, const uint8_t *to, const uint8_t *from, uint8_t operation,
                      const uint8_t *sender, const uint8_t *asked_mac, const uint8_t *asked) {
    memcpy(frame, to, 6);
    memcpy(frame + 6, from, 6);
    memcpy(frame + 12, "\x08\x06", 2);
    memcpy(frame + 14, ARP_HEADER, 6);
    frame[20] = 0, frame[21] = operation;
    memcpy(frame + 22, from, 6);
    memcpy(frame + 28, sender, 4);
    memcpy(frame + 32, asked_mac, 6);
    memcpy(frame + 38, asked, 4);
}

// A multicast solicitation with our link-layer address (RFC 4861 section 4.3).
static void build_solicitation(uint8_t *frame, const uint8_t *wanted) {
    uint8_t *ip = frame + 14, *icmp = frame + 54;
    memcpy(ip + 8, source, 16);
    memcpy(ip + 24, "\xff\x02\0\0\0\0\0\0\0\0\0\x01\xff", 13);
    memcpy(ip + 37, wanted + 13, 3);
    memcpy(frame, "\x33\x33", 2);
    memcpy(frame + 2, ip + 36, 4);
    memcpy(frame + 6, own_mac, 6);
    memcpy(frame + 12, "\x86\xdd\x60\0\0\0\0\x20\x3a\xff", 10);
    memcpy(icmp, "\x87\0\0\0\0\0\0\0", 8);
    memcpy(icmp + 8, wanted, 16);
    memcpy(icmp + 24, "\x01\x01", 2);
    memcpy(icmp + 26, own_mac, 6);
    uint16_t checksum = htons((uint16_t)~icmp_sum(ip, ND_BODY));
    memcpy(icmp + 2, &checksum, 2);
}

// Draw the address that the next question is for.
static void choose(void) {
    if (addresses == 1) return;
    asked = (uint32_t)random() % addresses;
    uint8_t wanted[16];
    memcpy(wanted, target, sizeof wanted);
    uint32_t counted = htonl(word(target + counted_at()) + asked);
    memcpy(wanted + counted_at(), &counted, 4);
    if (family == AF_INET) memcpy(question + 38, wanted, 4);
    else build_solicitation(question, wanted);
}

static bool expected(uint32_t number) { return number < addresses && (!one_at_a_time || number == asked); }

static enum verdict judge_arp(const uint8_t *frame, int size) {
    if (size < ARP_SIZE || number_of(frame + 28) == addresses) return UNRELATED;
    bool reply = frame[20] == 0 && frame[21] == 2, gratuitous = !memcmp(frame + 38, frame + 28, 4);
    if (!reply || gratuitous) return UNRELATED;
    memcpy(arp_answer + 28, frame + 28, 4);
    return memcmp(frame, arp_answer, ARP_SIZE) || !expected(number_of(frame + 28)) ? WRONG : ANSWER;
}

static enum verdict judge_nd(const uint8_t *frame, int size) {
    const uint8_t *ip = frame + 14, *icmp = frame + 54;
    static const uint8_t unspecified[16];
    if (size < ND_SIZE - 8 || ip[6] != 58 || icmp[0] != 136 || number_of(icmp + 8) == addresses) return UNRELATED;
    bool solicited = icmp[4] & 0x40;
    if (!solicited && ip[24] == 0xff) return UNRELATED;
    bool ethernet = !memcmp(frame, own_mac, 6) && !memcmp(frame + 6, peer_mac, 6);
    bool header = ip[0] >> 4 == 6 && ip[4] == 0 && ip[5] == ND_BODY && ip[7] == 255 && size >= ND_SIZE;
    bool addresses = ip[8] != 0xff && memcmp(ip + 8, unspecified, 16) && !memcmp(ip + 24, source, 16);
    if (!ethernet || !header || !addresses || !solicited || icmp[1]) return WRONG;
    bool option = icmp[24] == 2 && icmp[25] == 1 && !memcmp(icmp + 26, peer_mac, 6);
    return option && icmp_sum(ip, ND_BODY) == 0xffff && expected(number_of(icmp + 8)) ? ANSWER : WRONG;
}

// Take one frame if there is one; true if it is a right answer. A wrong one is counted, and the first is kept.
static bool take_answer(void) {
    uint8_t frame[2048];
    int size = (int)recv(link_socket, frame, sizeof frame, MSG_DONTWAIT);
    if (size < 0 && errno != EAGAIN && errno != EINTR) fail("recv");
    if (size <= 0) return false;
    enum verdict verdict = family == AF_INET ? judge_arp(frame, size) : judge_nd(frame, size);
    if (verdict == WRONG && wrong++ == 0) {
        wrong_size = size < (int)sizeof wrong_frame ? size : (int)sizeof wrong_frame;
        memcpy(wrong_frame, frame, (size_t)wrong_size);
    }
    return verdict == ANSWER;
}

static void ask(void) {
    if (send(link_socket, question, (size_t)question_size, 0) < 0) fail("send");
    sent++;
}

// Nothing is outstanding until `end`: an answer now is a second one, or too late.
static void stay_quiet(uint64_t end) {
    while (now() < end) surplus += take_answer();
}

static bool await_answer(uint64_t end) {
    do
        if (take_answer()) return true;
    while (now() < end);
    return false;
}

static void ask_isolated(long count, long warmup, uint64_t gap, uint64_t jitter, uint64_t timeout) {
    printf("{\"latencies_ns\":[");
    for (long i = -warmup, timed = 0; i < count; i++) {
        stay_quiet(now() + gap + (jitter ? (uint64_t)random() % jitter : 0));
        choose();
        uint64_t begin = now();
        ask();
        bool came = await_answer(begin + timeout);
        uint64_t end = now();
        answered += came;
        if (came && i >= 0) printf("%s%llu", timed++ ? "," : "", (unsigned long long)(end - begin));
        if (!came) stay_quiet(end + timeout);  // a late answer must not be taken for the next one's
    }
    printf("],");
}

static void ask_window(long window, uint64_t duration, uint64_t timeout) {
    uint64_t begin = now(), end = begin + duration, last = begin, lost = 0, counted = 0;
    for (;;) {
        uint64_t at = now();
        uint64_t outstanding = (uint64_t)sent - (uint64_t)answered - lost;
        if (at < end)
            for (; outstanding < (uint64_t)window; outstanding++) choose(), ask();
        else if (!outstanding)
            break;
        if (take_answer()) {
            last = now();
            if (!outstanding) surplus++;
            else answered++;
            counted += outstanding && last < end;
        } else if (at > last + timeout) {
            lost += outstanding;
            last = at;
        }
    }
    printf("{\"in_time\":%llu,\"duration_ns\":%llu,", (unsigned long long)counted, (unsigned long long)duration);
}

// As many questions a second as the rate says, and at most 64 between two looks for answers.
static void ask_steadily(uint64_t rate, uint64_t duration, uint64_t timeout) {
    uint64_t begin = now(), end = begin + duration, at;
    while ((at = now()) < end + timeout && (at < end || answered < sent)) {
        uint64_t due = (at < end ? at - begin : duration) * rate / 1000000000u;
        for (int i = 0; i < 64 && (uint64_t)sent < due; i++) choose(), ask();
        for (int i = 0; i < 64 && take_answer(); i++) answered++;
    }
    printf("{\"in_time\":%ld,\"duration_ns\":%llu,", answered, (unsigned long long)duration);
}

static void open_link(const char *interface) {
    link_socket = socket(AF_PACKET, SOCK_RAW, 0);
    if (link_socket < 0) fail("socket");
    struct ifreq request = {0};
    strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
    if (ioctl(link_socket, SIOCGIFHWADDR, &request)) fail(interface);
    memcpy(own_mac, request.ifr_hwaddr.sa_data, 6);
    struct sockaddr_ll link = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(interface)};
    link.sll_protocol = htons(family == AF_INET ? ETHERTYPE_ARP : ETHERTYPE_IPV6);
    if (bind(link_socket, (struct sockaddr *)&link, sizeof link)) fail("bind");
}

int main(int count, char **arguments) {
    const char *interface = NULL, *from = "", *to = "";
    long number[128] = {['n'] = 1, ['T'] = 1000000, ['a'] = 1};
    bool broadcast = false, mac = false;
    for (int option; (option = getopt(count, arguments, "i:s:t:m:bn:w:g:j:T:W:R:d:a:")) != -1;) {
        if (option == 'i') interface = optarg;
        else if (option == 's') from = optarg;
        else if (option == 't') to = optarg;
        else if (option == 'b') broadcast = true;
        else if (option == 'm')
            mac = sscanf(optarg, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", peer_mac, peer_mac + 1, peer_mac + 2, peer_mac + 3,
                         peer_mac + 4, peer_mac + 5) == 6;
        else if (option == '?' || (number[option] = atol(optarg)) < 0) usage();
    }
    family = strchr(to, ':') ? AF_INET6 : AF_INET;
    bool few = number['n'] <= MAX_COUNT && number['a'] >= 1 && number['a'] <= MAX_COUNT;
    if (!interface || !mac || !few || inet_pton(family, from, source) != 1 || inet_pton(family, to, target) != 1) usage();
    open_link(interface);
    srandom((unsigned)now());
    if (family == AF_INET) {
        memcpy(reply_mac, broadcast ? BROADCAST : own_mac, 6);
        build_arp(question, BROADCAST, own_mac, 1, source, (const uint8_t[6]){0}, target);
        build_arp(arp_answer, reply_mac, peer_mac, 2, target, reply_mac, source);
        question_size = ETHERNET_MIN;
    } else {
        build_solicitation(question, target);
        question_size = ND_SIZE;
    }
    uint64_t timeout = (uint64_t)number['T'] * 1000;
    addresses = (uint32_t)number['a'];
    one_at_a_time = !number['W'] && !number['R'];
    if (number['W']) ask_window(number['W'], (uint64_t)number['d'] * 1000, timeout);
    else if (number['R']) ask_steadily((uint64_t)number['R'], (uint64_t)number['d'] * 1000, timeout);
    else ask_isolated(number['n'], number['w'], (uint64_t)number['g'] * 1000, (uint64_t)number['j'] * 1000, timeout);
    printf("\"sent\":%ld,\"answered\":%ld,\"surplus\":%ld,", sent, answered, surplus);
    printf("\"wrong\":%ld,\"wrong_frame\":\"", wrong);
    for (int i = 0; i < wrong_size; i++) printf("%02x", wrong_frame[i]);
    puts("\"}");
    return 0;
}
