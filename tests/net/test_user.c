/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest is these functions: frames made and taken apart by hand. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/util.h"
#include "tests/net/net_fixture.h"

static const uint8_t guest_mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };
static const uint8_t host_mac[6] = { 0x52, 0x55, 10, 0, 2, 2 };

enum { ETH = 14, IP = 20, UDP = 8, DHCP_LEN = 300 };

/* --- frames ------------------------------------------------------------------ */

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint16_t checksum(const uint8_t *data, size_t len, uint32_t sum)
{
    for (size_t i = 0; i < len; i += 2)
        sum += (uint32_t)data[i] << 8 | (i + 1 < len ? data[i + 1] : 0);
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static size_t ip_frame(uint8_t *out, uint8_t protocol, uint32_t from,
                       uint32_t to, const uint8_t *payload, size_t len)
{
    static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 };
    uint8_t *ip = out + ETH;

    memcpy(out, to == 0xffffffff ? all : host_mac, 6);
    memcpy(out + 6, guest_mac, 6);
    put16(out + 12, 0x0800);
    memset(ip, 0, IP);
    ip[0] = 0x45;
    put16(ip + 2, (uint16_t)(IP + len));
    ip[8] = 64;
    ip[9] = protocol;
    put16(ip + 12, (uint16_t)(from >> 16));
    put16(ip + 14, (uint16_t)from);
    put16(ip + 16, (uint16_t)(to >> 16));
    put16(ip + 18, (uint16_t)to);
    put16(ip + 10, checksum(ip, IP, 0));
    memcpy(ip + IP, payload, len);
    return ETH + IP + len;
}

static size_t udp_frame(uint8_t *out, uint32_t from, uint16_t sport,
                        uint32_t to, uint16_t dport, const void *data,
                        size_t len)
{
    uint8_t udp[UDP + 1500];

    put16(udp, sport);
    put16(udp + 2, dport);
    put16(udp + 4, (uint16_t)(UDP + len));
    put16(udp + 6, 0);
    memcpy(udp + UDP, data, len);
    return ip_frame(out, 17, from, to, udp, UDP + len);
}

enum { SYN = 2, ACK = 16, PSH = 8 };
#define GUEST_IP UINT32_C(0x0a00020f)
#define HOST_IP  UINT32_C(0x0a000202)

static size_t tcp_frame(uint8_t *out, uint16_t sport, uint16_t dport,
                        uint32_t seq, uint32_t ack, uint8_t flags,
                        const void *data, size_t len)
{
    uint8_t tcp[20 + 1500] = { 0 };
    uint32_t pseudo = (GUEST_IP >> 16) + (GUEST_IP & 0xffff) + (HOST_IP >> 16) +
                      (HOST_IP & 0xffff) + 6 + 20 + (uint32_t)len;

    put16(tcp, sport);
    put16(tcp + 2, dport);
    put16(tcp + 4, (uint16_t)(seq >> 16));
    put16(tcp + 6, (uint16_t)seq);
    put16(tcp + 8, (uint16_t)(ack >> 16));
    put16(tcp + 10, (uint16_t)ack);
    tcp[12] = 5 << 4;
    tcp[13] = flags;
    put16(tcp + 14, 65535);
    memcpy(tcp + 20, data, len);
    put16(tcp + 16, checksum(tcp, 20 + len, pseudo));
    return ip_frame(out, 6, GUEST_IP, HOST_IP, tcp, 20 + len);
}

/* The next IPv4 frame of that protocol, from its IP header; ARP is answered. */
static const uint8_t *next_ip(net_fixture *f, uint8_t protocol, GBytes **hold)
{
    GBytes *frame;

    while ((frame = fixture_frame(f, 60000)) != NULL) {
        const uint8_t *data = g_bytes_get_data(frame, NULL);

        if (get16(data + 12) == 0x0806 && get16(data + 20) == 1) {
            uint8_t reply[42];

            memcpy(reply, data, sizeof(reply));
            memcpy(reply, data + 6, 6);
            memcpy(reply + 6, guest_mac, 6);
            put16(reply + 20, 2);
            memcpy(reply + 32, data + 22, 10);
            memcpy(reply + 22, guest_mac, 6);
            memcpy(reply + 28, data + 38, 4);
            assert_int_equal(fixture_send(f, reply, sizeof(reply)), 0);
        } else if (get16(data + 12) == 0x0800 && data[ETH + 9] == protocol) {
            *hold = frame;
            return data + ETH;
        }
        g_bytes_unref(frame);
    }
    fail_msg("no frame of protocol %u came", protocol);
    return NULL;
}

/* --- the network --------------------------------------------------------------------- */

static net_fixture *user(GArray *forwards, vsr_net_rate in, vsr_net_rate out)
{
    const vsr_net_location location = {
        .kind = VSR_NET_USER, .forwards = forwards, .in = in, .out = out
    };
    vsr_net_source source;
    GError *error = NULL;
    net_fixture *f;

    assert_true(vsr_net_source_open(&source, &location, &error));
    f = net_fixture_new(&source, &error);
    if (f == NULL && g_error_matches(error, VSR_ERROR, VISOR_ERR_NO_SUPPORT))
        skip(); /* built without libslirp */
    if (f == NULL)
        fail_msg("%s", error->message);
    vsr_net_source_clear(&source);
    return f;
}

static const vsr_net_rate no_rate;

static size_t dhcp_discover(uint8_t *out)
{
    static const uint8_t options[] = { 99, 130, 83, 99, 53, 1, 1, 255 };
    uint8_t dhcp[DHCP_LEN] = { 1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef };

    memcpy(dhcp + 28, guest_mac, 6);
    memcpy(dhcp + 236, options, sizeof(options));
    return udp_frame(out, 0, 68, 0xffffffff, 67, dhcp, sizeof(dhcp));
}

static void guest_gets_an_address(void **state)
{
    net_fixture *f = user(NULL, no_rate, no_rate);
    uint8_t frame[1600];
    const uint8_t *ip;
    GBytes *hold;

    assert_int_equal(fixture_send(f, frame, dhcp_discover(frame)), 0);
    ip = next_ip(f, 17, &hold);
    assert_int_equal(get16(ip + IP + 2), 68);
    assert_memory_equal(ip + IP + UDP + 16, "\x0a\x00\x02\x0f", 4);
    g_bytes_unref(hold);
    net_fixture_free(f);
}

static int host_socket(int type, uint16_t *port)
{
    struct sockaddr_in addr = { .sin_family = AF_INET };
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    *port = ntohs(addr.sin_port);
    return fd;
}

static bool wait_fd(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, 60000) == 1;
}

static void udp_reaches_the_host_and_comes_back(void **state)
{
    net_fixture *f = user(NULL, no_rate, no_rate);
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    uint8_t frame[1600];
    char text[16] = "";
    const uint8_t *ip;
    uint16_t port;
    GBytes *hold;
    int fd = host_socket(SOCK_DGRAM, &port);

    assert_int_equal(fixture_send(f, frame,
                                  udp_frame(frame, GUEST_IP, 5555, HOST_IP,
                                            port, "ping", 4)),
                     0);
    assert_true(wait_fd(fd));
    assert_int_equal(recvfrom(fd, text, sizeof(text), 0,
                              (struct sockaddr *)&from, &from_len),
                     4);
    assert_string_equal(text, "ping");
    assert_int_equal(
        sendto(fd, "pong!", 5, 0, (struct sockaddr *)&from, from_len), 5);
    ip = next_ip(f, 17, &hold);
    assert_int_equal(get16(ip + IP), port);
    assert_int_equal(get16(ip + IP + 2), 5555);
    assert_memory_equal(ip + IP + UDP, "pong!", 5);
    g_bytes_unref(hold);
    close(fd);
    net_fixture_free(f);
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static void tcp_reaches_the_host(void **state)
{
    net_fixture *f = user(NULL, no_rate, no_rate);
    uint8_t frame[1600];
    char text[16] = "";
    const uint8_t *ip;
    uint16_t port;
    uint32_t seq;
    GBytes *hold;
    int fd = host_socket(SOCK_STREAM, &port), peer;

    assert_int_equal(listen(fd, 1), 0);
    fixture_send(f, frame, tcp_frame(frame, 4444, port, 100, 0, SYN, "", 0));
    ip = next_ip(f, 6, &hold);
    assert_int_equal(ip[IP + 13] & (SYN | ACK), SYN | ACK);
    assert_int_equal(get32(ip + IP + 8), 101);
    seq = get32(ip + IP + 4) + 1;
    g_bytes_unref(hold);
    fixture_send(f, frame, tcp_frame(frame, 4444, port, 101, seq, ACK, "", 0));
    fixture_send(f, frame,
                 tcp_frame(frame, 4444, port, 101, seq, ACK | PSH, "hello", 5));
    assert_true(wait_fd(fd));
    peer = accept(fd, NULL, NULL);
    assert_true(wait_fd(peer));
    assert_int_equal(read(peer, text, sizeof(text)), 5);
    assert_string_equal(text, "hello");
    assert_int_equal(write(peer, "there", 5), 5);
    do {
        ip = next_ip(f, 6, &hold);
        if (get16(ip + 2) == IP + 20 + 5)
            break;
        g_bytes_unref(hold);
    } while (true);
    assert_memory_equal(ip + IP + 20, "there", 5);
    g_bytes_unref(hold);
    close(peer);
    close(fd);
    net_fixture_free(f);
}

static void forwarded_port_reaches_the_guest(void **state)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    g_autoptr(GArray) forwards =
        g_array_new(FALSE, TRUE, sizeof(vsr_net_forward));
    vsr_net_forward forward = { .is_udp = true, .guest_port = 53 };
    uint8_t frame[1600];
    const uint8_t *ip;
    net_fixture *f;
    GBytes *hold;
    int fd = host_socket(SOCK_DGRAM, &forward.host_port), out;

    close(fd); /* it is free now */
    g_array_append_val(forwards, forward);
    f = user(forwards, no_rate, no_rate);
    /* It is known who has the address. */
    fixture_send(f, frame, dhcp_discover(frame));
    ip = next_ip(f, 17, &hold);
    g_bytes_unref(hold);
    out = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(forward.host_port);
    assert_int_equal(
        sendto(out, "in", 2, 0, (struct sockaddr *)&to, sizeof(to)), 2);
    ip = next_ip(f, 17, &hold);
    assert_int_equal(get16(ip + IP + 2), 53);
    assert_memory_equal(ip + IP + UDP, "in", 2);
    g_bytes_unref(hold);
    close(out);
    net_fixture_free(f);
}

static void taken_port_is_an_error(void **state)
{
    g_autoptr(GArray) forwards =
        g_array_new(FALSE, TRUE, sizeof(vsr_net_forward));
    vsr_net_forward forward = { .guest_port = 22 };
    const vsr_net_location location = { .kind = VSR_NET_USER,
                                        .forwards = forwards };
    vsr_net_source source;
    GError *error = NULL;
    int fd = host_socket(SOCK_STREAM, &forward.host_port);

    assert_int_equal(listen(fd, 1), 0);
    g_array_append_val(forwards, forward);
    assert_true(vsr_net_source_open(&source, &location, &error));
    assert_null(net_fixture_new(&source, &error));
    if (!g_error_matches(error, VSR_ERROR, VISOR_ERR_NO_SUPPORT)) {
        g_autofree char *port = g_strdup_printf("%u", forward.host_port);

        assert_non_null(strstr(error->message, port));
    }
    g_error_free(error);
    vsr_net_source_clear(&source);
    close(fd);
}

static void link_that_is_down_drops(void **state)
{
    net_fixture *f = user(NULL, no_rate, no_rate);
    vsr_net_stats stats;
    uint8_t frame[1600];

    vsr_net_set_link(f->net, false);
    assert_int_equal(fixture_send(f, frame, dhcp_discover(frame)), -ENETDOWN);
    vsr_net_get_stats(f->net, &stats);
    assert_int_equal(stats.tx_drops, 1);
    assert_int_equal(stats.tx_packets, 0);
    vsr_net_set_link(f->net, true);
    assert_int_equal(fixture_send(f, frame, dhcp_discover(frame)), 0);
    g_bytes_unref(fixture_frame(f, 60000));
    vsr_net_get_stats(f->net, &stats);
    assert_int_equal(stats.tx_packets, 1);
    assert_true(stats.rx_packets >= 1 && stats.rx_bytes > DHCP_LEN);
    net_fixture_free(f);
}

static void frames_of_wrong_lengths_are_dropped(void **state)
{
    net_fixture *f = user(NULL, no_rate, no_rate);
    g_autofree uint8_t *big = g_malloc0(VSR_NET_FRAME_MAX + 1);
    vsr_net_stats stats;

    assert_int_equal(fixture_send(f, big, 0), -EINVAL);
    assert_int_equal(fixture_send(f, big, VSR_NET_FRAME_MAX + 1), -EMSGSIZE);
    /* To the network, which does not know them. */
    for (size_t len = 1; len < 64; len++)
        assert_int_equal(fixture_send(f, big, len), 0);
    assert_int_equal(fixture_send(f, big, VSR_NET_FRAME_MAX), 0);
    vsr_net_get_stats(f->net, &stats);
    assert_int_equal(stats.tx_drops, 2);
    net_fixture_free(f);
}

static void sender_waits_for_its_rate(void **state)
{
    net_fixture *f = user(NULL, no_rate, (vsr_net_rate){ .average = 512 });
    int64_t begin = g_get_monotonic_time(), ms;
    uint8_t frame[1400] = { 0 };
    uint32_t sent = 0, waits = 0;
    int rc;

    memcpy(frame, host_mac, 6);
    while (sent < 150) { /* 205 KiB; 64 go at once */
        rc = fixture_send(f, frame, sizeof(frame));
        if (rc == 0) {
            sent++;
            continue;
        }
        assert_int_equal(rc, -EAGAIN);
        assert_true(fixture_wait(f, &f->n_writable, ++waits));
    }
    ms = (g_get_monotonic_time() - begin) / 1000;
    /* Who is slow itself need not wait. */
    assert_true(waits > 3 || ms > 1000);
    assert_true(ms >= 250);
    net_fixture_free(f);
}

static void receiver_that_has_no_room_gets_it_later(void **state)
{
    net_fixture *f = user(NULL, no_rate, no_rate);
    uint8_t frame[1600];
    GBytes *hold;

    f->keep = true;
    fixture_send(f, frame, dhcp_discover(frame));
    assert_null(fixture_frame(f, 100));
    assert_int_equal(f->n_readable, 1);
    f->keep = false;
    vsr_loop_sync(f->loop, fixture_want_all, f);
    next_ip(f, 17, &hold);
    g_bytes_unref(hold);
    net_fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guest_gets_an_address),
        cmocka_unit_test(udp_reaches_the_host_and_comes_back),
        cmocka_unit_test(tcp_reaches_the_host),
        cmocka_unit_test(forwarded_port_reaches_the_guest),
        cmocka_unit_test(taken_port_is_an_error),
        cmocka_unit_test(link_that_is_down_drops),
        cmocka_unit_test(frames_of_wrong_lengths_are_dropped),
        cmocka_unit_test(sender_waits_for_its_rate),
        cmocka_unit_test(receiver_that_has_no_room_gets_it_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
